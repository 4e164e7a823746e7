"""What a Service is to have on its load balancer: listeners and server groups. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ackbox.catalog.annotations import BACKEND_TYPE
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.backends import NO_NODE_PORT, BackendError, Choice, Mode, NodeView, backends, endpoints
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.names import CLUSTER_TAG, MARK_TAG, OwnedName, group_object_name, parse_name
from ackbox.ccm.services.view import ServicePort, ServiceView
from ackbox.resources import ServerGroup, ServiceLoadBalancer
from ackbox.resources.listener import ListenerSpec, Protocol, listener_name
from ackbox.resources.loadbalancer import ServiceLoadBalancerSpec
from ackbox.resources.servergroup import BackendServer

MAX_PERSISTENCE = 3600
HEALTHZ_URI = "/healthz"
HEALTHZ_FIELDS = {
    "health_check_type": "healthCheckType",
    "health_check_uri": "healthCheckURI",
    "health_check_connect_port": "healthCheckConnectPort",
}


@dataclass(frozen=True)
class WantedListener:
    """A listener.

    Attributes:
        overlay: what the Service and its annotations say; on a listener that is there, the rest stays as it is.
        defaults: what a new one has besides.
        unset: fields that the Service said once and says no more, if they are there.
    """

    object_name: str
    name: OwnedName
    port: int
    transport: str
    overlay: ListenerSpec
    defaults: Mapping[str, Any]
    unset: tuple[str, ...] = ()


@dataclass(frozen=True)
class WantedGroup:
    """A server group; `servers` is None when the ones that are there shall stay, `user_made` when it isn't ours."""

    object_name: str
    name: OwnedName
    servers: tuple[BackendServer, ...] | None
    user_made: bool = False


@dataclass(frozen=True)
class Wanted:
    """Everything that a Service is to have on its load balancer, and what can't be had.

    Attributes:
        manage_listeners: whether listeners are the Service's at all; on a user's load balancer only if it says so.
    """

    listeners: tuple[WantedListener, ...]
    groups: tuple[WantedGroup, ...]
    problems: tuple[str, ...]
    manage_listeners: bool


@dataclass(frozen=True)
class Observed:
    """What the model is built from, besides the Service.

    Attributes:
        group: a server group of the load balancer by name or cloud id.
    """

    slices: Sequence[Mapping[str, Any]]
    nodes: Mapping[str, NodeView]
    group: Callable[[str], ServerGroup | None]


def own_load_balancer(view: ServiceView, wishes: Wishes, facts: ClusterFacts) -> ServiceLoadBalancerSpec:
    """The spec of a new load balancer of the Service's own."""
    address_type = wishes.text("address-type") or "internet"
    # A public load balancer is in no VPC.
    network = {"vpc_id": facts.vpc_id, "v_switch_id": facts.v_switch_id} if address_type == "intranet" else {}
    return ServiceLoadBalancerSpec.model_validate(
        {
            "load_balancer_name": wishes.text("name") or view.default_name,
            "region_id": facts.region,
            "address_type": address_type,
            **network,
            "delete_protection": "on",
            "modification_protection_status": "ConsoleProtection",
            "modification_protection_reason": "managed.by.ack",
            "tags": [
                {"key": MARK_TAG, "value": view.default_name},
                {"key": CLUSTER_TAG, "value": facts.cluster_id},
            ],
        }
    )


def build(
    view: ServiceView, wishes: Wishes, load_balancer: ServiceLoadBalancer, reused: bool, observed: Observed
) -> Wanted:
    """The wanted state on a load balancer.

    Raises:
        SyncError: an annotation is wrong in a way that leaves no safe default.
    """
    if BACKEND_TYPE in wishes.blocked:
        raise SyncError(next(problem for problem in wishes.problems if BACKEND_TYPE in problem))
    builder = _Builder(view, wishes, load_balancer, reused, observed, _choice(view, wishes))
    listeners: list[WantedListener] = []
    groups: dict[str, WantedGroup] = {}
    problems: list[str] = []
    for port in view.ports:
        try:
            protocol = _protocol(view, port, wishes.by_port("protocol-port"))
            group = builder.group(port)
        except BackendError as error:
            problems.append(f"port {port.port}: {error}")
            continue
        try:
            group = replace(group, servers=builder.servers(port, group))
        except BackendError as error:
            problems.append(f"port {port.port}: {error}")
        if protocol is Protocol.HTTP and view.affinity_seconds is not None:
            problems.append(f"port {port.port}: sessionAffinity ClientIP has no effect on an http listener")
        groups[group.object_name] = group
        listeners.append(builder.listener(port, protocol, group.object_name))
    managed = not reused or wishes.text("force-override-listeners") == "true"
    return Wanted(tuple(listeners) if managed else (), tuple(groups.values()), tuple(problems), managed)


