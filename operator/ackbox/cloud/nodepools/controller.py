"""Keeps every node pool at its desired size."""

from ackbox.catalog.quotas import QuotaName
from ackbox.catalog.regions import edition
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.quota import loosened
from ackbox.cloud.nodepools import scaling
from ackbox.cloud.nodepools.attachment import attached
from ackbox.cloud.nodepools.harm import hindrance, pool_aspects, wanted_size
from ackbox.cloud.nodepools.kinds import misplaced
from ackbox.cloud.nodepools.plan import Machine, PoolPlan
from ackbox.cloud.nodepools.status import pool_status
from ackbox.cloud.nodepools.upgrade import upgrading
from ackbox.cloud.reconciling import (
    Cloud,
    Controller,
    add_finalizer,
    delete_all,
    deleting,
    in_parallel,
    is_ready,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.cloud.world import BY_POOL, label
from ackbox.kube.cache import Key, key_of
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.kube.errors import AlreadyExists
from ackbox.resources import INSTANCE, NODE_POOL, ManagedCluster, NodePool
from ackbox.resources.base import NODE_POOL_LABEL, RESOURCE_FINALIZER
from ackbox.resources.instance import harms_of
from ackbox.resources.network import Allocation
from ackbox.resources.nodepool import NodePoolPhase

GATHER = 0.1
"""Seconds in which changes of a pool's machines are gathered before the pool is looked at."""


class NodePools(Controller):
    """Reconciles NodePools."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, NODE_POOL, "nodepools", workers=8)
        self._scaled_in: set[str] = set()
        self._released: dict[Key, set[str]] = {}
        world = cloud.world
        world.node_pools.subscribe(self._on_pool)
        world.instances.subscribe(self._on_instance)
        world.clusters.subscribe(self._on_cluster)
        world.vpcs.subscribe(self._on_shared)
        world.cloud_quotas.subscribe(self._on_quota)
        world.accounts.subscribe(self._on_shared)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.node_pools.get(*key)
        if obj is None or paused(obj):
            return
        if deleting(obj):
            await self._finish(obj)
            return
        obj = await add_finalizer(self.cloud.client, NODE_POOL, obj, RESOURCE_FINALIZER)
        pool = NodePool.model_validate(obj)
        admitted = await self._admit(obj, pool)
        if isinstance(admitted, State):
            await self.report(obj, self._fields(obj, pool), admitted, warn=admitted.reason.startswith("Quota"))
        else:
            given = pool.status.model_copy(update={"nodepool_id": ids.node_pool_id(pool.metadata.uid)})
            await self._scale(obj, pool.model_copy(update={"status": given}), admitted)
        self.resync(key)

    async def _admit(self, obj: Object, pool: NodePool) -> ManagedCluster | State:
        """The pool's cluster, or what the pool waits for before it may have machines."""
        reference = f"spec.clusterId: {pool.spec.cluster_id}"
        found = self.cloud.world.cluster(pool.metadata.namespace, pool.spec.cluster_id)
        if found is None:
            return progressing("WaitingForCluster", f"{reference}: no such ManagedCluster in this namespace yet")
        cluster = ManagedCluster.model_validate(found)
        unfit = misplaced(pool, cluster)
        if unfit is not None:
            return unfit
        if cluster.deleting:
            return progressing("ClusterDeleting", f"{reference} is being deleted")
        pools = self.cloud.world.pools_of(found)
        holders = {each["metadata"]["uid"] for each in pools if (each.get("status") or {}).get("nodepoolId")}
        form, scope = edition(cluster.spec).value, cluster.metadata.name
        refused = await self.cloud.quotas.take(obj, QuotaName.NODE_POOLS, holders, scope, form)
        if refused is not None:
            return progressing(*refused)
        if cluster.status.endpoint is None:
            return progressing("WaitingForCluster", f"{reference} is {cluster.status.phase or 'new'}")
        return cluster

    async def _scale(self, obj: Object, pool: NodePool, cluster: ManagedCluster) -> None:
        context = scaling.prepare(self.cloud, pool, cluster)
        if isinstance(context, State):
            await self.report(obj, self._fields(obj, pool), context)
            return
        plan = await scaling.reserve(self.cloud, context, lambda: self._machines(obj))
        # Said before it is done: whoever waits for `active` must not see it while machines are still to come.
        await self._tell(obj, pool, plan, context.problem)

        async def create(entry: Allocation) -> None:
            try:
                await self.cloud.client.create(INSTANCE, context.instance(entry), pool.metadata.namespace)
            except AlreadyExists:
                return  # Made before; the watch will bring it.

        await in_parallel(create, plan.create)
        self._scaled_in.update(plan.delete)
        doomed = [self.cloud.world.instances.get(pool.metadata.namespace, name) for name in plan.delete]
        await delete_all(self.cloud.client, INSTANCE, [each for each in doomed if each is not None])
        if plan.create or plan.delete:
            self.queue.add(pool.key, after=GATHER)

    async def _tell(self, obj: Object, pool: NodePool, plan: PoolPlan, problem: State | None) -> None:
        machines = self._machines(obj)
        hindered = hindrance(pool)
        if problem is None and hindered is not None and wanted_size(pool) != pool.spec.scaling_group.desired_size:
            problem = stalled("ScalingHindered", hindered)
        status = pool_status(wanted_size(pool), machines, plan, problem, self._upgrading(pool))
        fields = {**self._fields(obj, pool), "phase": status.phase}
        if status.phase != NodePoolPhase.SCALING:
            self._released.pop(pool.key, None)
        live = [machine for machine in self._machines(obj, by_hand=True).values() if not machine.deleting]
        told = pool_aspects(pool, live, self._released.get(pool.key, ()))
        warn = plan.shortage is not None or status.state is problem
        await self.report(obj, fields, status.state, warn, told)

    def _upgrading(self, pool: NodePool) -> State | None:
        namespace, world = pool.metadata.namespace, self.cloud.world
        instances = world.instances.by(BY_POOL, f"{namespace}/{pool.metadata.name}")
        return upgrading(pool, instances, world.cluster(namespace, pool.spec.cluster_id))

    async def _finish(self, obj: Object) -> None:
        if RESOURCE_FINALIZER not in (obj["metadata"].get("finalizers") or []):
            return
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        instances = self.cloud.world.instances.by(BY_POOL, f"{namespace}/{name}")
        await delete_all(self.cloud.client, INSTANCE, [each for each in instances if not attached(each)])
        await scaling.forget_unborn(self.cloud, namespace, name)
        if instances:
            message = f"{len(instances)} instances are being released"
            fields = {"phase": NodePoolPhase.DELETING.value, "totalNodes": len(instances)}
            await self.report(obj, fields, progressing("Deleting", message))
            return
        await self.cloud.quotas.leave(obj)
        await remove_finalizers(self.cloud.client, NODE_POOL, obj, RESOURCE_FINALIZER)

    def _machines(self, obj: Object, by_hand: bool = False) -> dict[str, Machine]:
        """The pool's machines; with `by_hand` those too that were added to it."""
        found = self.cloud.world.instances.by(BY_POOL, f"{obj['metadata']['namespace']}/{obj['metadata']['name']}")
        return {
            each["metadata"]["name"]: Machine(
                each["metadata"]["name"],
                (each.get("status") or {}).get("phase"),
                each["metadata"].get("creationTimestamp", ""),
                deleting(each),
                harms_of(each),
            )
            for each in found
            if not attached(each) or by_hand
        }

    def _fields(self, obj: Object, pool: NodePool) -> Object:
        live = [machine for machine in self._machines(obj, by_hand=True).values() if not machine.deleting]
        return {
            "phase": (obj.get("status") or {}).get("phase") or NodePoolPhase.INITIAL.value,
            "nodepoolId": pool.status.nodepool_id,
            "totalNodes": len(live),
            "servingNodes": sum(machine.phase == "Running" and not machine.offline for machine in live),
            "offlineNodes": sum(machine.offline for machine in live),
        }

    def _on_pool(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self.queue.add(key_of(new))
        if new is None and old is not None:
            for obj in self.cloud.world.node_pools.all(old["metadata"]["namespace"]):
                if not is_ready(obj):
                    self.queue.add(key_of(obj), after=GATHER)

    def _on_instance(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        # One that was taken out of its pool no longer names it.
        pool = next((name for each in (new, old) if each and (name := label(each, NODE_POOL_LABEL))), None)
        if obj is None or pool is None:
            return
        key, name = (obj["metadata"]["namespace"], pool), obj["metadata"]["name"]
        leaves = old is not None and not deleting(old) and (new is None or deleting(new))
        if leaves and not attached(obj) and name not in self._scaled_in:
            self._released.setdefault(key, set()).add(name)
        if new is None:
            self._scaled_in.discard(name)
        self.queue.add(key, after=GATHER)

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is None or not (spec_changed(old, new) or _endpoint(old) != _endpoint(new)):
            return
        for pool in self.cloud.world.pools_of(obj):
            self.queue.add(key_of(pool))

    def _on_quota(self, old: Object | None, new: Object | None) -> None:
        if loosened(old, new):
            self._on_shared(old, new)

    def _on_shared(self, old: Object | None, new: Object | None) -> None:
        """A VPC or a quota changed: pools that lack something may get it now."""
        obj = new or old
        for pool in self.cloud.world.node_pools.all(obj["metadata"]["namespace"]) if obj else ():
            if not is_ready(pool):
                self.queue.add(key_of(pool), after=GATHER)


def _endpoint(obj: Object | None) -> object:
    status = (obj or {}).get("status") or {}
    return status.get("endpoint"), status.get("clusterId")
