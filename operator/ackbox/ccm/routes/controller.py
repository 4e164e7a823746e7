"""Route controller: keeps one entry for every node in each route table of the cluster.

Nodes that wait are written in batches, so a node pool that grows costs a few writes, however large it is. What somebody
else changes in a table is mended at once, not only when the period is over.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ackbox.catalog.quotas import QuotaName
from ackbox.ccm.config import current
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.management import quota
from ackbox.ccm.metrics import ROUTE_LATENCIES, timed
from ackbox.ccm.nodes.model import Route
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.routes.entries import Entries
from ackbox.ccm.routes.hosts import has_no_say, inside, pod_cidr, wants_route
from ackbox.ccm.routes.plan import plan
from ackbox.ccm.routes.tables import Choice, choose, name_of, shown
from ackbox.ccm.routes.voice import Voice
from ackbox.ccm.routes.writer import BATCH, entries_of, write
from ackbox.ccm.store import Store
from ackbox.kube.client import CONFIG_MAP, NODE, Object
from ackbox.kube.errors import ApiError, Conflict, NotFound
from ackbox.kube.queue import Retry, WorkQueue
from ackbox.kube.refs import resolve
from ackbox.resources import CLOUD_QUOTA, INSTANCE, ROUTE_TABLE, VPC
from ackbox.resources.base import PAUSED_ANNOTATION

logger = logging.getLogger(__name__)

WINDOW = 0.05
"""Seconds to collect nodes before the tables are written."""

TABLE_SIZE = 1000
"""Entries that a RouteTable can hold at all."""

REFUSED_RETRY = 30.0
FAILED_RETRY = 5.0

TABLES = "tables"


@dataclass(frozen=True)
class Refusal:
    """Why an instance has no entry in a table."""

    table: str
    reason: str


class RouteController:
    """Routes of one cluster. `changed(instance)` is called when it stands differently with an instance's route."""

    def __init__(
        self,
        facts: ClusterFacts,
        management: Store,
        workload: Store,
        reporter: Reporter,
        changed: Callable[[str], None],
    ) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._changed = changed
        self._voice = Voice(reporter)
        self._entries = Entries()
        self._refused: Mapping[str, Refusal] = {}
        self._queue = WorkQueue[str](self._reconcile, f"routes of {facts.name}", workers=1)

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        if not self._facts.routed:
            return
        with self._subscribed():
            self._take_in_all()
            await self._queue.run()

    def state(self, instance: Object) -> Route:
        """How it stands with the route of an Instance."""
        name, node = instance["metadata"]["name"], self._node(instance["metadata"]["name"])
        cidr = pod_cidr(instance, node)
        if not self._facts.routed or cidr is None or has_no_say(instance, node):
            return Route.NOT_NEEDED
        if name in self._refused:
            return Route.REFUSED
        return Route.CREATED if self._is_routed(name, cidr, self._choice()) else Route.WAITING

    def tell(self, node: Object, instance: str) -> None:
        """Say on a Node, once, why it has no route."""
        refusal = self._refused.get(instance)
        self._voice.refused(node, (refusal.table, refusal.reason) if refusal is not None else None)

    def has_entry(self, instance: str) -> bool:
        """Whether one of the cluster's tables has a route to an instance."""
        return bool(self._entries.tables_with(instance) & {name_of(table) for table in self._choice().tables})

    def look(self) -> None:
        """Look at the tables soon: an instance or a node has changed."""
        if self._facts.routed:
            self._queue.add(TABLES, WINDOW)

    @contextlib.contextmanager
    def _subscribed(self) -> Iterator[None]:
        with (
            self._management.subscribed(ROUTE_TABLE, self._on_table),
            self._management.subscribed(CLOUD_QUOTA, lambda _old, _new, _own: self.look()),
            self._management.subscribed(VPC, self._on_vpc),
            self._workload.subscribed(CONFIG_MAP, lambda _old, _new, _own: self._take_in_all()),
        ):
            yield

    def _on_table(self, old: Object | None, new: Object | None, own: bool) -> None:
        table = new or old or {}
        if table["metadata"]["namespace"] != self._facts.namespace or table["spec"]["vpcId"] not in self._vpc_names():
            return
        if old is None or new is None or _naming(old) != _naming(new):
            self._take_in_all()  # another table may be the one to use
            return
        changed = self._entries.take_in(new)
        for instance in changed:
            self._changed(instance)
        if not own and (changed or _paused(old) != _paused(new)):
            self.look()

    def _on_vpc(self, old: Object | None, new: Object | None, _own: bool) -> None:
        # Its status changes with every address; only its coming can bring the table that was missing.
        if old is None or new is None:
            self._take_in_all()

    def _take_in_all(self) -> None:
        self._entries = Entries(self._all_tables())
        for instance in self._instances():
            self._changed(instance["metadata"]["name"])
        self.look()

    def _vpc_names(self) -> tuple[str | None, ...]:
        vpc = resolve(self._management[VPC], self._facts.namespace, self._facts.vpc_id) or {}
        return (vpc.get("metadata", {}).get("name"), (vpc.get("status") or {}).get("vpcId"))

    def _all_tables(self) -> list[Object]:
        names = [f"{self._facts.namespace}/{name}" for name in dict.fromkeys(self._vpc_names()) if name]
        tables = [table for name in names for table in self._management[ROUTE_TABLE].by("vpc", name)]
        return [table for table in tables if "deletionTimestamp" not in table["metadata"]]

    def _choice(self) -> Choice:
        vpc = next((name for name in reversed(self._vpc_names()) if name), self._facts.vpc_id or "")
        return choose(self._all_tables(), current(self._workload).route_table_ids, vpc)

    def _is_routed(self, name: str, cidr: str, choice: Choice) -> bool:
        """Whether an instance has its entry in every table that is to be used.

        While it isn't known which ones these are, the entry that a table has counts: nobody takes it away.
        """
        there = self._entries.tables_with(name, cidr)
        return bool(there) and all(name_of(table) in there for table in choice.tables)

    def _instances(self) -> list[Object]:
        return self._management[INSTANCE].by("cluster", f"{self._facts.namespace}/{self._facts.name}")

    def _node(self, instance: str) -> Object | None:
        return next(iter(self._workload[NODE].by("instance", instance)), None)

    async def _reconcile(self, _key: str) -> None:
        with timed(ROUTE_LATENCIES, "reconcile"):
            await self._sync()

    async def _sync(self) -> None:
        choice = self._choice()
        wanted, dead = self._wanted()
        self._voice.problem(choice.problem if wanted else None)
        refused: dict[str, Refusal] = {}
        failed: list[str] = []
        for table in choice.tables:
            if _paused(table):
                continue
            try:
                refused |= await self._sync_table(table, wanted, dead)
            except Conflict:
                # Another cluster of the VPC was faster.
                await self._management.read(ROUTE_TABLE, name_of(table), table["metadata"]["namespace"])
                raise Retry("the route table has changed", 0.01) from None
            except ApiError as error:
                logger.warning("route table %s: %s", shown(table), error)
                failed.append(shown(table))
        if not choice.tables and choice.problem is not None and self._all_tables():
            nowhere = {name for name, cidr in wanted.items() if not self._is_routed(name, cidr, choice)}
            refused |= {name: Refusal(self._facts.vpc_id or "", choice.problem) for name in nowhere}
        self._refuse(refused)
        self._voice.failed(failed)
        if failed:
            raise Retry(f"tables {', '.join(failed)} failed", FAILED_RETRY)
        if refused:
            self._queue.add(TABLES, REFUSED_RETRY)

    async def _sync_table(self, table: Object, wanted: Mapping[str, str], dead: set[str]) -> dict[str, Refusal]:
        """One table, one batch; answers who was refused."""
        before = entries_of(table)
        limit = min(TABLE_SIZE, quota(self._management, self._facts.namespace, QuotaName.ROUTE_ENTRIES))
        gone = dead | await self._vanished(table)
        target = plan(before, wanted, gone, limit, self._facts.pod_network)
        refused = await write(self._management, table, target)
        batch = [entry for entry in target.added[:BATCH] if entry.next_hop_id not in refused]
        for entry in batch:
            node = self._node(entry.next_hop_id)
            if node is not None:
                self._voice.created(node, shown(table), entry.destination_cidr_block)
        if batch and len(target.added) > BATCH:
            self._queue.add(TABLES)  # the next batch
        return {name: Refusal(shown(table), why) for name, why in {**target.refused, **refused}.items()}

    def _wanted(self) -> tuple[dict[str, str], set[str]]:
        """Pod CIDR by instance that is to have a route, and the instances that are to have none.

        Who was refused comes last, so as not to be in the way of the others again.
        """
        wanted: dict[str, str] = {}
        late: dict[str, str] = {}
        dead: set[str] = set()
        for instance in self._instances():
            name = instance["metadata"]["name"]
            node = self._node(name)
            if "deletionTimestamp" in instance["metadata"]:
                if node is None:
                    dead.add(name)
                continue
            cidr = pod_cidr(instance, node)
            if cidr is not None and wants_route(instance, node, bool(self._entries.tables_with(name))):
                (late if name in self._refused else wanted)[name] = cidr
        return wanted | late, dead

    async def _vanished(self, table: Object) -> set[str]:
        """The instances in a table that went without our seeing it; only where the cluster's pods have their blocks."""
        cache, gone = self._management[INSTANCE], set()
        for name in {
            entry.next_hop_id
            for entry in entries_of(table)
            if cache.get(self._facts.namespace, entry.next_hop_id) is None
            and inside(entry.destination_cidr_block, self._facts.pod_network)
        }:
            try:
                # The table may be ahead of our picture of the instances.
                await self._management.read(INSTANCE, name, self._facts.namespace)
            except NotFound:
                gone.add(name)
        return gone

    def _refuse(self, refused: Mapping[str, Refusal]) -> None:
        before, self._refused = self._refused, refused
        for instance in before.keys() | refused.keys():
            if before.get(instance) != refused.get(instance):
                self._changed(instance)


def _naming(table: Object) -> tuple[object, ...]:
    """What decides whether a table is one of ours."""
    return (table.get("status") or {}).get("routeTableId"), "deletionTimestamp" in table["metadata"]


def _paused(table: Object) -> bool:
    return (table["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true"
