"""The ports that NLB listeners stand on, single or in ranges, and which of them meet. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.ccm.services.backends import BackendError
from ackbox.ccm.services.names import Owner, parse_name
from ackbox.resources.listener import Protocol


@dataclass(frozen=True)
class Span:
    """The ports of a listener; `several` for a range, even of one port."""

    protocol: Protocol
    first: int
    last: int
    several: bool

    @property
    def transport(self) -> str:
        """The transport that the ports are claimed on."""
        return "udp" if self.protocol is Protocol.UDP else "tcp"

    def named(self, separator: str) -> str:
        """The port, or first and last port with something between them."""
        return f"{self.first}{separator}{self.last}" if self.several else str(self.first)

    def meets(self, other: "Span") -> bool:
        """Whether a port belongs to both."""
        return self.transport == other.transport and self.first <= other.last and other.first <= self.last

    def __str__(self) -> str:
        return f"[{self.named('-')}/{self.protocol}]"


def span_of(listener: Mapping[str, Any]) -> Span:
    """The ports of a listener that is there, by its spec."""
    port = listener["listenerPort"]
    first, last = listener.get("startPort"), listener.get("endPort")
    several = first is not None and last is not None
    return Span(Protocol(listener["listenerProtocol"]), first or port, last or port, several)


def check_free(span: Span, taken: Iterable[Span]) -> None:
    """Refuse ports that another listener of the same Service has.

    Raises:
        BackendError: there is such a listener.
    """
    other = next((other for other in taken if span.meets(other)), None)
    if other is not None:
        raise BackendError(f"port of listener {span} overlaps with listener {other}")


def check_neighbours(span: Span, owner: Owner, listeners: Iterable[Mapping[str, Any]]) -> None:
    """Refuse ports that a listener of somebody else's on the same load balancer has.

    Two listeners for the very same ports are one object, which only one of them gets, so that is told elsewhere.

    Args:
        span: the ports.
        owner: the Service that wants them.
        listeners: the specs of the listeners that are there.

    Raises:
        BackendError: there is such a listener.
    """
    for listener in listeners:
        other, name = span_of(listener), parse_name(listener.get("description"))
        same = (span.several, span.first, span.last) == (other.several, other.first, other.last)
        if span.meets(other) and not same and (name is None or name.owner != owner):
            whose = f"of Service {name.owner}" if name is not None else "of the load balancer's user"
            raise BackendError(f"port of listener {span} overlaps with listener {other} {whose}; choose other ports")
