"""Counts what every namespace uses, in its CloudQuota `default`, which comes with the first object of ackbox."""

from ackbox.cloud.allocation.quota import hard
from ackbox.cloud.quotas.plan import full, quota_state, replacement, used
from ackbox.cloud.reconciling import Cloud, Controller, paused
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.kube.errors import AlreadyExists
from ackbox.resources import CLOUD_QUOTA
from ackbox.resources.cloudquota import QUOTA_NAME

GATHER = 0.5
"""Seconds in which changes of a namespace are gathered before it is counted."""


class CloudQuotas(Controller):
    """Reconciles the CloudQuota `default` of every namespace that has objects of ackbox."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, CLOUD_QUOTA, "quotas", workers=2)
        world = cloud.world
        self._counted = {
            "clusters": world.clusters,
            "node_pools": world.node_pools,
            "vpcs": world.vpcs,
            "load_balancers": world.load_balancers,
            "listeners": world.listeners,
            "server_groups": world.server_groups,
            "route_tables": world.route_tables,
        }
        for cache in [*self._counted.values(), world.cloud_quotas]:
            cache.subscribe(self._on_change)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        namespace = key[0]
        quota = self.cloud.world.cloud_quotas.get(*key)
        if quota is None:
            if any(cache.all(namespace) for cache in self._counted.values()):
                await self._create(namespace)
            return
        if paused(quota):
            return
        limits = hard(quota)
        objects = {name: cache.all(namespace) for name, cache in self._counted.items()}
        counted = used(**objects)
        parts = {name: objects[name] for name in ("load_balancers", "listeners", "server_groups")}
        before = quota.get("status") or {}
        fields: Object = {"hard": {name.value: limit for name, limit in limits.items()}, "used": counted}
        for field, figures in full(limits, counted, **parts).items():
            fields[field] = replacement(before.get(field) or {}, figures) or None
        await self.report(quota, fields, quota_state(limits, counted))

    async def _create(self, namespace: str) -> None:
        try:
            await self.cloud.client.create(CLOUD_QUOTA, {"metadata": {"name": QUOTA_NAME}}, namespace)
        except AlreadyExists:
            return  # The watch will bring it.

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None:
            self.queue.add((obj["metadata"]["namespace"], QUOTA_NAME), after=GATHER)
