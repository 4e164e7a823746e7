"""The Service in front of a load balancer, where the data plane runs in Pods: what its writer and its reader agree on.

Every replica of the data plane listens on all its addresses, at a *target port* for each port of each listener. The
operator chooses target ports and writes them into the Service; the data plane reads them there, and nowhere else.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from ackbox.resources.base import GROUP
from ackbox.resources.loadbalancer import SERVICE_LOAD_BALANCER

ADDRESS_OF = f"{GROUP}/address-of"
"""The annotation that names the owner of a Service's address, as `<kind>/<namespace>/<name>`."""

MAX_PORTS = 100
"""How many ports of a range are open; each is a rule of every node's kube-proxy."""

PLACEHOLDER = {"name": "none", "port": 9, "protocol": "TCP", "targetPort": 9}
"""A Service has at least one port: that of a load balancer without listeners is `discard`, where nobody answers."""

Transport: TypeAlias = Literal["tcp", "udp"]
Door: TypeAlias = tuple[int, Transport]
"""A port of a load balancer, and its transport."""


def owner_name(namespace: str, name: str) -> str:
    """How a load balancer is named as an owner."""
    return f"{SERVICE_LOAD_BALANCER.kind}/{namespace}/{name}"


def balancer_of(service: Mapping[str, Any]) -> tuple[str, str] | None:
    """Namespace and name of the load balancer behind a Service; None when it is no such Service."""
    owner = (service["metadata"].get("annotations") or {}).get(ADDRESS_OF, "")
    kind, _, key = owner.partition("/")
    namespace, _, name = key.partition("/")
    return (namespace, name) if kind == SERVICE_LOAD_BALANCER.kind and name else None


def service_ports(before: list[dict[str, Any]], targets: Mapping[Door, int]) -> list[dict[str, Any]]:
    """The ports of a load balancer's Service.

    Args:
        before: those it has; what the API server gave a port (`nodePort`) stays with it.
        targets: the target port of each port.
    """
    known = {(each["port"], each.get("protocol", "TCP")): each for each in before}
    found = []
    for (port, transport), target in sorted(targets.items()):
        protocol = transport.upper()
        entry = {"name": f"{transport}-{port}", "port": port, "protocol": protocol, "targetPort": target}
        found.append({**known.get((port, protocol), {}), **entry})
    return found or [PLACEHOLDER]


def target_ports(service: Mapping[str, Any]) -> dict[Door, int]:
    """The target port of each port of a load balancer's Service."""
    found: dict[Door, int] = {}
    for entry in (service.get("spec") or {}).get("ports") or ():
        transport: Transport = "udp" if entry.get("protocol") == "UDP" else "tcp"
        if entry["name"] == f"{transport}-{entry['port']}" and isinstance(entry.get("targetPort"), int):
            found[entry["port"], transport] = entry["targetPort"]
    return found
