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
    """Id of the Instance, or `eni-…` of its network interface; it is healthy while that machine runs."""
    server_ip: Annotated[str, Field(max_length=45)]
    """Its address: the node's or the pod's; dialled itself only for registered clusters and API servers."""
    port: Annotated[int, Field(ge=0, le=65535)]
    """Port that it is sent to; 0 is the port that the client asked for, in a group with anyPortEnabled."""
    weight: Annotated[int, Field(ge=0, le=100)] = 100
    """Its share in proportion to the others' weights; 100 when left out, 0 gets nothing."""
    type: Literal["ecs", "eni", "apiserver"] = "ecs"
    """Node (`ecs`, also when left out) or pod (`eni`). `apiserver`: an API server of a managed cluster, dialled for
    real; only ackbox makes groups of these."""
    description: str | None = None
    """A text, kept and shown; that of the cloud controller manager's servers marks them as its own."""

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells two backend servers of a group apart."""
        return self.server_id, self.server_ip, self.port


class HealthCheckConfig(Model):
    """How an NLB or ALB server group looks at its servers; a CLB listener says it itself."""

    health_check_enabled: bool | None = None
    """Whether servers are checked; when left out NLB does, ALB doesn't."""
    health_check_type: Literal["TCP", "HTTP", "UDP"] | None = None
    """What a check speaks; `TCP` when left out. HTTP and HTTPS listeners always ask by HTTP, and `UDP` connects by
    TCP."""
    health_check_url: Annotated[str, Field(max_length=80)] | None = None
    """Path that an HTTP check asks for; `/` when left out."""
    health_check_domain: Annotated[str, Field(max_length=80)] | None = None
    """Host that an HTTP check asks for; the server's own address when left out or `$_ip`."""
    health_check_connect_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port that is checked; the server's own when left out or 0."""
    health_check_connect_timeout: Annotated[int, Field(ge=1, le=300)] | None = None
    """Seconds that a check may take; 5 when left out."""
    health_check_interval: Annotated[int, Field(ge=1, le=50)] | None = None
    """Seconds between two checks; when left out 10 (NLB) or 2 (ALB)."""
    health_check_http_code: list[str] | None = None
    """Answers to an HTTP check that count as healthy: `http_1xx` to `http_5xx`; `http_2xx` when left out."""
    http_check_method: Literal["GET", "HEAD"] | None = None
    """Method of an HTTP check; `HEAD` when left out."""
    healthy_threshold: Annotated[int, Field(ge=2, le=10)] | None = None
    """Good checks in a row that make a server healthy; when left out 2 (NLB) or 3 (ALB)."""
    unhealthy_threshold: Annotated[int, Field(ge=2, le=10)] | None = None
    """Bad checks in a row that make it unhealthy; when left out 2 (NLB) or 3 (ALB)."""


class StickySessionConfig(Model):
    """Cookies that tie a client to a server of an ALB server group."""

    sticky_session_enabled: bool | None = None
    """Whether a cookie ties a client to a server; off when left out."""
    sticky_session_type: Literal["Insert", "Server"] | None = None
    """Whose cookie: the load balancer's own, `SERVERID` (`Insert`, also when left out), or the server's (`Server`)."""
    cookie: Annotated[str, Field(max_length=200)] | None = None
    """Name of the server's cookie, for stickySessionType `Server`; without it no client is tied."""
    cookie_timeout: Annotated[int, Field(ge=1, le=86400)] | None = None
    """Seconds that the load balancer's own cookie lives; as long as the browser is open when left out."""


class ServerGroupSpec(Model):
    """What its maker wants."""

    load_balancer_id: Annotated[str, Field(min_length=1)]
    """Name or id of the ServiceLoadBalancer, of the same namespace."""
    v_server_group_name: Annotated[str, Field(max_length=256)]
    """Name in the cloud; the cloud controller manager knows its own groups by it."""
    cluster_id: str | None = None
    """Name of the ManagedCluster of the backends; a registered one has real backends."""
    server_group_type: Literal["Instance", "Ip"] | None = None
    """NLB: by server or by address; kept and shown."""
    protocol: Literal["TCP", "UDP", "TCPSSL", "HTTP", "HTTPS"] | None = None
    """NLB, ALB: what the servers speak; kept and shown."""
    scheduler: Scheduler | None = None
    """NLB, ALB: how a server is chosen, as a Listener's scheduler; `wrr` when left out. A CLB listener says it
    itself."""
    connection_drain_enabled: bool | None = None
    """NLB, ALB: whether connections to a server that was removed go on for a while; when left out the listener's
    connectionDrain holds."""
    connection_drain_timeout: Annotated[int, Field(ge=10, le=900)] | None = None
    """For how many seconds; 300 when left out."""
    preserve_client_ip_enabled: bool | None = None
    """NLB with TCP: whether emulated servers see the client's address; true when left out. Real ones see the data
    plane's."""
    any_port_enabled: bool | None = None
    """NLB: says that servers are sent to on the port that the client asked for, which their port 0 brings about; kept
    and shown."""
    address_ip_version: Annotated[Literal["ipv4", "DualStack"] | None, Field(alias="addressIPVersion")] = None
    """NLB, ALB: version of IP of the servers; kept and shown."""
    resource_group_id: str | None = None
    """Resource group (`rg-…`), kept and shown."""
    health_check_config: HealthCheckConfig | None = None
    """How an NLB or ALB server group checks its servers; a CLB listener says it itself. Emulated servers aren't asked:
    they pass while their machine runs."""
    sticky_session_config: StickySessionConfig | None = None
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []
    """Tags in the cloud, kept and shown."""
    backend_servers: Annotated[list[BackendServer], keyed("serverId", "serverIp", "port", max_length=1000)] = []
    """The servers."""


class ServerStatus(Model):
    """Health of one backend server."""

    server_id: str
    """Id, as in the spec."""
    server_ip: str
    """Address, as in the spec."""
    port: int
    """Port, as in the spec."""
    server_health_status: ServerHealth
    """SLB's own word: `normal`, `abnormal`, or `unavailable` while no listener can tell."""


class ServerGroupStatus(Status):
    """What the data plane made of it."""

    v_server_group_id: str | None = None
    """Id in the cloud: `rsp-…`."""
    total: int | None = None
    """How many servers it has."""
    healthy: int | None = None
    """How many of them are `normal`."""
    backend_servers: Annotated[list[ServerStatus], keyed("serverId", "serverIp", "port", max_length=1000)] = []
    """Health of each server."""


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
