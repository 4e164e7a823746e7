"""Takes machines through their states and, when they are deleted, lets go of what they hold."""

from collections.abc import Callable
from datetime import UTC, datetime

from ackbox.catalog.high_risk import operations
from ackbox.cloud.allocation.ids import INSTANCE_PREFIX
from ackbox.cloud.allocation.ledger import Draft, without_allocations
from ackbox.cloud.instances.harm import Surroundings, aspects, dns_closed, installed, reinstalled, undone
from ackbox.cloud.instances.plan import disk_replaced, revisions, step
from ackbox.cloud.instances.repair import repair
from ackbox.cloud.reconciling import Cloud, Controller, deleting, in_parallel, paused, remove_finalizers
from ackbox.cloud.world import label
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.kube.conditions import Aspect
from ackbox.kube.refs import resolve
from ackbox.resources import INSTANCE, VPC, Instance, ManagedCluster, NodePool
from ackbox.resources.base import CLUSTER_LABEL, INSTANCE_FINALIZER, NODE_FINALIZER, NODE_POOL_LABEL

RECOVERED = "Recovered"
"""Reason of the event when something that was wrong with a machine has been put right."""

DISK_ROW = "attached-without-backup"
"""The row of the catalogue that says what a new system disk means."""

REPAIRING = "Repairing"
"""Reason of the event when self-healing works on a machine."""

GATHER = 0.1
"""Seconds in which released machines of a VPC are gathered, so that they share one write."""


class Instances(Controller):
    """Reconciles Instances."""

    def __init__(self, cloud: Cloud, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(cloud, INSTANCE, "instances", workers=50)
        self._now = now
        cloud.world.instances.subscribe(self._on_instance)
        cloud.world.clusters.subscribe(self._on_cluster)
        cloud.world.vpcs.subscribe(self._on_vpc)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.instances.get(*key)
        if obj is None or paused(obj):
            return
        if deleting(obj):
            if NODE_FINALIZER in obj["metadata"].get("finalizers", ()) and self._abandoned(obj):
                await remove_finalizers(self.cloud.client, INSTANCE, obj, NODE_FINALIZER)
            return
        instance, now = Instance.model_validate(obj), self._now()
        cluster = self._cluster_of(obj)
        known = instance.status.model_copy(update={"installation": installed(instance, versions(cluster))})
        instance = instance.model_copy(update={"status": known})
        following = step(instance, now)
        replaced = disk_replaced(instance, following.phase)
        gone = undone(instance) if replaced else []
        if replaced:
            instance = reinstalled(instance)
        fields = {
            "phase": following.phase.value,
            "startTime": following.start_time,
            **revisions(instance, following.phase),
            "installation": instance.status.installation and instance.status.installation.wire(),
        }
        around = Surroundings(now, following.phase, versions(cluster), self._closed(instance, cluster))
        told = aspects(instance, around)
        await self.report(obj, fields, following.state, aspects=[*gone, *told])
        await self._tell(obj, {each.type for each in gone} - {each.type for each in told}, told, replaced)
        if following.again_after is not None:
            self.queue.add(key, after=following.again_after)
        await self._heal(obj, instance, now)

    async def _heal(self, obj: Object, instance: Instance, now: datetime) -> None:
        """Let the node pool repair a machine that is out of service."""
        if not instance.out_of_service:
            return
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        pool = self.cloud.world.node_pools.get(namespace, label(obj, NODE_POOL_LABEL) or "")
        healing = repair(instance, NodePool.model_validate(pool) if pool else None, now)
        if healing.again_after is not None:
            self.queue.add((namespace, name), after=healing.again_after)
        if healing.spec is not None:
            version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            await self.cloud.client.patch(INSTANCE, name, namespace, {"metadata": version, "spec": healing.spec})
            await self.cloud.events.normal(obj, REPAIRING, f"self-healing sets {', '.join(sorted(healing.spec))}")

    async def _tell(self, obj: Object, gone: set[str], told: list[Aspect], replaced: bool) -> None:
        if replaced:
            row = operations()[DISK_ROW]
            await self.cloud.events.warning(obj, row.event or "", row.told("the system disk was replaced"))
        for kind in sorted(gone | {each.type for each in told if each.status is None}):
            await self.cloud.events.normal(obj, RECOVERED, f"{kind} no longer holds")

    def _closed(self, instance: Instance, cluster: Object | None) -> str | None:
        vpc = resolve(self.cloud.world.vpcs, instance.metadata.namespace, instance.spec.vpc_attributes.vpc_id)
        if vpc is None or cluster is None:
            return None
        slim = without_allocations(vpc)
        return dns_closed(instance, ManagedCluster.model_validate(cluster), slim)

    def _cluster_of(self, obj: Object) -> Object | None:
        """The cluster that a machine is a node of; one that was added by hand names it in its label only."""
        reference = label(obj, CLUSTER_LABEL) or obj["spec"].get("clusterId")
        return self.cloud.world.cluster(obj["metadata"]["namespace"], reference)

    def _abandoned(self, obj: Object) -> bool:
        """Whether no ccm will clean up behind this machine: its cluster has no API server, or soon has none."""
        cluster = self._cluster_of(obj)
        return cluster is None or deleting(cluster) or not (cluster.get("status") or {}).get("endpoint")

    def _on_instance(self, _: Object | None, new: Object | None) -> None:
        if new is not None:
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]))

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        """A cluster that goes takes its ccm away; another version of it suits other nodes."""
        if old is None:
            return
        for obj in self.cloud.world.instances_of(old):
            left = deleting(obj) and (new is None or deleting(new))
            if left or (new is not None and versions(old) != versions(new)):
                self.queue.add((obj["metadata"]["namespace"], obj["metadata"]["name"]))

    def _on_vpc(self, old: Object | None, new: Object | None) -> None:
        """Rules of security groups decide what its machines can be asked."""
        if new is None or old is None or old["spec"].get("securityGroups") == new["spec"].get("securityGroups"):
            return
        for obj in self.cloud.world.instances_in(new):
            self.queue.add((obj["metadata"]["namespace"], obj["metadata"]["name"]))


