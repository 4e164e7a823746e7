"""kill -9 between any two writes, and of every part once: nothing doubled, lost or left behind."""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e import objects
from e2e.conftest import SHARED, Workload
from e2e.stack import CORE, Stack, condition, eventually, http, is_ready

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.timeout(1500)]


def running(stack: Stack, program: str) -> int:
    """The process id of a program; between a crash and its restart it has none."""
    return eventually(lambda: stack.pid(program), f"{program} runs")


def kill(stack: Stack, program: str) -> int:
    """Kill a supervised program and wait until it runs anew; its new process id."""
    old = running(stack, program)
    with contextlib.suppress(ProcessLookupError):  # An armed one may have ended by itself.
        os.kill(old, signal.SIGKILL)
    return eventually(lambda: (new := stack.pid(program)) != old and new, f"{program} runs again")


def crashing(stack: Stack, program: str, life: Callable[[], None]) -> int:
    """Run a life twice in which the program is killed after every first or second write; the number of crashes.

    What is a first write in one life is a second one in the other, so that a crash follows on each.
    """
    failpoint = stack.home / "failpoints" / program
    before = crashes(stack, program)
    for writes in (1, 2):
        failpoint.write_text(str(writes))
        try:
            kill(stack, program)  # Only a program that starts looks for its failpoint.
            life()
        finally:
            failpoint.unlink()
            kill(stack, program)
    return crashes(stack, program) - before - 4


def crashes(stack: Stack, program: str) -> int:
    """How often a program was killed, as its supervisor tells."""
    return (stack.home / "logs" / "supervisord.log").read_text().count(f"exited: {program} (terminated by SIGKILL")


@pytest.mark.parametrize("program", ["operator", "ccm"])
def test_a_scale_out_and_in_survives_a_crash_after_every_write(stack, workload: Workload, program):
    api, name = workload.management, f"crash-{program}"
    api.apply(objects.pool(name, size=0, namespace=SHARED))
    eventually(lambda: is_ready(api.object("nodepools", name, SHARED)), "the pool Ready")
    before = inventory(workload)

    def life():
        api.kubectl("scale", "nodepool", name, "-n", SHARED, "--replicas=2")
        eventually(lambda: scaled(workload, name, 2), "2 nodes")
        now = inventory(workload)
        assert {key: len(value) - len(before[key]) for key, value in now.items()} == dict.fromkeys(before, 2)
        api.kubectl("scale", "nodepool", name, "-n", SHARED, "--replicas=0")
        eventually(lambda: scaled(workload, name, 0), "no nodes")
        eventually(lambda: inventory(workload) == before, "everything as before")

    assert crashing(stack, program, life) > 3
    api.kubectl("delete", "nodepool", name, "-n", SHARED)


def scaled(workload: Workload, pool: str, size: int) -> bool:
    found = workload.management.object("nodepools", pool, SHARED)
    assert (found["status"].get("totalNodes"), found["status"].get("servingNodes")) == (size, size)
    assert is_ready(found)
    assert len(workload.api.nodes()) == 3 + size
    assert all(condition(node)["status"] == "True" for node in workload.api.nodes())
    return True


def inventory(workload: Workload) -> dict[str, list[str]]:
    """Everything that a machine is made of, and nothing twice."""
    api = workload.management
    network = api.object("vpcs", "net", SHARED)
    allocations = [a for a in network["status"]["allocations"] if not a["owner"].startswith("slb/")]
    found = {
        "instances": [i["metadata"]["name"] for i in api.objects("instances", SHARED)],
        "addresses": [a["address"] for a in allocations],
        "pod CIDRs": [a["podCidr"] for a in allocations],
        "routes": [r["nextHopId"] for r in api.object("routetables", "net", SHARED)["spec"].get("routeEntries", [])],
        "nodes": [n["spec"]["providerID"] for n in workload.api.nodes()],
    }
    for what, values in found.items():
        assert len(values) == len(set(values)), f"{what} doubled: {values}"
    return {what: sorted(values) for what, values in found.items()}


