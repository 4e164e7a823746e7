"""The Ingress annotations of ACK's ALB Ingress controller, as data: one row a suffix.

Code, validation, `docs/annotations.md` and tests read this table, as they read those of Services. Meanings, defaults and
ranges follow the CCM (v2.14, `pkg/controller/ingress`) and Alibaba Cloud's help pages on ALB Ingresses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ackbox.catalog.annotations import HTTP, HTTPS, Annotation, Format, Level, Mutability

ALB_PREFIX = "alb.ingress.kubernetes.io/"
NGINX_PREFIX = "nginx.ingress.kubernetes.io/"


@dataclass(frozen=True)
class IngressAnnotation(Annotation):
    """A row.

    Attributes:
        twin: whether ingress-nginx' annotation of the same suffix is taken too; it wins, as upstream has it.
        test: the whole-stack test of the row.
    """

    twin: bool = False
    test: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The annotation keys, the one that wins first."""
        return (NGINX_PREFIX + self.suffix,) * self.twin + (ALB_PREFIX + self.suffix,)


def _row(level: Level, suffix: str, meaning: str, **fields: object) -> IngressAnnotation:
    """A row whose format follows from what it is given."""
    if "format" not in fields:
        fields["format"] = (
            Format.INTEGER if "limits" in fields else Format.CHOICE if "choices" in fields else Format.TEXT
        )
    return IngressAnnotation(suffix=suffix, level=level, meaning=meaning, protocols=HTTP | HTTPS, **fields)  # type: ignore[arg-type]


def _balancer(suffix: str, meaning: str, **fields: object) -> IngressAnnotation:
    """A setting of the AlbConfig that is made for an Ingress which names none that is there."""
    return _row(Level.LOAD_BALANCER, suffix, meaning, mutability=Mutability.CREATE_ONLY, **fields)


def _check(suffix: str, meaning: str, field: str, **fields: object) -> IngressAnnotation:
    return _row(Level.HEALTH_CHECK, suffix, meaning, field=field, **fields)


def _rule(suffix: str, meaning: str, **fields: object) -> IngressAnnotation:
    return _row(Level.LISTENER, suffix, meaning, **fields)


_BOOLEAN = {"choices": ("true", "false"), "default": "false"}
_PATH = r"/[^\s]{0,79}"
_NAME = {"pattern": r"[A-Za-z0-9_\-.]{1,128}", "help": "a name of 1 to 128 letters, digits, '_', '-' and '.'"}
_CODES = {"format": Format.CHOICES, "choices": ("http_2xx", "http_3xx", "http_4xx", "http_5xx")}

