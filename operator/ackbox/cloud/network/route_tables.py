"""Keeps the status of route tables."""

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation import ids
from ackbox.cloud.network.plan import route_table_state
from ackbox.cloud.reconciling import Cloud, Controller, deleting, paused, spec_changed
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.kube.refs import resolve
from ackbox.resources import ROUTE_TABLE, RouteTable, Vpc

GATHER = 0.3
"""Seconds in which route entries are gathered before the table's status is written."""


class RouteTables(Controller):
    """Reconciles the status of RouteTables."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, ROUTE_TABLE, "routetables", workers=4)
        cloud.world.route_tables.subscribe(self._on_route_table)
        cloud.world.vpcs.subscribe(self._on_vpc)
        cloud.world.cloud_quotas.subscribe(self._on_quota)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.route_tables.get(*key)
        if obj is None or paused(obj) or deleting(obj):
            return
        table = RouteTable.model_validate(obj)
        found = resolve(self.cloud.world.vpcs, key[0], table.spec.vpc_id)
        vpc = Vpc.model_validate({**found, "status": {}}) if found else None
        fields: Object = {"entries": len(table.spec.route_entries)}
        if vpc is not None:
            # The table that comes with the VPC is known by the VPC's uid: it keeps its id when it is made again.
            own = vpc.metadata.uid if vpc.metadata.name == table.metadata.name else table.metadata.uid
            fields["routeTableId"] = ids.route_table_id(own)
        limit = self.cloud.quotas.limit(key[0], QuotaName.ROUTE_ENTRIES)
        await self.report(obj, fields, route_table_state(table, vpc, limit))

    def _on_route_table(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]), after=GATHER)

    def _on_vpc(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None and (old is None or new is None):
            self._add_all(obj["metadata"]["namespace"])

    def _on_quota(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None and spec_changed(old, new):
            self._add_all(obj["metadata"]["namespace"])

    def _add_all(self, namespace: str) -> None:
        for table in self.cloud.world.route_tables.all(namespace):
            self.queue.add((namespace, table["metadata"]["name"]), after=GATHER)