@pytest.mark.parametrize("program", ["operator", "ccm", "slb"])
def test_the_life_of_a_service_survives_a_crash_after_every_write(stack, workload: Workload, program):
    api, namespace = workload.api, workload.namespace
    api.apply(objects.deployment("web", namespace, replicas=1))

    def life():
        api.apply(objects.service("web", namespace, "web"))
        eventually(lambda: answered(workload), "the Service answers")
        assert [len(found) for found in parts(workload).values()] == [1, 1, 1]
        api.kubectl("delete", "service", "web", "-n", namespace)
        eventually(lambda: not any(parts(workload).values()), "nothing left")
        leases = workload.management.core("configmaps", "loopback-addresses", "ackbox-system")["data"]
        assert not [owner for owner in leases.values() if f"/{SHARED}/a" in owner]

    assert crashing(stack, program, life) > 1


def parts(workload: Workload) -> dict[str, list[str]]:
    """The cloud's objects of this test's Services."""
    api, mark = workload.management, f"/{workload.namespace}/"
    listeners = [o for o in api.objects("listeners", SHARED) if mark in o["spec"].get("description", "")]
    groups = [o for o in api.objects("servergroups", SHARED) if mark in o["spec"]["vServerGroupName"]]
    return {
        "slb": [o["metadata"]["name"] for o in api.objects("serviceloadbalancers", SHARED) if not for_api_server(o)],
        "lsn": [o["metadata"]["name"] for o in listeners],
        "sg": [o["metadata"]["name"] for o in groups],
    }


def for_api_server(balancer: dict) -> bool:
    """Whether it is the cluster's own, which was there before and stays."""
    return balancer["metadata"]["name"].endswith("-apiserver")


def answered(workload: Workload) -> bool:
    service = workload.api.core("services", "web", workload.namespace)
    assert service["status"]["loadBalancer"]["ingress"]
    lsn = workload.management.object("listeners", parts(workload)["lsn"][0], SHARED)
    return bool(http(lsn["status"]["reachable"])["serverId"])


@pytest.mark.parametrize("program", ["etcd", "kube-apiserver", "envoy"])
def test_traffic_and_control_come_back_when_a_part_is_killed(stack, workload: Workload, program):
    api, namespace = workload.api, workload.namespace
    api.apply(objects.deployment("web", namespace, replicas=1), objects.service("web", namespace, "web"))
    eventually(lambda: answered(workload), "the Service answers")
    kill(stack, program)
    eventually(lambda: answered(workload), "the Service answers again")
    api.apply(objects.service("second", namespace, "web"))
    eventually(lambda: len(parts(workload)["lsn"]) == 2, "new Services are served")
    api.kubectl("delete", "service", "web", "second", "-n", namespace)
    eventually(lambda: not any(parts(workload).values()), "nothing left")


def test_traffic_goes_on_while_the_slb_process_is_gone(stack, workload: Workload):
    api, namespace = workload.api, workload.namespace
    api.apply(objects.deployment("web", namespace, replicas=1), objects.service("web", namespace, "web"))
    eventually(lambda: answered(workload), "the Service answers")
    kill(stack, "slb")
    eventually(lambda: answered(workload), "the Service answers with a new slb")
    api.kubectl("delete", "service", "web", "-n", namespace)
    eventually(lambda: not any(parts(workload).values()), "nothing left")


def test_a_killed_supervisor_leaves_nothing_running_and_up_brings_all_back(stack, workload: Workload):
    api, namespace = workload.api, workload.namespace
    api.apply(objects.deployment("web", namespace, replicas=1), objects.service("web", namespace, "web"))
    eventually(lambda: answered(workload), "the Service answers")
    before = inventory(workload)
    pids = [status.pid for status in stack.statuses()]
    os.kill(stack.supervisor_pid(), signal.SIGKILL)
    eventually(lambda: not [pid for pid in pids if alive(pid)], "everything ended with its supervisor")
    stack.up()
    eventually(lambda: answered(workload), "the Service answers again")
    assert inventory(workload) == before
    api.kubectl("delete", "service", "web", "-n", namespace)
    eventually(lambda: not any(parts(workload).values()), "nothing left")
    assert workload.management.items(f"{CORE}/namespaces")


def alive(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/stat").open() as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
