"""The Service annotations of ACK's CCM, as data: one row a suffix and kind of load balancer.

Code, validation, `docs/annotations.md` and tests read these tables; adding an annotation is adding a row.

Meanings, ranges and mutability follow the CCM (v2.14, `pkg/controller/service/reconcile/annotation`) and Alibaba
Cloud's help pages on annotations for CLB and NLB.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ackbox.resources.listener import Protocol
from ackbox.resources.loadbalancer import LoadBalancerType

PREFIX = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-"
LEGACY_PREFIX = "service.beta.kubernetes.io/alicloud-loadbalancer-"
"""The older prefix; every suffix works under both, the newer one wins when its key is there."""

BACKEND_TYPE = "service.beta.kubernetes.io/backend-type"
CLASS = "service.beta.kubernetes.io/class"
TYPE = f"{PREFIX}type"
TUNNEL_TYPE = f"{PREFIX}tunnel-type"


class Level(StrEnum):
    """What an annotation speaks of."""

    SELECTION = "which controller takes the Service"
    LOAD_BALANCER = "load balancer"
    LISTENER = "listener"
    SERVER_GROUP = "server group"
    HEALTH_CHECK = "health check"
    BACKENDS = "backends"


class Mutability(StrEnum):
    """What a later change does."""

    MUTABLE = "mutable"
    IMMUTABLE = "immutable"
    CREATE_ONLY = "at creation only"
    RECREATE = "re-creates the listener"


class Format(StrEnum):
    """How a value is written."""

    TEXT = "text"
    CHOICE = "one of"
    SWITCH = "on or off"
    CHOICES = "comma list of"
    TEXTS = "comma list"
    INTEGER = "integer"
    WEIGHT = "weight"
    LABELS = "k1=v1,k2=v2"
    TAGS = "K1=V1,K2"
    PROTOCOL_PORTS = "protocol:port,…"
    GROUP_PORTS = "group:port,…"
    FORWARD_PORTS = "http port:https port,…"
    PORT_RANGES = "first-last:port,…"
    DOMAINS = "domain:certificate,…"
    ZONES = "zone:vSwitch[:address[:EIP]],…"


TCP, UDP, TCPSSL, HTTP, HTTPS = (
    frozenset({protocol}) for protocol in (Protocol.TCP, Protocol.UDP, Protocol.TCPSSL, Protocol.HTTP, Protocol.HTTPS)
)
CLB_PROTOCOLS = TCP | UDP | HTTP | HTTPS
NLB_PROTOCOLS = TCP | UDP | TCPSSL


@dataclass(frozen=True)
class Annotation:
    """A row.

    Attributes:
        suffix: the key without its prefix; the whole key when `whole_key`.
        choices: allowed words, for the formats that have some.
        any_case: whether words may be written in upper and lower case; the value is as in `choices`.
        limits: allowed range of an integer, both ends included.
        most: how many entries a list may have; None for as many as one likes.
        pattern: what a text, or each of several, must match, with `help` as its wording.
        default: what holds when the annotation is absent; None when the cloud decides.
        protocols: the listeners that it means something for.
        field: the field that it sets: of the load balancer's, listener's or server group's spec, or of the latter's
            `health_check_config`, as `level` says.
        immutable_error: the CCM's own words when an immutable value changes.
        empty_counts: whether an empty value says "none", rather than nothing.
        blocking: a wrong value stops its level altogether, because a default could do harm.
        felt: what is seen in the traffic; None when the value is kept and shown only.
        felt_by: the test on a real Envoy that feels it, where the one of its row looks at objects only.
        note: what comes nearest to what is not felt, or what else is to be known.
    """

    suffix: str
    level: Level
    format: Format
    meaning: str
    choices: tuple[str, ...] = ()
    any_case: bool = False
    limits: tuple[int, int] | None = None
    most: int | None = None
    pattern: str | None = None
    help: str = ""
    default: str | None = None
    protocols: frozenset[Protocol] = CLB_PROTOCOLS
    field: str | None = None
    mutability: Mutability = Mutability.MUTABLE
    immutable_error: str | None = None
    empty_counts: bool = False
    blocking: bool = False
    whole_key: bool = False
    felt: str | None = None
    felt_by: str | None = None
    note: str = ""

    @property
    def takes_several(self) -> bool:
        """Whether a value is a list."""
        return self.format in (Format.TEXTS, Format.DOMAINS, Format.TAGS, Format.ZONES)

    @property
    def keys(self) -> tuple[str, ...]:
        """The annotation keys, the one that wins first."""
        return (self.suffix,) if self.whole_key else (PREFIX + self.suffix, LEGACY_PREFIX + self.suffix)

    @property
    def allowed(self) -> str:
        """What may be written, for messages and docs."""
        match self.format:
            case Format.CHOICE | Format.SWITCH:
                return "one of " + ", ".join(self.choices)
            case Format.CHOICES:
                return "a comma-separated list of " + ", ".join(self.choices)
            case Format.TEXTS:
                return f"a comma-separated list of {f'at most {self.most} ' if self.most else ''}{self.help}"
            case Format.INTEGER | Format.WEIGHT:
                assert self.limits is not None
                return f"an integer in [{self.limits[0]},{self.limits[1]}]"
            case Format.PROTOCOL_PORTS:
                return "pairs written http:80,tcp:443 of " + ", ".join(self.choices) + " and a port of the Service"
            case Format.TEXT:
                return self.help or "a text"
            case _:
                return _WRITTEN[self.format]


_WRITTEN = {
    Format.LABELS: "labels written k1=v1,k2=v2",
    Format.TAGS: "at most 20 tags written K1=V1,K2=V2, with keys of 1 to 64 and values of up to 128 characters",
    Format.GROUP_PORTS: "pairs written rsp-a:80,rsp-b:443 of a server group and a port of the Service",
    Format.FORWARD_PORTS: "pairs written 80:443,81:444 of an http port and an https port of the Service",
    Format.PORT_RANGES: "ranges written 80-400:80,500-600:443: first and last port, and a port of the Service",
    Format.DOMAINS: "at most 100 pairs written a.com:cert-id,b.com:cert-id of a domain and a certificate",
    Format.ZONES: "one to ten times zone:vSwitch[:private IPv4 address[:EIP id]], separated by commas",
}

ON_OFF = ("on", "off")
_ID = r"[A-Za-z0-9]([A-Za-z0-9._\-]{0,251}[A-Za-z0-9])?"
_URI = r"/[A-Za-z0-9\-/.%?#&=_;~!*()\[\]@$^:',+]{0,79}"
_DOMAIN = r"\$_ip|[A-Za-z0-9]([A-Za-z0-9.\-]{0,78}[A-Za-z0-9])?"
IPV4 = r"((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(?!$)|$)){4}"
_DNS = r"(?=.{1,253}$)[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?)*"
_IMMUTABLE = "alicloud: can not change LoadBalancer {} once created"


def _row(
    level: Level, default_protocols: frozenset[Protocol], suffix: str, meaning: str, **fields: object
) -> Annotation:
    """A row whose format follows from what it is given."""
    if "format" not in fields:
        fields["format"] = (
            Format.INTEGER if "limits" in fields else Format.CHOICE if "choices" in fields else Format.TEXT
        )
    fields.setdefault("protocols", default_protocols)
    return Annotation(suffix=suffix, level=level, meaning=meaning, **fields)  # type: ignore[arg-type]


def _balancer(suffix: str, meaning: str, **fields: object) -> Annotation:
    return _row(Level.LOAD_BALANCER, CLB_PROTOCOLS, suffix, meaning, **fields)


def _listener(suffix: str, protocols: frozenset[Protocol], meaning: str, **fields: object) -> Annotation:
    """A listener's setting; unless said otherwise its field is called as the suffix."""
    fields.setdefault("field", suffix.replace("-", "_"))
    return _row(Level.LISTENER, protocols, suffix, meaning, **fields)