_ROWS = (
    _row(
        Level.SELECTION, "albconfig.name", "The AlbConfig of the Ingress, when its IngressClass names none.",
        pattern=r"[a-z0-9]([a-z0-9.\-]{0,251}[a-z0-9])?", help="the name of an AlbConfig", default="default",
        felt="its load balancer answers",
    ),
    _row(
        Level.SELECTION, "albconfig.order", "Rank of the Ingress among those of its AlbConfig; the lowest goes first.",
        limits=(1, 1000), default="10", felt="its rules win",
    ),
    _row(
        Level.SELECTION, "order", "The same, as the managed controller calls it.", limits=(1, 1000), default="10",
        felt="its rules win",
    ),
    _balancer(
        "address-type", "Address of the load balancer.", choices=("Internet", "Intranet"), any_case=True,
        default="Internet",
    ),
    _balancer(
        "vswitch-ids", "vSwitches, in two zones at least.", format=Format.TEXTS, pattern=r"[A-Za-z0-9._\-]{1,128}",
        help="vSwitch ids or names",
    ),
    _balancer("charge-type", "How it is paid for.", choices=("PostPay",), default="PostPay"),
    _balancer("id", "Use this existing load balancer.", pattern=r"[A-Za-z0-9._\-]{1,253}", help="an id (alb-…)"),
    _balancer("force-override-listeners", "Take over listeners that are on it already.", **_BOOLEAN),
    _balancer("name", "Name of the load balancer.", pattern=r"[^\s].{0,79}", help="a text of 1 to 80 characters"),
    _balancer(
        "address-allocated-mode", "Whether its addresses may change.", choices=("Dynamic", "Fixed"), default="Dynamic"
    ),
    _balancer("edition", "Edition.", choices=("Basic", "Standard", "StandardWithWaf"), default="Standard"),
    _balancer(
        "access-log", "Log project and store, as JSON; the log is written to a file of ackbox.", felt="its lines",
        help='JSON such as {"logProject": "p", "logStore": "s"}',
    ),
    _rule(
        "listen-ports", "Listeners that the Ingress has rules on, as a JSON list.",
        help='a JSON list such as [{"HTTP":80},{"HTTPS":443}]', default='[{"HTTP":80}], or [{"HTTPS":443}] with TLS',
        felt="its hosts answer on these ports",
    ),
    _rule(
        "ssl-redirect", "Send clients of HTTP listeners to port 443 of HTTPS, with 308.", twin=True, **_BOOLEAN,
        felt="308 to https",
    ),
    _rule(
        "rewrite-target", "Path that the servers see.", pattern=_PATH, help="a path that begins with /",
        felt="the server sees the path",
    ),
    _rule(
        "canary", "The Ingress is a canary of another one with the same hosts and paths.", twin=True, **_BOOLEAN,
        felt="its rules take only what is meant for it",
    ),
    _rule(
        "canary-by-header", "Requests with this header go to the canary.", twin=True, **_NAME,
        felt="such requests reach the canary",
    ),
    _rule(
        "canary-by-header-value", "The value that the header must have.", twin=True, pattern=r"[^\s]{1,128}",
        help="a text of 1 to 128 characters", default="always", felt="such requests reach the canary",
    ),
    _rule(
        "canary-by-cookie", "Requests whose cookie of this name is `always` go to the canary.", twin=True, **_NAME,
        felt="such requests reach the canary",
    ),
    _rule(
        "canary-weight", "Share of the other requests that goes to the canary, in per cent.", twin=True,
        limits=(0, 100), felt="that share reaches the canary",
    ),
    _row(
        Level.SERVER_GROUP, "backend-scheduler", "How a server is chosen.", choices=("wrr", "wlc", "sch"),
        default="wrr", field="scheduler",
    ),
    _row(
        Level.SERVER_GROUP, "sticky-session", "Keep a client on its server by a cookie.", **_BOOLEAN,
        felt="a cookie that leads to one server",
    ),
    _row(
        Level.SERVER_GROUP, "sticky-session-type", "The load balancer's own cookie, or one of the server.",
        choices=("Insert", "Server"), default="Insert",
    ),
    _row(
        Level.SERVER_GROUP, "cookie-timeout", "Seconds that an inserted cookie lives.", limits=(1, 86400),
        default="1000", felt="Max-Age of the cookie",
    ),
    _row(Level.SERVER_GROUP, "cookie", "Name of the server's cookie.", **_NAME),
    _check(
        "healthcheck-enabled", "Check the servers.", "health_check_enabled", **_BOOLEAN,
        felt="a server that fails gets nothing",
    ),
    _check(
        "healthcheck-path", "Path that is asked for.", "health_check_url", pattern=_PATH,
        help="a path that begins with /", default="/",
    ),
    _check(
        "healthcheck-protocol", "What a check speaks.", "health_check_type", choices=("HTTP", "TCP"), default="HTTP"
    ),
    _check(
        "healthcheck-method", "Method of an HTTP check.", "http_check_method", choices=("HEAD", "GET"), default="HEAD"
    ),
    _check("healthcheck-httpcode", "Good answers.", "health_check_http_code", default="http_2xx", **_CODES),
    _check("healthcheck-code", "The same; it wins.", "health_check_http_code", default="http_2xx", **_CODES),
    _check(
        "healthcheck-timeout-seconds", "Seconds that a check may take.", "health_check_connect_timeout",
        limits=(1, 300), default="5",
    ),
    _check(
        "healthcheck-interval-seconds", "Seconds between two checks.", "health_check_interval", limits=(1, 50),
        default="2", felt="how soon a failure is noticed",
    ),
    _check(
        "healthcheck-connect-port", "Port that is checked; 0 is the server's own.", "health_check_connect_port",
        limits=(0, 65535), default="0",
    ),
    _check(
        "healthy-threshold-count", "Good checks in a row that make a server healthy.", "healthy_threshold",
        limits=(2, 10), default="3",
    ),
    _check(
        "unhealthy-threshold-count", "Bad checks in a row that make it unhealthy.", "unhealthy_threshold",
        limits=(2, 10), default="3", felt="how soon a failure is noticed",
    ),
    _row(
        Level.BACKENDS, "backend-label", "Only nodes with all these labels are servers.", format=Format.LABELS,
        blocking=True, felt="other nodes get nothing",
    ),
    _row(
        Level.BACKENDS, "remove-unscheduled-backend", "Leave out nodes that are cordoned.", choices=("on", "off"),
        default="off", felt="a cordoned node gets nothing",
    ),
)  # fmt: skip

_TESTS: Mapping[str, tuple[str, ...]] = {
    "test_a_plain_ingress_of_class_alb": (
        "address-type",
        "vswitch-ids",
        "name",
        "access-log",
    ),
    "test_a_cordoned_node_and_an_albconfig": (
        "albconfig.name",
        "remove-unscheduled-backend",
    ),
    "test_order_rewrite_and_cookies": (
        "albconfig.order",
        "order",
        "rewrite-target",
        "sticky-session",
        "cookie-timeout",
    ),
    "test_an_albconfig_says_the_listeners": ("listen-ports",),
    "test_tls_with_a_secret": ("ssl-redirect",),
    "test_a_canary_takes_its_share": (
        "canary",
        "canary-by-header",
        "canary-by-header-value",
        "canary-by-cookie",
        "canary-weight",
    ),
    "test_checked_servers_that_fail": (
        "healthcheck-enabled",
        "healthcheck-interval-seconds",
        "unhealthy-threshold-count",
    ),
    "test_servers_follow_nodes": ("backend-label",),
}

INGRESS_ANNOTATIONS: Mapping[str, IngressAnnotation] = {
    row.suffix: replace(row, test=next((test for test, suffixes in _TESTS.items() if row.suffix in suffixes), ""))
    for row in _ROWS
}
"""The rows by suffix."""
