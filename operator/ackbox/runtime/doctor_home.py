"""What can be wrong with a home: its version, its addresses, its processes, and the objects of its management cluster."""

from collections.abc import Iterable
from pathlib import Path

from ackbox.kube.client import Client, Object
from ackbox.kube.connection import KubeconfigError, load_kubeconfig
from ackbox.kube.errors import ApiError
from ackbox.resources import LISTENER, MANAGED_CLUSTER, NODE_POOL, SERVICE_LOAD_BALANCER, VPC
from ackbox.runtime import logs, loopback
from ackbox.runtime.doctor import Finding, Level
from ackbox.runtime.errors import HomeProblem, NoHome
from ackbox.runtime.home import Home, check_version, load
from ackbox.runtime.supervisor import State, Status, Supervisor

LOOKED_AT = (VPC, MANAGED_CLUSTER, NODE_POOL, SERVICE_LOAD_BALANCER, LISTENER)
LAST_LINES = 3


async def examine(path: Path) -> list[Finding]:
    """Look at a home; one that isn't there, or is down, is no problem."""
    try:
        home = load(path)
        check_version(path)
        holder = loopback.holder(home.loopback)
    except NoHome:
        return [Finding("home", Level.OK, f"none in {path} yet; `ackbox up` makes it")]
    except HomeProblem as error:
        return [Finding("home", Level.PROBLEM, str(error))]
    if holder not in (None, path):
        message = f"{home.loopback} is used by the home {holder} too"
        return [Finding("home", Level.PROBLEM, message, "`ackbox clean` one of the two: it may be a copy")]
    supervisor = Supervisor(home)
    if not await supervisor.running():
        return [Finding("home", Level.OK, f"{path} is down; `ackbox up` starts it")]
    findings = [Finding("home", Level.OK, f"{path} is up, at {home.loopback}")]
    findings += processes(await supervisor.statuses())
    return findings + await _objects(home)


def processes(statuses: Iterable[Status]) -> list[Finding]:
    """What the states of the supervised processes mean."""
    every = list(statuses)
    bad = [each for each in every if each.state is not State.RUNNING]
    findings = [_not_running(each) for each in bad]
    if len(bad) < len(every):
        findings.insert(0, Finding("processes", Level.OK, f"{len(every) - len(bad)} of {len(every)} run"))
    return findings


def objects(found: Iterable[Object]) -> list[Finding]:
    """What the conditions of objects say; those that are Ready are only counted."""
    every = list(found)
    waiting = [(each, said) for each in every if (said := _ready(each)).get("status") != "True"]
    findings = [Finding("objects", Level.OK, f"{len(every) - len(waiting)} of {len(every)} are Ready")]
    return findings + [_not_ready(obj, said) for obj, said in waiting]


def _not_running(status: Status) -> Finding:
    passing = status.state in (State.STARTING, State.STOPPING)
    level = Level.WARNING if passing else Level.PROBLEM
    said = " | ".join(line.strip() for line in logs.tail(status.log, LAST_LINES))
    message = f"{status.name} is {status.state.name.lower()}" + f"; it said: {said}" * bool(said)
    return Finding("processes", level, message, f"`ackbox logs {status.name}`, then `ackbox up`")


async def _objects(home: Home) -> list[Finding]:
    found: list[Object] = []
    try:
        async with Client(load_kubeconfig(home.kubeconfig)) as client:
            for kind in LOOKED_AT:
                found += (await client.list(kind))[0]
    except (OSError, KubeconfigError) as error:
        return [Finding("management cluster", Level.PROBLEM, f"{home.kubeconfig}: {error}", "`ackbox up` writes it")]
    except ApiError as error:
        return [Finding("management cluster", Level.PROBLEM, str(error), "`ackbox logs kube-apiserver`")]
    return [Finding("management cluster", Level.OK, f"answers; KUBECONFIG={home.kubeconfig}"), *objects(found)]


def _not_ready(obj: Object, said: dict[str, str]) -> Finding:
    name = f"{obj['kind']} {obj['metadata']['namespace']}/{obj['metadata']['name']}"
    message = f"{name}: {said.get('reason') or 'not looked at yet'}: {said.get('message', '')}".rstrip(": ")
    plural = f"{obj['kind'].lower()}/{obj['metadata']['name']}"
    return Finding("objects", Level.WARNING, message, f"`kubectl describe {plural} -n {obj['metadata']['namespace']}`")


def _ready(obj: Object) -> dict[str, str]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == "Ready"), {})
