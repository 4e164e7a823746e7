"""Commands on one ManagedCluster of the home, or of the cluster that ACKBOX_KUBECONFIG names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ackbox.cli.base import Refusal, example, run, this_home

if TYPE_CHECKING:
    from ackbox.kube.client import Object
    from ackbox.kube.connection import Connection

WAIT_SECONDS = 180.0
POLL_SECONDS = 0.3


def cluster_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The ManagedClusters of the namespace, for completion; none when they can't be asked for."""
    from ackbox.kube.connection import KubeconfigError
    from ackbox.kube.errors import ApiError
    from ackbox.runtime.errors import RuntimeProblem

    try:
        names = run(_names(management(), context.params.get("namespace") or "default"))
    except (ApiError, KubeconfigError, RuntimeProblem, Refusal):
        return []
    return [name for name in names if name.startswith(incomplete)]


async def _names(connection: "Connection", namespace: str) -> list[str]:
    from ackbox.kube.client import Client
    from ackbox.resources import MANAGED_CLUSTER

    async with Client(connection) as client:
        return [each["metadata"]["name"] for each in (await client.list(MANAGED_CLUSTER, namespace))[0]]


namespace = click.option(
    "-n", "--namespace", default="default", show_default=True, help="Namespace of the ManagedCluster."
)
wait = click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is so.")


@click.command()
@click.argument("name", shell_complete=cluster_names)
@namespace
@example(
    "ackbox kubeconfig demo > demo.kubeconfig", "kubectl --kubeconfig <(ackbox kubeconfig demo -n team-a) get nodes"
)
def kubeconfig(name: str, namespace: str) -> None:
    """Print the kubeconfig of a ManagedCluster."""
    click.echo(run(read_kubeconfig(management(), name, namespace)), nl=False)


def management() -> "Connection":
    """The management cluster, as its administrator."""
    from ackbox.kube.connection import load_kubeconfig

    path = os.environ.get("ACKBOX_KUBECONFIG")
    return load_kubeconfig(Path(path) if path else this_home().kubeconfig)


async def read_kubeconfig(connection: Any, name: str, namespace: str) -> str:
    """The kubeconfig that the Secret of a ManagedCluster holds."""
    import base64

    from ackbox.kube.client import SECRET, Client
    from ackbox.kube.errors import NotFound

    async with Client(connection) as client:
        try:
            secret = await client.get(SECRET, f"{name}-kubeconfig", namespace)
        except NotFound:
            raise Refusal(
                f"the ManagedCluster {name} in namespace {namespace} has no kubeconfig (yet); "
                f"see `kubectl get managedclusters -n {namespace}`"
            ) from None
    return base64.b64decode(secret["data"]["value"]).decode()


@click.command()
@click.argument("name", shell_complete=cluster_names)
@namespace
@wait
@example("ackbox hibernate demo", "ackbox hibernate demo -n team-a --no-wait")
def hibernate(name: str, namespace: str, wait: bool) -> None:
    """Stop the control plane of a ManagedCluster and keep its data, its nodes and its addresses.

    It sets spec.emulation.hibernated, a field of ackbox's own: the cloud has no such state. Load balancers go on
    answering for the emulated servers.
    """
    run(_set_hibernated(management(), (namespace, name), True, wait))
    click.echo(f"ManagedCluster {namespace}/{name} {'hibernates' if wait else 'is going to sleep'}")


@click.command()
@click.argument("name", shell_complete=cluster_names)
@namespace
@wait
@example("ackbox wake demo")
def wake(name: str, namespace: str, wait: bool) -> None:
    """Start the control plane of a ManagedCluster that hibernates."""
    run(_set_hibernated(management(), (namespace, name), False, wait))
    click.echo(f"ManagedCluster {namespace}/{name} is {'awake' if wait else 'waking up'}")


async def _set_hibernated(connection: "Connection", key: tuple[str, str], wanted: bool, wait: bool) -> None:
    import asyncio

    from ackbox.kube.client import Client
    from ackbox.kube.errors import NotFound
    from ackbox.resources import MANAGED_CLUSTER

    namespace, name = key
    async with Client(connection) as client:
        try:
            body = {"spec": {"emulation": {"hibernated": wanted}}}
            obj = await client.patch(MANAGED_CLUSTER, name, namespace, body)
        except NotFound:
            raise Refusal(
                f"there is no ManagedCluster {name} in namespace {namespace}; see `kubectl get managedclusters -A`"
            ) from None
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while wait and not reached(obj, wanted):
            if asyncio.get_running_loop().time() > deadline:
                raise Refusal(f"not within {WAIT_SECONDS:.0f} s: ManagedCluster {namespace}/{name} {told(obj)}")
            await asyncio.sleep(POLL_SECONDS)
            obj = await client.get(MANAGED_CLUSTER, name, namespace)


def reached(obj: "Object", hibernated: bool) -> bool:
    """Whether a ManagedCluster does what its spec says now, asleep or awake."""
    from ackbox.resources.managedcluster import ClusterPhase

    ready = _ready(obj)
    current = ready.get("observedGeneration") == obj["metadata"].get("generation") and ready.get("status") == "True"
    asleep = (obj.get("status") or {}).get("phase") == ClusterPhase.HIBERNATED
    return current and asleep == hibernated


def told(obj: "Object") -> str:
    """What a ManagedCluster says of itself."""
    ready = _ready(obj)
    phase = (obj.get("status") or {}).get("phase") or "without a phase"
    return f"is {phase}: {ready.get('reason', '')} {ready.get('message', '')}".strip()


def _ready(obj: "Object") -> dict[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == "Ready"), {})
