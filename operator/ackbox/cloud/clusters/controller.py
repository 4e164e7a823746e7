"""Takes clusters through their states."""

import asyncio
from collections.abc import Sequence

from ackbox.catalog.quotas import QuotaName
from ackbox.catalog.regions import edition
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.account import CREATE_CLUSTER, account_problem, forbidden
from ackbox.cloud.allocation.ledger import without_allocations
from ackbox.cloud.allocation.loopback import AddressesExhausted
from ackbox.cloud.allocation.quota import loosened
from ackbox.cloud.clusters import registered
from ackbox.cloud.clusters.deletion import remove_contents
from ackbox.cloud.clusters.managed import ControlPlanes, ManagedClusters, Standing
from ackbox.cloud.clusters.parts import Part, together
from ackbox.cloud.clusters.plan import problem, running_phase
from ackbox.cloud.reconciling import (
    Cloud,
    Controller,
    add_finalizer,
    deleting,
    is_ready,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.cloud.world import label
from ackbox.kube.cache import Key, key_of
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing, ready
from ackbox.kube.errors import PASSING, ApiError
from ackbox.kube.refs import resolve
from ackbox.resources import MANAGED_CLUSTER, ManagedCluster
from ackbox.resources.account import ACCOUNT_NAME
from ackbox.resources.base import CLUSTER_LABEL, RESOURCE_FINALIZER
from ackbox.resources.instance import InstanceRole
from ackbox.resources.managedcluster import ClusterPhase
from ackbox.runtime.errors import RuntimeProblem

GATHER = 0.5
"""Seconds in which changes of a cluster's machines are gathered before its size is written."""

FIRST_POLL, LONGEST_POLL = 0.2, 5.0
"""Seconds between looks at a control plane that is starting; longer and longer."""

WAITING_PERIOD = 3.0
"""Seconds between looks at a registered cluster that isn't connected."""

CHECK_PERIOD = 30.0
"""Seconds between looks at one that is, and at control planes."""

EXTERNAL = "ExternalKubernetes"

MASTER = InstanceRole.MASTER.value


class Clusters(Controller):
    """Reconciles ManagedClusters."""

    def __init__(self, cloud: Cloud, planes: ControlPlanes, parts: Sequence[Part] = ()) -> None:
        super().__init__(cloud, MANAGED_CLUSTER, "clusters", workers=8)
        self._managed = ManagedClusters(cloud, planes)
        self._parts = parts
        self._checked: dict[str, float] = {}
        self._polls: dict[str, int] = {}
        world = cloud.world
        world.clusters.subscribe(self._on_cluster)
        world.vpcs.subscribe(self._on_shared)
        world.cloud_quotas.subscribe(self._on_quota)
        world.accounts.subscribe(self._on_shared)
        world.node_pools.subscribe(self._on_pool)
        world.instances.subscribe(self._on_instance)
        for cache in (world.load_balancers, world.listeners, world.server_groups):
            cache.subscribe(self._on_part)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.clusters.get(*key)
        if obj is None or paused(obj):
            return
        if deleting(obj):
            await self._finish(obj)
            return
        obj = await add_finalizer(self.cloud.client, MANAGED_CLUSTER, obj, RESOURCE_FINALIZER)
        cluster = ManagedCluster.model_validate(obj)
        state = await self._admit(obj, cluster)
        if state is not None:
            phase = cluster.status.phase or ClusterPhase.INITIAL.value
            if not cluster.status.cluster_id:
                phase = (ClusterPhase.FAILED if state.stalled else ClusterPhase.INITIAL).value
            await self.report(obj, {"phase": phase}, state, warn="Quota" in state.reason or forbidden(state))
            self.resync(key)
        elif cluster.spec.cluster_type == EXTERNAL:
            await self._watch_registered(obj, cluster)
        else:
            await self._run(obj, cluster)

    async def _admit(self, obj: Object, cluster: ManagedCluster) -> State | None:
        """Why the cluster can't have its place; None when it can, or has it."""
        namespace = cluster.metadata.namespace
        account = self.cloud.world.accounts.get(namespace, ACCOUNT_NAME)
        unpaid = account_problem(account, CREATE_CLUSTER, cluster.spec.cluster_type != EXTERNAL)
        if unpaid is not None and not _cluster_id(obj):
            return progressing(*unpaid)
        every = [each for each in self.cloud.world.clusters.all(namespace) if _cluster_id(each)]
        if cluster.spec.cluster_type != EXTERNAL:
            found = resolve(self.cloud.world.vpcs, namespace, cluster.spec.vpc_id)
            vpc = without_allocations(found) if found else None
            others = self.cloud.world.clusters_in(found) if found else []
            neighbours = [
                ManagedCluster.model_validate(each)
                for each in others
                if _cluster_id(each) and each["metadata"]["uid"] != cluster.metadata.uid
            ]
            wrong = problem(cluster, vpc, neighbours)
            if wrong is not None:
                return wrong
        form = edition(cluster.spec)
        holders = {
            each["metadata"]["uid"] for each in every if edition(ManagedCluster.model_validate(each).spec) is form
        }
        refused = await self.cloud.quotas.take(obj, QuotaName.CLUSTERS, holders, form.value, form.value)
        return progressing(*refused) if refused else None

    async def _run(self, obj: Object, cluster: ManagedCluster) -> None:
        cluster_id = ids.cluster_id(cluster.metadata.uid)
        fields: Object = {"clusterId": cluster_id, "size": len(self.cloud.world.instances_of(obj))}
        vpc = resolve(self.cloud.world.vpcs, cluster.metadata.namespace, cluster.spec.vpc_id)
        fields["vpcId"] = (vpc.get("status") or {}).get("vpcId") if vpc else None
        if cluster.status.endpoint is None:
            # The id comes first: it is the cluster's place under the quota, and what its processes are named by.
            starting = {**fields, "phase": ClusterPhase.INITIAL.value}
            if cluster.status.cluster_id is None:
                await self.report(obj, starting, progressing("CreatingControlPlane"))
        try:
            found = await self._managed.ensure(obj, cluster, cluster_id, thorough=self._due(cluster))
        except (AddressesExhausted, RuntimeProblem, ValueError, ApiError) as error:
            if not isinstance(error, PASSING):
                await self.report(obj, fields, progressing("ControlPlaneFailed", str(error)), warn=True)
            raise
        fields |= found.fields
        if found.state is not None:
            fields |= {"phase": found.phase} if found.phase else {}
            warn = found.phase == ClusterPhase.UNAVAILABLE or "Quota" in found.state.reason
            await self.report(obj, fields, found.state, warn, found.aspects)
            self._look_again(cluster, found)
            return
        assert found.spec is not None, "a control plane without a state serves"
        pools = [(pool.get("status") or {}).get("phase") for pool in self.cloud.world.pools_of(obj)]
        async with await self._managed.client(found.spec) as workload:
            parts = together([await part.ensure(obj, cluster, workload) for part in self._parts])
        phase = parts.phase or running_phase(pools).value
        state = parts.state or ready("Running")
        aspects = (*found.aspects, *parts.aspects)
        await self.report(obj, {**fields, **parts.fields, "phase": phase}, state, aspects=aspects)
        self._look_again(cluster, found)
        if parts.again is not None:
            self.queue.add(cluster.key, after=parts.again)

    def _look_again(self, cluster: ManagedCluster, found: Standing) -> None:
        """Soon while something is under way, later and later; else from time to time."""
        uid = cluster.metadata.uid
        self.resync(cluster.key, CHECK_PERIOD)
        if found.settled:
            self._polls.pop(uid, None)
            return
        self._checked.pop(uid, None)
        polls = self._polls[uid] = self._polls.get(uid, 0) + 1
        self.queue.add(cluster.key, after=min(FIRST_POLL * 1.1**polls, LONGEST_POLL))

    def _due(self, cluster: ManagedCluster) -> bool:
        """Whether the control plane's processes are to be looked at now."""
        now = asyncio.get_running_loop().time()
        uid = cluster.metadata.uid
        if now - self._checked.get(uid, -CHECK_PERIOD) < CHECK_PERIOD / 2:
            return False
        self._checked[uid] = now
        return True

    async def _watch_registered(self, obj: Object, cluster: ManagedCluster) -> None:
        found = await registered.look(self.cloud.client, cluster)
        fields = {
            "clusterId": ids.cluster_id(cluster.metadata.uid),
            "edition": edition(cluster.spec).value,
            "phase": found.phase.value,
            "endpoint": found.endpoint or cluster.status.endpoint,
            "currentVersion": found.version or cluster.status.current_version,
        }
        await self.report(obj, fields, found.state)
        self.resync(cluster.key, CHECK_PERIOD if found.phase is ClusterPhase.RUNNING else WAITING_PERIOD)

    async def _finish(self, obj: Object) -> None:
        if RESOURCE_FINALIZER not in (obj["metadata"].get("finalizers") or []):
            return
        cluster = ManagedCluster.model_validate(obj)
        left = await remove_contents(self.cloud, obj)
        if left:
            message = ", ".join(f"{count} {kind}" for kind, count in left.items()) + " are being deleted"
            await self.report(obj, {"phase": ClusterPhase.DELETING.value}, progressing("Deleting", message))
            self.resync(cluster.key, CHECK_PERIOD)
            return
        if cluster.status.phase != ClusterPhase.DELETING:
            state = progressing("Deleting", "the control plane is being removed")
            await self.report(obj, {"phase": ClusterPhase.DELETING.value}, state)
        if cluster.spec.cluster_type != EXTERNAL:
            await self._managed.remove(cluster, ids.cluster_id(cluster.metadata.uid))
        self._checked.pop(cluster.metadata.uid, None)
        self._polls.pop(cluster.metadata.uid, None)
        await self.cloud.quotas.leave(obj)
        for part in self._parts:
            part.forget(cluster.metadata.uid)
        latest = self.cloud.world.clusters.get(*cluster.key)
        if latest is not None:
            await remove_finalizers(self.cloud.client, MANAGED_CLUSTER, latest, RESOURCE_FINALIZER)

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self._checked.pop(new["metadata"]["uid"], None)
            self.queue.add(key_of(new))
        if new is None and old is not None:
            self._add_waiting(old["metadata"]["namespace"])

    def _on_quota(self, old: Object | None, new: Object | None) -> None:
        if loosened(old, new):
            self._add_waiting((new or old or {})["metadata"]["namespace"])

    def _on_shared(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None and spec_changed(old, new) | (_vpc_id(old) != _vpc_id(new)):
            self._add_waiting(obj["metadata"]["namespace"])

    def _add_waiting(self, namespace: str) -> None:
        for obj in self.cloud.world.clusters.all(namespace):
            if not is_ready(obj):
                self.queue.add(key_of(obj))

    def _on_pool(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is None or _phase(old) == _phase(new):
            return
        found = self.cloud.world.cluster(obj["metadata"]["namespace"], obj["spec"]["clusterId"])
        if found is not None:
            self.queue.add(key_of(found), after=GATHER if not deleting(found) else 0)

    def _on_instance(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        name = label(obj, CLUSTER_LABEL) if obj else None
        if obj is None or not name:
            return
        if old is None or new is None or deleting(old) != deleting(new) or _is_master(obj):
            self.queue.add((obj["metadata"]["namespace"], name), after=GATHER)

    def _on_part(self, old: Object | None, new: Object | None) -> None:
        """The API server's load balancer has changed, or something that a deleted cluster may wait for is gone."""
        obj = new or old
        name = label(obj, CLUSTER_LABEL) if obj else None
        if obj is not None and name:
            self.queue.add((obj["metadata"]["namespace"], name))
        if new is None and old is not None:
            for each in self.cloud.world.clusters.all(old["metadata"]["namespace"]):
                if deleting(each):
                    self.queue.add(key_of(each), after=GATHER)


def _is_master(obj: Object) -> bool:
    return bool(obj["spec"].get("instanceRole") == MASTER)


def _cluster_id(obj: Object) -> str | None:
    found: str | None = (obj.get("status") or {}).get("clusterId")
    return found


def _vpc_id(obj: Object | None) -> object:
    return ((obj or {}).get("status") or {}).get("vpcId")


def _phase(obj: Object | None) -> object:
    return ((obj or {}).get("status") or {}).get("phase")
