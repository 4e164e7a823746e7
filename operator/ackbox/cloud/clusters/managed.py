"""Makes and runs the control plane of a managed or dedicated cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ackbox.catalog.regions import Edition, edition
from ackbox.cloud.clusters import members
from ackbox.cloud.clusters.endpoint import GONE, Endpoint, Endpoints
from ackbox.cloud.clusters.masters import Masters
from ackbox.cloud.clusters.reservations import Addresses, Reservations
from ackbox.cloud.clusters.secrets import ClusterKeys, KeysReplaced, ensure_keys, ensure_kubeconfigs, fingerprint
from ackbox.cloud.reconciling import Cloud
from ackbox.controlplane.spec import ControlPlaneSpec, Member
from ackbox.kube.client import Client, Object
from ackbox.kube.conditions import Aspect, State, patch_status, progressing, ready, stalled
from ackbox.kube.connection import Connection
from ackbox.resources import MANAGED_CLUSTER, ManagedCluster
from ackbox.resources.managedcluster import ClusterPhase, ControlPlaneMember
from ackbox.runtime.loopback import API_PORT

QUORUM_LOST = "EtcdQuorumLost"


class ControlPlanes(Protocol):
    """How API servers are run; `ackbox.controlplane.local` is one way."""

    async def ensure(self, spec: ControlPlaneSpec) -> bool:
        """Start what isn't running and stop what is no longer wanted; whether all is as the spec says."""

    def progress(self, spec: ControlPlaneSpec) -> str | None:
        """What is being got for it now, for people."""

    async def ready(self, spec: ControlPlaneSpec) -> bool:
        """Whether all of it works."""

    async def member_ready(self, spec: ControlPlaneSpec, member: Member) -> bool:
        """Whether one API server and what runs beside it works."""

    async def stop(self, cluster_id: str) -> None:
        """Stop it and keep its data."""

    async def remove(self, cluster_id: str) -> None:
        """Stop it and delete its data."""

    def admin_kubeconfig(self, spec: ControlPlaneSpec) -> str:
        """Text of the administrator's kubeconfig."""

    def ccm_kubeconfig(self, spec: ControlPlaneSpec) -> str:
        """Text of the cloud-controller-manager's kubeconfig."""

    async def own_connection(self, spec: ControlPlaneSpec) -> Connection:
        """How ackbox itself calls the API server."""


@dataclass(frozen=True)
class Standing:
    """How a control plane stands.

    Attributes:
        state: why it doesn't serve as it should; None when it does.
        fields: status fields, as on the wire.
        phase: the state word that goes with the state.
        aspects: further conditions.
        spec: what runs, once something answers.
        settled: nothing is under way: looking again soon is of no use.
    """

    state: State | None
    fields: Object = field(default_factory=dict)
    phase: str | None = None
    aspects: tuple[Aspect, ...] = ()
    spec: ControlPlaneSpec | None = None
    settled: bool = False


