"""Existing machines that are added to a node pool, and taken out of it without being released.

`Instance.spec.nodepoolId` asks for it: a machine that names a pool joins it, one that names neither pool nor cluster any
more leaves. What is added by hand counts beside the pool's desired size, and the pool never releases it.
"""

from dataclasses import replace

from ackbox.cloud.allocation.ledger import Draft, find_subnet
from ackbox.cloud.allocation.security_groups import FLANNEL
from ackbox.cloud.nodepools import scaling
from ackbox.cloud.nodepools.plan import allocate, usable_types
from ackbox.cloud.nodepools.scaling import Context
from ackbox.cloud.reconciling import Cloud, Controller, deleting, paused
from ackbox.cloud.world import label
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.kube.conditions import State
from ackbox.kube.refs import resolve
from ackbox.resources import INSTANCE, Instance, ManagedCluster, NodePool
from ackbox.resources.base import (
    ATTACHED_ANNOTATION,
    CLUSTER_LABEL,
    INSTANCE_FINALIZER,
    NODE_FINALIZER,
    NODE_POOL_LABEL,
)
from ackbox.resources.network import Allocation

OUTSIDE = dict.fromkeys(("cluster", "node_pool", "pod_cidr", "pod_block", "pod_v_switch_id", "secondary_enis"))
"""What the reservation of a machine loses that leaves its cluster."""

ATTACHED, ATTACH_FAILED, REMOVED = "Attached", "AttachFailed", "RemovedFromNodePool"
PERIOD = 30.0
"""Seconds until a machine that can't be added is tried again."""


class Attachments(Controller):
    """Reconciles Instances with the pools that they name."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, INSTANCE, "attachments", workers=4)
        cloud.world.instances.subscribe(self._on_instance)
        cloud.world.node_pools.subscribe(self._on_pool)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.instances.get(*key)
        if obj is None or deleting(obj) or paused(obj) or not _unsettled(obj):
            return
        if label(obj, NODE_POOL_LABEL) is not None:
            if leaves(obj, self._pool(obj)):
                await self._detach(obj)
            return
        refused = await self._attach(obj)
        if refused is not None:
            await self.cloud.events.warning(obj, ATTACH_FAILED, f"spec.nodepoolId: {refused}")
            self.queue.add(key, after=PERIOD)

    def _pool(self, obj: Object) -> Object | None:
        namespace = obj["metadata"]["namespace"]
        reference = obj["spec"].get("nodepoolId") or label(obj, NODE_POOL_LABEL)
        return resolve(self.cloud.world.node_pools, namespace, reference)

    async def _attach(self, obj: Object) -> str | None:
        """Add a machine to the pool that it names; why it can't be, if so."""
        found, namespace = self._pool(obj), obj["metadata"]["namespace"]
        cluster = self.cloud.world.cluster(namespace, found["spec"]["clusterId"]) if found else None
        if found is None or cluster is None or deleting(found):
            return f"there is no NodePool {obj['spec']['nodepoolId']}"
        pool = NodePool.model_validate(found)
        context = scaling.prepare(self.cloud, pool, ManagedCluster.model_validate(cluster))
        if isinstance(context, State):
            return f"{context.reason}: {context.message}"
        return await self._join(obj, context)

    async def _join(self, obj: Object, context: Context) -> str | None:
        result: Allocation | str = ""

        def change(draft: Draft) -> None:
            nonlocal result
            result = reservation(Instance.model_validate(obj), context, draft, self.cloud)
            if isinstance(result, Allocation):
                draft.reserve([result])

        await self.cloud.ledgers.update(context.vpc.key, change)
        if isinstance(result, str):
            return result
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        await self.cloud.client.patch(INSTANCE, name, namespace, joined(obj, context.instance(result)))
        await self.cloud.events.normal(obj, ATTACHED, f"added to node pool {context.pool.metadata.name}")
        return None

    async def _detach(self, obj: Object) -> None:
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        vpc = resolve(self.cloud.world.vpcs, namespace, obj["spec"]["vpcAttributes"]["vpcId"])

        def change(draft: Draft) -> None:
            entry = draft.entries.get(name)
            if entry is not None:
                draft.reserve([entry.model_copy(update=OUTSIDE)])

        if vpc is not None:
            await self.cloud.ledgers.update((namespace, vpc["metadata"]["name"]), change)
        await self.cloud.client.patch(INSTANCE, name, namespace, removed(obj))
        await self.cloud.events.normal(obj, REMOVED, f"removed from node pool {label(obj, NODE_POOL_LABEL)}")

    def _on_instance(self, _: Object | None, new: Object | None) -> None:
        if new is not None and _unsettled(new):
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]))

    def _on_pool(self, old: Object | None, new: Object | None) -> None:
        """A pool that goes lets go of the machines that it didn't make."""
        pool = old or new
        if pool is None or (new is not None and not deleting(new) and old is not None):
            return
        for obj in self.cloud.world.instances.all(pool["metadata"]["namespace"]):
            self._on_instance(None, obj)


