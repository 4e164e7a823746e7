"""Listener: one listener of a load balancer, named `<slb>-<port>-<tcp or udp>`. Field names follow the SLB API."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ackbox.resources.base import (
    AGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    Model,
    Resource,
    Rule,
    Status,
    ackbox_kind,
    immutable,
)

LISTENER = ackbox_kind("listeners", "Listener")


class Protocol(StrEnum):
    """What a listener speaks."""

    TCP = "tcp"
    UDP = "udp"
    HTTP = "http"


class Scheduler(StrEnum):
    """How a listener chooses a backend server."""

    RR = "rr"
    WRR = "wrr"
    WLC = "wlc"
    SCH = "sch"


class ListenerPhase(StrEnum):
    """SLB's own listener status words."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


OnOff = Literal["on", "off"]


class ListenerSpec(Model):
    """What its maker wants. Unset fields take the SLB API's defaults in the data plane."""

    load_balancer_id: Annotated[str, Field(min_length=1)]
    listener_port: Annotated[int, Field(ge=1, le=65535)]
    listener_protocol: Protocol
    description: Annotated[str, Field(max_length=256)] | None = None
    bandwidth: int | None = None
    scheduler: Scheduler = Scheduler.RR
    v_server_group_id: Annotated[str | None, Field(alias="vServerGroupId")] = None
    persistence_timeout: Annotated[int, Field(ge=0, le=3600)] | None = None
    sticky_session: OnOff | None = None
    health_check: OnOff | None = None
    health_check_switch: OnOff | None = None
    health_check_type: Literal["tcp", "http"] | None = None
    health_check_uri: Annotated[str | None, Field(alias="healthCheckURI", max_length=80)] = None
    health_check_domain: Annotated[str, Field(max_length=80)] | None = None
    health_check_http_code: str | None = None
    health_check_method: Literal["head", "get"] | None = None
    health_check_connect_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    healthy_threshold: Annotated[int, Field(ge=2, le=10)] | None = None
    unhealthy_threshold: Annotated[int, Field(ge=2, le=10)] | None = None
    health_check_interval: Annotated[int, Field(ge=1, le=50)] | None = None
    health_check_connect_timeout: Annotated[int, Field(ge=1, le=300)] | None = None
    health_check_timeout: Annotated[int, Field(ge=1, le=300)] | None = None

    @property
    def transport(self) -> Literal["tcp", "udp"]:
        """The transport that the port is claimed on."""
        return "udp" if self.listener_protocol is Protocol.UDP else "tcp"


class BackendCount(Model):
    """Backends of a listener by health."""

    total: int = 0
    healthy: int = 0


class ListenerStatus(Status):
    """What the data plane made of it."""

    reachable: str | None = None
    """`address:port` as really dialled."""
    backends: BackendCount | None = None


class Listener(Resource):
    """A listener."""

    KIND: ClassVar = LISTENER
    SHORT_NAMES: ClassVar = ("lsn",)
    COLUMNS: ClassVar = (
        Column("SLB", ".spec.loadBalancerId"),
        Column("Protocol", ".spec.listenerProtocol"),
        Column("Port", ".spec.listenerPort", "integer"),
        Column("State", ".status.phase"),
        READY_COLUMN,
        Column("Reachable", ".status.reachable"),
        Column("Healthy", ".status.backends.healthy", "integer"),
        Column("Backends", ".status.backends.total", "integer"),
        Column("Scheduler", ".spec.scheduler", priority=1),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        immutable("loadBalancerId"),
        immutable("listenerPort"),
        Rule(
            "(self.listenerProtocol == 'udp') == (oldSelf.listenerProtocol == 'udp')",
            "listenerProtocol cannot move between tcp and udp; delete the listener and create it anew",
            "listenerProtocol",
        ),
    )

    spec: ListenerSpec
    status: ListenerStatus = ListenerStatus()


def listener_name(load_balancer: str, port: int, transport: str) -> str:
    """The name of a listener object: its claim on the port and transport of a load balancer."""
    return f"{load_balancer}-{port}-{transport}"