def _group(suffix: str, meaning: str, **fields: object) -> Annotation:
    return _row(Level.SERVER_GROUP, NLB_PROTOCOLS, suffix, meaning, **fields)


def _check(suffix: str, meaning: str, **fields: object) -> Annotation:
    """A setting of an NLB server group's health check."""
    return _row(Level.HEALTH_CHECK, NLB_PROTOCOLS, suffix, meaning, **fields)


def _backends(suffix: str, meaning: str, **fields: object) -> Annotation:
    return _row(Level.BACKENDS, CLB_PROTOCOLS | NLB_PROTOCOLS, suffix, meaning, **fields)


_SWITCH = {"format": Format.CHOICE, "choices": ON_OFF}
"""`on` or `off`, kept as a word."""

_BOOLEAN = {"format": Format.SWITCH, "choices": ON_OFF}
"""`on` or `off`, kept as true or false."""

_NO_PRIVATE_LINK = "there is no PrivateLink here: the header carries no such field"

_CERTIFICATE = {"pattern": _ID, "help": "certificate ids"}

_TYPE_ROW = _row(
    Level.SELECTION, frozenset(), TYPE, "Kind of the load balancer, with feature gate LoadBalancerTypeAnnotation.",
    choices=("nlb",), whole_key=True, felt="the Service gets an NLB",
)  # fmt: skip

