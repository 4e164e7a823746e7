"""The Service annotations of ACK's CCM for CLB, as data: one row a suffix, read by code, validation, docs and tests.

Meanings, ranges and mutability follow the CCM (v2.14) and Alibaba Cloud's help pages; `reference/ccm.md` §1 lists both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ackbox.resources.listener import Protocol

PREFIX = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-"
LEGACY_PREFIX = "service.beta.kubernetes.io/alicloud-loadbalancer-"
"""The older prefix; every suffix works under both, the newer one wins when its key is there."""

BACKEND_TYPE = "service.beta.kubernetes.io/backend-type"
CLASS = "service.beta.kubernetes.io/class"
TUNNEL_TYPE = f"{PREFIX}tunnel-type"


class Level(StrEnum):
    """What an annotation speaks of."""

    LOAD_BALANCER = "load balancer"
    LISTENER = "listener"
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
    CHOICES = "comma list of"
    INTEGER = "integer"
    WEIGHT = "weight"
    LABELS = "k1=v1,k2=v2"
    PROTOCOL_PORTS = "protocol:port,…"
    GROUP_PORTS = "group:port,…"


ALL = frozenset(Protocol)
LAYER4 = frozenset({Protocol.TCP, Protocol.UDP})
LAYER7 = frozenset({Protocol.HTTP})


@dataclass(frozen=True)
class Annotation:
    """A row.

    Attributes:
        suffix: the key without its prefix; the whole key when `whole_key`.
        choices: allowed words, for the formats that have some.
        limits: allowed range of an integer, both ends included.
        pattern: what a text must match, with `pattern_help` as its wording.
        default: what holds when the annotation is absent; None when the cloud decides.
        protocols: the listeners that it means something for.
        field: the field of the target's spec that it sets.
        immutable_error: the CCM's own words when an immutable value changes.
        blocking: a wrong value stops its level altogether, because a default could do harm.
    """

    suffix: str
    level: Level
    format: Format
    meaning: str
    choices: tuple[str, ...] = ()
    limits: tuple[int, int] | None = None
    pattern: str | None = None
    pattern_help: str = ""
    default: str | None = None
    protocols: frozenset[Protocol] = ALL
    field: str | None = None
    mutability: Mutability = Mutability.MUTABLE
    immutable_error: str | None = None
    blocking: bool = False
    whole_key: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The annotation keys, the one that wins first."""
        return (self.suffix,) if self.whole_key else (PREFIX + self.suffix, LEGACY_PREFIX + self.suffix)

    @property
    def allowed(self) -> str:
        """What may be written, for messages and docs."""
        match self.format:
            case Format.CHOICE:
                return "one of " + ", ".join(self.choices)
            case Format.CHOICES:
                return "a comma-separated list of " + ", ".join(self.choices)
            case Format.INTEGER | Format.WEIGHT:
                assert self.limits is not None
                return f"an integer in [{self.limits[0]},{self.limits[1]}]"
            case Format.LABELS:
                return "labels written k1=v1,k2=v2"
            case Format.PROTOCOL_PORTS:
                return "pairs written http:80,tcp:443 of " + ", ".join(self.choices) + " and a port of the Service"
            case Format.GROUP_PORTS:
                return "pairs written rsp-a:80,rsp-b:443 of a server group and a port of the Service"
            case Format.TEXT:
                return self.pattern_help or "a text"


def _integer_row(suffix: str, limits: tuple[int, int], meaning: str, protocols: frozenset[Protocol]) -> Annotation:
    """A health-check setting that is written like its field."""
    return Annotation(
        suffix,
        Level.LISTENER,
        Format.INTEGER,
        meaning,
        limits=limits,
        protocols=protocols,
        field=suffix.replace("-", "_"),
    )


ON_OFF = ("on", "off")
_URI = r"/[A-Za-z0-9\-/.%?#&=_;~!*()\[\]@$^:',+]{0,79}"
_DOMAIN = r"\$_ip|[A-Za-z0-9]([A-Za-z0-9.\-]{0,78}[A-Za-z0-9])?"

