"""The servers behind listeners: where each is dialled, and how each listener finds its health."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ackbox.dataplane import health, plan
from ackbox.dataplane.checks import health_check
from ackbox.dataplane.lookup import Lookup
from ackbox.dataplane.model import HealthCheck, Identity, Targets
from ackbox.dataplane.outcome import Part, Use
from ackbox.dataplane.overlay import effective
from ackbox.dataplane.responder import GroupNames, Server
from ackbox.dataplane.servers import Exhausted, Transport, VirtualGroup, VirtualServers
from ackbox.kube.cache import Key
from ackbox.kube.conditions import progressing
from ackbox.resources import ServerGroup
from ackbox.resources.listener import Protocol


@dataclass(frozen=True)
class Backend:
    """A server group behind a listener.

    Attributes:
        listener: the listener's key.
        cluster: the name of the group's cluster.
        own: it is the listener's own group, not one that a rule names.
    """

    listener: Key
    group: ServerGroup
    cluster: str
    own: bool = True


class Backends:
    """Finds servers and their health.

    Args:
        lookup: the management cluster's objects.
        servers: stands in for virtual servers.
        clock: seconds, monotonic.
        later: look at a listener again after so many seconds.
    """

    def __init__(
        self,
        lookup: Lookup,
        servers: VirtualServers,
        clock: Callable[[], float],
        later: Callable[[Key, float], None],
    ) -> None:
        self._lookup = lookup
        self._servers = servers
        self._clock = clock
        self._later = later
        self._health: dict[Key, dict[str, dict[Identity, health.Health]]] = {}

    async def part(self, backend: Backend, admitted: plan.Admitted) -> Part:
        """What is served of a server group."""
        spec, group = admitted.spec, backend.group
        if not backend.own:
            spec = effective(spec, group.spec, admitted.balancer.spec.load_balancer_type)
        transport = spec.transport
        use = Use(group.key, transport)
        try:
            check = health_check(spec)
        except ValueError as error:
            # A listener's own was looked at before: this is a group of a rule.
            empty = plan.branch(admitted, group, Targets(False, {}), {}, backend.own)
            return Part(use, backend.cluster, empty, problem=f"server group {group.metadata.name}: {error}")
        up = self._lookup.up(group)
        targets = await self._targets(group, transport, up)
        healthy = self._healthy(backend, check, targets, up)
        branch = plan.branch(admitted, group, targets, healthy, backend.own)
        ranged = any(not endpoint.address[1] for endpoint in branch.endpoints)
        probed = branch.upstream.check is not None and not ranged and spec.listener_protocol is not Protocol.UDP
        return Part(use, backend.cluster, branch, healthy, probed)

    def forget(self, listener: Key, clusters: frozenset[str] = frozenset()) -> None:
        """Drop what is known of a listener's servers, but for those of some clusters."""
        table = self._health.get(listener, {})
        for cluster in table.keys() - clusters:
            del table[cluster]
        if not table:
            self._health.pop(listener, None)

    async def _targets(self, group: ServerGroup, transport: Transport, up: Mapping[Identity, bool]) -> Targets:
        known = self._lookup.problem(group)
        if known is not None:
            self._servers.release(group.key, transport)
            return known
        names = GroupNames(group.spec.v_server_group_name, group.spec.load_balancer_id)
        servers = tuple(Server(identity, is_up) for identity, is_up in up.items())
        try:
            return Targets(False, await self._servers.serve(VirtualGroup(group.key, names, servers), transport))
        except Exhausted as error:
            return Targets(False, {}, progressing("NoLoopbackAddress", str(error)))

    def _healthy(
        self, backend: Backend, check: HealthCheck | None, targets: Targets, up: Mapping[Identity, bool]
    ) -> dict[Identity, bool]:
        known = self._health.setdefault(backend.listener, {})
        if targets.real:
            known.pop(backend.cluster, None)
            return dict.fromkeys(targets.addresses, True)
        now = self._clock()
        table = known[backend.cluster] = health.observe_all(known.get(backend.cluster, {}), up, check, now)
        due = health.next_change(table, check)
        if due is not None:
            self._later(backend.listener, max(due - now, 0.001))
        return {identity: table[identity].healthy for identity in table if identity in targets.addresses}
