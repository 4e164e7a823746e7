"""Brings every Listener into the store that Envoy is served from: look up, plan, apply."""

import time
from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from ackbox.dataplane import overlay, plan, port_range, rules
from ackbox.dataplane.admin import Found
from ackbox.dataplane.backends import Backend, Backends
from ackbox.dataplane.caches import Caches
from ackbox.dataplane.lookup import Lookup
from ackbox.dataplane.model import Address, Blocked, Passage, Serving
from ackbox.dataplane.names import resource_name
from ackbox.dataplane.outcome import Outcome, Part, Use, resources
from ackbox.dataplane.servers import VirtualServers
from ackbox.dataplane.status import Seen
from ackbox.dataplane.xds_store import ResourceStore, ResourceType
from ackbox.kube.cache import Key
from ackbox.kube.queue import WorkQueue
from ackbox.resources import Listener, ServerGroup


class Subject(Enum):
    """What a key of the work queue speaks of."""

    LISTENER = "Listener"
    GROUP = "ServerGroup"


class WorkKey(NamedTuple):
    """A Listener or a ServerGroup to look at."""

    subject: Subject
    key: Key


class Controller:
    """Plans listeners and puts them into the store.

    Args:
        caches: the management cluster's objects.
        store: what Envoy is to have.
        servers: stands in for virtual servers.
        lowest_port: the lowest port that can be bound.
        clock: seconds, monotonic.
        logs: the folder of access logs; None for none.
        in_cluster: load balancers and API servers are dialled by Services.
    """

    def __init__(
        self,
        caches: Caches,
        store: ResourceStore,
        servers: VirtualServers,
        lowest_port: int,
        clock: Callable[[], float] = time.monotonic,
        logs: Path | None = None,
        in_cluster: bool = False,
    ) -> None:
        self.queue = WorkQueue[WorkKey](self.reconcile, "slb", workers=1)
        self.outcomes: dict[Key, Outcome] = {}
        self.found: Found = {}
        self.lookup = Lookup(caches, lowest_port, None if in_cluster else servers.home)
        self._caches = caches
        self._store = store
        self._servers = servers
        self._lowest_port = lowest_port
        self._logs = logs
        self._backends = Backends(self.lookup, servers, clock, self._again)
        self._users: defaultdict[Use, dict[Key, None]] = defaultdict(dict)
        self._owned: dict[Key, dict[tuple[ResourceType, str], None]] = {}
        self._reports: list[Callable[[WorkKey], None]] = []

    def subscribe(self, report: Callable[[WorkKey], None]) -> None:
        """Call `report(key)` whenever the status of a Listener or ServerGroup may have changed."""
        self._reports.append(report)

    def _report(self, work: WorkKey) -> None:
        for report in self._reports:
            report(work)

    async def reconcile(self, work: WorkKey) -> None:
        """Bring one Listener, or the listeners of one ServerGroup, to what they should be."""
        if work.subject is Subject.LISTENER:
            await self._listener(work.key)
            return
        for key in self.users(work.key):
            self.queue.add(WorkKey(Subject.LISTENER, key))
        self._report(work)

    def users(self, group: Key) -> list[Key]:
        """The listeners that send to a group now."""
        uses = (Use(group, "tcp"), Use(group, "udp"))
        return [key for use in uses for key in self._users.get(use, ())]

    def seen(self, key: Key, group: Key | None = None) -> Seen:
        """How a listener finds the servers of a group; without one, those of its own."""
        outcome = self.outcomes.get(key)
        for part in outcome.parts if outcome else ():
            if group is None or part.use[0] == group:
                if not part.probed:
                    return part.seen
                found = self.found.get(part.cluster, {})
                return {endpoint.identity: found.get(endpoint.address) for endpoint in part.branch.endpoints}
        return {}

    def probed(self) -> bool:
        """Whether Envoy probes anything."""
        return any(part.probed for outcome in self.outcomes.values() for part in outcome.parts)

    async def _listener(self, key: Key) -> None:
        listener = self._caches.listener_view.get(key)
        if listener is None or listener.deleting:
            self._settle(key, None)
            return
        references = self.lookup.references(listener)
        admitted = plan.admit(listener, references, self._lowest_port)
        if isinstance(admitted, Blocked):
            self._settle(key, Outcome(admitted))
            return
        self._claim(key, Outcome(Serving(admitted.frontend, {})).addresses)
        found, problems = self.lookup.branches(listener)
        admitted = plan.complete(listener, admitted, found, self._logs)
        parts = await self._parts(listener, admitted, references.group, found)
        branches = {part.cluster: part.branch for part in parts}
        own = resource_name(key)
        facing, spread = port_range.spread(
            own, admitted.spec, admitted.frontend, branches.pop(own, plan.nowhere(admitted))
        )
        branches |= spread
        problems += [("InvalidHealthCheck", part.problem) for part in parts if part.problem]
        problem = plan.summary((*admitted.problems, *problems))
        serving = Serving(facing, branches, admitted.credentials, problem)
        servers = len(references.group.spec.backend_servers) if references.group else 0
        passage = Passage(overlay.drain(admitted.spec), admitted.frontend.limits.bytes_per_second)
        self._settle(key, Outcome(serving, tuple(parts), servers, passage))

    async def _parts(
        self, listener: Listener, admitted: plan.Admitted, group: ServerGroup | None, found: dict[str, ServerGroup]
    ) -> list[Part]:
        """The listener's own server group and those of its rules."""
        key, own, reference = listener.key, resource_name(listener.key), listener.spec.v_server_group_id
        wanted = [Backend(key, group, own)] if group else []
        wanted += [
            Backend(key, other, rules.cluster_name(own, reference, name), own=False) for name, other in found.items()
        ]
        return [await self._backends.part(backend, admitted) for backend in wanted]

    def _again(self, key: Key, delay: float = 0.0) -> None:
        self.queue.add(WorkKey(Subject.LISTENER, key), delay)

    def _settle(self, key: Key, outcome: Outcome | None) -> None:
        """Take over an outcome: Envoy's resources, the ports in use, who uses which group, and the reports."""
        before = self.outcomes.pop(key, None)
        if outcome is not None:
            self.outcomes[key] = outcome
        parts = outcome.parts if outcome else ()
        addresses = outcome.addresses if outcome else ()
        self._backends.forget(key, frozenset(part.cluster for part in parts))
        self._claim(key, addresses)
        self._servers.treat(before.addresses if before else (), outcome.passages if outcome else {})
        self._put(key, outcome.result if outcome else None)
        uses_before, uses = (tuple(part.use for part in one.parts) if one else () for one in (before, outcome))
        self._use(key, uses_before, uses)
        if outcome is not None:
            self._report(WorkKey(Subject.LISTENER, key))
        for group in dict.fromkeys(use.group for use in (*uses_before, *uses)):
            self._report(WorkKey(Subject.GROUP, group))

    def owned(self, key: Key) -> list[tuple[ResourceType, str]]:
        """The resources of Envoy that a listener is made of."""
        return list(self._owned.get(key, ()))

    def _put(self, key: Key, result: Serving | Blocked | None) -> None:
        before = self._owned.pop(key, {})
        if isinstance(result, Serving):
            wanted = list(resources(resource_name(key), result))
            self._owned[key] = {(one.kind, one.name): None for one in wanted}
            for one in wanted:
                self._store.put(one.kind, one.name, one.message, one.needs)
        for kind, name in before:
            if (kind, name) not in self._owned.get(key, ()):
                self._store.drop(kind, name)

    def _claim(self, key: Key, addresses: tuple[Address, ...]) -> None:
        """Keep virtual servers off a listener's ports; those that had one move."""
        for group in self._servers.claim(key, frozenset(port for _, port in addresses)):
            for user in self.users(group):
                self._again(user)

    def _use(self, key: Key, before: tuple[Use, ...], now: tuple[Use, ...]) -> None:
        for use in now:
            self._users[use][key] = None
        for use in before:
            if use not in now:
                self._users[use].pop(key, None)
                if not self._users[use]:
                    del self._users[use]
                    self._servers.release(*use)