TABLE: tuple[Annotation, ...] = (
    Annotation(
        "id", Level.LOAD_BALANCER, Format.TEXT, "Use this existing load balancer: its id, or the object's name.",
        pattern=r"[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?",
        pattern_help="the id (lb-…) or the name of a ServiceLoadBalancer", blocking=True,
    ),
    Annotation(
        "name", Level.LOAD_BALANCER, Format.TEXT, "Name of the load balancer.", field="load_balancer_name",
        pattern=r"[^\s].{0,79}", pattern_help="a text of 1 to 80 characters",
    ),
    Annotation(
        "address-type", Level.LOAD_BALANCER, Format.CHOICE, "Public or private address.",
        choices=("internet", "intranet"), default="internet", field="address_type", mutability=Mutability.IMMUTABLE,
        immutable_error="alicloud: can not change LoadBalancer AddressType once created. delete and retry",
        blocking=True,
    ),
    Annotation(
        "force-override-listeners", Level.LOAD_BALANCER, Format.CHOICE,
        "Manage the listeners of a load balancer that is not the CCM's own.", choices=("true", "false"),
        default="false",
    ),
    Annotation(
        "hostname", Level.LOAD_BALANCER, Format.TEXT, "Host name to show in the Service's status instead of the IP.",
        pattern=r"(?=.{1,253}$)[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?)*",
        pattern_help="a DNS name in lower case",
    ),
    Annotation(
        "protocol-port", Level.LISTENER, Format.PROTOCOL_PORTS, "Protocol of each listener.",
        choices=tuple(Protocol), field="listener_protocol", mutability=Mutability.RECREATE,
    ),
    Annotation(
        "scheduler", Level.LISTENER, Format.CHOICE, "How a backend server is chosen.",
        choices=("rr", "wrr", "wlc", "sch"), default="rr", field="scheduler",
    ),
    Annotation(
        "vgroup-port", Level.LISTENER, Format.GROUP_PORTS,
        "Server groups of your own for ports of the Service; only together with `id`.",
    ),
    Annotation(
        "health-check-switch", Level.LISTENER, Format.CHOICE, "Health check of a TCP or UDP listener.",
        choices=ON_OFF, protocols=LAYER4, field="health_check_switch",
    ),
    Annotation(
        "health-check-flag", Level.LISTENER, Format.CHOICE, "Health check of an HTTP listener.",
        choices=ON_OFF, default="off", protocols=LAYER7, field="health_check",
    ),
    Annotation(
        "health-check-type", Level.LISTENER, Format.CHOICE, "How a TCP listener checks.", choices=("tcp", "http"),
        protocols=frozenset({Protocol.TCP}), field="health_check_type",
    ),
    Annotation(
        "health-check-uri", Level.LISTENER, Format.TEXT, "Path that an HTTP check asks for.", pattern=_URI,
        pattern_help="a path that starts with / and has at most 80 characters",
        protocols=frozenset({Protocol.TCP, Protocol.HTTP}), field="health_check_uri",
    ),
    Annotation(
        "health-check-domain", Level.LISTENER, Format.TEXT, "Host that an HTTP check asks for.", pattern=_DOMAIN,
        pattern_help="a host name of at most 80 characters, or $_ip",
        protocols=frozenset({Protocol.TCP, Protocol.HTTP}), field="health_check_domain",
    ),
    Annotation(
        "health-check-httpcode", Level.LISTENER, Format.CHOICES, "Answers that count as healthy.",
        choices=("http_2xx", "http_3xx", "http_4xx", "http_5xx"),
        protocols=frozenset({Protocol.TCP, Protocol.HTTP}), field="health_check_http_code",
    ),
    Annotation(
        "health-check-method", Level.LISTENER, Format.CHOICE, "Method of an HTTP check.", choices=("head", "get"),
        protocols=LAYER7, field="health_check_method",
    ),
    _integer_row("health-check-connect-port", (1, 65535), "Port that is checked.", ALL),
    _integer_row("healthy-threshold", (2, 10), "Good checks until a server is healthy.", ALL),
    _integer_row("unhealthy-threshold", (2, 10), "Bad checks until it is unhealthy.", ALL),
    _integer_row("health-check-interval", (1, 50), "Seconds between checks.", ALL),
    _integer_row("health-check-connect-timeout", (1, 300), "Seconds to wait for a check.", LAYER4),
    _integer_row("health-check-timeout", (1, 300), "Seconds to wait for a check.", LAYER7),
    Annotation(
        "backend-label", Level.BACKENDS, Format.LABELS, "Only nodes with all these labels are backend servers.",
        blocking=True,
    ),
    Annotation(
        "remove-unscheduled-backend", Level.BACKENDS, Format.CHOICE, "Leave cordoned nodes out.", choices=ON_OFF,
        default="off",
    ),
    Annotation(
        "weight", Level.BACKENDS, Format.WEIGHT,
        "Weight that the Service's servers have together; only with `id` and `vgroup-port`.", limits=(0, 100),
    ),
    Annotation(
        "default-weight", Level.BACKENDS, Format.WEIGHT, "Weight of each server in Cluster and ENI modes.",
        limits=(0, 100), default="100",
    ),
    Annotation(
        BACKEND_TYPE, Level.BACKENDS, Format.CHOICE, "Nodes (ecs) or pods (eni) as backend servers.",
        choices=("ecs", "eni"), default="ecs", whole_key=True, blocking=True,
    ),
)  # fmt: skip

BY_SUFFIX: Mapping[str, Annotation] = {row.suffix: row for row in TABLE}