def attached(obj: Object) -> bool:
    """Whether a machine was added to its pool by hand."""
    return ATTACHED_ANNOTATION in (obj["metadata"].get("annotations") or {})


def _unsettled(obj: Object) -> bool:
    """Whether a machine may have to join or leave a pool."""
    asked, has = obj["spec"].get("nodepoolId"), label(obj, NODE_POOL_LABEL)
    return attached(obj) or (asked is None) != (has is None)


def leaves(obj: Object, pool: Object | None) -> bool:
    """Whether a machine is to leave the pool that it is in."""
    asked = obj["spec"].get("nodepoolId") or obj["spec"].get("clusterId")
    return asked is None or (attached(obj) and (pool is None or deleting(pool)))


def reservation(instance: Instance, context: Context, draft: Draft, cloud: Cloud) -> Allocation | str:
    """The reservation of a machine that joins a pool, or why it can't.

    It names no pool, so that the pool doesn't take it for one that is still to be made.
    """
    name, network = instance.metadata.name, instance.spec.vpc_attributes
    subnet = find_subnet(context.vpc, network.v_switch_id)
    if network.vpc_id not in (context.vpc.metadata.name, context.vpc.status.vpc_id) or subnet is None:
        return f"{name} is not in the cluster's VPC {context.vpc.metadata.name}"
    types, wrong = usable_types([instance.spec.instance_type], context.cluster.spec.network_plugin != FLANNEL)
    if not types:
        return wrong or ""
    holder = next((each.owner for each in draft.entries.values() if each.address == network.private_ip_address), name)
    if holder != name:
        return f"its address {network.private_ip_address} is that of {holder}"
    there = draft.entries.get(name)
    if there is not None and there.cluster == context.cluster.metadata.name:
        return there
    site = replace(scaling.site(cloud, context, draft), types=tuple(types))
    made, shortage = allocate(1, site, lambda: name)
    if shortage is not None:
        return f"{shortage.code}: {shortage.message}"
    place = {"address": network.private_ip_address, "v_switch_id": subnet.id, "node_pool": None}
    return made[0].model_copy(update=place)


def joined(obj: Object, born: Object) -> Object:
    """The patch of a machine that joins: what one that the pool made would be, on a system disk of its own."""
    spec, metadata = born["spec"], obj["metadata"]
    finalizers = metadata.get("finalizers") or []
    further = [each for each in (INSTANCE_FINALIZER, NODE_FINALIZER) if each not in finalizers]
    return {
        "metadata": {
            "resourceVersion": metadata["resourceVersion"],
            "labels": {name: born["metadata"]["labels"][name] for name in (CLUSTER_LABEL, NODE_POOL_LABEL)},
            "annotations": {ATTACHED_ANNOTATION: "true"},
            "finalizers": [*finalizers, *further],
        },
        "spec": {
            "nodepoolId": spec["nodepoolId"],
            "node": spec["node"],
            "imageId": spec.get("imageId") or obj["spec"].get("imageId"),
            "operatingSystem": None,
            "systemDiskRevision": obj["spec"].get("systemDiskRevision", 0) + 1,
        },
    }


def removed(obj: Object) -> Object:
    """The patch of a machine that leaves."""
    return {
        "metadata": {
            "resourceVersion": obj["metadata"]["resourceVersion"],
            "labels": {CLUSTER_LABEL: None, NODE_POOL_LABEL: None},
            "annotations": {ATTACHED_ANNOTATION: None},
        },
        "spec": {"nodepoolId": None, "clusterId": None, "node": None},
    }