class ManagedClusters:
    """Control planes by cluster. Remembers which were found in order, so that a busy cluster isn't looked at each time."""

    def __init__(self, cloud: Cloud, planes: ControlPlanes) -> None:
        self._cloud = cloud
        self._planes = planes
        self._endpoints = Endpoints(cloud)
        self._masters = Masters(cloud)
        self._reservations = Reservations(cloud.addresses)
        self._keys: dict[str, ClusterKeys] = {}
        self._good: dict[str, ControlPlaneSpec] = {}
        self._ran: dict[str, frozenset[str]] = {}

    async def ensure(self, obj: Object, cluster: ManagedCluster, cluster_id: str, thorough: bool) -> Standing:
        """Bring the control plane of a cluster a step further.

        Args:
            thorough: look at the processes and Secrets even if they were found in order before.

        Raises:
            AddressesExhausted: no loopback address is left.
            RuntimeProblem: a program can't be had or supervisord doesn't answer.
            ValueError: the Secret with the cluster's keys is incomplete.
        """
        if cluster.spec.emulation.hibernated:
            return await self._hibernate(cluster, cluster_id)
        way = await self._endpoints.ensure(obj, cluster, cluster_id)
        if isinstance(way, State):
            gone = way.reason == GONE
            return Standing(way, phase=ClusterPhase.UNAVAILABLE.value if gone else None, settled=True)
        try:
            keys = await self._own_keys(obj, cluster, thorough)
        except KeysReplaced as error:
            return await self._without_keys(cluster, cluster_id, error)
        plane = await self._api_servers(obj, cluster)
        if isinstance(plane, State):
            return Standing(plane)
        off = self._masters.off(cluster, plane)
        addresses = await self._reservations.addresses(cluster)
        spec = _spec(cluster, cluster_id, way, plane, off, addresses, keys)
        return await self._run(obj, cluster, spec, plane, way, thorough)

    async def client(self, spec: ControlPlaneSpec) -> Client:
        """Calls the API server of a control plane that works, as one who may do everything; to be opened."""
        return Client(await self._planes.own_connection(spec))

    async def remove(self, cluster: ManagedCluster, cluster_id: str) -> None:
        """Stop the control plane and free its addresses; harmless when there is none."""
        await self._planes.remove(cluster_id)
        await self._reservations.release(cluster)
        self._good.pop(cluster.metadata.uid, None)
        self._ran.pop(cluster.metadata.uid, None)
        self._keys.pop(cluster.metadata.uid, None)

    async def _hibernate(self, cluster: ManagedCluster, cluster_id: str) -> Standing:
        self._good.pop(cluster.metadata.uid, None)
        if self._endpoints.pointed_at(cluster):
            await self._endpoints.point(cluster, ())
        await self._planes.stop(cluster_id)
        state = ready("Hibernated", "the control plane is stopped; spec.emulation.hibernated: false starts it again")
        return Standing(state, phase=ClusterPhase.HIBERNATED.value, settled=True)

    async def _own_keys(self, obj: Object, cluster: ManagedCluster, thorough: bool) -> ClusterKeys:
        uid, known = cluster.metadata.uid, cluster.status.ca_fingerprint
        keys = self._keys.get(uid)
        if keys is None or thorough:
            keys = await ensure_keys(self._cloud.client, obj, keys, known)
            self._keys[uid] = keys
        if known is None:
            await patch_status(self._cloud.client, MANAGED_CLUSTER, obj, {"caFingerprint": fingerprint(keys)})
        return keys

    async def _without_keys(self, cluster: ManagedCluster, cluster_id: str, error: KeysReplaced) -> Standing:
        """Nothing trusts what these keys sign, so nothing of the control plane can run."""
        self._good.pop(cluster.metadata.uid, None)
        await self._planes.stop(cluster_id)
        state = stalled("CertificatesReplaced", str(error))
        return Standing(state, phase=ClusterPhase.UNAVAILABLE.value, settled=True)

    async def _api_servers(self, obj: Object, cluster: ManagedCluster) -> list[ControlPlaneMember] | State:
        """The API servers there are to be, reserved before the first of them is started."""
        if cluster.status.control_plane:
            return cluster.status.control_plane
        machines = await self._masters.make(cluster) if cluster.spec.cluster_type == members.DEDICATED else {}
        if isinstance(machines, State):
            return machines
        plane = await self._reservations.first_members(cluster, machines)
        await self._keep(obj, plane)
        return plane

    async def _keep(self, obj: Object, plane: Sequence[ControlPlaneMember]) -> None:
        rows = [each.model_dump(by_alias=True, exclude_none=True) for each in plane]
        await patch_status(self._cloud.client, MANAGED_CLUSTER, obj, {"controlPlane": rows})

    async def _run(
        self,
        obj: Object,
        cluster: ManagedCluster,
        spec: ControlPlaneSpec,
        plane: Sequence[ControlPlaneMember],
        way: Endpoint,
        thorough: bool,
    ) -> Standing:
        uid, fields = cluster.metadata.uid, _fields(cluster, spec, plane, way)
        if not thorough and self._good.get(uid) == spec:
            return await self._serve(cluster, spec, plane, fields, {member.name for member in spec.running}, True)
        self._good.pop(uid, None)
        if not await self._left(cluster, plane):
            return Standing(progressing("MovingEndpoint", "the load balancer leaves API servers that go"), fields)
        done = await self._planes.ensure(spec)
        self._ran[uid] = frozenset(member.name for member in plane)
        if members.quorum_lost(spec.etcd):
            return self._quorum_lost(cluster, spec, plane, fields)
        whole = await self._planes.ready(spec) and done
        answering = {each.name for each in spec.running if whole or await self._planes.member_ready(spec, each)}
        held = await self._reservations.hold(cluster, plane)
        if held != list(plane):
            await self._keep(obj, held)
            return Standing(
                progressing("StartingControlPlane", "an API server lost its address and gets another"), fields
            )
        if whole:
            texts = self._planes.admin_kubeconfig(spec), self._planes.ccm_kubeconfig(spec)
            await ensure_kubeconfigs(self._cloud.client, obj, *texts)
            self._good[uid] = spec
        return await self._serve(cluster, spec, plane, fields, answering, whole)

    async def _left(self, cluster: ManagedCluster, plane: Sequence[ControlPlaneMember]) -> bool:
        """Whether users are sent elsewhere, so that the API servers which are to go can go."""
        before = self._ran.get(cluster.metadata.uid)
        if cluster.status.endpoint is None or (before is not None and before <= {member.name for member in plane}):
            return True
        staying = [each for each in plane if each.address in self._endpoints.pointed_at(cluster)]
        return not staying or await self._endpoints.point(cluster, staying)

    async def _serve(
        self,
        cluster: ManagedCluster,
        spec: ControlPlaneSpec,
        plane: Sequence[ControlPlaneMember],
        fields: Object,
        answering: set[str],
        whole: bool,
    ) -> Standing:
        """Let users in; a health check, not we, keeps them off an API server that is down for a moment."""
        before = self._endpoints.pointed_at(cluster)
        running = {member.name for member in spec.running}
        good = [each for each in plane if each.name in answering or (each.address in before and each.name in running)]
        pointed = await self._endpoints.point(cluster, good)
        aspects = self._masters.aspects(cluster, plane, _down(spec, answering))
        if not answering or (cluster.status.endpoint is None and not whole):
            return self._starting(cluster, spec, fields)
        blocked = self._endpoints.serving(cluster)
        if blocked is not None:
            phase = ClusterPhase.UNAVAILABLE.value if cluster.status.endpoint else None
            return Standing(blocked, fields, phase, aspects)
        if cluster.status.endpoint is None and not pointed:
            waiting = progressing("StartingControlPlane", "the API server's load balancer isn't served yet")
            return Standing(waiting, fields, aspects=aspects)
        wanted = edition(cluster.spec)
        if cluster.status.edition not in (None, wanted) and not whole:
            return Standing(_migrating(cluster, wanted), fields, ClusterPhase.MIGRATING.value, aspects)
        fields = {**fields, "edition": wanted.value, **_endpoints(spec)}
        return Standing(None, fields, aspects=aspects, spec=spec, settled=whole and pointed)

    def _starting(self, cluster: ManagedCluster, spec: ControlPlaneSpec, fields: Object) -> Standing:
        wanted = edition(cluster.spec)
        if cluster.status.edition not in (None, wanted):
            return Standing(_migrating(cluster, wanted), fields, ClusterPhase.MIGRATING.value)
        message = self._planes.progress(spec) or "the API server, its controllers or its nodes don't answer yet"
        return Standing(progressing("StartingControlPlane", message), fields)

    def _quorum_lost(
        self, cluster: ManagedCluster, spec: ControlPlaneSpec, plane: Sequence[ControlPlaneMember], fields: Object
    ) -> Standing:
        running = sum(member.running for member in spec.etcd)
        text = f"{running} of {len(spec.etcd)} members of etcd run, which is no majority: the API servers can't work"
        aspects = self._masters.aspects(cluster, plane, ())
        gone = self._masters.gone(cluster, plane)
        phase = ClusterPhase.UNAVAILABLE.value
        if 2 * (len(spec.etcd) - len(gone)) <= len(spec.etcd):
            message = f"{text}; masters {', '.join(gone)} are gone for good: create the cluster again"
            return Standing(stalled(QUORUM_LOST, message), fields, phase, aspects, settled=True)
        off = sorted(self._masters.off(cluster, plane) - set(gone))
        message = f"{text}; start the masters {', '.join(off)} again"
        return Standing(progressing(QUORUM_LOST, message), fields, phase, aspects, settled=True)


