"""Server groups of a Service's ports, the same for every kind of load balancer: the CCM's own, users', and servers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ackbox.catalog.annotations import BACKEND_TYPE, PREFIX
from ackbox.ccm.config import ENDPOINT_SLICE, IPV6_DUAL_STACK, CloudConfig
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.backends import NO_NODE_PORT, BackendError, Choice, Mode, backends, endpoints
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.model import Observed, WantedGroup
from ackbox.ccm.services.names import OwnedName, group_object_name, parse_name
from ackbox.ccm.services.view import ServicePort, ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.listener import Protocol
from ackbox.resources.loadbalancer import LoadBalancerType
from ackbox.resources.servergroup import BackendServer

IPV6_NEEDS = (
    f"Annotation {PREFIX}backend-ip-version: {{}} needs the feature gates {IPV6_DUAL_STACK} and {ENDPOINT_SLICE} in the "
    f"cloud config and annotation {PREFIX}ip-version: {{}}; the backend servers are those with IPv4 addresses"
)


def choice_of(view: ServiceView, wishes: Wishes, config: CloudConfig) -> Choice:
    """What a Service says about its backend servers.

    Raises:
        SyncError: the kind of its servers is written wrong.
    """
    if BACKEND_TYPE in wishes.blocked:
        raise SyncError(next(problem for problem in wishes.problems if BACKEND_TYPE in problem))
    eni = (wishes.text(BACKEND_TYPE) or config.service_backend_type) == "eni"
    default_weight = wishes.number("default-weight")
    return Choice(
        mode=Mode.ENI if eni else Mode.LOCAL if view.local else Mode.CLUSTER,
        labels=wishes.labels("backend-label"),
        remove_unscheduled=wishes.text("remove-unscheduled-backend") == "on",
        default_weight=100 if default_weight is None else default_weight,
        total_weight=wishes.number("weight"),
        families=families(wishes, config)[0],
    )


def families(wishes: Wishes, config: CloudConfig) -> tuple[tuple[str, ...], str | None]:
    """The address families of backend servers, and what is wrong with how they are asked for."""
    asked = wishes.text("backend-ip-version") or "ipv4"
    if asked == "ipv4":
        return ("IPv4",), None
    classic = wishes.kind is LoadBalancerType.CLB
    if classic and asked == "dualstack":
        text = f"Annotation {PREFIX}backend-ip-version: dualstack is for network load balancers; allowed is ipv4, ipv6"
        return ("IPv4",), text
    address_version = "ipv6" if classic else "DualStack"
    if not {IPV6_DUAL_STACK, ENDPOINT_SLICE} <= config.gates or wishes.text("ip-version") != address_version:
        return ("IPv4",), IPV6_NEEDS.format(asked, address_version)
    return (("IPv6",) if asked == "ipv6" else ("IPv4", "IPv6")), None


def protocol_of(view: ServiceView, port: ServicePort, asked: Mapping[int, str]) -> Protocol:
    """A port's protocol: its annotation's, else the Service's.

    Where a Service has TCP and UDP on one port number, an annotation counts for the one whose transport it fits.

    Raises:
        BackendError: it is one that no load balancer speaks.
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
class Groups:
    """Builds the server groups of a Service's ports."""

    view: ServiceView
    wishes: Wishes
    load_balancer: ServiceLoadBalancer
    reused: bool
    observed: Observed
    choice: Choice

    def target(self, port: ServicePort) -> str:
        """What a server group is named by: the port's targetPort with pods as servers, else its nodePort.

        Raises:
            BackendError: it needs a nodePort and has none.
        """
        if self.choice.mode is Mode.ENI:
            return port.target
        if not port.node_port:
            raise BackendError(NO_NODE_PORT)
        return str(port.node_port)

    def group(self, port: ServicePort, name: OwnedName) -> WantedGroup:
        """The group of a port, without servers: the CCM's own of a name, or the user's that the Service says.

        Raises:
            BackendError: there is no such group of the user's, or it isn't the user's.
        """
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
        """The servers of a port; None to leave those that are there.

        Raises:
            BackendError: they can't be told.
        """
        if "backend-label" in self.wishes.blocked:
            return None
        # A total weight is for servers that stand beside a user's own in one group.
        choice = self.choice if group.user_made else replace(self.choice, total_weight=None)
        ready = endpoints(self.observed.slices, port.name, self.choice.families, self.observed.gated)
        return backends(choice, port.node_port, ready, self.observed.nodes, str(group.name))
