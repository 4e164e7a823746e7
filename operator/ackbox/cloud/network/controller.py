"""Gives VPCs, vSwitches and route tables their ids and keeps a VPC until nothing in it is used."""

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.ledger import Draft
from ackbox.cloud.network.plan import deletion_state, route_table_state, vpc_state
from ackbox.cloud.reconciling import (
    Cloud,
    Controller,
    add_finalizer,
    deleting,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.kube.conditions import conditions
from ackbox.kube.errors import AlreadyExists
from ackbox.kube.refs import resolve
from ackbox.resources import ROUTE_TABLE, VPC, RouteTable, Vpc
from ackbox.resources.base import RESOURCE_FINALIZER

GATHER = 0.3
"""Seconds in which route entries are gathered before the table's status is written."""


class Vpcs(Controller):
    """Reconciles VPCs."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, VPC, "vpcs", workers=4)
        cloud.world.vpcs.subscribe(self._on_vpc)
        cloud.world.route_tables.subscribe(self._on_route_table)
        cloud.world.clusters.subscribe(self._on_cluster)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.vpcs.get(*key)
        if obj is None or paused(obj):
            return
        if deleting(obj):
            await self._finish(obj)
            return
        obj = await add_finalizer(self.cloud.client, VPC, obj, RESOURCE_FINALIZER)
        await self._ensure_route_table(obj)

        def describe(draft: Draft) -> None:
            vpc = draft.vpc
            draft.fields = {
                "vpcId": ids.vpc_id(vpc.metadata.uid),
                "routeTableId": ids.route_table_id(vpc.metadata.uid),
                "phase": "Available",
                "observedGeneration": vpc.metadata.generation,
                "conditions": conditions(obj, vpc_state(vpc)),
            }

        await self.cloud.ledgers.update(key, describe)
        self.resync(key)

    async def _finish(self, obj: Object) -> None:
        owners = [entry["owner"] for entry in (obj.get("status") or {}).get("allocations", ())]
        clusters = [cluster["metadata"]["name"] for cluster in self.cloud.world.clusters_in(obj)]
        waiting = deletion_state(owners, clusters)
        if waiting is None:
            await remove_finalizers(self.cloud.client, VPC, obj, RESOURCE_FINALIZER)
        else:
            await self.report(obj, {"phase": "Deleting"}, waiting)

    async def _ensure_route_table(self, vpc: Object) -> None:
        metadata = vpc["metadata"]
        if self.cloud.world.route_tables.get(metadata["namespace"], metadata["name"]) is not None:
            return
        owner = {"apiVersion": VPC.api_version, "kind": VPC.kind, "name": metadata["name"], "uid": metadata["uid"]}
        body = {
            "metadata": {"name": metadata["name"], "ownerReferences": [owner]},
            "spec": {"vpcId": metadata["name"]},
        }
        try:
            await self.cloud.client.create(ROUTE_TABLE, body, metadata["namespace"])
        except AlreadyExists:
            return  # The watch will bring it.

    def _on_vpc(self, old: Object | None, new: Object | None) -> None:
        if new is not None and (deleting(new) or spec_changed(old, new)):
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]))

    def _on_route_table(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self.queue.add((old["metadata"]["namespace"], old["metadata"]["name"]))

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            for vpc in self.cloud.world.vpcs.all(old["metadata"]["namespace"]):
                if deleting(vpc):
                    self.queue.add((vpc["metadata"]["namespace"], vpc["metadata"]["name"]))


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
