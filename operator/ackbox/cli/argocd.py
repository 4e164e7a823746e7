"""Commands that tell Argo CD of a ManagedCluster, and let it forget one; the hooks in `manifests/gitops/argocd` run them.

Argo CD knows clusters by Secrets in its own namespace that carry a label (its "declarative setup", clusters).
"""

import json
import os
from typing import TYPE_CHECKING

import click

from ackbox.cli.base import Refusal, example, run
from ackbox.cli.clusters import management, namespace, read_kubeconfig

if TYPE_CHECKING:
    from ackbox.kube.client import Client, Object
    from ackbox.kube.connection import Connection

FIELD_MANAGER = "ackbox-argocd"
MANAGED_BY = {"app.kubernetes.io/managed-by": "ackbox"}

argocd_namespace = click.option(
    "--argocd-namespace", default="argocd", show_default=True, help="Namespace that Argo CD runs in."
)


@click.group()
def argocd() -> None:
    """Tell Argo CD of ManagedClusters, so that Applications can be deployed into them."""


@argocd.command()
@click.argument("name")
@namespace
@argocd_namespace
@example("ackbox argocd add demo", "ackbox argocd add demo -n team-a --argocd-namespace gitops")
def add(name: str, namespace: str, argocd_namespace: str) -> None:
    """Make a ManagedCluster known to Argo CD, as NAMESPACE-NAME; harmless to repeat.

    Run it again when the cluster's kubeconfig has changed: it is renewed 60 days before it ends, after nearly two years.
    """
    run(_add(_connection(), name, namespace, argocd_namespace))
    click.echo(f"Argo CD knows the cluster as {cluster_name(namespace, name)}")


@argocd.command()
@click.argument("name")
@namespace
@argocd_namespace
@example("ackbox argocd remove demo")
def remove(name: str, namespace: str, argocd_namespace: str) -> None:
    """Let Argo CD forget a ManagedCluster; harmless when it never knew it."""
    run(_remove(_connection(), name, namespace, argocd_namespace))
    click.echo(f"Argo CD doesn't know a cluster {cluster_name(namespace, name)}")


def cluster_name(namespace: str, name: str) -> str:
    """What Argo CD calls a ManagedCluster; `destination.name` of an Application."""
    return f"{namespace}-{name}"


def cluster_secret(namespace: str, name: str, cluster: "Connection") -> "Object":
    """The Secret by which Argo CD knows a ManagedCluster.

    Args:
        cluster: how the workload cluster is reached.
    """
    import base64

    from ackbox.resources.base import CLUSTER_LABEL

    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    known_as = cluster_name(namespace, name)
    tls = {"caData": cluster.ca, "certData": cluster.certificate, "keyData": cluster.key}
    client = {field: encoded(text) for field, text in tls.items() if text is not None}
    config = {"tlsClientConfig": client} | ({"bearerToken": cluster.token} if cluster.token else {})
    values = {"name": known_as, "server": cluster.server, "config": json.dumps(config)}
    labels = {"argocd.argoproj.io/secret-type": "cluster", CLUSTER_LABEL: name, **MANAGED_BY}
    return {
        "metadata": {"name": f"cluster-{known_as}", "labels": labels},
        "type": "Opaque",
        "data": {key: encoded(value) for key, value in values.items()},
    }


def _connection() -> "Connection":
    """The management cluster: in a Pod as its ServiceAccount."""
    from ackbox.kube.connection import connect

    return connect(None) if os.environ.get("ACKBOX_IN_CLUSTER") == "true" else management()


async def _add(connection: "Connection", name: str, namespace: str, into: str) -> None:
    from ackbox.kube.client import SECRET, Client
    from ackbox.kube.connection import parse_kubeconfig

    workload = parse_kubeconfig(await read_kubeconfig(connection, name, namespace))
    secret = cluster_secret(namespace, name, workload)
    async with Client(connection) as client:
        await _own(client, secret["metadata"]["name"], into)
        await client.apply(SECRET, secret, FIELD_MANAGER, into)


async def _remove(connection: "Connection", name: str, namespace: str, into: str) -> None:
    from ackbox.kube.client import SECRET, Client
    from ackbox.kube.errors import NotFound

    secret = f"cluster-{cluster_name(namespace, name)}"
    async with Client(connection) as client:
        found = await _own(client, secret, into)
        if found is not None:
            try:
                await client.delete(SECRET, secret, into, uid=found["metadata"]["uid"])
            except NotFound:
                return  # somebody else was faster


async def _own(client: "Client", name: str, namespace: str) -> "Object | None":
    """The Secret, if it is there.

    Raises:
        Refusal: somebody else made it.
    """
    from ackbox.kube.client import SECRET
    from ackbox.kube.errors import NotFound

    try:
        found = await client.get(SECRET, name, namespace)
    except NotFound:
        return None
    if not MANAGED_BY.items() <= (found["metadata"].get("labels") or {}).items():
        raise Refusal(
            f"Secret {name} in namespace {namespace} isn't ackbox's (label {MANAGED_BY}): rename or delete it"
        )
    return found