def _choice(view: ServiceView, wishes: Wishes) -> Choice:
    eni = wishes.text(BACKEND_TYPE) == "eni"
    default_weight = wishes.number("default-weight")
    return Choice(
        mode=Mode.ENI if eni else Mode.LOCAL if view.local else Mode.CLUSTER,
        labels=wishes.labels("backend-label"),
        remove_unscheduled=wishes.text("remove-unscheduled-backend") == "on",
        default_weight=100 if default_weight is None else default_weight,
        total_weight=wishes.number("weight"),
    )


def _protocol(view: ServiceView, port: ServicePort, asked: Mapping[int, str]) -> Protocol:
    """A port's protocol: its annotation's, else the Service's.

    Where a Service has TCP and UDP on one port number, an annotation counts for the one whose transport it fits.
    """
    if port.protocol not in ("TCP", "UDP"):
        raise BackendError(f"protocol {port.protocol} is not one of TCP, UDP")
    own = Protocol(port.protocol.lower())
    word = asked.get(port.port)
    shared = sum(other.port == port.port for other in view.ports) > 1
    if word is None or (shared and (word == Protocol.UDP) != (own is Protocol.UDP)):
        return own
    return Protocol(word)


@dataclass(frozen=True)
class _Builder:
    """Builds the listener and the server group of a port."""

    view: ServiceView
    wishes: Wishes
    load_balancer: ServiceLoadBalancer
    reused: bool
    observed: Observed
    choice: Choice

    def group(self, port: ServicePort) -> WantedGroup:
        """The group of a port, without servers."""
        eni = self.choice.mode is Mode.ENI
        if not eni and not port.node_port:
            raise BackendError(NO_NODE_PORT)
        name = OwnedName(port.target if eni else str(port.node_port), self.view.owner)
        reference = self.wishes.by_port("vgroup-port").get(port.port) if self.reused else None
        if reference is None:
            return WantedGroup(group_object_name(self.load_balancer.metadata.name, name), name, None)
        return WantedGroup(self._user_group(reference), name, None, user_made=True)

    def _user_group(self, reference: str) -> str:
        metadata, status = self.load_balancer.metadata, self.load_balancer.status
        shown = status.load_balancer_id or metadata.name
        group = self.observed.group(reference)
        if group is None or group.spec.load_balancer_id not in (metadata.name, status.load_balancer_id):
            raise BackendError(f"can not find vgroupId {reference} in lb {shown}")
        if parse_name(group.spec.v_server_group_name) is not None:
            raise BackendError(f"cannot reuse a ccm created vgroup {reference} for slb {shown}")
        return group.metadata.name

    def servers(self, port: ServicePort, group: WantedGroup) -> tuple[BackendServer, ...] | None:
        """The servers of a port; None to leave those that are there."""
        if "backend-label" in self.wishes.blocked:
            return None
        # A total weight is for servers that stand beside a user's own in one group.
        choice = self.choice if group.user_made else replace(self.choice, total_weight=None)
        ready = endpoints(self.observed.slices, port.name)
        return backends(choice, port.node_port, ready, self.observed.nodes, str(group.name))

    def listener(self, port: ServicePort, protocol: Protocol, group: str) -> WantedListener:
        """The listener of a port."""
        transport = "udp" if protocol is Protocol.UDP else "tcp"
        name = OwnedName(str(port.port), self.view.owner)
        said = self.wishes.listener_fields(protocol)
        healthz, unset = self._healthz(protocol, said)
        fields: dict[str, Any] = {
            "load_balancer_id": self.load_balancer.metadata.name,
            "listener_port": port.port,
            "listener_protocol": protocol,
            "description": str(name),
            "v_server_group_id": group,
            **healthz,
            **said,
        }
        if protocol is Protocol.TCP:
            if self.view.affinity_seconds is not None:
                fields["persistence_timeout"] = min(self.view.affinity_seconds, MAX_PERSISTENCE)
            else:
                unset = (*unset, "persistenceTimeout")
        return WantedListener(
            object_name=listener_name(self.load_balancer.metadata.name, port.port, transport),
            name=name,
            port=port.port,
            transport=transport,
            overlay=ListenerSpec.model_validate(fields),
            defaults=_DEFAULTS[protocol],
            unset=unset,
        )

    def _healthz(self, protocol: Protocol, said: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """With policy Local each node answers on a port of its own whether it has pods of the Service: check that one.

        Returns the fields to set and those to take back when the Service no longer is of that kind.
        """
        if HEALTHZ_FIELDS.keys() & said.keys():
            return {}, ()
        port = self.view.health_check_node_port
        if protocol is not Protocol.TCP or self.choice.mode is not Mode.LOCAL or port is None:
            return {}, tuple(HEALTHZ_FIELDS.values())
        return dict(zip(HEALTHZ_FIELDS, ("http", HEALTHZ_URI, port), strict=True)), ()


_DEFAULTS: Mapping[Protocol, Mapping[str, Any]] = {
    Protocol.TCP: {"bandwidth": -1, "scheduler": "rr"},
    Protocol.UDP: {"bandwidth": -1, "scheduler": "rr"},
    Protocol.HTTP: {"scheduler": "rr", "healthCheck": "off", "stickySession": "off"},
}
