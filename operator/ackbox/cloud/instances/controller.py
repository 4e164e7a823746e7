"""Takes machines through their states and, when they are deleted, lets go of what they hold."""

from collections.abc import Callable
from datetime import UTC, datetime

from ackbox.cloud.allocation.ids import INSTANCE_PREFIX
from ackbox.cloud.allocation.ledger import Draft
from ackbox.cloud.instances.plan import step
from ackbox.cloud.reconciling import Cloud, Controller, deleting, in_parallel, paused, remove_finalizers
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.kube.refs import resolve
from ackbox.resources import INSTANCE, VPC, Instance
from ackbox.resources.base import INSTANCE_FINALIZER, NODE_FINALIZER

GATHER = 0.1
"""Seconds in which released machines of a VPC are gathered, so that they share one write."""


class Instances(Controller):
    """Reconciles Instances."""

    def __init__(self, cloud: Cloud, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(cloud, INSTANCE, "instances", workers=50)
        self._now = now
        cloud.world.instances.subscribe(self._on_instance)
        cloud.world.clusters.subscribe(self._on_cluster)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.instances.get(*key)
        if obj is None or paused(obj):
            return
        if deleting(obj):
            if NODE_FINALIZER in obj["metadata"].get("finalizers", ()) and self._abandoned(obj):
                await remove_finalizers(self.cloud.client, INSTANCE, obj, NODE_FINALIZER)
            return
        instance = Instance.model_validate(obj)
        now = step(instance, self._now())
        await self.report(obj, {"phase": now.phase.value, "startTime": now.start_time}, now.state)
        if now.again_after is not None:
            self.queue.add(key, after=now.again_after)

    def _abandoned(self, obj: Object) -> bool:
        """Whether no ccm will clean up behind this machine: its cluster has no API server, or soon has none."""
        cluster = self.cloud.world.cluster(obj["metadata"]["namespace"], obj["spec"].get("clusterId"))
        return cluster is None or deleting(cluster) or not (cluster.get("status") or {}).get("endpoint")

    def _on_instance(self, _: Object | None, new: Object | None) -> None:
        if new is not None:
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]))

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        """A cluster that goes takes its ccm away."""
        if old is not None and (new is None or deleting(new)):
            for obj in self.cloud.world.instances_of(old):
                if deleting(obj):
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


def _vpc(obj: Object) -> str:
    reference: str = obj["spec"]["vpcAttributes"]["vpcId"]
    return reference


def _let_go(obj: Object) -> bool:
    """Whether only we still hold a deleted machine."""
    finalizers = obj["metadata"].get("finalizers") or []
    return deleting(obj) and INSTANCE_FINALIZER in finalizers and NODE_FINALIZER not in finalizers
