"""Listener: one listener of a load balancer, named `<slb>-<port>-<tcp or udp>`.

Field names follow the SLB API (CLB listeners) and the NLB and ALB APIs (listeners of such load balancers).
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
    Rule,
    Status,
    ackbox_kind,
    immutable,
    keyed,
)

LISTENER = ackbox_kind("listeners", "Listener")


class Protocol(StrEnum):
    """What a listener speaks."""

    TCP = "tcp"
    UDP = "udp"
    TCPSSL = "tcpssl"
    HTTP = "http"
    HTTPS = "https"


LAYER7 = frozenset({Protocol.HTTP, Protocol.HTTPS})
"""Protocols whose requests are understood."""

ENCRYPTED = frozenset({Protocol.HTTPS, Protocol.TCPSSL})
"""Protocols that end TLS."""


class Scheduler(StrEnum):
    """How a listener chooses a backend server.

    Round robin, weighted round robin, weighted least connections; consistent hash of the source address (sch), of
    source and destination address and port (tch), of the QUIC connection id (qch).
    """

    RR = "rr"
    WRR = "wrr"
    WLC = "wlc"
    SCH = "sch"
    TCH = "tch"
    QCH = "qch"


class ListenerPhase(StrEnum):
    """SLB's own listener status words."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


OnOff = Literal["on", "off"]


class DomainExtension(Model):
    """The certificate of a domain; other domains get the listener's own."""

    domain: Annotated[str, Field(min_length=1, max_length=253)]
    server_certificate_id: Annotated[str, Field(min_length=1, max_length=253)]


class ProxyProtocolV2Config(Model):
    """What a PROXY protocol header tells besides the addresses (NLB)."""

    ppv2_private_link_ep_id_enabled: bool | None = None
    ppv2_private_link_eps_id_enabled: bool | None = None
    ppv2_vpc_id_enabled: bool | None = None


class ServerGroupTuple(Model):
    """A server group that a rule forwards to, and its share."""

    server_group_id: str
    weight: Annotated[int, Field(ge=0, le=100)] = 100


class RuleAction(Model):
    """What a rule does with a request that fits (ALB)."""

    type: Literal["ForwardGroup", "Redirect", "FixedResponse", "Rewrite", "InsertHeader", "RemoveHeader"]
    server_groups: Annotated[list[ServerGroupTuple], Field(max_length=5)] = []
    """ForwardGroup: where to, by weight."""
    host: str | None = None
    """Redirect, Rewrite: another host."""
    path: str | None = None
    """Redirect, Rewrite: another path."""
    protocol: Literal["HTTP", "HTTPS"] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    http_code: Annotated[int, Field(ge=200, le=599)] | None = None
    """Redirect: 301, 302, 303, 307 or 308; FixedResponse: the status."""
    content: Annotated[str, Field(max_length=1024)] | None = None
    """FixedResponse: the body."""
    key: str | None = None
    """InsertHeader, RemoveHeader: the header."""
    value: str | None = None
    """InsertHeader: its value."""


class RuleCondition(Model):
    """What a request must be to fit a rule (ALB); several values mean any of them."""

    type: Literal["Host", "Path", "Header", "Cookie", "Method", "QueryString", "SourceIp"]
    key: str | None = None
    """Header, Cookie, QueryString: its name."""
    values: Annotated[list[str], Field(max_length=10)] = []
    """Path: exact, or a prefix written `/path/*`; Host: exact or `*.domain`."""


class ListenerRule(Model):
    """A forwarding rule (ALB): every condition must hold; the lowest priority number is looked at first."""

    rule_name: Annotated[str, Field(min_length=1, max_length=128)]
    priority: Annotated[int, Field(ge=1, le=10000)]
    rule_conditions: Annotated[list[RuleCondition], Field(max_length=10)] = []
    rule_actions: Annotated[list[RuleAction], Field(min_length=1, max_length=5)]


