"""What a listener should be, as plain data: the step between the custom resources and Envoy's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from ackbox.kube.conditions import State
from ackbox.resources.listener import Protocol, Scheduler

Identity: TypeAlias = tuple[str, str, int]
"""Server id, server IP and port: what tells the backend servers of a group apart."""

Address: TypeAlias = tuple[str, int]
"""IP address and port to dial."""


class Stickiness(Enum):
    """What ties a client to a backend server."""

    NONE = "none"
    SOURCE_IP = "source-ip"
    COOKIE = "cookie"


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
class Frontend:
    """Where a listener listens, and how it treats what arrives."""

    address: Address
    protocol: Protocol
    stickiness: Stickiness


@dataclass(frozen=True)
class Upstream:
    """How a listener chooses among its backend servers; `check` is what Envoy shall probe, for real ones only."""

    scheduler: Scheduler
    stickiness: Stickiness
    protocol: Protocol
    check: HealthCheck | None = None


@dataclass(frozen=True)
class Serving:
    """A listener that can be served."""

    frontend: Frontend
    upstream: Upstream
    endpoints: tuple[Endpoint, ...]


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
