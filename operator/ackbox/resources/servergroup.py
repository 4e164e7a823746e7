"""ServerGroup: a vServer group (CLB) or server group (NLB, ALB) with its backend servers.

Field names follow the SLB API; what only NLB and ALB have follows the NLB API.
"""

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
    Status,
    Tag,
    ackbox_kind,
    immutable,
    keyed,
)
from ackbox.resources.listener import Scheduler

SERVER_GROUP = ackbox_kind("servergroups", "ServerGroup")


class ServerHealth(StrEnum):
    """SLB's own ServerHealthStatus words."""

    NORMAL = "normal"
    ABNORMAL = "abnormal"
    UNAVAILABLE = "unavailable"


class BackendServer(Model):
    """A server behind a listener."""

    server_id: Annotated[str, Field(max_length=253)]
    server_ip: Annotated[str, Field(max_length=45)]
    port: Annotated[int, Field(ge=0, le=65535)]
    """0 in a group with anyPortEnabled."""
    weight: Annotated[int, Field(ge=0, le=100)] = 100
    type: Literal["ecs", "eni", "apiserver"] = "ecs"
    """`apiserver`: an API server of a managed cluster, dialled for real; only ackbox makes groups of these."""
    description: str | None = None

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells two backend servers of a group apart."""
        return self.server_id, self.server_ip, self.port


class HealthCheckConfig(Model):
    """How an NLB or ALB server group looks at its servers; a CLB listener says it itself."""

    health_check_enabled: bool | None = None
    health_check_type: Literal["TCP", "HTTP", "UDP"] | None = None
    health_check_url: Annotated[str, Field(max_length=80)] | None = None
    health_check_domain: Annotated[str, Field(max_length=80)] | None = None
    health_check_connect_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """0 is the server's own port."""
    health_check_connect_timeout: Annotated[int, Field(ge=1, le=300)] | None = None
    health_check_interval: Annotated[int, Field(ge=1, le=50)] | None = None
    health_check_http_code: list[str] | None = None
    http_check_method: Literal["GET", "HEAD"] | None = None
    healthy_threshold: Annotated[int, Field(ge=2, le=10)] | None = None
    unhealthy_threshold: Annotated[int, Field(ge=2, le=10)] | None = None


class StickySessionConfig(Model):
    """Cookies that tie a client to a server of an ALB server group."""

    sticky_session_enabled: bool | None = None
    sticky_session_type: Literal["Insert", "Server"] | None = None
    cookie: Annotated[str, Field(max_length=200)] | None = None
    cookie_timeout: Annotated[int, Field(ge=1, le=86400)] | None = None


class ServerGroupSpec(Model):
    """What its maker wants."""

    load_balancer_id: Annotated[str, Field(min_length=1)]
    v_server_group_name: Annotated[str, Field(max_length=256)]
    cluster_id: str | None = None
    """Name of the ManagedCluster of the backends; a registered one has real backends."""
    server_group_type: Literal["Instance", "Ip"] | None = None
    """NLB: by server or by address."""
    protocol: Literal["TCP", "UDP", "TCPSSL", "HTTP", "HTTPS"] | None = None
    """NLB, ALB: what the servers speak."""
    scheduler: Scheduler | None = None
    """NLB, ALB: how a server is chosen; a CLB listener says it itself."""
    connection_drain_enabled: bool | None = None
    connection_drain_timeout: Annotated[int, Field(ge=10, le=900)] | None = None
    preserve_client_ip_enabled: bool | None = None
    any_port_enabled: bool | None = None
    """NLB: a server is sent to on the port that the client asked for."""
    address_ip_version: Annotated[Literal["ipv4", "DualStack"] | None, Field(alias="addressIPVersion")] = None
    resource_group_id: str | None = None
    health_check_config: HealthCheckConfig | None = None
    sticky_session_config: StickySessionConfig | None = None
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []
    backend_servers: Annotated[list[BackendServer], keyed("serverId", "serverIp", "port", max_length=1000)] = []


class ServerStatus(Model):
    """Health of one backend server."""

    server_id: str
    server_ip: str
    port: int
    server_health_status: ServerHealth


class ServerGroupStatus(Status):
    """What the data plane made of it."""

    v_server_group_id: str | None = None
    total: int | None = None
    healthy: int | None = None
    backend_servers: Annotated[list[ServerStatus], keyed("serverId", "serverIp", "port", max_length=1000)] = []


class ServerGroup(Resource):
    """A server group."""

    KIND: ClassVar = SERVER_GROUP
    SHORT_NAMES: ClassVar = ("sg",)
    COLUMNS: ClassVar = (
        Column("SLB", ".spec.loadBalancerId"),
        Column("Group", ".spec.vServerGroupName"),
        READY_COLUMN,
        Column("Healthy", ".status.healthy", "integer"),
        Column("Servers", ".status.total", "integer"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (immutable("loadBalancerId"), immutable("clusterId"))

    spec: ServerGroupSpec
    status: ServerGroupStatus = ServerGroupStatus()
