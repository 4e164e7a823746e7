"""Registered clusters: API servers that others run, reached by a kubeconfig that is not trusted."""

import json
import ssl
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import aiohttp

from ackbox.cloud.clusters.secrets import read_value
from ackbox.kube.client import Client
from ackbox.kube.conditions import State, progressing, ready, stalled
from ackbox.kube.connection import Connection, KubeconfigError, parse_kubeconfig
from ackbox.resources import ManagedCluster
from ackbox.resources.cluster_settings import ExternalCluster
from ackbox.resources.managedcluster import ClusterPhase

DIAL_TIMEOUT = 5.0
"""Seconds that a registered API server has to answer."""


MAX_ANSWER = 64 * 1024
"""Bytes of its answer that are read."""


@dataclass(frozen=True)
class Found:
    """What a look at a registered cluster told."""

    phase: ClusterPhase
    state: State
    endpoint: str | None = None
    version: str | None = None


async def look(client: Client, cluster: ManagedCluster) -> Found:
    """Read the cluster's kubeconfig and ask its API server for its version."""
    external = cluster.spec.external_cluster
    if external is None:
        return Found(ClusterPhase.FAILED, stalled("InvalidParameter", "spec.externalCluster is required"))
    reference = external.kubeconfig_secret_ref
    text = await read_value(client, cluster.metadata.namespace, reference.name, reference.key)
    seen = cluster.status.endpoint is not None
    if text is None:
        message = f"spec.externalCluster.kubeconfigSecretRef: Secret {reference.name} has no key {reference.key} yet"
        return _unreached(seen, "WaitingForKubeconfig", message)
    try:
        connection = parse_kubeconfig(text)
        trust = connection.ssl_context()
    except KubeconfigError as error:
        return Found(_phase(seen), stalled("InvalidKubeconfig", f"Secret {reference.name}: {error}"))
    except (OSError, ValueError) as error:
        return Found(_phase(seen), stalled("InvalidKubeconfig", f"Secret {reference.name}: certificates: {error}"))
    wrong = forbidden_server(connection.server, external)
    if wrong:
        return Found(_phase(seen), stalled("InvalidKubeconfig", f"Secret {reference.name}: {wrong}"))
    return await _ask(connection, trust, seen)


async def _ask(connection: Connection, trust: ssl.SSLContext, seen: bool) -> Found:
    """Ask for the version. Not by our client: an answer of this server must not send us to another address."""
    headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
    try:
        async with (
            aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(DIAL_TIMEOUT)) as session,
            session.get(f"{connection.server}/version", ssl=trust, headers=headers, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(MAX_ANSWER)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        message = f"{connection.server} can't be reached: {str(error) or type(error).__name__}"
        return _unreached(seen, "ClusterUnreachable", message)
    if answer.status != 200:
        return _unreached(seen, "ClusterUnreachable", f"{connection.server} answered {answer.status} to /version")
    version = version_of(body)
    if version is None:
        return _unreached(seen, "ClusterUnreachable", f"{connection.server} is no Kubernetes API server")
    return Found(ClusterPhase.RUNNING, ready("Running"), connection.server, version)


def version_of(body: bytes) -> str | None:
    """The version in an API server's answer; None when it is something else."""
    try:
        version = json.loads(body)["gitVersion"]
    except (ValueError, KeyError, TypeError):
        return None
    return version[:64] if isinstance(version, str) else None


def forbidden_server(server: str, external: ExternalCluster) -> str | None:
    """Why this address must not be dialled; None when it may be."""
    host = urlsplit(server).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return f"cluster.server: {host} must be an IP address, for names can be made to point anywhere"
    allowed = []
    for cidr in external.allowed_cidrs:
        try:
            allowed.append(ip_network(cidr, strict=False))
        except ValueError:
            return f"spec.externalCluster.allowedCidrs: {cidr} is not a CIDR block"
    if any(address in network for network in allowed):
        return None
    listed = ", ".join(external.allowed_cidrs) or "none"
    return f"cluster.server: {address} is outside spec.externalCluster.allowedCidrs ({listed})"


def _unreached(seen: bool, reason: str, message: str) -> Found:
    return Found(_phase(seen), progressing(reason, message))


def _phase(seen: bool) -> ClusterPhase:
    return ClusterPhase.DISCONNECTED if seen else ClusterPhase.WAITING
