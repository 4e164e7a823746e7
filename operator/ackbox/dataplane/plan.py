"""From the custom resources to what a listener should be. Pure: no clock, no sockets, no API."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from ackbox.dataplane import ports
from ackbox.dataplane.checks import health_check
from ackbox.dataplane.model import Blocked, Endpoint, Frontend, Identity, Serving, Stickiness, Targets, Upstream
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.resources import Listener, ManagedCluster, ServerGroup, ServiceLoadBalancer
from ackbox.resources.listener import ListenerSpec, Scheduler, listener_name
from ackbox.resources.servergroup import BackendServer

EXTERNAL = "ExternalKubernetes"
"""The cluster type whose backend servers are real."""

SHOWN = 5
"""How many servers a message names before it only counts them."""


@dataclass(frozen=True)
class References:
    """What a listener refers to, as far as it is there.

    Attributes:
        group_balancer: the load balancer that the server group names.
        holder: the name of another listener whose own port is the one that this listener would take in place of a
            privileged one.
    """

    balancer: ServiceLoadBalancer | None
    group: ServerGroup | None
    group_balancer: ServiceLoadBalancer | None
    holder: str | None = None


def instance_id(server_id: str) -> str:
    """The Instance that a server id speaks of: an interface `eni-x` belongs to the machine `i-x`."""
    return f"i-{server_id.removeprefix('eni-')}" if server_id.startswith("eni-") else server_id


def stickiness(spec: ListenerSpec) -> Stickiness:
    """What ties a client to a server: a cookie (HTTP only), the source address, or nothing."""
    if spec.listener_protocol == "http":
        if spec.sticky_session == "on":
            return Stickiness.COOKIE
    elif spec.persistence_timeout:
        return Stickiness.SOURCE_IP
    return Stickiness.SOURCE_IP if spec.scheduler is Scheduler.SCH else Stickiness.NONE


def admit(listener: Listener, references: References, lowest_port: int) -> Frontend | Blocked:
    """Where a listener is to listen, or why it can't be served.

    Args:
        listener: the listener.
        references: the objects that it names.
        lowest_port: the lowest port that can be bound.
    """
    spec, balancer, group = listener.spec, references.balancer, references.group
    if balancer is None or balancer.deleting:
        return Blocked(progressing("LoadBalancerNotFound", f"waits for load balancer {spec.load_balancer_id}"))
    name = listener_name(balancer.metadata.name, spec.listener_port, spec.transport)
    if listener.metadata.name != name:
        text = f"a listener is named <load balancer>-<port>-<tcp or udp>: this one must be named {name}"
        return Blocked(stalled("InvalidName", text))
    if balancer.status.reachable is None:
        return Blocked(progressing("LoadBalancerNotReady", f"waits for the address of {balancer.metadata.name}"))
    problem = _group_problem(spec, balancer, references)
    if problem is not None:
        return Blocked(problem)
    assert group is not None
    try:
        health_check(spec)
    except ValueError as error:
        return Blocked(stalled("InvalidHealthCheck", str(error)))
    port = ports.dialled(spec.listener_port, lowest_port)
    if references.holder is not None and port != spec.listener_port:
        text = (
            f"port {spec.listener_port} needs a privilege that ackbox lacks here, and its stand-in {port}"
            f" is the own port of listener {references.holder}"
        )
        return Blocked(stalled("PortTaken", text))
    return Frontend((balancer.status.reachable, port), spec.listener_protocol, stickiness(spec))


def _group_problem(spec: ListenerSpec, balancer: ServiceLoadBalancer, references: References) -> State | None:
    if spec.v_server_group_id is None:
        return stalled("ServerGroupMissing", "vServerGroupId is not set: name the server group to send traffic to")
    if references.group is None or references.group.deleting:
        return progressing("ServerGroupNotFound", f"waits for server group {spec.v_server_group_id}")
    if references.group_balancer is None or references.group_balancer.key != balancer.key:
        text = (
            f"server group {spec.v_server_group_id} belongs to load balancer"
            f" {references.group.spec.load_balancer_id}, not to {spec.load_balancer_id}"
        )
        return stalled("ServerGroupMismatch", text)
    return None


def serve(
    listener: Listener, group: ServerGroup, frontend: Frontend, targets: Targets, healthy: Mapping[Identity, bool]
) -> Serving:
    """A listener with its backend servers: those with a weight that may be dialled."""
    spec = listener.spec
    endpoints = (
        Endpoint(server.identity, targets.addresses[server.identity], server.weight, healthy.get(server.identity, True))
        for server in group.spec.backend_servers
        if server.weight > 0 and server.identity in targets.addresses
    )
    check = health_check(spec) if targets.real else None
    upstream = Upstream(spec.scheduler, frontend.stickiness, spec.listener_protocol, check)
    return Serving(frontend, upstream, tuple(sorted(endpoints, key=lambda endpoint: endpoint.identity)))


def real_targets(group: ServerGroup, cluster: ManagedCluster) -> Targets:
    """Where the servers of a registered cluster are dialled: only inside what the cluster's admin allows."""
    external = cluster.spec.external_cluster
    cidrs = external.allowed_cidrs if external else []
    networks, wrong = _networks(cidrs)
    refused = [server for server in group.spec.backend_servers if not _inside(server.server_ip, networks)]
    addresses = {
        server.identity: (server.server_ip, server.port)
        for server in group.spec.backend_servers
        if server not in refused
    }
    return Targets(real=True, addresses=addresses, problem=_refusal(refused, cluster, cidrs, wrong))


def _networks(cidrs: Iterable[str]) -> tuple[list[IPv4Network | IPv6Network], list[str]]:
    networks, wrong = [], []
    for cidr in cidrs:
        try:
            networks.append(ip_network(cidr, strict=False))
        except ValueError:
            wrong.append(cidr)
    return networks, wrong


def _inside(text: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _refusal(refused: list[BackendServer], cluster: ManagedCluster, cidrs: list[str], wrong: list[str]) -> State | None:
    if not refused:
        return None
    field = f"spec.externalCluster.allowedCidrs of ManagedCluster {cluster.metadata.name}"
    addresses = sorted({server.server_ip for server in refused})
    more = f" and {len(addresses) - SHOWN} more" if len(addresses) > SHOWN else ""
    text = f"not sent to {', '.join(addresses[:SHOWN])}{more}: outside {field} ({', '.join(cidrs) or 'none'})"
    if wrong:
        text += f"; not a CIDR block: {', '.join(wrong)}"
    return stalled("AddressNotAllowed", text)
