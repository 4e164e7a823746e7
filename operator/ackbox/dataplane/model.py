"""What a listener should be, as plain data: the step between the custom resources and Envoy's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from ackbox.dataplane.access_log import AccessLog
from ackbox.dataplane.http_settings import HttpSettings
from ackbox.kube.conditions import State
from ackbox.resources.listener import Protocol, Scheduler

Identity: TypeAlias = tuple[str, str, int]
"""Server id, server IP and port: what tells the backend servers of a group apart."""

Address: TypeAlias = tuple[str, int]
"""IP address and port to dial."""

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - in a Pod, whose address is known to nobody beforehand
"""Where a listener is bound that has no address of its own."""

SO_MAX_PACING_RATE = 47
"""Linux' number of the socket option that limits the bytes a second that a socket sends."""


class Stickiness(Enum):
    """What ties a client to a backend server, besides cookies."""

    NONE = "none"
    SOURCE_IP = "source-ip"
    CONNECTION = "connection"
    """Source address and port: connections from the same ones meet the same server."""


@dataclass(frozen=True)
class HealthCheck:
    """How a listener looks at its backend servers; durations in seconds.

    Attributes:
        http: probe with a request rather than a bare connection.
        port: probe this port; None is the server's own.
        domain: Host header; None is the server's IP.
        codes: ranges of good status codes, the end not included.
    """

    http: bool
    interval: int
    timeout: int
    healthy_threshold: int
    unhealthy_threshold: int
    port: int | None = None
    uri: str = "/"
    domain: str | None = None
    method: str = "HEAD"
    codes: tuple[tuple[int, int], ...] = ((200, 300),)

    @property
    def rise(self) -> float:
        """Seconds that a server must be well to count as healthy."""
        return float(self.healthy_threshold * self.interval)

    @property
    def fall(self) -> float:
        """Seconds that a server must be unwell to count as unhealthy."""
        return float(self.unhealthy_threshold * self.interval)


@dataclass(frozen=True)
class Endpoint:
    """A backend server as Envoy dials it.

    Attributes:
        identity: the backend server.
        address: where it is dialled: its own address, or the responder's.
        healthy: False keeps traffic away; a real one is also probed by Envoy.
    """

    identity: Identity
    address: Address
    weight: int
    healthy: bool = True


@dataclass(frozen=True)
class TlsSettings:
    """How a listener ends TLS. Certificates are named by the ids that the listener gives them.

    Attributes:
        certificates: for names that have none of their own; the client's name chooses among several.
        domains: certificates by the name that the client asks for, `*.` in front for all names below.
        authorities: whose certificates a client must show one of; empty where none is asked for.
        minimum: lowest version, as `1.2`.
        maximum: highest version.
        ciphers: for the versions below 1.3, in Envoy's words.
        alpn: application protocols, best first.
    """

    certificates: tuple[str, ...]
    domains: tuple[tuple[str, str], ...] = ()
    authorities: tuple[str, ...] = ()
    minimum: str = "1.0"
    maximum: str = "1.2"
    ciphers: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True)
class AccessRule:
    """Who may connect, as CIDR blocks: only these (`white`), or all but these. One without blocks refuses nobody."""

    white: bool
    networks: tuple[str, ...]


@dataclass(frozen=True)
class RateLimit:
    """New connections a second; those of the same `group` count together."""

    per_second: int
    group: str


@dataclass(frozen=True)
class ConnectionLimits:
    """What a listener takes at most.

    Attributes:
        connections: at a time; None for no limit.
        rates: of new connections.
        bytes_per_second: of each connection, in each direction; None for no limit.
    """

    connections: int | None = None
    rates: tuple[RateLimit, ...] = ()
    bytes_per_second: int | None = None


@dataclass(frozen=True)
class Frontend:
    """Where a listener listens, and how it treats what arrives; `http` is set for those that understand requests.

    Attributes:
        idle: seconds without a byte after which a connection or UDP session ends; None for the default.
        more_ports: the other ports of a range, beside the address's own.
        port_clusters: by port, the cluster that it leads to; where there are none, all lead to the listener's own.
        dialled: where clients dial its ports, in their order; empty where that is where they are bound.
        access: all of them must let a client in.
    """

    address: Address
    protocol: Protocol
    stickiness: Stickiness
    http: HttpSettings | None = None
    tls: TlsSettings | None = None
    access: tuple[AccessRule, ...] = ()
    limits: ConnectionLimits = ConnectionLimits()
    idle: int | None = None
    more_ports: tuple[int, ...] = ()
    port_clusters: tuple[tuple[int, str], ...] = ()
    access_log: AccessLog | None = None
    dialled: tuple[Address, ...] = ()

    @property
    def bound(self) -> tuple[Address, ...]:
        """Where it listens: the first port, and the others of a range."""
        host, first = self.address
        return tuple((host, port) for port in (first, *self.more_ports))


@dataclass(frozen=True)
class Passage:
    """How a virtual server treats the connections that come by way of a listener.

    Attributes:
        drain: seconds that they go on when the server leaves its group.
        bytes_per_second: that each is sent at most; None for no limit.
        asked: what the client dialled, where the listener is bound elsewhere.
    """

    drain: float = 0.0
    bytes_per_second: int | None = None
    asked: Address | None = None


@dataclass(frozen=True)
class ProxyHeader:
    """A PROXY protocol v2 header that goes before the data: `values` are its type-length-values."""

    values: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True)
class Upstream:
    """How a listener chooses among its backend servers and speaks to them.

    Attributes:
        check: what Envoy shall probe, for real servers only.
        bytes_per_second: that a connection sends to a server at most; None for no limit.
    """

    scheduler: Scheduler
    stickiness: Stickiness
    protocol: Protocol
    check: HealthCheck | None = None
    proxy_header: ProxyHeader | None = None
    bytes_per_second: int | None = None


@dataclass(frozen=True)
class KeyPair:
    """A server's certificate chain and private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Credentials:
    """What a listener's TLS needs, by certificate id: key pairs, and the PEM of all its authorities together."""

    pairs: Mapping[str, KeyPair]
    authorities: str = field(default="", repr=False)


@dataclass(frozen=True)
class Branch:
    """A server group behind a listener."""

    upstream: Upstream
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True)
class Serving:
    """A listener that can be served.

    Attributes:
        branches: by the name of their cluster; the listener's own group has the listener's name.
        problem: what is wrong with a part of it, while the rest is served.
    """

    frontend: Frontend
    branches: Mapping[str, Branch]
    credentials: Credentials | None = None
    problem: State | None = None


@dataclass(frozen=True)
class Blocked:
    """A listener that cannot be served now, and why."""

    state: State


@dataclass(frozen=True)
class Targets:
    """Where the backend servers of a group are dialled.

    Attributes:
        real: they are machines on a network, probed by Envoy; else the responder stands in for them.
        addresses: by server; one that may not be dialled is missing.
        problem: why some or all are missing.
    """

    real: bool
    addresses: Mapping[Identity, Address]
    problem: State | None = None
