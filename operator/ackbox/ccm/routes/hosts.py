"""Which machines of a cluster are to have a route, and for which block. Pure."""

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

from ackbox.ccm.nodes.machine import excluded, provider_id_of, ready
from ackbox.ccm.routes.plan import network
from ackbox.resources.instance import InstancePhase


def pod_cidr(instance: Mapping[str, Any], node: Mapping[str, Any] | None) -> str | None:
    """The block of a machine's pods: what its Node says, else what it is born with. IPv4 first."""
    spec = (node or {}).get("spec") or {}
    blocks = [*(spec.get("podCIDRs") or []), spec.get("podCIDR")]
    born: str | None = (instance["spec"].get("node") or {}).get("podCidr")
    return next((block for block in blocks if block and network(block) is not None), born)


def has_no_say(instance: Mapping[str, Any], node: Mapping[str, Any] | None) -> bool:
    """Whether a machine's Node, or the one that it will have, is excluded from what the CCM does."""
    if node is not None:
        return excluded(node["metadata"].get("labels") or {}, provider_id_of(node) or "")
    labels = (instance["spec"].get("node") or {}).get("labels") or []
    return excluded({label["key"]: label.get("value", "") for label in labels})


def wants_route(instance: Mapping[str, Any], node: Mapping[str, Any] | None, routed: bool) -> bool:
    """Whether a machine is to have a route; `routed` says that it has one already, which it then keeps."""
    if has_no_say(instance, node):
        return False
    if routed:
        return True
    if node is not None and ("deletionTimestamp" in node["metadata"] or ready(node) == "Unknown"):
        return False
    return bool((instance.get("status") or {}).get("phase") == InstancePhase.RUNNING)


def inside(cidr: str, around: IPv4Network | None) -> bool:
    """Whether a block is part of another."""
    block = network(cidr)
    return block is not None and around is not None and block.subnet_of(around)