def _spec(
    cluster: ManagedCluster,
    cluster_id: str,
    way: Endpoint,
    plane: Sequence[ControlPlaneMember],
    off: frozenset[str],
    addresses: Addresses,
    keys: ClusterKeys,
) -> ControlPlaneSpec:
    """The control plane as the driver runs it; `off` are the masters that are off."""
    api_servers = members.driver_members(plane, off)
    return ControlPlaneSpec(
        namespace=cluster.metadata.namespace,
        name=cluster.metadata.name,
        cluster_id=cluster_id,
        members=api_servers,
        etcd=members.etcd_members(addresses.etcd, plane, off),
        endpoint=way.url,
        kubelet_address=addresses.kubelet,
        service_cidr=cluster.spec.service_cidr,
        pod_cidr=cluster.spec.container_cidr or "",
        settings=members.settings(cluster, edition(cluster.spec), way.hosts, keys.ca_key),
        timezone=cluster.spec.timezone,
        ca_cert_pem=keys.ca_certificate,
        ca_key_pem=keys.ca_key,
        sa_key_pem=keys.service_account_key,
        uid=cluster.metadata.uid,
        ephemeral=cluster.spec.emulation.ephemeral,
    )


def _fields(
    cluster: ManagedCluster, spec: ControlPlaneSpec, plane: Sequence[ControlPlaneMember], way: Endpoint
) -> Object:
    return {
        "edition": cluster.status.edition or edition(cluster.spec).value,
        "loadBalancerId": way.balancer_id,
        "publicEndpoint": f"https://{way.public}:{API_PORT}" if way.public else None,
        "kubeletAddress": str(spec.kubelet_address),
        "currentVersion": members.oldest_version(plane),
    }


def _endpoints(spec: ControlPlaneSpec) -> Object:
    """Where the API server is reached, said only once it answers there."""
    single = len(spec.members) == 1
    internal = f"https://{spec.members[0].address}:{API_PORT}" if single else spec.endpoint
    return {"endpoint": spec.endpoint, "internalEndpoint": internal}


def _migrating(cluster: ManagedCluster, wanted: Edition) -> State:
    return progressing("Migrating", f"from {cluster.status.edition} to {wanted}: the API server starts anew")


def _down(spec: ControlPlaneSpec, answering: set[str]) -> tuple[str, ...]:
    return tuple(member.name for member in spec.running if member.name not in answering)
