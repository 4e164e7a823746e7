"""What a Service is to have on its load balancer, of whatever kind: listeners and server groups. Plain data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ackbox.ccm.services.backends import NodeView
from ackbox.ccm.services.names import OwnedName
from ackbox.resources import ServerGroup, ServiceLoadBalancer
from ackbox.resources.base import CERTIFICATE_LABEL
from ackbox.resources.listener import ListenerSpec
from ackbox.resources.servergroup import BackendServer


@dataclass(frozen=True)
class Certificate:
    """A certificate that the account has; `expired` when its time is over."""

    id: str
    expired: bool


def no_certificate(reference: str) -> str:
    """That a certificate isn't there, in the CCM's words, and where it would have to be."""
    return (
        f"can not found cert by id {reference}: no Secret of the account has the label {CERTIFICATE_LABEL}={reference}"
    )


@dataclass(frozen=True)
class WantedListener:
    """A listener.

    Attributes:
        overlay: what the Service and its annotations say; on a listener that is there, the rest stays as it is.
        defaults: what a new one has besides.
        unset: fields that the Service said once and says no more, if they are there.
        marks: annotations of the Listener object that tell later what came from where; None takes one away.
        held: whether it lacks something that it can't be without: it isn't made, nor made of one that speaks another
            protocol, but one that is there gets what is right.
    """

    object_name: str
    name: OwnedName
    port: int
    transport: str
    overlay: ListenerSpec
    defaults: Mapping[str, Any]
    unset: tuple[str, ...] = ()
    marks: Mapping[str, str | None] = field(default_factory=dict)
    held: bool = False


@dataclass(frozen=True)
class WantedGroup:
    """A server group.

    Attributes:
        servers: None when the ones that are there shall stay.
        user_made: whether it isn't ours.
        overlay: fields of its spec besides name and servers, as they are on the wire.
        keep_weights: whether servers that are there keep their weights.
    """

    object_name: str
    name: OwnedName
    servers: tuple[BackendServer, ...] | None
    user_made: bool = False
    overlay: Mapping[str, Any] = field(default_factory=dict)
    keep_weights: bool = False


@dataclass(frozen=True)
class Wanted:
    """Everything that a Service is to have on its load balancer, and what can't be had.

    Attributes:
        problems: what is wrong; the Service isn't well until it is put right.
        hints: what has no effect as it is written, though nothing is wrong.
        manage_listeners: whether listeners are the Service's at all; on a user's load balancer only if it says so.
    """

    listeners: tuple[WantedListener, ...]
    groups: tuple[WantedGroup, ...]
    problems: tuple[str, ...]
    manage_listeners: bool
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadBalancerChanges:
    """Wire fields of a load balancer's spec to be patched, what can't be had, and what has no effect as it is said."""

    spec: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def _none(_reference: str) -> None:
    return None


@dataclass(frozen=True)
class Observed:
    """What the model is built from, besides the Service.

    Attributes:
        group: a server group of the load balancer by name or cloud id.
        listener: the spec of a listener that is there, by the object's name.
        neighbours: the specs of all listeners on a load balancer.
        certificate: a certificate by its id, or the name of its Secret.
        acl: whether an access control list is there, by name or cloud id.
        gated: addresses of pods that are ready but for the readiness gate which a load balancer opens.
    """

    slices: Sequence[Mapping[str, Any]]
    nodes: Mapping[str, NodeView]
    group: Callable[[str], ServerGroup | None]
    listener: Callable[[str], Mapping[str, Any] | None] = _none
    neighbours: Callable[[ServiceLoadBalancer], Sequence[Mapping[str, Any]]] = lambda _: ()
    certificate: Callable[[str], Certificate | None] = _none
    acl: Callable[[str], bool] = bool
    gated: frozenset[str] = frozenset()