_SELECTION = (
    _row(
        Level.SELECTION, frozenset(), CLASS, "Another controller's Service: ackbox leaves it alone.", whole_key=True,
        felt="the Service gets no load balancer",
    ),
    _row(
        Level.SELECTION, frozenset(), TUNNEL_TYPE, "Another controller's Service: ackbox leaves it alone.",
        whole_key=True, felt="the Service gets no load balancer",
    ),
    _TYPE_ROW,
)  # fmt: skip

_SHARED = (
    _balancer(
        "id", "Use this existing load balancer: its id, or the object's name.", pattern=_ID,
        help="the id (lb-…, nlb-…) or the name of a ServiceLoadBalancer", blocking=True,
        felt="its address answers",
    ),
    _balancer(
        "name", "Name of the load balancer.", field="load_balancer_name", pattern=r"[^\s].{0,79}",
        help="a text of 1 to 80 characters",
    ),
    _balancer(
        "resource-group-id", "Resource group; the cloud config's when absent.", pattern=_ID,
        help="a resource group id (rg-…)", field="resource_group_id", mutability=Mutability.IMMUTABLE,
        immutable_error="alicloud: can not change ResourceGroupId once created",
    ),
    _balancer(
        "additional-resource-tags", "Further tags; the diff is made only while there are some.", format=Format.TAGS,
        field="tags",
    ),
    _balancer(
        "force-override-listeners", "Manage the listeners of a load balancer that is not the CCM's own.",
        choices=("true", "false"), default="false", felt="its listeners answer",
    ),
    _balancer(
        "preserve-lb-on-delete", "Keep the load balancer when the Service goes; any value.",
        felt="the listener still answers after the Service is gone",
    ),
)  # fmt: skip

_BACKENDS = (
    _backends(
        "backend-label", "Only nodes with all these labels are backend servers.", format=Format.LABELS, blocking=True,
        felt="other nodes get nothing",
    ),
    _backends(
        "backend-ip-version", "IP version of the backend servers; ipv6 and dualstack need feature gate IPv6DualStack.",
        choices=("ipv4", "ipv6", "dualstack"), default="ipv4", note="pods of emulated nodes have IPv4 addresses only",
    ),
    _backends(
        "remove-unscheduled-backend", "Leave cordoned nodes out.", choices=ON_OFF, default="off",
        felt="a cordoned node gets nothing",
    ),
    _backends(
        "weight", "Weight that the Service's servers have together; only with `id` and `vgroup-port`.",
        format=Format.WEIGHT, limits=(0, 100), felt="the share of answers",
    ),
    _backends(
        "default-weight", "Weight of each server in Cluster and ENI modes.", format=Format.WEIGHT, limits=(0, 100),
        default="100", felt="a weight of 0 gets nothing",
    ),
    _backends(
        "ignore-weight-update", "Keep the weights of servers that are there, as somebody set them by hand.",
        choices=ON_OFF, default="off", felt="a weight set by hand keeps its share",
    ),
    _backends(
        BACKEND_TYPE, "Nodes (ecs) or pods (eni) as backend servers.", choices=("ecs", "eni"), default="ecs",
        whole_key=True, blocking=True, felt="the answer names the node or the pod",
    ),
)  # fmt: skip

