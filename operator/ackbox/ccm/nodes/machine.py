"""What kind of machine a Node is on, and whether the CCM has a say in it: told by providerID and labels. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ackbox.ccm.facts import instance_id

EXCLUDE_LABELS = ("service.alibabacloud.com/exclude-node", "service.beta.kubernetes.io/exclude-node")
HYBRID_PREFIX = "ack-hybrid://"
LINGJUN_LABEL, LINGJUN_OWN_LABEL = "alibabacloud.com/lingjun-worker", "alibabacloud.com/lingjun-tianwen-environment"


class Machine(StrEnum):
    """Kinds of machines."""

    ECS = "an ECS instance of the cluster's region"
    ELSEWHERE = "an ECS instance of another region"
    LINGJUN = "a Lingjun machine"
    EXCLUDED = "left alone by the CCM"
    UNRECOGNIZED = "not told by the providerID"


def machine(node: Mapping[str, Any], region: str) -> Machine:
    """The kind of machine that a Node is on."""
    provider_id, labels = provider_id_of(node) or "", node["metadata"].get("labels") or {}
    if excluded(labels, provider_id):
        return Machine.EXCLUDED
    if instance_id(provider_id) is not None:
        return Machine.ECS if instance_id(provider_id, region) is not None else Machine.ELSEWHERE
    if labels.get(LINGJUN_LABEL) == "true":
        return Machine.EXCLUDED if LINGJUN_OWN_LABEL in labels else Machine.LINGJUN
    return Machine.UNRECOGNIZED


def excluded(labels: Mapping[str, str], provider_id: str = "") -> bool:
    """Whether a Node with these labels is none of the CCM's business."""
    return provider_id.startswith(HYBRID_PREFIX) or any(label in labels for label in EXCLUDE_LABELS)


def provider_id_of(node: Mapping[str, Any]) -> str | None:
    """A Node's providerID."""
    found: str | None = (node.get("spec") or {}).get("providerID")
    return found


def ready(node: Mapping[str, Any]) -> str | None:
    """Status of a Node's condition Ready; None while it has none, as when its kubelet has just registered it."""
    conditions = (node.get("status") or {}).get("conditions") or []
    return next((condition["status"] for condition in conditions if condition["type"] == "Ready"), None)


def complaint(node: Mapping[str, Any], region: str) -> str | None:
    """What the user should know of a Node whose machine can't be found by its providerID."""
    kind, provider_id = machine(node, region), provider_id_of(node)
    rule = f"<region>.<instance id>, such as {region}.i-bp1a2b3c4d5e6f7g8h9j"
    left = "The node gets no labels, addresses and route until then, and keeps its taint."
    if kind is Machine.ELSEWHERE:
        return f"spec.providerID {provider_id} names another region than the cluster's, which is {region}. {left}"
    if kind is not Machine.UNRECOGNIZED:
        return None
    if not provider_id:
        return f"spec.providerID is empty: start the kubelet with --provider-id={rule}. {left}"
    return f"spec.providerID {provider_id} is not recognized, it must be {rule}. {left}"