class Releases(Controller):
    """Lets go of deleted machines, VPC by VPC: reservation marked, Instance let go, and once it is gone, reservation freed.

    The mark is what tells a reservation whose machine is gone from one whose machine was never made.
    """

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, VPC, "releases", workers=4)
        cloud.world.instances.subscribe(self._on_instance)
        cloud.world.vpcs.subscribe(self._on_vpc)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`; the key is a VPC's, or that of one that is gone."""
        vpc = self.cloud.world.vpcs.get(*key)
        machines = self.cloud.world.instances_in(vpc) if vpc else self._homeless(key[0])
        leaving = [obj for obj in machines if _let_go(obj) and not paused(obj)]
        if vpc is not None:
            await self.cloud.ledgers.update(key, lambda draft: self._settle(draft, leaving))

        async def let_go(obj: Object) -> None:
            await remove_finalizers(self.cloud.client, INSTANCE, obj, INSTANCE_FINALIZER)

        await in_parallel(let_go, leaving)

    def _settle(self, draft: Draft, leaving: list[Object]) -> None:
        namespace = draft.vpc.metadata.namespace
        draft.retire(obj["metadata"]["name"] for obj in leaving)
        draft.free(
            [
                owner
                for owner, entry in draft.entries.items()
                if owner.startswith(INSTANCE_PREFIX)
                and entry.node_pool is None
                and self.cloud.world.instances.get(namespace, owner) is None
            ]
        )

    def _homeless(self, namespace: str) -> list[Object]:
        """Machines of a namespace whose VPC is gone."""
        world = self.cloud.world
        return [obj for obj in world.instances.all(namespace) if resolve(world.vpcs, namespace, _vpc(obj)) is None]

    def _on_instance(self, old: Object | None, new: Object | None) -> None:
        if new is None or _let_go(new):
            obj = new or old
            if obj is None:
                return
            namespace = obj["metadata"]["namespace"]
            vpc = resolve(self.cloud.world.vpcs, namespace, _vpc(obj))
            self.queue.add((namespace, vpc["metadata"]["name"] if vpc else _vpc(obj)), after=GATHER)

    def _on_vpc(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None:
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]), after=GATHER)


def versions(cluster: Object | None) -> frozenset[str]:
    """The Kubernetes versions that nodes of a cluster may have: its own, and the one that it is upgraded to."""
    status = (cluster or {}).get("status") or {}
    found = (status.get("currentVersion"), (status.get("upgrade") or {}).get("nextVersion"))
    return frozenset(version for version in found if version)


def _vpc(obj: Object) -> str:
    reference: str = obj["spec"]["vpcAttributes"]["vpcId"]
    return reference


def _let_go(obj: Object) -> bool:
    """Whether only we still hold a deleted machine."""
    finalizers = obj["metadata"].get("finalizers") or []
    return deleting(obj) and INSTANCE_FINALIZER in finalizers and NODE_FINALIZER not in finalizers