_CLB = (
    *_SELECTION,
    *_SHARED,
    _balancer(
        "address-type", "Public or private address.", choices=("internet", "intranet"), default="internet",
        field="address_type", mutability=Mutability.IMMUTABLE, blocking=True,
        immutable_error="alicloud: can not change LoadBalancer AddressType once created. delete and retry",
    ),
    _balancer(
        "vswitch-id", "vSwitch of a private load balancer; one of the cloud config's when absent.", pattern=_ID,
        help="the id (vsw-…) or the name of a vSwitch", field="v_switch_id", mutability=Mutability.CREATE_ONLY,
    ),
    _balancer(
        "network-type", "Classic network or VPC; a classic one is in no vSwitch.", choices=("classic", "vpc"),
        field="network_type", mutability=Mutability.IMMUTABLE, immutable_error=_IMMUTABLE.format("network type"),
    ),
    _balancer(
        "charge-type", "How Internet traffic is paid for; paybybandwidth needs a public address.",
        choices=("paybytraffic", "paybybandwidth"), field="internet_charge_type",
    ),
    _balancer(
        "bandwidth", "Peak Internet bandwidth in Mbit/s, with paybybandwidth.", limits=(1, 5000), field="bandwidth",
        felt="a download takes as long as the bandwidth says", felt_by="test_bandwidth_of_the_load_balancer",
    ),
    _balancer(
        "instance-charge-type", "Paid by specification or by what is used.", choices=("PayBySpec", "PayByCLCU"),
        default="PayByCLCU", field="instance_charge_type",
    ),
    _balancer(
        "spec", "Specification, for PayBySpec.", default="slb.s1.small", field="load_balancer_spec",
        choices=(
            "slb.s1.small", "slb.s2.small", "slb.s2.medium", "slb.s3.small", "slb.s3.medium", "slb.s3.large",
        ),
        felt="connections, new connections and requests over its limits are turned away",
        felt_by="test_connections_at_a_time_are_limited",
    ),
    _balancer(
        "master-zoneid", "Primary zone.", pattern=_ID, help="a zone id", field="master_zone_id",
        mutability=Mutability.IMMUTABLE, immutable_error=_IMMUTABLE.format("master zone id"),
    ),
    _balancer(
        "slave-zoneid", "Secondary zone.", pattern=_ID, help="a zone id", field="slave_zone_id",
        mutability=Mutability.IMMUTABLE, immutable_error=_IMMUTABLE.format("slave zone id"),
    ),
    _balancer(
        "ip-version", "IP version of the address.", choices=("ipv4", "ipv6"), default="ipv4",
        field="address_ip_version", mutability=Mutability.IMMUTABLE,
        immutable_error=_IMMUTABLE.format("AddressIPVersion"),
    ),
    _balancer(
        "ip", "Private address to take, inside the vSwitch.", pattern=IPV4, help="an IPv4 address", field="address",
        mutability=Mutability.IMMUTABLE, immutable_error=_IMMUTABLE.format("address"),
    ),
    _balancer(
        "delete-protection", "Whether deletion is refused.", default="on", field="delete_protection", **_SWITCH,
        felt="`kubectl delete slb` is refused",
    ),
    _balancer(
        "modification-protection", "Whether changes by hand are refused.", default="ConsoleProtection",
        choices=("ConsoleProtection", "NonProtection"), field="modification_protection_status",
    ),
    _balancer(
        "external-ip-type", "Show the elastic IP address bound to the load balancer.", choices=("eip",),
        felt="the Service's status shows it",
    ),
    _balancer(
        "hostname", "Host name to show in the Service's status instead of the IP.", pattern=_DNS,
        help="a DNS name in lower case", felt="the Service's status shows it",
    ),
    _listener(
        "protocol-port", CLB_PROTOCOLS, "Protocol of each listener.", format=Format.PROTOCOL_PORTS,
        choices=("tcp", "udp", "http", "https"), field="listener_protocol", mutability=Mutability.RECREATE,
        felt="the listener speaks it",
    ),
    _listener(
        "scheduler", CLB_PROTOCOLS, "How a backend server is chosen.",
        choices=("rr", "wrr", "wlc", "sch", "tch", "qch"), default="rr", felt="which server answers",
    ),
    _listener(
        "cert-id", HTTPS, "Server certificate; required for https.", pattern=_ID, help="a certificate id",
        field="server_certificate_id", felt="the certificate that the client is shown",
    ),
    _listener(
        "domain-extensions", HTTPS, "Certificates by domain.", format=Format.DOMAINS, most=100, empty_counts=True,
        felt="the certificate follows the name that the client asks for",
    ),
    _listener(
        "tls-cipher-policy", HTTPS, "TLS versions and ciphers.", felt="other versions are refused",
        choices=(
            "tls_cipher_policy_1_0", "tls_cipher_policy_1_1", "tls_cipher_policy_1_2",
            "tls_cipher_policy_1_2_strict", "tls_cipher_policy_1_2_strict_with_1_3",
        ),
    ),
    _listener("http2-enabled", HTTPS, "HTTP/2.", field="enable_http2", **_SWITCH, felt="what ALPN settles on"),
    _listener(
        "forward-port", HTTP, "Send clients of an http port to an https port.", format=Format.FORWARD_PORTS,
        field=None,
        mutability=Mutability.RECREATE, felt="a redirect",
    ),
    _listener(
        "proxy-protocol", TCP | UDP, "Tell backend servers the client in a PROXY protocol v2 header.",
        field="proxy_protocol_v2_enabled", **_BOOLEAN, felt="the header arrives (TCP)",
        note="kept only for UDP: Envoy's UDP proxy sends no PROXY protocol",
    ),
    _listener(
        "idle-timeout", HTTP | HTTPS, "Seconds that an idle connection of a client is kept.", limits=(1, 60),
        default="15", felt="an idle connection is closed",
    ),
    _listener(
        "request-timeout", HTTP | HTTPS, "Seconds that an answer may take; 504 afterwards.", limits=(1, 180),
        default="60", felt="504", felt_by="test_a_slow_answer_is_504",
    ),
    _listener(
        "established-timeout", TCP, "Seconds that an idle connection is kept.", limits=(10, 900), default="900",
        felt="an idle connection is closed",
    ),
    _listener(
        "persistence-timeout", TCP, "Seconds that a client's address stays with its server; 0 is off.",
        limits=(0, 3600), felt="one client, one server",
        note="by hash of the address: it stays as long as the servers do, not for that many seconds",
    ),
    _listener("acl-status", CLB_PROTOCOLS, "Whether access control lists hold.", **_SWITCH, felt="who may connect"),
    _listener(
        "acl-id", CLB_PROTOCOLS, "Access control lists; with acl-status on.", format=Format.TEXTS, pattern=_ID,
        help="ids (acl-…) or names of AccessControlLists", field="acl_ids", felt="who may connect",
    ),
    _listener(
        "acl-type", CLB_PROTOCOLS, "Only (white) or all but (black) the listed may connect; with acl-status on.",
        choices=("white", "black"), felt="who may connect",
    ),
    _listener(
        "connection-drain", TCP | UDP, "Whether a server that leaves keeps its connections for a while.", **_SWITCH,
        felt="connections of a removed server go on", felt_by="test_removed_server_drains",
    ),
    _listener(
        "connection-drain-timeout", TCP | UDP, "For how many seconds; with connection-drain on.", limits=(10, 900),
        felt="and end after that time", felt_by="test_removed_server_drains",
    ),
    _listener(
        "sticky-session", HTTP | HTTPS, "Whether a client stays with its server by a cookie.", default="off",
        **_SWITCH, felt="one client, one server",
    ),
    _listener(
        "sticky-session-type", HTTP | HTTPS, "The load balancer's own cookie (insert), or the application's (server).",
        choices=("insert", "server"), felt="whose cookie counts",
    ),
    _listener(
        "cookie", HTTP | HTTPS, "Name of the application's cookie, with server.",
        pattern=r"[A-Za-z0-9!#%&'*+.^_`|~\-][A-Za-z0-9!#$%&'*+.^_`|~\-]{0,199}",
        help="a cookie's name: 1 to 200 ASCII letters, digits and signs, not starting with $",
        felt="the cookie that counts",
    ),
    _listener(
        "cookie-timeout", HTTP | HTTPS, "Seconds that the load balancer's cookie lives, with insert.",
        limits=(1, 86400), felt="Max-Age of the cookie",
    ),
    _listener(
        "xforwardedfor-proto", HTTP | HTTPS, "Header X-Forwarded-Proto.", field="x_forwarded_for_proto", **_SWITCH,
        felt="the header arrives",
    ),
    _listener(
        "xforwardedfor-slbport", HTTP | HTTPS, "Header X-Forwarded-Port: the listener's.",
        field="x_forwarded_for_slb_port", **_SWITCH, felt="the header arrives",
    ),
    _listener(
        "xforwardedfor-clientsrcport", HTTP | HTTPS, "Header X-Forwarded-Client-srcport: the client's.",
        field="x_forwarded_for_client_src_port", **_SWITCH, felt="the header arrives",
    ),
    _listener(
        "vgroup-port", CLB_PROTOCOLS, "Server groups of your own for ports of the Service; only together with `id`.",
        format=Format.GROUP_PORTS, field=None, felt="its servers answer",
    ),
    _listener(
        "health-check-switch", TCP | UDP, "Health check of a TCP or UDP listener.", **_SWITCH,
        felt="without it a dead server still gets traffic", felt_by="test_switched_off",
    ),
    _listener(
        "health-check-flag", HTTP | HTTPS, "Health check of an HTTP or HTTPS listener.", default="off",
        field="health_check", **_SWITCH, felt="without it a dead server still gets traffic",
        felt_by="test_method",
    ),
    _listener(
        "health-check-type", TCP, "How a TCP listener checks.", choices=("tcp", "http"),
        felt="a server that answers HTTP errors gets nothing (real servers)", felt_by="test_what_is_asked",
    ),
    _listener(
        "health-check-uri", TCP | HTTP | HTTPS, "Path that an HTTP check asks for.", pattern=_URI,
        help="a path that starts with / and has at most 80 characters", felt="the check asks for it (real servers)",
        felt_by="test_what_is_asked",
    ),
    _listener(
        "health-check-domain", TCP | HTTP | HTTPS, "Host that an HTTP check asks for.", pattern=_DOMAIN,
        help="a host name of at most 80 characters, or $_ip", felt="the check asks for it (real servers)",
        felt_by="test_what_is_asked",
    ),
    _listener(
        "health-check-httpcode", TCP | HTTP | HTTPS, "Answers that count as healthy.", format=Format.CHOICES,
        choices=("http_2xx", "http_3xx", "http_4xx", "http_5xx"), field="health_check_http_code",
        felt="other answers take a server out (real servers)", felt_by="test_what_is_asked",
    ),
    _listener(
        "health-check-method", HTTP | HTTPS, "Method of an HTTP check.", choices=("head", "get"),
        felt="the check uses it (real servers)", felt_by="test_method",
    ),
    _listener(
        "health-check-connect-port", CLB_PROTOCOLS, "Port that is checked.", limits=(1, 65535),
        felt="the check dials it (real servers)", felt_by="test_port",
    ),
    _listener(
        "healthy-threshold", CLB_PROTOCOLS, "Good checks until a server is healthy.", limits=(2, 10),
        felt="how soon a server comes back", felt_by="test_thresholds",
    ),
    _listener(
        "unhealthy-threshold", CLB_PROTOCOLS, "Bad checks until it is unhealthy.", limits=(2, 10),
        felt="how soon a dead server gets nothing", felt_by="test_thresholds",
    ),
    _listener(
        "health-check-interval", CLB_PROTOCOLS, "Seconds between checks.", limits=(1, 50),
        felt="how soon a dead server gets nothing", felt_by="test_stopped_instance_gets_nothing_after_the_threshold",
    ),
    _listener(
        "health-check-connect-timeout", TCP | UDP, "Seconds to wait for a check.", limits=(1, 300),
        felt="a slow check fails (real servers)", felt_by="test_time_out",
    ),
    _listener(
        "health-check-timeout", HTTP | HTTPS, "Seconds to wait for a check.", limits=(1, 300),
        felt="a slow check fails (real servers)", felt_by="test_time_out_of_requests",
    ),
    *_BACKENDS,
)  # fmt: skip


