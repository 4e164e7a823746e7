"""What a Service is to have on its network load balancer. Pure; rule source: the CCM's `pkg/controller/service/nlbv2`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ackbox.ccm.config import CloudConfig
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.backends import BackendError, Mode, endpoints
from ackbox.ccm.services.groups import Groups, choice_of, families, protocol_of
from ackbox.ccm.services.listener_look import Said
from ackbox.ccm.services.model import Observed, Wanted, WantedGroup, WantedListener
from ackbox.ccm.services.names import OwnedName, group_object_name, parse_name
from ackbox.ccm.services.nlb_groups import group_fields
from ackbox.ccm.services.nlb_listener import said_of
from ackbox.ccm.services.nlb_ports import Span, check_free, check_neighbours
from ackbox.ccm.services.view import ServicePort, ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.listener import ListenerSpec, Protocol, listener_name
from ackbox.resources.servergroup import BackendServer

BY_ADDRESS = "Ip"
RANGE_NEEDS_ENI = "listener port range can only be used for eni backend type service"
NO_AFFINITY = (
    "sessionAffinity ClientIP has no effect on a network load balancer; annotation scheduler: sch is the nearest"
)


def build(
    view: ServiceView,
    wishes: Wishes,
    load_balancer: ServiceLoadBalancer,
    reused: bool,
    observed: Observed,
    config: CloudConfig,
) -> Wanted:
    """The wanted state on a load balancer.

    Raises:
        SyncError: an annotation is wrong in a way that leaves no safe default.
    """
    complaint = families(wishes, config)[1]
    choice = choice_of(view, wishes, config)
    builder = _Builder(Groups(view, wishes, load_balancer, reused, observed, choice))
    wanted = _Collected()
    wanted.problems.update(dict.fromkeys([complaint] if complaint else []))
    if view.affinity_seconds is not None:
        wanted.hints[NO_AFFINITY] = None
    taken: list[Span] = []
    for port in view.ports:
        try:
            protocol = protocol_of(view, port, wishes.by_port("protocol-port"))
            span = builder.span(port, protocol)
            check_free(span, taken)
            builder.port(port, span, wanted)
        except BackendError as error:
            wanted.problems[f"port {port.port}: {error}"] = None
            continue
        taken.append(span)
    managed = not reused or wishes.text("force-override-listeners") == "true"
    listeners = tuple(wanted.listeners) if managed else ()
    return Wanted(listeners, tuple(wanted.groups.values()), tuple(wanted.problems), managed, tuple(wanted.hints))


class _Collected:
    """What is wanted of the ports so far; the dicts keep an order and say nothing twice."""

    def __init__(self) -> None:
        self.listeners: list[WantedListener] = []
        self.groups: dict[str, WantedGroup] = {}
        self.problems: dict[str, None] = {}
        self.hints: dict[str, None] = {}

    def say(self, problems: Iterable[str], hints: Iterable[str], prefix: str = "") -> None:
        """Note problems and hints."""
        self.problems.update({prefix + problem: None for problem in problems})
        self.hints.update({prefix + hint: None for hint in hints})


@dataclass(frozen=True)
class _Builder:
    """Builds the listener and the server group of a port."""

    groups: Groups

    def span(self, port: ServicePort, protocol: Protocol) -> Span:
        """The ports of a port's listener."""
        ports = self.groups.wishes.by_port("listener-port-range").get(port.port)
        first, last = ports or (port.port, port.port)
        return Span(protocol, first, last, several=ports is not None)

    def port(self, port: ServicePort, span: Span, wanted: _Collected) -> None:
        """Add what a port is to have.

        Raises:
            BackendError: it can't have these ports, or a server group.
        """
        prefix = f"port {port.port}: "
        of = self.groups
        if of.reused and of.observed.listener(self._object_name(span)) is None:
            check_neighbours(span, of.view.owner, of.observed.neighbours(of.load_balancer))
        group = self._group(port, span, wanted)
        # With nodes as servers a range can't be had; the one that is there stays until that is put right.
        possible = not span.several or self.groups.choice.mode is Mode.ENI
        if possible:
            try:
                group = replace(group, servers=self._servers(port, group, span))
            except BackendError as error:
                wanted.say([str(error)], (), prefix)
        else:
            wanted.say([RANGE_NEEDS_ENI], (), prefix)
        wanted.groups[group.object_name] = group
        listener, said = self._listener(span, group.object_name)
        wanted.say(said.problems, said.hints, prefix)
        wanted.listeners.append(replace(listener, held=said.held or not possible))

    def _group(self, port: ServicePort, span: Span, wanted: _Collected) -> WantedGroup:
        """The group of a port, without servers."""
        of = self.groups
        text = span.named("_") if span.several else of.target(port)
        name = OwnedName(text, of.view.owner, span.protocol.upper())
        keep_weights = of.wishes.text("ignore-weight-update") == "on"
        reference = of.wishes.by_port("vgroup-port").get(port.port) if of.reused else None
        if reference is not None:
            return WantedGroup(self._user_group(reference), name, None, user_made=True, keep_weights=keep_weights)
        object_name, by_address = self._typed(name)
        any_port = self._checked_port(port) if span.several else None
        there = of.observed.group(object_name)
        said = group_fields(
            of.view, of.wishes, of.load_balancer, span.protocol, any_port, there.spec if there is not None else None
        )
        wanted.say(said.problems, said.hints)
        kept = {"serverGroupType": BY_ADDRESS} if by_address else {}
        return WantedGroup(object_name, name, None, overlay={**kept, **said.fields}, keep_weights=keep_weights)

    def _typed(self, name: OwnedName) -> tuple[str, bool]:
        """The object of a group, and whether its servers go by address: a group of another type is another object.

        A type that is said no more stays.
        """
        of, load_balancer = self.groups, self.groups.load_balancer.metadata.name
        asked = of.wishes.text("server-group-type")
        other = group_object_name(load_balancer, name, BY_ADDRESS)
        if asked == BY_ADDRESS or (asked is None and of.observed.group(other) is not None):
            return other, True
        return group_object_name(load_balancer, name), False

    def _checked_port(self, port: ServicePort) -> int:
        """The port that stands for a range in health checks; 0 while a name isn't known to mean one."""
        if port.target.isdecimal():
            return int(port.target)
        return next((endpoint.port for endpoint in endpoints(self.groups.observed.slices, port.name)), 0)

    def _user_group(self, reference: str) -> str:
        of, metadata, status = self.groups, self.groups.load_balancer.metadata, self.groups.load_balancer.status
        shown = status.load_balancer_id or metadata.name
        group = of.observed.group(reference)
        if group is None or group.spec.load_balancer_id not in (metadata.name, status.load_balancer_id):
            raise BackendError(f"cannot find server group id {reference} for nlb {shown}")
        if parse_name(group.spec.v_server_group_name) is not None:
            raise BackendError(f"cannot reuse a ccm created server group {reference} for nlb {shown}")
        asked, there = of.wishes.text("server-group-type"), group.spec.server_group_type or "Instance"
        if asked not in (None, there):
            raise BackendError(
                f"ServerGroupType of user managed server group {reference} should be [{asked}], but [{there}]"
            )
        return group.metadata.name

    def _servers(self, port: ServicePort, group: WantedGroup, span: Span) -> tuple[BackendServer, ...] | None:
        servers = self.groups.servers(port, group)
        if servers is None or not span.several:
            return servers
        # In a group for a range of ports a server is sent to on the port that the client asked for.
        any_port = {server.server_ip: server.model_copy(update={"port": 0}) for server in servers}
        return tuple(any_port.values())

    def _object_name(self, span: Span) -> str:
        return listener_name(self.groups.load_balancer.metadata.name, span.named("-"), span.transport)

    def _listener(self, span: Span, group: str) -> tuple[WantedListener, Said]:
        """The listener of a port or a range of ports, and what was wrong with what the Service says of it."""
        of, load_balancer = self.groups, self.groups.load_balancer.metadata.name
        name = OwnedName(span.named("_"), of.view.owner, span.protocol.upper())
        object_name = self._object_name(span)
        there = of.observed.listener(object_name) or {}
        said = said_of(
            of.wishes, span.protocol, there if there.get("listenerProtocol") == span.protocol else {}, of.observed
        )
        ports = {"listener_port": 0, "start_port": span.first, "end_port": span.last}
        overlay = {
            "load_balancer_id": load_balancer,
            **(ports if span.several else {"listener_port": span.first}),
            "listener_protocol": span.protocol,
            "description": str(name),
            "v_server_group_id": group,
            **said.fields,
        }
        spec = ListenerSpec.model_validate(overlay)
        return WantedListener(object_name, name, span.first, span.transport, spec, {}), said
