"""What the rules need of an Ingress, and which AlbConfig it belongs to. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.ccm.ingress import annotations
from ackbox.ccm.ingress.annotations import IngressWishes
from ackbox.ccm.ingress.kinds import ALB_CONFIG, CLASS_ANNOTATION, CLASS_NAME, CONTROLLER, DEFAULT_CONFIG
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.resources.listener import Protocol

DEFAULT_ORDER = 10


@dataclass(frozen=True)
class Backend:
    """A Service's port, by its number or name."""

    service: str
    port: int | str


@dataclass(frozen=True)
class Route:
    """A host (empty for all) and a path, and where they lead; None for a backend that isn't a Service."""

    host: str
    path: str
    exact: bool
    backend: Backend | None


@dataclass(frozen=True)
class Tls:
    """Hosts with the Secret that holds their certificate, if one is named."""

    hosts: tuple[str, ...]
    secret: str | None


@dataclass(frozen=True)
class IngressView:
    """An Ingress of ours."""

    namespace: str
    name: str
    routes: tuple[Route, ...]
    default: Backend | None
    tls: tuple[Tls, ...]
    wishes: IngressWishes

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def hosts(self) -> frozenset[str]:
        """Every host that it speaks of."""
        return frozenset(
            host for host in [*(route.host for route in self.routes), *(h for t in self.tls for h in t.hosts)] if host
        )

    @property
    def redirects(self) -> bool:
        """Whether clients of HTTP listeners are sent to HTTPS."""
        return self.wishes.on("ssl-redirect")

    @property
    def ports(self) -> Mapping[int, Protocol]:
        """The listeners that it has rules on: those it names, else 80, or 443 with TLS, or both with a redirect."""
        named = self.wishes.ports()
        ports = {80: Protocol.HTTP} if self.redirects or not (named or self.tls) else {}
        if named:
            return {**ports, **named}
        return {**ports, 443: Protocol.HTTPS} if self.tls or self.redirects else ports

    @property
    def rank(self) -> tuple[int, str]:
        """What orders the Ingresses of an AlbConfig."""
        order = self.wishes.number("albconfig.order") or self.wishes.number("order") or DEFAULT_ORDER
        return order, f"{self.namespace}/{self.name}"


def ingress_view(ingress: Mapping[str, Any]) -> IngressView:
    """Read an Ingress."""
    metadata, spec = ingress["metadata"], ingress.get("spec") or {}
    default = spec.get("defaultBackend")
    return IngressView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        routes=tuple(_routes(spec)),
        default=_backend(default) if default else None,
        tls=tuple(Tls(tuple(item.get("hosts") or ()), item.get("secretName")) for item in spec.get("tls") or ()),
        wishes=annotations.read(metadata.get("annotations") or {}),
    )


def _routes(spec: Mapping[str, Any]) -> Iterable[Route]:
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            yield Route(
                host=rule.get("host") or "",
                path=path.get("path") or "/",
                exact=path.get("pathType") == "Exact",
                backend=_backend(path["backend"]),
            )


def _backend(backend: Mapping[str, Any]) -> Backend | None:
    service = backend.get("service")
    if not service:
        return None
    port = service.get("port") or {}
    return Backend(service["name"], port.get("number") or port.get("name") or "")


@dataclass(frozen=True)
class Membership:
    """The AlbConfig of an Ingress; `named_by` is the IngressClass whose parameters say so, which must be right."""

    config: str
    named_by: str | None = None


def membership(ingress: Mapping[str, Any], ingress_class: Callable[[str], Object | None]) -> Membership | None:
    """Which AlbConfig an Ingress belongs to; None when it is another controller's, or nobody's."""
    notes = ingress["metadata"].get("annotations") or {}
    name = notes.get(CLASS_ANNOTATION) or (ingress.get("spec") or {}).get("ingressClassName")
    found = ingress_class(name) if name else None
    if found is None and name != CLASS_NAME:
        return None
    spec = (found or {}).get("spec") or {"controller": CONTROLLER}
    if spec.get("controller") != CONTROLLER:
        return None
    parameters = spec.get("parameters") or {}
    if parameters.get("kind") == ALB_CONFIG.kind:
        return Membership(parameters["name"], named_by=name)
    return Membership(annotations.read(notes).text("albconfig.name") or DEFAULT_CONFIG)


def is_leaving(ingress: Object) -> bool:
    """Whether an Ingress is being deleted."""
    return "deletionTimestamp" in ingress["metadata"]


def ordered(ingresses: Iterable[Object]) -> list[IngressView]:
    """Ingresses in the order that their rules have."""
    return sorted((ingress_view(item) for item in ingresses), key=lambda view: view.rank)