_NLB_ERRORS = {"resource-group-id": "ResourceGroupId cannot be changed"}


def _as_nlb(rows: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
    return tuple(
        replace(
            row,
            protocols=NLB_PROTOCOLS if row.protocols else row.protocols,
            immutable_error=_NLB_ERRORS.get(row.suffix, row.immutable_error),
        )
        for row in rows
    )


_NLB = (
    _TYPE_ROW,
    *_as_nlb(_SHARED),
    _balancer(
        "zone-maps", "Zones and vSwitches; required unless `id` is set.", format=Format.ZONES, field="zone_mappings", most=10,
        blocking=True, note="private address and EIP of a zone can't change",
    ),
    _balancer(
        "address-type", "Public or private address.", choices=("internet", "intranet"), any_case=True,
        default="internet", field="address_type", blocking=True,
    ),
    _balancer(
        "ip-version", "IP version of the address.", choices=("ipv4", "DualStack"), any_case=True, default="ipv4",
        field="address_ip_version", mutability=Mutability.IMMUTABLE,
        immutable_error="AddressIpVersion cannot be changed",
    ),
    _balancer(
        "ipv6-address-type", "Public or private IPv6 address, with DualStack.", choices=("internet", "intranet"),
        any_case=True, field="ipv6_address_type",
    ),
    _balancer(
        "security-group-ids", "Security groups to join; an empty value leaves all.", format=Format.TEXTS, pattern=_ID,
        help="security group ids (sg-…)", most=10, field="security_group_ids", empty_counts=True,
        note="loadBalancerSourceRanges of the Service are felt",
    ),
    _balancer(
        "bandwidth-package-id", "Internet bandwidth package; an empty value detaches it.", pattern=_ID,
        help="a bandwidth package id (cbwp-…)", field="bandwidth_package_id", empty_counts=True,
    ),
    _balancer(
        "cross-zone-enabled", "Whether a zone sends to servers of other zones.", field="cross_zone_enabled",
        **_BOOLEAN, note="the listener has one address for all zones",
    ),
    _listener(
        "protocol-port", NLB_PROTOCOLS, "Protocol of each listener.", format=Format.PROTOCOL_PORTS,
        choices=("tcp", "udp", "tcpssl"), any_case=True, field="listener_protocol", mutability=Mutability.RECREATE,
        felt="the listener speaks it",
    ),
    _listener(
        "listener-port-range", NLB_PROTOCOLS, "Ranges of ports in place of a port of the Service; eni backends only.",
        format=Format.PORT_RANGES, field=None, mutability=Mutability.RECREATE,
        felt="every port of the range answers", note="ranges above 1,000 ports are kept and shown only",
    ),
    _listener(
        "cert-id", TCPSSL, "Server certificate; required for tcpssl.", format=Format.TEXTS, field="certificate_ids",
        **_CERTIFICATE, felt="the certificate that the client is shown",
    ),
    _listener(
        "additional-cert-ids", TCPSSL, "Further certificates, chosen by name; an empty value removes all.",
        format=Format.TEXTS, field="additional_certificate_ids", empty_counts=True, **_CERTIFICATE,
        felt="the certificate follows the name that the client asks for",
    ),
    _listener(
        "cacert", TCPSSL, "Whether clients must show a certificate.", field="ca_enabled", default="off", **_BOOLEAN,
        felt="clients without one are refused",
    ),
    _listener(
        "cacert-id", TCPSSL, "CA certificates of clients.", format=Format.TEXTS, field="ca_certificate_ids",
        **_CERTIFICATE, felt="clients of another CA are refused",
    ),
    _listener(
        "tls-cipher-policy", TCPSSL, "TLS versions and ciphers.", field="security_policy_id",
        choices=(
            "tls_cipher_policy_1_0", "tls_cipher_policy_1_1", "tls_cipher_policy_1_2",
            "tls_cipher_policy_1_2_strict", "tls_cipher_policy_1_2_strict_with_1_3",
        ),
        default="tls_cipher_policy_1_0", felt="other versions are refused",
    ),
    _listener("alpn", TCPSSL, "ALPN.", field="alpn_enabled", default="off", **_BOOLEAN, felt="what ALPN settles on"),
    _listener(
        "alpn-policy", TCPSSL, "Protocols offered by ALPN.", felt="what ALPN settles on",
        choices=("HTTP1Only", "HTTP2Only", "HTTP2Preferred", "HTTP2Optional"),
    ),
    _listener(
        "proxy-protocol", NLB_PROTOCOLS, "Tell backend servers the client in a PROXY protocol v2 header.",
        field="proxy_protocol_enabled", default="off", **_BOOLEAN, felt="the header arrives (TCP, TCPSSL)",
        note="kept only for UDP: Envoy's UDP proxy sends no PROXY protocol",
    ),
    *(
        _listener(
            f"ppv2-pvl-{short}-id-enabled", TCP | TCPSSL, f"{meaning} in the PROXY protocol header.", field=None,
            default="off", **_BOOLEAN, felt=felt, note=note,
        )
        for short, meaning, felt, note in (
            ("ep", "Endpoint id", None, _NO_PRIVATE_LINK),
            ("eps", "Endpoint service id", None, _NO_PRIVATE_LINK),
            ("vpc", "VPC id", "the header names the VPC (real servers too)", ""),
        )
    ),
    _listener(
        "idle-timeout", TCP | TCPSSL, "Seconds that an idle connection is kept.", limits=(1, 900), default="900",
        felt="an idle connection is closed",
    ),
    _listener(
        "cps", NLB_PROTOCOLS, "New connections a second; 0 for no limit.", limits=(0, 1000000), default="0",
        felt="connections over it are closed (TCP, TCPSSL)", note="kept only for UDP",
    ),
    _listener(
        "vgroup-port", NLB_PROTOCOLS, "Server groups of your own for ports of the Service; only together with `id`.",
        format=Format.GROUP_PORTS, field=None, felt="its servers answer",
    ),
    _group(
        "scheduler", "How a backend server is chosen.", choices=("wrr", "rr", "sch", "tch", "qch", "wlc"),
        any_case=True, default="wrr", field="scheduler", felt="which server answers",
    ),
    _group(
        "connection-drain", "Whether a server that leaves keeps its connections for a while.", default="off",
        field="connection_drain_enabled", **_BOOLEAN, felt="connections of a removed server go on",
        felt_by="test_removed_server_drains",
    ),
    _group(
        "connection-drain-timeout", "For how many seconds.", limits=(10, 900), field="connection_drain_timeout",
        felt="and end after that time", felt_by="test_removed_server_drains",
    ),
    _group(
        "preserve-client-ip", "Whether servers see the client's address.", field="preserve_client_ip_enabled",
        **_BOOLEAN, felt="the address that an emulated server says it sees",
        note="real servers see Envoy's address: use proxy-protocol",
    ),
    _group(
        "server-group-type", "Servers by instance or by address.", choices=("Instance", "Ip"), default="Instance",
        field="server_group_type", mutability=Mutability.RECREATE,
    ),
    _check(
        "health-check-flag", "Health check; the other settings count only with it.", field="health_check_enabled",
        **_BOOLEAN, felt="without it a dead server still gets traffic", felt_by="test_switched_off",
    ),
    _check(
        "health-check-type", "How servers are checked; udp for UDP listeners only.", choices=("TCP", "HTTP", "UDP"), any_case=True,
        default="TCP", field="health_check_type",
        felt="a server that answers HTTP errors gets nothing (real servers)", felt_by="test_what_is_asked",
    ),
    _check(
        "health-check-uri", "Path that an HTTP check asks for.", pattern=_URI, field="health_check_url",
        help="a path that starts with / and has at most 80 characters", felt="the check asks for it (real servers)",
        felt_by="test_what_is_asked",
    ),
    _check(
        "health-check-domain", "Host that an HTTP check asks for.", pattern=_DOMAIN, field="health_check_domain",
        help="a host name of at most 80 characters, or $_ip", felt="the check asks for it (real servers)",
        felt_by="test_what_is_asked",
    ),
    _check(
        "health-check-httpcode", "Answers that count as healthy.", format=Format.CHOICES,
        choices=("http_2xx", "http_3xx", "http_4xx", "http_5xx"), field="health_check_http_code",
        felt="other answers take a server out (real servers)", felt_by="test_what_is_asked",
    ),
    _check(
        "health-check-method", "Method of an HTTP check.", choices=("HEAD", "GET"), any_case=True, field="http_check_method",
        felt="the check uses it (real servers)", felt_by="test_method",
    ),
    _check(
        "health-check-connect-port", "Port that is checked; 0 is the server's own.", limits=(0, 65535),
        field="health_check_connect_port", felt="the check dials it (real servers)", felt_by="test_port",
    ),
    _check(
        "health-check-connect-timeout", "Seconds to wait for a check.", limits=(1, 300),
        field="health_check_connect_timeout", felt="a slow check fails (real servers)", felt_by="test_time_out",
    ),
    _check(
        "health-check-interval", "Seconds between checks.", limits=(1, 50), field="health_check_interval",
        felt="how soon a dead server gets nothing", felt_by="test_stopped_instance_gets_nothing_after_the_threshold",
    ),
    _check(
        "healthy-threshold", "Good checks until a server is healthy.", limits=(2, 10), field="healthy_threshold",
        felt="how soon a server comes back", felt_by="test_thresholds",
    ),
    _check(
        "unhealthy-threshold", "Bad checks until it is unhealthy.", limits=(2, 10), field="unhealthy_threshold",
        felt="how soon a dead server gets nothing", felt_by="test_thresholds",
    ),
    *_as_nlb(_BACKENDS),
)  # fmt: skip

TABLES: Mapping[LoadBalancerType, Mapping[str, Annotation]] = {
    LoadBalancerType.CLB: {row.suffix: row for row in _CLB},
    LoadBalancerType.NLB: {row.suffix: row for row in _NLB},
}
"""The rows by suffix, for each kind of load balancer that a Service can have."""
