"""The server group of a backend of an Ingress. Pure; rule source: the CCM's `pkg/controller/ingress`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ackbox.catalog.annotations import BACKEND_TYPE, Level
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import names
from ackbox.ccm.ingress.view import Backend, IngressView
from ackbox.ccm.services.backends import BackendError, Choice, Mode, NodeView, backends, endpoints
from ackbox.kube.client import Object
from ackbox.resources.servergroup import BackendServer, HealthCheckConfig, ServerGroupSpec

EXCLUDE_LABEL = "alpha.service-controller.kubernetes.io/exclude-alb"
"""On Nodes that no ALB sends to."""

STICKY_SECONDS = 1000


@dataclass(frozen=True)
class Observed:
    """What server groups are built from, besides the Ingresses.

    Attributes:
        service: a Service by namespace and name.
        slices: the EndpointSlices of a Service.
        nodes: every Node.
        backend_type: `eni` or `ecs` for Services that say nothing; None leaves it to the network plug-in.
        max_servers: how many servers a group may have.
    """

    service: Callable[[str, str], Object | None]
    slices: Callable[[str, str], Sequence[Object]]
    nodes: Mapping[str, NodeView]
    backend_type: str | None
    max_servers: int


@dataclass(frozen=True)
class WantedGroup:
    """A server group, and what is wrong with it; `servers_known` is False when those that are there shall stay."""

    object_name: str
    spec: ServerGroupSpec
    problem: str | None = None
    servers_known: bool = True


def object_name(load_balancer: str, view: IngressView, backend: Backend) -> str:
    """The name of the group's object."""
    return names.group_object_name(load_balancer, view.namespace, view.name, backend.service, backend.port)


def server_group(
    load_balancer: str, view: IngressView, backend: Backend, facts: ClusterFacts, observed: Observed
) -> WantedGroup:
    """The group of a backend. One whose servers can't be told has none, so that its rules answer 503 and not others'."""
    service = observed.service(view.namespace, backend.service)
    port = _port(service, backend.port)
    number = port["port"] if port else backend.port
    name = names.group_name(view.namespace, backend.service, number)
    servers: tuple[BackendServer, ...] = ()
    problem = None
    known = "backend-label" not in view.wishes.blocked
    try:
        servers = _servers(view, backend, service, port, name, facts, observed) if known else ()
    except BackendError as error:
        problem = f"Service {view.namespace}/{backend.service}, port {backend.port}: {error}"
    if len(servers) > observed.max_servers:
        problem = (
            f"BackendServerNumberOverLimit: server group {name}: {len(servers)} servers, but at most "
            f"{observed.max_servers} are allowed; the others are left out. Annotation backend-label chooses nodes"
        )
    tags = names.group_tags(view.namespace, view.name, backend.service, number)
    spec = _spec(load_balancer, name, facts, view, tags, servers[: observed.max_servers])
    return WantedGroup(object_name(load_balancer, view, backend), spec, problem, known)


def empty_group(load_balancer: str, config: str, port: int, facts: ClusterFacts) -> WantedGroup:
    """The group of requests that fit no rule: it has no servers, so that they get 503."""
    ingress, service = f"{config}-listener-{port}", "fake-svc"
    name = names.group_name(names.HOME, service, port)
    spec = _spec(load_balancer, name, facts, None, names.group_tags(names.HOME, ingress, service, port), ())
    return WantedGroup(names.group_object_name(load_balancer, names.HOME, ingress, service, port), spec)


def _spec(
    load_balancer: str,
    name: str,
    facts: ClusterFacts,
    view: IngressView | None,
    tags: Mapping[str, str],
    servers: Sequence[BackendServer],
) -> ServerGroupSpec:
    said = view.wishes.fields(Level.SERVER_GROUP) if view else {}
    check = view.wishes.fields(Level.HEALTH_CHECK) if view else {"health_check_enabled": False}
    return ServerGroupSpec.model_validate(
        {
            "load_balancer_id": load_balancer,
            "v_server_group_name": name,
            "cluster_id": facts.name,
            "server_group_type": "Instance",
            "protocol": "HTTP",
            "scheduler": "wrr",
            **said,
            "health_check_config": HealthCheckConfig(**check),
            "sticky_session_config": _stickiness(view),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
            "backend_servers": list(servers),
        }
    )


def _stickiness(view: IngressView | None) -> dict[str, Any]:
    wishes = view.wishes if view else None
    if wishes is None or not wishes.on("sticky-session"):
        return {"sticky_session_enabled": False}
    return {
        "sticky_session_enabled": True,
        "sticky_session_type": wishes.text("sticky-session-type") or "Insert",
        "cookie_timeout": wishes.number("cookie-timeout") or STICKY_SECONDS,
        "cookie": wishes.text("cookie"),
    }


def _port(service: Object | None, wanted: int | str) -> Mapping[str, Any] | None:
    ports = ((service or {}).get("spec") or {}).get("ports") or ()
    return next((port for port in ports if wanted in (port["port"], port.get("name"))), None)


def _servers(
    view: IngressView,
    backend: Backend,
    service: Object | None,
    port: Mapping[str, Any] | None,
    name: str,
    facts: ClusterFacts,
    observed: Observed,
) -> tuple[BackendServer, ...]:
    if service is None:
        raise BackendError("there is no such Service")
    if port is None:
        raise BackendError(f"unable to find port {backend.port} on service {view.namespace}/{backend.service}")
    choice = Choice(
        mode=_mode(service, facts, observed.backend_type),
        labels=view.wishes.labels("backend-label"),
        remove_unscheduled=view.wishes.on("remove-unscheduled-backend"),
    )
    nodes = {key: node for key, node in observed.nodes.items() if EXCLUDE_LABEL not in node.labels}
    ready = endpoints(observed.slices(view.namespace, backend.service), port.get("name") or "")
    return backends(choice, port.get("nodePort"), ready, nodes, name)


def _mode(service: Object, facts: ClusterFacts, default: str | None) -> Mode:
    """How traffic enters the cluster. Where pods have addresses of the VPC (Terway), ClusterIP Services work too."""
    spec = service["spec"]
    kind = (service["metadata"].get("annotations") or {}).get(BACKEND_TYPE) or default
    plain = spec.get("type", "ClusterIP") == "ClusterIP"
    if kind == "eni" or (kind is None and plain and not facts.routed):
        return Mode.ENI
    if plain:
        raise BackendError(
            "cluster service type just support eni mode for alb ingress; make the Service's type NodePort, or set "
            f"annotation {BACKEND_TYPE} to eni"
        )
    return Mode.LOCAL if spec.get("externalTrafficPolicy") == "Local" else Mode.CLUSTER
