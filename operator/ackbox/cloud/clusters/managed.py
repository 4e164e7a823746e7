"""Makes and runs the control plane of a managed cluster."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol
from urllib.parse import urlsplit

from ackbox.catalog.versions import resolve
from ackbox.cloud.allocation.loopback import AddressUse
from ackbox.cloud.clusters.secrets import ClusterKeys, ensure_keys, ensure_kubeconfig
from ackbox.cloud.reconciling import Cloud
from ackbox.controlplane.spec import ControlPlaneSpec
from ackbox.kube.client import Client, Object
from ackbox.kube.connection import Connection
from ackbox.resources import MANAGED_CLUSTER, ManagedCluster

API_SERVER_PORT = 6443


class ControlPlanes(Protocol):
    """How API servers are run; `ackbox.controlplane.local` is one way."""

    async def ensure(self, spec: ControlPlaneSpec) -> None:
        """Start what isn't running."""

    async def ready(self, spec: ControlPlaneSpec) -> bool:
        """Whether it works."""

    async def remove(self, spec: ControlPlaneSpec) -> None:
        """Stop it and delete its data."""

    def admin_kubeconfig(self, spec: ControlPlaneSpec) -> str:
        """Text of the administrator's kubeconfig."""

    def own_connection(self, spec: ControlPlaneSpec) -> Connection:
        """How ackbox itself calls the API server."""


@dataclass(frozen=True)
class Result:
    """A control plane as it stands."""

    ready: bool
    endpoint: str
    version: str
    spec: ControlPlaneSpec


class ManagedClusters:
    """Control planes by cluster. Remembers which were started, so that a busy cluster isn't started again and again."""

    def __init__(self, cloud: Cloud, planes: ControlPlanes) -> None:
        self._cloud = cloud
        self._planes = planes
        self._keys: dict[str, ClusterKeys] = {}
        self._started: dict[str, ControlPlaneSpec] = {}

    async def ensure(self, obj: Object, cluster: ManagedCluster, cluster_id: str, thorough: bool) -> Result:
        """Bring the control plane of a cluster up.

        Args:
            thorough: look at the processes and Secrets even if they were found in order before.
        """
        version = resolve(cluster.spec.kubernetes_version)
        assert version is not None, "the plan refuses unknown versions"
        uid = cluster.metadata.uid
        if not thorough and uid in self._started:
            spec = self._started[uid]
            return Result(True, _endpoint(spec.address), version.name, spec)
        spec = await self._spec(obj, cluster, cluster_id, version.minor)
        await self._planes.ensure(spec)
        if not await self._planes.ready(spec):
            self._started.pop(uid, None)
            return Result(False, _endpoint(spec.address), version.name, spec)
        await ensure_kubeconfig(self._cloud.client, obj, self._planes.admin_kubeconfig(spec))
        self._started[uid] = spec
        return Result(True, _endpoint(spec.address), version.name, spec)

    def client(self, spec: ControlPlaneSpec) -> Client:
        """Calls the API server of a control plane that works, as one who may do everything; to be opened."""
        return Client(self._planes.own_connection(spec))

    async def remove(self, cluster: ManagedCluster, cluster_id: str) -> None:
        """Stop the control plane and free its address; harmless when there is none."""
        uid = cluster.metadata.uid
        # Its Secrets may be gone already, and nothing of them is needed to stop it.
        spec = self._started.get(uid) or ControlPlaneSpec(
            namespace=cluster.metadata.namespace,
            name=cluster.metadata.name,
            cluster_id=cluster_id,
            version="",
            address=IPv4Address(0),
            service_cidr=cluster.spec.service_cidr,
            pod_cidr="",
            ca_cert_pem="",
            ca_key_pem="",
            sa_key_pem="",
        )
        await self._planes.remove(spec)
        await self._cloud.loopback.release(_owner(cluster))
        self._started.pop(uid, None)
        self._keys.pop(uid, None)

    async def _spec(self, obj: Object, cluster: ManagedCluster, cluster_id: str, minor: str) -> ControlPlaneSpec:
        uid = cluster.metadata.uid
        before = urlsplit(cluster.status.endpoint).hostname if cluster.status.endpoint else None
        address = await self._cloud.loopback.reserve(_owner(cluster), AddressUse.API_SERVER, before)
        keys = await ensure_keys(self._cloud.client, obj, self._keys.get(uid))
        self._keys[uid] = keys
        return ControlPlaneSpec(
            namespace=cluster.metadata.namespace,
            name=cluster.metadata.name,
            cluster_id=cluster_id,
            version=minor,
            address=IPv4Address(address),
            service_cidr=cluster.spec.service_cidr,
            pod_cidr=cluster.spec.container_cidr or "",
            ca_cert_pem=keys.ca_certificate,
            ca_key_pem=keys.ca_key,
            sa_key_pem=keys.service_account_key,
        )


def _owner(cluster: ManagedCluster) -> str:
    return f"{MANAGED_CLUSTER.kind}/{cluster.metadata.namespace}/{cluster.metadata.name}"


def _endpoint(address: IPv4Address) -> str:
    return f"https://{address}:{API_SERVER_PORT}"
