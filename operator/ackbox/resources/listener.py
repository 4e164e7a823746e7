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
from ackbox.resources.listener_settings import DomainExtension, ListenerRule, ProxyProtocolV2Config

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


class ListenerSpec(Model):
    """What its maker wants. Unset fields take the API's defaults in the data plane."""

    load_balancer_id: Annotated[str, Field(min_length=1)]
    """Name or id of the ServiceLoadBalancer, of the same namespace."""
    listener_port: Annotated[int, Field(ge=0, le=65535)]
    """The port that clients dial; 0 for a range of ports (NLB)."""
    start_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """First port of a range, with listenerPort 0."""
    end_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Last port of a range; only the first 1,000 are open, 100 where the data plane runs in Pods."""
    listener_protocol: Protocol
    """What clients speak; `tcpssl` (NLB) and `https` end TLS here."""
    description: Annotated[str, Field(max_length=256)] | None = None
    """A text, kept and shown; the cloud controller manager knows its own listeners by it."""
    bandwidth: Annotated[int, Field(ge=-1, le=5000)] | None = None
    """Mbit/s at most; as much as the load balancer has when left out or -1. Kept and shown for UDP."""
    scheduler: Scheduler = Scheduler.RR
    """How a backend server is chosen: `rr` and `wrr` in turns, without and with weights, `wlc` where the fewest
    connections are; by hash of the client's address (`sch`), of both addresses and ports (`tch`) or of a QUIC
    connection id (`qch`). An NLB or ALB server group says it in the listener's place."""
    v_server_group_id: Annotated[str | None, Field(alias="vServerGroupId")] = None
    """Name or id of the ServerGroup to send to; needed unless there are rules, or clients are forwarded to HTTPS."""
    access_log: OnOff | None = None
    """Whether each request, connection or UDP session is logged, as a line of JSON in `logs/access` of the home; off
    when left out."""

    persistence_timeout: Annotated[int, Field(ge=0, le=3600)] | None = None
    """CLB with TCP or UDP: a client's address keeps its server, for as long as the servers stay, not just for these
    seconds; 0 or nothing is off."""
    established_timeout: Annotated[int, Field(ge=10, le=900)] | None = None
    """TCP: seconds after which an idle connection is closed; 900 when left out."""
    idle_timeout: Annotated[int, Field(ge=1, le=900)] | None = None
    """Seconds after which an idle connection of a client is closed: HTTP and HTTPS (15 when left out), NLB with TCP or
    TCPSSL (900), or a UDP session ends (NLB: 20, CLB: 90)."""
    request_timeout: Annotated[int, Field(ge=1, le=180)] | None = None
    """HTTP, HTTPS: seconds that a server's answer may take before the client gets 504; 60 when left out."""
    connection_drain: OnOff | None = None
    """Whether connections to a server that was removed go on for a while; off when left out, kept and shown for UDP. An
    NLB or ALB server group that says it goes before."""
    connection_drain_timeout: Annotated[int, Field(ge=10, le=900)] | None = None
    """For how many seconds; 300 when left out."""
    proxy_protocol_v2_enabled: bool | None = None
    """CLB: whether servers are told the client's address in a PROXY protocol v2 header; kept and shown for UDP."""
    proxy_protocol_enabled: bool | None = None
    """NLB: whether they are, likewise."""
    proxy_protocol_v2_config: ProxyProtocolV2Config | None = None
    """What such a header tells besides the addresses (NLB)."""
    cps: Annotated[int, Field(ge=0, le=1000000)] | None = None
    """NLB: new connections a second and zone; no limit when left out or 0. Kept and shown for UDP."""

    acl_status: OnOff | None = None
    """Whether access control lists say who may connect; off when left out, everybody may."""
    acl_type: Literal["white", "black"] | None = None
    """With aclStatus `on`, which needs it: only the listed clients may connect (`white`), or all but them (`black`)."""
    acl_ids: list[str] | None = None
    """With aclStatus `on`, which needs one: names or ids of AccessControlLists."""

    sticky_session: OnOff | None = None
    """CLB with HTTP or HTTPS: whether a cookie ties a client to a server; off when left out. An ALB server group says
    it itself."""
    sticky_session_type: Literal["insert", "server"] | None = None
    """Whose cookie: the load balancer's own, `SERVERID` (`insert`, also when left out), or the server's (`server`)."""
    cookie: Annotated[str, Field(max_length=200)] | None = None
    """Name of the server's cookie, for stickySessionType `server`; without it no client is tied."""
    cookie_timeout: Annotated[int, Field(ge=1, le=86400)] | None = None
    """Seconds that the load balancer's own cookie lives; as long as the browser is open when left out."""
    x_forwarded_for_proto: OnOff | None = None
    """HTTP, HTTPS: whether servers learn the listener's protocol, in the header X-Forwarded-Proto; off when left
    out."""
    x_forwarded_for_slb_port: OnOff | None = None
    """HTTP, HTTPS: whether servers learn the listener's port, in X-Forwarded-Port; off when left out."""
    x_forwarded_for_client_src_port: OnOff | None = None
    """HTTP, HTTPS: whether servers learn the client's port, in X-Forwarded-Client-srcport; off when left out."""
    listener_forward: OnOff | None = None
    """HTTP: whether every client is sent to the HTTPS listener at forwardPort, by status 301; off when left out."""
    forward_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """With listenerForward `on`: the port of that listener."""
    rules: Annotated[list[ListenerRule], keyed("ruleName", max_length=200)] = []
    """Forwarding rules (ALB). What no rule fits goes to vServerGroupId, or gets 404."""

    server_certificate_id: str | None = None
    """CLB with HTTPS, which needs it: id of the certificate that clients are shown, the value of the label
    `ackbox.dev/certificate-id` of a Secret."""
    ca_certificate_id: str | None = None
    """CLB: id of a CA certificate; clients must show a certificate that it signed."""
    domain_extensions: Annotated[list[DomainExtension], keyed("domain", max_length=100)] = []
    """CLB: certificates by the name that the client asks for."""
    tls_cipher_policy: str | None = None
    """CLB: TLS versions and ciphers by the name of SLB's security policy, such as `tls_cipher_policy_1_2`;
    `tls_cipher_policy_1_0` when left out."""
    enable_http2: OnOff | None = None
    """HTTPS: whether clients may speak HTTP/2; on when left out."""
    certificate_ids: list[str] | None = None
    """NLB, ALB: the listener's own certificate, which TLS needs."""
    additional_certificate_ids: list[str] | None = None
    """NLB, ALB: further certificates, chosen by the name that the client asks for."""
    ca_enabled: bool | None = None
    """NLB, ALB: whether clients must show a certificate that one of caCertificateIds signed; off when left out."""
    ca_certificate_ids: list[str] | None = None
    """NLB, ALB: ids of CA certificates, with caEnabled, which needs one."""
    security_policy_id: str | None = None
    """NLB, ALB: as tlsCipherPolicy."""
    alpn_enabled: bool | None = None
    """NLB with TCPSSL: whether ALPN settles on a protocol; off when left out."""
    alpn_policy: Literal["HTTP1Only", "HTTP2Only", "HTTP2Preferred", "HTTP2Optional"] | None = None
    """With alpnEnabled, which needs it: which of HTTP/1 and HTTP/2 are offered, and which first."""

    health_check: OnOff | None = None
    """HTTP, HTTPS: whether servers are checked; off when left out. Emulated servers aren't asked: they pass while their
    machine runs. For NLB and ALB the server group's healthCheckConfig stands in place of this and the fields that
    follow."""
    health_check_switch: OnOff | None = None
    """TCP, UDP: whether servers are checked; on when left out."""
    health_check_type: Literal["tcp", "http"] | None = None
    """TCP: whether a check connects or asks by HTTP; `tcp` when left out. HTTP and HTTPS listeners always ask by
    HTTP."""
    health_check_uri: Annotated[str | None, Field(alias="healthCheckURI", max_length=80)] = None
    """Path that an HTTP check asks for; `/` when left out."""
    health_check_domain: Annotated[str, Field(max_length=80)] | None = None
    """Host that an HTTP check asks for; the server's own address when left out or `$_ip`."""
    health_check_http_code: str | None = None
    """Answers to an HTTP check that count as healthy: `http_1xx` to `http_5xx`, with commas between them; `http_2xx`
    when left out."""
    health_check_method: Literal["head", "get"] | None = None
    """Method of an HTTP check; `head` when left out."""
    health_check_connect_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port that is checked; the server's own when left out."""
    healthy_threshold: Annotated[int, Field(ge=2, le=10)] | None = None
    """Good checks in a row that make a server healthy; 3 when left out."""
    unhealthy_threshold: Annotated[int, Field(ge=2, le=10)] | None = None
    """Bad checks in a row that make it unhealthy; 3 when left out."""
    health_check_interval: Annotated[int, Field(ge=1, le=50)] | None = None
    """Seconds between two checks; when left out 2, for UDP 5."""
    health_check_connect_timeout: Annotated[int, Field(ge=1, le=300)] | None = None
    """TCP, UDP: seconds that a check may take; when left out 5, for UDP 10."""
    health_check_timeout: Annotated[int, Field(ge=1, le=300)] | None = None
    """HTTP, HTTPS: seconds that a check may take, at least healthCheckInterval; 5 when left out."""

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
    """How many servers the server group has."""
    healthy: int = 0
    """How many of them are healthy."""


class ListenerStatus(Status):
    """What the data plane made of it."""

    phase: str | None = None
    """SLB's own word: `starting`, `running`, or `stopped` while something is wrong with it."""
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
