"""What a listener does with requests, read from its spec. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ackbox.catalog.loadbalancers import limits
from ackbox.dataplane import ports
from ackbox.resources.listener import ListenerSpec, Protocol
from ackbox.resources.listener_settings import ListenerRule
from ackbox.resources.loadbalancer import ServiceLoadBalancerSpec
from ackbox.resources.servergroup import StickySessionConfig

IDLE = 15
"""SLB's default IdleTimeout, in seconds: how long a connection without requests is kept."""

REQUEST = 60
"""SLB's default RequestTimeout, in seconds: the answer is 504 afterwards."""

INSERTED_COOKIE = "SERVERID"
"""The cookie that SLB puts in."""

UNFELT_REQUESTS = 50_000
"""Requests a second from which on a limit is left out: one Envoy on one machine doesn't get there."""

UNFELT_BANDWIDTH = 5_000
"""Mbit/s, likewise."""


@dataclass(frozen=True)
class StickyCookie:
    """A cookie that ties a client to a server.

    Attributes:
        inserted: SLB puts it in; else it is the server's own, whose value SLB overwrites.
        lifetime: seconds; 0 for as long as the browser is open.
    """

    name: str
    inserted: bool
    lifetime: int = 0


@dataclass(frozen=True)
class HttpSettings:
    """How requests are treated; durations in seconds.

    Attributes:
        port: the listener's own port, whatever is dialled.
        encrypted: clients speak HTTPS.
        idle: how long a connection without requests is kept.
        request: how long a server may take for an answer.
        http2: clients may speak HTTP/2.
        cookies: what ties a client to a server, by server group as the listener names it.
        forwarded_proto: servers learn the listener's protocol.
        forwarded_port: servers learn the listener's port.
        forwarded_client_port: servers learn the client's port.
        redirect: the dialled port of the HTTPS listener that clients are sent to; nothing is forwarded then.
        group: the server group of requests that no rule fits, as the listener names it.
        rules: by priority.
        lowest_port: the lowest port that can be bound; a redirect to a lower one goes to its stand-in.
        requests_per_second: None for no limit; more are answered 503.
        bandwidth: Mbit/s of bodies, each way; None for no limit.
    """

    port: int = 80
    encrypted: bool = False
    idle: int = IDLE
    request: int = REQUEST
    http2: bool = False
    cookies: tuple[tuple[str, StickyCookie], ...] = ()
    forwarded_proto: bool = False
    forwarded_port: bool = False
    forwarded_client_port: bool = False
    redirect: int | None = None
    group: str | None = None
    rules: tuple[ListenerRule, ...] = ()
    lowest_port: int = 1
    requests_per_second: int | None = None
    bandwidth: int | None = None


def http_settings(
    spec: ListenerSpec, balancer: ServiceLoadBalancerSpec | None = None, lowest_port: int = 1
) -> HttpSettings:
    """The settings of an HTTP or HTTPS listener.

    Args:
        spec: the listener's.
        balancer: its load balancer's, for the limits.
        lowest_port: the lowest port that can be bound.
    """
    encrypted = spec.listener_protocol is Protocol.HTTPS
    capacity = limits(balancer) if balancer is not None else None
    forwards, cookie, group = forwards_only(spec), sticky_cookie(spec), spec.v_server_group_id
    return HttpSettings(
        port=spec.listener_port,
        encrypted=encrypted,
        idle=spec.idle_timeout or IDLE,
        request=spec.request_timeout or REQUEST,
        http2=encrypted and spec.enable_http2 != "off",
        cookies=((group, cookie),) if cookie is not None and group is not None else (),
        forwarded_proto=spec.x_forwarded_for_proto == "on",
        forwarded_port=spec.x_forwarded_for_slb_port == "on",
        forwarded_client_port=spec.x_forwarded_for_client_src_port == "on",
        redirect=ports.dialled(spec.forward_port, lowest_port) if forwards and spec.forward_port else None,
        group=group,
        rules=tuple(sorted(spec.rules, key=lambda rule: rule.priority)),
        lowest_port=lowest_port,
        requests_per_second=_felt(UNFELT_REQUESTS, capacity.requests if capacity else None),
        bandwidth=_felt(UNFELT_BANDWIDTH, spec.bandwidth, capacity.bandwidth if capacity else None),
    )


def _felt(most: int, *values: int | None) -> int | None:
    """The lowest of several limits, where it is one that one Envoy can come to."""
    lowest = min((value for value in values if value is not None and value > 0), default=most)
    return lowest if lowest < most else None


def with_group_cookies(settings: HttpSettings, groups: Mapping[str, StickySessionConfig | None]) -> HttpSettings:
    """The settings with what the listener's server groups say of cookies (ALB), by group as the listener names it."""
    found = ((group, group_cookie(config)) for group, config in groups.items())
    cookies = tuple((group, cookie) for group, cookie in found if cookie is not None)
    return replace(settings, cookies=(*settings.cookies, *cookies)) if cookies else settings


def forwards_only(spec: ListenerSpec) -> bool:
    """Whether a listener sends every client to another listener, and so needs no server group."""
    return spec.listener_protocol is Protocol.HTTP and spec.listener_forward == "on"


def sticky_cookie(spec: ListenerSpec) -> StickyCookie | None:
    """The cookie of a CLB listener, if it has one. A server's cookie without a name ties nobody."""
    if spec.sticky_session != "on":
        return None
    if spec.sticky_session_type == "server":
        return StickyCookie(spec.cookie, inserted=False) if spec.cookie else None
    return StickyCookie(INSERTED_COOKIE, inserted=True, lifetime=spec.cookie_timeout or 0)


def group_cookie(config: StickySessionConfig | None) -> StickyCookie | None:
    """The cookie of an ALB server group, if it has one."""
    if config is None or not config.sticky_session_enabled:
        return None
    if config.sticky_session_type == "Server":
        return StickyCookie(config.cookie, inserted=False) if config.cookie else None
    return StickyCookie(INSERTED_COOKIE, inserted=True, lifetime=config.cookie_timeout or 0)