class ListenerSpec(Model):
    """What its maker wants. Unset fields take the API's defaults in the data plane."""

    load_balancer_id: Annotated[str, Field(min_length=1)]
    listener_port: Annotated[int, Field(ge=0, le=65535)]
    """0 for a range of ports (NLB)."""
    start_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    end_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    listener_protocol: Protocol
    description: Annotated[str, Field(max_length=256)] | None = None
    bandwidth: Annotated[int, Field(ge=-1, le=5000)] | None = None
    """Mbit/s; -1 for as much as the load balancer has."""
    scheduler: Scheduler = Scheduler.RR
    v_server_group_id: Annotated[str | None, Field(alias="vServerGroupId")] = None
    access_log: OnOff | None = None

    persistence_timeout: Annotated[int, Field(ge=0, le=3600)] | None = None
    established_timeout: Annotated[int, Field(ge=10, le=900)] | None = None
    idle_timeout: Annotated[int, Field(ge=1, le=900)] | None = None
    request_timeout: Annotated[int, Field(ge=1, le=180)] | None = None
    connection_drain: OnOff | None = None
    connection_drain_timeout: Annotated[int, Field(ge=10, le=900)] | None = None
    proxy_protocol_v2_enabled: bool | None = None
    """CLB: tell backend servers the client's address in a PROXY protocol v2 header."""
    proxy_protocol_enabled: bool | None = None
    """NLB: the same."""
    proxy_protocol_v2_config: ProxyProtocolV2Config | None = None
    cps: Annotated[int, Field(ge=0, le=1000000)] | None = None
    """New connections a second and zone (NLB); 0 for no limit."""

    acl_status: OnOff | None = None
    acl_type: Literal["white", "black"] | None = None
    acl_ids: list[str] | None = None

    sticky_session: OnOff | None = None
    sticky_session_type: Literal["insert", "server"] | None = None
    cookie: Annotated[str, Field(max_length=200)] | None = None
    cookie_timeout: Annotated[int, Field(ge=1, le=86400)] | None = None
    x_forwarded_for_proto: OnOff | None = None
    x_forwarded_for_slb_port: OnOff | None = None
    x_forwarded_for_client_src_port: OnOff | None = None
    listener_forward: OnOff | None = None
    forward_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The HTTPS listener that clients of this HTTP listener are sent to."""
    rules: Annotated[list[ListenerRule], keyed("ruleName", max_length=200)] = []

    server_certificate_id: str | None = None
    ca_certificate_id: str | None = None
    """CLB: clients must show a certificate that this one signed."""
    domain_extensions: Annotated[list[DomainExtension], keyed("domain", max_length=100)] = []
    tls_cipher_policy: str | None = None
    enable_http2: OnOff | None = None
    certificate_ids: list[str] | None = None
    """NLB: the listener's own certificate."""
    additional_certificate_ids: list[str] | None = None
    """NLB: further certificates, chosen by the name that the client asks for."""
    ca_enabled: bool | None = None
    ca_certificate_ids: list[str] | None = None
    security_policy_id: str | None = None
    """NLB: as tlsCipherPolicy."""
    alpn_enabled: bool | None = None
    alpn_policy: Literal["HTTP1Only", "HTTP2Only", "HTTP2Preferred", "HTTP2Optional"] | None = None

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

    @property
    def ports(self) -> range:
        """Every port that it listens on."""
        if self.start_port is None or self.end_port is None:
            return range(self.listener_port, self.listener_port + 1)
        return range(self.start_port, self.end_port + 1)


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
        immutable("startPort"),
        immutable("endPort"),
        Rule(
            "self.listenerPort == 0 ? has(self.startPort) && has(self.endPort) && self.startPort <= self.endPort"
            " : !has(self.startPort) && !has(self.endPort)",
            "listenerPort is a port, or 0 with startPort and endPort for a range of ports",
            "listenerPort",
        ),
        Rule(
            "!(has(self.listenerForward) && self.listenerForward == 'on')"
            " || (self.listenerProtocol == 'http' && has(self.forwardPort))",
            "listenerForward belongs to an http listener and needs forwardPort",
            "listenerForward",
        ),
        Rule(
            "(self.listenerProtocol == 'udp') == (oldSelf.listenerProtocol == 'udp')",
            "listenerProtocol cannot move between tcp and udp; delete the listener and create it anew",
            "listenerProtocol",
        ),
    )

    spec: ListenerSpec
    status: ListenerStatus = ListenerStatus()


def listener_name(load_balancer: str, port: int | str, transport: str) -> str:
    """The name of a listener object: its claim on the port and transport of a load balancer.

    A range of ports is written `<first>-<last>`.
    """
    return f"{load_balancer}-{port}-{transport}"
