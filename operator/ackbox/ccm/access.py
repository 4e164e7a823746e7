"""How the API server of a workload cluster is reached: by the Secret that holds its kubeconfig.

The kubeconfig of a managed cluster is our own; its API server is dialled where the operator says that ackbox's own
processes do, not by the load balancer that users come by. That of a registered cluster is its owner's and not trusted: nothing in
it may run or read something here, and its server must be an address that the ManagedCluster's admin allows.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from ackbox.kube.client import SECRET, Client
from ackbox.kube.connection import Connection, KubeconfigError, parse_kubeconfig
from ackbox.kube.errors import NotFound
from ackbox.resources import ManagedCluster


async def connection_of(client: Client, cluster: ManagedCluster) -> Connection | None:
    """The connection to a cluster's API server; None while its Secret isn't there.

    Raises:
        KubeconfigError: the Secret's content can't be used.
    """
    external = cluster.spec.external_cluster
    if cluster.spec.cluster_type == "ExternalKubernetes" and external is not None:
        name, key = external.kubeconfig_secret_ref.name, external.kubeconfig_secret_ref.key
    else:
        name, key = f"{cluster.metadata.name}-kubeconfig", "ccm"
    try:
        secret = await client.get(SECRET, name, cluster.metadata.namespace)
    except NotFound:
        return None
    data = (secret.get("data") or {}).get(key)
    if data is None:
        raise KubeconfigError(f"Secret {name} has no key {key}")
    try:
        connection = parse_kubeconfig(base64.b64decode(data).decode())
    except (binascii.Error, UnicodeDecodeError):
        raise KubeconfigError(f"Secret {name}, key {key}: not a text") from None
    if external is not None:
        check_server(connection.server, external.allowed_cidrs)
        return connection
    return replace(connection, server=cluster.status.internal_endpoint or connection.server)


def check_server(server: str, allowed: Sequence[str]) -> None:
    """Refuse a server outside the allowed ranges.

    Only IP addresses are taken: a name could resolve to another address at the next look.

    Raises:
        KubeconfigError: the server may not be dialled.
    """
    host = urlsplit(server).hostname or ""
    try:
        address = ip_address(host)
        networks = [ip_network(cidr, strict=False) for cidr in allowed]
    except ValueError as error:
        raise KubeconfigError(
            f"cluster.server {server} and spec.externalCluster.allowedCidrs: {error}; "
            "the server must be given by its IP address, not by a name"
        ) from None
    if not any(address.version == network.version and address in network for network in networks):
        ranges = ", ".join(allowed) or "none"
        raise KubeconfigError(
            f"cluster.server {server} is outside spec.externalCluster.allowedCidrs; allowed are: {ranges}"
        )
