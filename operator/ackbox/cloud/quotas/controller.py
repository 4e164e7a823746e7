"""Counts what every namespace uses, in its CloudQuota `default`, which comes with the first object of ackbox."""

from collections.abc import Iterable

from ackbox.catalog.quotas import QuotaName, limits
from ackbox.cloud.allocation.book import Page, replacement
from ackbox.cloud.allocation.ledger import exceeds
from ackbox.cloud.allocation.quota import raised
from ackbox.cloud.quotas.admission import admission_fields
from ackbox.cloud.quotas.plan import Account, full, quota_state, used
from ackbox.cloud.reconciling import Cloud, Controller, paused
from ackbox.kube.cache import Cache, Key
from ackbox.kube.client import Object
from ackbox.kube.errors import AlreadyExists, NotFound
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
            "elastic_ip_addresses": world.elastic_ip_addresses,
        }
        self._holders: dict[str, Cache] = {
            QuotaName.CLUSTERS.value: world.clusters,
            QuotaName.NODE_POOLS.value: world.node_pools,
            QuotaName.VPCS.value: world.vpcs,
            QuotaName.LOAD_BALANCERS.value: world.load_balancers,
            QuotaName.ELASTIC_IP_ADDRESSES.value: world.elastic_ip_addresses,
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
        account = Account(**{name: cache.all(namespace) for name, cache in self._counted.items()})
        await self._tell(quota, account)
        await self._take_off(quota, account)
        self.resync(key)

    async def _tell(self, quota: Object, account: Account) -> None:
        counted = used(account)
        hard = limits(raised(quota), account.regions(), counted[QuotaName.DISKS])
        before = quota.get("status") or {}
        wanted: Object = {
            "hard": hard,
            "used": counted,
            **admission_fields(account, counted),
            **full(hard, counted, account),
        }
        changes = {field: replacement(before.get(field) or {}, figures) for field, figures in wanted.items()}
        fields = {field: change for field, change in changes.items() if change}
        await self.report(quota, fields, quota_state(hard, counted))

    async def _take_off(self, quota: Object, account: Account) -> None:
        """Take off what an operator wrote that died before it made it, and what is used no longer."""
        namespace, page = quota["metadata"]["namespace"], Page(quota)
        there = {obj["metadata"]["uid"]: obj for obj in account.vpcs}
        for uid, vpc in there.items():
            key = (namespace, vpc["metadata"]["name"])
            if uid in page.reserved and exceeds(page.reserved, vpc) and not await self.cloud.ledgers.lower(key):
                self.queue.add((namespace, QUOTA_NAME), after=GATHER)
        lost = [
            (uid, self.cloud.world.vpcs, entry["vpc"]) for uid, entry in page.reserved.items() if uid not in there
        ] + [
            (uid, cache, name)
            for place, holders in page.claims.items()
            if (cache := self._holders.get(place.partition("/")[0])) is not None
            for uid, name in holders.items()
            if (cache.get(namespace, name) or {}).get("metadata", {}).get("uid") != uid
        ]
        dead = [uid for uid, cache, name in lost if not await self._lives(cache, namespace, name, uid)]
        if dead:
            await self.cloud.quotas.book.update(namespace, lambda changed: _strike(changed, dead))

    async def _lives(self, cache: Cache, namespace: str, name: str, uid: str) -> bool:
        """Whether an object that the cache doesn't show is there; once gone, it never comes back."""
        try:
            found = await self.cloud.client.get(cache.kind, name, namespace)
        except NotFound:
            return False
        return bool(found["metadata"]["uid"] == uid)

    async def _create(self, namespace: str) -> None:
        try:
            await self.cloud.client.create(CLOUD_QUOTA, {"metadata": {"name": QUOTA_NAME}}, namespace)
        except AlreadyExists:
            return  # The watch will bring it.

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None:
            self.queue.add((obj["metadata"]["namespace"], QUOTA_NAME), after=GATHER)


def _strike(page: Page, gone: Iterable[str]) -> None:
    for uid in gone:
        page.leave(uid)
        page.reserved.pop(uid, None)
