"""Route controller: keeps one route entry for every node in the route table of the cluster's VPC.

All nodes that wait are written in one go, so a node pool that grows costs a few writes, however large it is.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network

from ackbox.catalog.quotas import QuotaName
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.management import quota
from ackbox.ccm.nodes.model import Route
from ackbox.ccm.routes.plan import RoutePlan, plan
from ackbox.ccm.store import Store
from ackbox.kube.client import Object
from ackbox.kube.errors import Conflict, Forbidden, Invalid, NotFound
from ackbox.kube.queue import Retry, WorkQueue
from ackbox.kube.refs import resolve
from ackbox.resources import CLOUD_QUOTA, INSTANCE, ROUTE_TABLE, VPC
from ackbox.resources.base import PAUSED_ANNOTATION
from ackbox.resources.instance import InstancePhase
from ackbox.resources.network import RouteEntry

WINDOW = 0.05
"""Seconds to collect nodes before the table is written."""

TABLE_SIZE = 1000
"""Entries that a RouteTable can hold at all."""

REFUSED_RETRY = 30.0

TABLE = "table"


class RouteController:
    """Routes of one cluster. `changed(instance)` is called when it stands differently with an instance's route."""

    def __init__(
        self,
        facts: ClusterFacts,
        management: Store,
        has_node: Callable[[str], bool],
        changed: Callable[[str], None],
    ) -> None:
        self._facts = facts
        self._management = management
        self._has_node = has_node
        self._changed = changed
        self._present: dict[str, str] = {}
        self.refused: Mapping[str, str] = {}
        self._queue = WorkQueue[str](self._reconcile, f"routes of {facts.name}", workers=1)

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        if not self._facts.routed:
            return
        with self._subscribed():
            self._take_in(self._table())
            self._queue.add(TABLE)
            await self._queue.run()

    def state(self, instance: Object) -> Route:
        """How it stands with the route of an Instance."""
        cidr, name = _pod_cidr(instance), instance["metadata"]["name"]
        if not self._facts.routed or cidr is None:
            return Route.NOT_NEEDED
        if self._present.get(name) == cidr:
            return Route.CREATED
        return Route.REFUSED if name in self.refused else Route.WAITING

    def has_entry(self, instance: str) -> bool:
        """Whether the table has a route to an instance."""
        return instance in self._present

    def look(self) -> None:
        """Look at the table soon: an instance or a node has changed."""
        if self._facts.routed:
            self._queue.add(TABLE, WINDOW)

    @contextlib.contextmanager
    def _subscribed(self) -> Iterator[None]:
        with (
            self._management.subscribed(ROUTE_TABLE, self._on_table),
            self._management.subscribed(CLOUD_QUOTA, lambda _old, _new, _own: self.look()),
            self._management.subscribed(VPC, self._on_vpc),
        ):
            yield

    def _on_table(self, _old: Object | None, new: Object | None, own: bool) -> None:
        table = self._table()
        self._take_in(table)
        if not own and (table is None or new is table):
            self.look()

    def _on_vpc(self, old: Object | None, new: Object | None, _own: bool) -> None:
        # Its status changes with every address; only its coming can bring the table that was missing.
        if old is None or new is None:
            self.look()

    def _take_in(self, table: Object | None) -> None:
        before = self._present
        there = ((table or {}).get("spec") or {}).get("routeEntries") or []
        self._present = {entry["nextHopId"]: entry["destinationCidrBlock"] for entry in there}
        for instance in before.keys() ^ self._present.keys():
            self._changed(instance)

    def _table(self) -> Object | None:
        namespace = self._facts.namespace
        vpc = resolve(self._management[VPC], namespace, self._facts.vpc_id)
        if vpc is None:
            return None
        names = (vpc["metadata"]["name"], (vpc.get("status") or {}).get("vpcId"))
        tables = [table for name in names for table in self._management[ROUTE_TABLE].by("vpc", f"{namespace}/{name}")]
        return next(iter(tables), None)

    async def _reconcile(self, _key: str) -> None:
        table = self._table()
        if table is None or (table["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true":
            return
        wanted, dead = self._wanted()
        before = _entries(table)
        limit = quota(self._management, self._facts.namespace, QuotaName.ROUTE_ENTRIES)
        target = plan(before, wanted, await self._dead(before, dead), min(TABLE_SIZE, limit))
        if target.entries != before:
            await self._write(table, target)
        self._refuse(target.refused)

    async def _write(self, table: Object, target: RoutePlan) -> None:
        metadata, before = table["metadata"], _entries(table)
        kind, name, namespace = ROUTE_TABLE, metadata["name"], metadata["namespace"]
        try:
            if before and target.entries[: len(before)] == before:
                # What is only added needs no check that nothing else has changed: blocks are unique in the table.
                new = target.entries[len(before) :]
                operations = [{"op": "add", "path": "/spec/routeEntries/-", "value": entry.wire()} for entry in new]
                await self._management.json_patch(kind, name, namespace, operations)
                return
            patch = {
                "metadata": {"resourceVersion": metadata["resourceVersion"]},
                "spec": {"routeEntries": [entry.wire() for entry in target.entries]},
            }
            await self._management.patch(kind, name, namespace, patch)
        except Conflict:
            # Another cluster of the VPC was faster.
            await self._management.read(ROUTE_TABLE, metadata["name"], metadata["namespace"])
            raise Retry("the route table has changed", 0.01) from None
        except (Invalid, Forbidden) as error:
            there = {entry.next_hop_id for entry in _entries(table)}
            added = [entry.next_hop_id for entry in target.entries if entry.next_hop_id not in there]
            self._refuse({**target.refused, **dict.fromkeys(added, str(error))})
            raise Retry(f"the route table was not taken: {error}", REFUSED_RETRY) from None

    def _wanted(self) -> tuple[dict[str, str], set[str]]:
        """Pod CIDR by instance that is to have a route, and the instances that are to have none."""
        wanted, dead = {}, set()
        for instance in self._management[INSTANCE].by("cluster", f"{self._facts.namespace}/{self._facts.name}"):
            name, cidr = instance["metadata"]["name"], _pod_cidr(instance)
            if "deletionTimestamp" in instance["metadata"]:
                if not self._has_node(name):
                    dead.add(name)
                continue
            running = (instance.get("status") or {}).get("phase") == InstancePhase.RUNNING
            if cidr is not None and (running or name in self._present):
                wanted[name] = cidr
        return wanted, dead

    async def _dead(self, entries: tuple[RouteEntry, ...], dead: set[str]) -> set[str]:
        """The instances whose routes are to go, with those that vanished without our seeing it."""
        cache, gone = self._management[INSTANCE], set(dead)
        missing = (entry for entry in entries if cache.get(self._facts.namespace, entry.next_hop_id) is None)
        for name in {entry.next_hop_id for entry in missing if self._in_pod_network(entry)}:
            try:
                # The table may be ahead of our picture of the instances.
                await self._management.read(INSTANCE, name, self._facts.namespace)
            except NotFound:
                gone.add(name)
        return gone

    def _in_pod_network(self, entry: RouteEntry) -> bool:
        network = self._facts.pod_network
        return network is not None and IPv4Network(entry.destination_cidr_block, strict=False).subnet_of(network)

    def _refuse(self, refused: Mapping[str, str]) -> None:
        before, self.refused = self.refused, refused
        for instance in before.keys() ^ refused.keys():
            self._changed(instance)


def _pod_cidr(instance: Object) -> str | None:
    cidr: str | None = (instance["spec"].get("node") or {}).get("podCidr")
    return cidr


def _entries(table: Object | None) -> tuple[RouteEntry, ...]:
    spec = (table or {}).get("spec") or {}
    return tuple(RouteEntry.model_validate(entry) for entry in spec.get("routeEntries") or [])
