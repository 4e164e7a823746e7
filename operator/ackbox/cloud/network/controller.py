"""Gives VPCs, vSwitches and security groups their ids, makes NAT gateways, and keeps a VPC until nothing in it is used."""

from collections import defaultdict
from collections.abc import Callable

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation import eips, ids
from ackbox.cloud.allocation.addresses import integers
from ackbox.cloud.allocation.ledger import Draft
from ackbox.cloud.allocation.quota import loosened, refusal
from ackbox.cloud.network import nat
from ackbox.cloud.network.plan import deletion_state, security_groups, vpc_state
from ackbox.cloud.reconciling import (
    Cloud,
    Controller,
    add_finalizer,
    deleting,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.kube.cache import Key, key_of
from ackbox.kube.client import Object
from ackbox.kube.conditions import conditions, progressing
from ackbox.kube.errors import AlreadyExists
from ackbox.kube.refs import owner_reference, resolve
from ackbox.resources import ROUTE_TABLE, VPC, ElasticIPAddress, ManagedCluster
from ackbox.resources.base import RESOURCE_FINALIZER


def _has_id(vpc: Object) -> bool:
    return bool((vpc.get("status") or {}).get("vpcId"))


class Vpcs(Controller):
    """Reconciles VPCs."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, VPC, "vpcs", workers=4)
        cloud.world.vpcs.subscribe(self._on_vpc)
        cloud.world.route_tables.subscribe(self._on_route_table)
        cloud.world.clusters.subscribe(self._on_cluster)
        cloud.world.elastic_ip_addresses.subscribe(self._on_address)
        cloud.world.cloud_quotas.subscribe(self._on_quota)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.vpcs.get(*key)
        if obj is None or paused(obj):
            return
        if deleting(obj):
            await self._finish(obj)
            return
        obj = await add_finalizer(self.cloud.client, VPC, obj, RESOURCE_FINALIZER)
        refused = await self._admit(obj)
        if refused is not None:
            await self.report(obj, {"phase": "Pending"}, progressing(*refused), warn=True)
            return
        await self._ensure_route_table(obj)
        clusters = self._clusters(obj)
        address = await self._ensure_address(obj, clusters)
        await self.cloud.ledgers.update(key, self._describe(obj, clusters, address))
        self.resync(key)

    async def _admit(self, obj: Object) -> tuple[str, str] | None:
        """Why the account can't have a VPC; None when it can, or has it."""
        namespace, region = obj["metadata"]["namespace"], obj["spec"]["regionId"]
        there = [each for each in self.cloud.world.vpcs.all(namespace) if each["spec"]["regionId"] == region]
        holders = {each["metadata"]["uid"] for each in there if _has_id(each)}
        count, limit = len(obj["spec"].get("vswitches") or ()), self.cloud.quotas.limit(namespace, QuotaName.V_SWITCHES)
        if not _has_id(obj) and count > limit:
            return refusal(QuotaName.V_SWITCHES, count, limit)
        return await self.cloud.quotas.take(obj, QuotaName.VPCS, holders, region, region)

    def _describe(
        self, obj: Object, clusters: list[ManagedCluster], address: ElasticIPAddress | None
    ) -> Callable[[Draft], None]:
        machines = self.cloud.world.instances_in(obj)
        used = integers(each["spec"]["vpcAttributes"]["privateIpAddress"] for each in machines)
        members: dict[str, list[str]] = defaultdict(list)
        for machine in machines:
            for group in machine["spec"].get("securityGroupIds") or ():
                members[group].append(machine["metadata"]["name"])

        def describe(draft: Draft) -> None:
            vpc = draft.vpc
            sources, owner = nat.sources(clusters, vpc), nat.owner_of(vpc.metadata.name)
            entry = nat.place(vpc.metadata.name, draft.entries.get(owner), sources, draft.taken() | used)
            gateway = None
            if not sources:
                draft.free([owner])
            elif entry is not None:
                draft.reserve([entry] if owner not in draft.entries else [])
                gateway = nat.gateway(vpc, entry, address, sources)
            aspects = (nat.aspect(gateway, address, sources),)
            draft.fields = {
                "vpcId": ids.vpc_id(vpc.metadata.uid),
                "routeTableId": ids.route_table_id(vpc.metadata.uid),
                "securityGroups": [group.wire() for group in security_groups(vpc, clusters, members)],
                "natGateways": [gateway.wire()] if gateway else None,
                "phase": "Available",
                "observedGeneration": vpc.metadata.generation,
                "conditions": conditions(obj, vpc_state(vpc, members), aspects=aspects),
            }

        return describe

    async def _ensure_address(self, obj: Object, clusters: list[ManagedCluster]) -> ElasticIPAddress | None:
        """The elastic IP address of the NAT gateway, which there is while a cluster asks for one."""
        cache, name = self.cloud.world.elastic_ip_addresses, nat.address_name(obj["metadata"]["name"])
        if any(cluster.spec.snat_entry for cluster in clusters):
            return await eips.ensure(self.cloud.client, cache, obj, name, obj["spec"]["regionId"])
        await eips.give_up(self.cloud.client, cache, obj, name)
        return None

    def _clusters(self, obj: Object) -> list[ManagedCluster]:
        """The clusters that have their place in a VPC, the oldest first."""
        found = [each for each in self.cloud.world.clusters_in(obj) if (each.get("status") or {}).get("clusterId")]
        every = [ManagedCluster.model_validate(each) for each in found]
        return sorted(every, key=lambda cluster: (cluster.metadata.creation_timestamp or "", cluster.metadata.name))

    async def _finish(self, obj: Object) -> None:
        own = nat.owner_of(obj["metadata"]["name"])
        entries = (obj.get("status") or {}).get("allocations", ())
        clusters = [cluster["metadata"]["name"] for cluster in self.cloud.world.clusters_in(obj)]
        waiting = deletion_state([entry["owner"] for entry in entries if entry["owner"] != own], clusters)
        if waiting is None:
            await self.cloud.quotas.leave(obj)
            await remove_finalizers(self.cloud.client, VPC, obj, RESOURCE_FINALIZER)
        else:
            await self.report(obj, {"phase": "Deleting"}, waiting)

    async def _ensure_route_table(self, vpc: Object) -> None:
        metadata = vpc["metadata"]
        if self.cloud.world.route_tables.get(metadata["namespace"], metadata["name"]) is not None:
            return
        owner = owner_reference(VPC, metadata["name"], metadata["uid"])
        body = {
            "metadata": {"name": metadata["name"], "ownerReferences": [owner]},
            "spec": {"vpcId": metadata["name"]},
        }
        try:
            await self.cloud.client.create(ROUTE_TABLE, body, metadata["namespace"])
        except AlreadyExists:
            return  # The watch will bring it.

    def _on_quota(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is None or not loosened(old, new):
            return
        for vpc in self.cloud.world.vpcs.all(obj["metadata"]["namespace"]):
            if not _has_id(vpc):
                self.queue.add(key_of(vpc))

    def _on_vpc(self, old: Object | None, new: Object | None) -> None:
        if new is not None and (deleting(new) or spec_changed(old, new)):
            self.queue.add(key_of(new))

    def _on_route_table(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self.queue.add(key_of(old))

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        """A cluster came, got its place, asks for something else of the VPC, or went."""
        obj = new or old
        if obj is None or not (spec_changed(old, new) or _cluster_id(old) != _cluster_id(new)):
            return
        found = resolve(self.cloud.world.vpcs, obj["metadata"]["namespace"], obj["spec"].get("vpcId"))
        if found is not None:
            self.queue.add(key_of(found))

    def _on_address(self, old: Object | None, new: Object | None) -> None:
        """An elastic IP address that the cloud allocated for a NAT gateway came, changed or went."""
        obj = new or old
        for reference in (obj or {}).get("metadata", {}).get("ownerReferences") or ():
            if obj is not None and reference["kind"] == VPC.kind:
                self.queue.add((obj["metadata"]["namespace"], reference["name"]))


def _cluster_id(obj: Object | None) -> object:
    return ((obj or {}).get("status") or {}).get("clusterId")
