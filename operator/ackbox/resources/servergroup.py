"""ServerGroup: a vServer group with its backend servers. Field names follow the SLB API."""

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
    ackbox_kind,
    immutable,
    keyed,
)

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
    port: Annotated[int, Field(ge=1, le=65535)]
    weight: Annotated[int, Field(ge=0, le=100)] = 100
    type: Literal["ecs", "eni"] = "ecs"
    description: str | None = None

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells two backend servers of a group apart."""
        return self.server_id, self.server_ip, self.port


class ServerGroupSpec(Model):
    """What its maker wants."""

    load_balancer_id: Annotated[str, Field(min_length=1)]
    v_server_group_name: Annotated[str, Field(max_length=256)]
    cluster_id: str | None = None
    """Name of the ManagedCluster of the backends; a registered one has real backends."""
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
