"""From the custom resources to what a listener should be. Pure: no clock, no sockets, no API."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from ackbox.dataplane import ports, rules
from ackbox.dataplane.access import UnknownList, access_rules
from ackbox.dataplane.access_log import access_log
from ackbox.dataplane.certificates import CertificateError, CertificateNotFound
from ackbox.dataplane.checks import health_check
from ackbox.dataplane.http_settings import forwards_only, http_settings, with_group_cookies
from ackbox.dataplane.limits import connection_limits
from ackbox.dataplane.model import (
    EVERY_ADDRESS,
    Blocked,
    Branch,
    Credentials,
    Endpoint,
    Frontend,
    Identity,
    Stickiness,
    Targets,
    Upstream,
)
from ackbox.dataplane.overlay import effective, idle
from ackbox.dataplane.proxy_header import proxy_header
from ackbox.dataplane.tls import furnish, named, tls_settings
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.resources import AccessControlList, Listener, ServerGroup, ServiceLoadBalancer, balancer_service
from ackbox.resources.listener import ENCRYPTED, LAYER7, ListenerSpec, Protocol, Scheduler, listener_name

WAITING = frozenset({"CertificateNotFound", "ServerGroupNotFound"})
"""Reasons that go away by themselves when what is missing comes."""

Problem: TypeAlias = tuple[str, str]
"""Reason and text."""

MAX_PORTS = 1_000
"""How many ports of a range are open; each is a socket of Envoy."""


@dataclass(frozen=True)
class References:
    """What a listener refers to, as far as it is there.

    Attributes:
        group_balancer: the load balancer that the server group names.
        holder: the name of another listener whose own port is the one that this listener would take in place of a
            privileged one.
        lists: access control lists, as the listener names them.
        secrets: Secrets of certificates, as the listener names them.
        targets: where every listener is bound to all addresses, the port that each of its ports is bound to, as far as
            they are chosen; None where a load balancer has an address to itself.
    """

    balancer: ServiceLoadBalancer | None
    group: ServerGroup | None
    group_balancer: ServiceLoadBalancer | None
    holder: str | None = None
    lists: Mapping[str, AccessControlList | None] = field(default_factory=dict)
    secrets: Mapping[str, Object | None] = field(default_factory=dict)
    targets: Mapping[int, int] | None = None


@dataclass(frozen=True)
class Admitted:
    """A listener that can be served.

    Attributes:
        spec: the listener's, with what its server group decides.
        balancer: its load balancer.
        problems: what is wrong with parts of it.
    """

    spec: ListenerSpec
    balancer: ServiceLoadBalancer
    frontend: Frontend
    credentials: Credentials | None = None
    problems: tuple[Problem, ...] = ()


def instance_id(server_id: str) -> str:
    """The Instance that a server id speaks of: an interface `eni-x` belongs to the machine `i-x`."""
    return f"i-{server_id.removeprefix('eni-')}" if server_id.startswith("eni-") else server_id


def stickiness(spec: ListenerSpec) -> Stickiness:
    """What ties a client to a server besides cookies: the source address, a connection's addresses, or nothing.

    A UDP session keeps its server anyway; for `qch` that is the nearest to a connection id of QUIC.
    """
    if spec.persistence_timeout and spec.listener_protocol not in LAYER7:
        return Stickiness.SOURCE_IP
    if spec.scheduler is Scheduler.TCH and spec.listener_protocol in {Protocol.TCP, Protocol.TCPSSL}:
        return Stickiness.CONNECTION
    return Stickiness.SOURCE_IP if spec.scheduler is Scheduler.SCH else Stickiness.NONE


def certificates(spec: ListenerSpec) -> tuple[str, ...]:
    """The certificates that a listener names; none where what it says of them is wrong."""
    if spec.listener_protocol not in ENCRYPTED:
        return ()
    try:
        return named(tls_settings(spec))
    except ValueError:
        return ()


def admit(listener: Listener, references: References, lowest_port: int) -> Admitted | Blocked:
    """Where a listener is to listen and how, or why it can't be served.

    Args:
        listener: the listener.
        references: the objects that it names.
        lowest_port: the lowest port that can be bound.
    """
    spec, balancer, group = listener.spec, references.balancer, references.group
    if balancer is None or balancer.deleting:
        return Blocked(progressing("LoadBalancerNotFound", f"waits for load balancer {spec.load_balancer_id}"))
    name = listener_name(balancer.metadata.name, _port_label(spec), spec.transport)
    if listener.metadata.name != name:
        text = f"a listener is named <load balancer>-<port>-<tcp or udp>: this one must be named {name}"
        return Blocked(stalled("InvalidName", text))
    if balancer.status.reachable is None:
        return Blocked(progressing("LoadBalancerNotReady", f"waits for the address of {balancer.metadata.name}"))
    problem = (
        _group_problem(spec, balancer, references)
        or _port_problem(spec, references.holder, lowest_port)
        or _target_problem(spec, references.targets)
    )
    if problem is not None:
        return Blocked(problem)
    spec = effective(spec, group.spec if group else None, balancer.spec.load_balancer_type)
    try:
        health_check(spec)
    except ValueError as error:
        return Blocked(stalled("InvalidHealthCheck", str(error)))
    return _frontend(spec, balancer, references, lowest_port)


def complete(listener: Listener, admitted: Admitted, groups: Mapping[str, ServerGroup], logs: Path | None) -> Admitted:
    """A listener with what the server groups of its rules say of cookies, and with its access log.

    Args:
        listener: the listener.
        admitted: the same, so far.
        groups: those of its rules, as they name them.
        logs: the folder of access logs; None for none.
    """
    frontend = admitted.frontend
    if frontend.http is not None:
        cookies = {name: group.spec.sticky_session_config for name, group in groups.items()}
        frontend = replace(frontend, http=with_group_cookies(frontend.http, cookies))
    if logs is not None:
        frontend = replace(frontend, access_log=access_log(listener, logs))
    return replace(admitted, frontend=frontend)


def _port_label(spec: ListenerSpec) -> int | str:
    return f"{spec.start_port}-{spec.end_port}" if spec.start_port is not None else spec.listener_port


def _port_problem(spec: ListenerSpec, holder: str | None, lowest_port: int) -> State | None:
    port = ports.dialled(spec.listener_port, lowest_port)
    if holder is None or port == spec.listener_port:
        return None
    text = (
        f"port {spec.listener_port} needs a privilege that ackbox lacks here, and its stand-in {port}"
        f" is the own port of listener {holder}"
    )
    return stalled("PortTaken", text)


def _target_problem(spec: ListenerSpec, targets: Mapping[int, int] | None) -> State | None:
    if targets is None or all(port in targets for port in _opened(spec, targets)):
        return None
    return progressing("WaitingForPort", "waits for a port of the data plane's Pods, in the load balancer's Service")


def _opened(spec: ListenerSpec, targets: Mapping[int, int] | None) -> range:
    """The ports of a listener that are open: each is a socket of Envoy, or a port of a Service."""
    return spec.ports[: MAX_PORTS if targets is None else balancer_service.MAX_PORTS]


def _frontend(
    spec: ListenerSpec, balancer: ServiceLoadBalancer, references: References, lowest_port: int
) -> Admitted | Blocked:
    """A listener whose server group is in order."""
    try:
        access, texts = access_rules(spec, balancer.spec.source_ranges, references.lists)
    except UnknownList as error:
        return Blocked(progressing("AclNotFound", str(error)))
    except ValueError as error:
        return Blocked(stalled("InvalidAcl", str(error)))
    problems = [("InvalidAcl", text) for text in texts]
    tls, credentials = None, None
    if spec.listener_protocol in ENCRYPTED:
        try:
            furnished = furnish(tls_settings(spec), references.secrets)
        except ValueError as error:
            return Blocked(stalled("InvalidTls", str(error)))
        except CertificateError as error:
            return Blocked(_state(*_certificate_problem(error)))
        tls, credentials = furnished.settings, furnished.credentials
        problems += [_certificate_problem(error) for error in furnished.problems]
    problems += [("InvalidRule", text) for text in rules.problems(spec)]
    opened = _opened(spec, references.targets)
    if len(opened) < len(spec.ports):
        problems.append(("RangeTooLarge", f"only the first {len(opened)} of {len(spec.ports)} ports are open"))
    frontend = _facing(spec, balancer, references.targets, lowest_port)
    frontend = replace(frontend, tls=tls, access=access)
    return Admitted(spec, balancer, frontend, credentials, tuple(problems))


def _facing(
    spec: ListenerSpec, balancer: ServiceLoadBalancer, targets: Mapping[int, int] | None, lowest_port: int
) -> Frontend:
    opened, host = _opened(spec, targets), balancer.status.reachable
    assert host is not None
    first, *more = (targets[port] if targets is not None else ports.dialled(port, lowest_port) for port in opened)
    return Frontend(
        (host if targets is None else EVERY_ADDRESS, first),
        spec.listener_protocol,
        stickiness(spec),
        http=http_settings(spec, balancer.spec, lowest_port) if spec.listener_protocol in LAYER7 else None,
        limits=connection_limits(spec, balancer),
        idle=idle(spec, balancer.spec.load_balancer_type),
        more_ports=tuple(more),
        dialled=tuple((host, port) for port in opened) if targets is not None else (),
    )


def summary(problems: Iterable[Problem]) -> State | None:
    """One state for several reasons and texts; what the user must do something about goes first."""
    problems = sorted(problems, key=lambda problem: problem[0] in WAITING)
    return _state(problems[0][0], "; ".join(text for _, text in problems)) if problems else None


def _state(reason: str, text: str) -> State:
    return progressing(reason, text) if reason in WAITING else stalled(reason, text)


def _certificate_problem(error: CertificateError) -> Problem:
    missing = isinstance(error, CertificateNotFound)
    return "CertificateNotFound" if missing else "CertificateUnusable", str(error)


def _group_problem(spec: ListenerSpec, balancer: ServiceLoadBalancer, references: References) -> State | None:
    if spec.v_server_group_id is None:
        if forwards_only(spec) or spec.rules:
            return None
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


def branch(
    admitted: Admitted, group: ServerGroup, targets: Targets, healthy: Mapping[Identity, bool], own: bool = True
) -> Branch:
    """The backend servers of one group behind a listener: those with a weight that may be dialled.

    Args:
        admitted: the listener.
        group: the listener's own group, or one that a rule names.
        targets: where its servers are dialled.
        healthy: what is known of their health.
        own: it is the listener's own group.
    """
    spec, balancer = admitted.spec, admitted.balancer
    tie = admitted.frontend.stickiness
    if not own:
        spec = effective(spec, group.spec, balancer.spec.load_balancer_type)
        tie = stickiness(spec)
    found = (
        Endpoint(server.identity, targets.addresses[server.identity], server.weight, healthy.get(server.identity, True))
        for server in group.spec.backend_servers
        if server.weight > 0 and server.identity in targets.addresses
    )
    check = health_check(spec) if targets.real else None
    header = proxy_header(spec, group.spec, balancer, targets.real)
    upstream = Upstream(
        spec.scheduler, tie, spec.listener_protocol, check, header, admitted.frontend.limits.bytes_per_second
    )
    return Branch(upstream, tuple(sorted(found, key=lambda endpoint: endpoint.identity)))


def nowhere(admitted: Admitted) -> Branch:
    """What stands for the server group of a listener that has none."""
    spec = admitted.spec
    return Branch(Upstream(spec.scheduler, admitted.frontend.stickiness, spec.listener_protocol), ())
