"""What the rules need of a Service, and which Services are ackbox's. Rule source: the CCM's `pkg/controller/service`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.catalog.annotations import CLASS, TUNNEL_TYPE, TYPE
from ackbox.ccm.config import LOAD_BALANCER_TYPE_ANNOTATION
from ackbox.ccm.facts import LOAD_BALANCER_CLASS, ClusterFacts
from ackbox.ccm.services.names import FINALIZERS, Owner, default_load_balancer_name
from ackbox.resources.loadbalancer import LoadBalancerType

NLB_CLASS = "alibabacloud.com/nlb"
"""`spec.loadBalancerClass` by which a Service of a managed cluster asks for a network load balancer."""
EXTERNAL_CLASSES = {LOAD_BALANCER_CLASS: LoadBalancerType.CLB, "ackbox.dev/nlb": LoadBalancerType.NLB}
"""The classes in a registered cluster, whose own CCM may know the other one."""


@dataclass(frozen=True)
class ServicePort:
    """A port of a Service; `target` is the targetPort's number or name as written."""

    name: str
    protocol: str
    port: int
    node_port: int | None
    target: str


@dataclass(frozen=True)
class ServiceView:
    """A Service of type LoadBalancer.

    Attributes:
        kind: the kind of load balancer that it asks for.
        source_ranges: `spec.loadBalancerSourceRanges`: CIDR blocks of the clients that may connect; empty for all.
    """

    owner: Owner
    uid: str
    ports: tuple[ServicePort, ...]
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    local: bool
    health_check_node_port: int | None
    affinity_seconds: int | None
    ingress_ips: tuple[str, ...]
    ingress_hosts: tuple[str, ...]
    kind: LoadBalancerType = LoadBalancerType.CLB
    source_ranges: tuple[str, ...] = ()

    @property
    def default_name(self) -> str:
        """The default name of its load balancer."""
        return default_load_balancer_name(self.uid)


def service_view(
    service: Mapping[str, Any], cluster_id: str, kind: LoadBalancerType = LoadBalancerType.CLB
) -> ServiceView:
    """Read a Service."""
    metadata, spec = service["metadata"], service["spec"]
    ingress = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
    affinity = None
    if spec.get("sessionAffinity") == "ClientIP":
        affinity = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds", 10800)
    return ServiceView(
        owner=Owner(cluster_id, metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        ports=tuple(_port(port) for port in spec.get("ports") or []),
        annotations=metadata.get("annotations") or {},
        labels=metadata.get("labels") or {},
        local=spec.get("externalTrafficPolicy") == "Local",
        health_check_node_port=spec.get("healthCheckNodePort") or None,
        affinity_seconds=affinity,
        ingress_ips=tuple(item["ip"] for item in ingress if item.get("ip")),
        ingress_hosts=tuple(item["hostname"] for item in ingress if item.get("hostname")),
        kind=kind,
        source_ranges=tuple(spec.get("loadBalancerSourceRanges") or ()),
    )


def _port(port: Mapping[str, Any]) -> ServicePort:
    return ServicePort(
        name=port.get("name") or "",
        protocol=port.get("protocol", "TCP"),
        port=port["port"],
        node_port=port.get("nodePort") or None,
        target=str(port.get("targetPort") or port["port"]),
    )


def kind_of(
    service: Mapping[str, Any], facts: ClusterFacts, gates: frozenset[str] = frozenset()
) -> LoadBalancerType | None:
    """The kind of load balancer that a Service is to have from here; None when it is to have none.

    Args:
        service: the Service.
        facts: its cluster.
        gates: the feature gates that are on.
    """
    spec, metadata = service.get("spec") or {}, service["metadata"]
    if spec.get("type") != "LoadBalancer" or "deletionTimestamp" in metadata:
        return None
    annotations, load_balancer_class = metadata.get("annotations") or {}, spec.get("loadBalancerClass")
    if facts.external:
        if annotations.get(CLASS) or TUNNEL_TYPE in annotations:
            return None
        return _external_kind(load_balancer_class, metadata.get("labels") or {}, facts.service_labels)
    if load_balancer_class == NLB_CLASS:
        return LoadBalancerType.NLB
    if LOAD_BALANCER_TYPE_ANNOTATION in gates and TYPE in annotations:
        return LoadBalancerType.NLB if annotations[TYPE].strip() == LoadBalancerType.NLB else None
    if load_balancer_class is not None or annotations.get(CLASS) or TUNNEL_TYPE in annotations:
        return None
    return LoadBalancerType.CLB


def _external_kind(
    load_balancer_class: str | None, labels: Mapping[str, str], selector: Mapping[str, str]
) -> LoadBalancerType | None:
    if load_balancer_class is not None:
        return EXTERNAL_CLASSES.get(load_balancer_class)
    chosen = bool(selector) and all(labels.get(key) == value for key, value in selector.items())
    return LoadBalancerType.CLB if chosen else None


def wanted(service: Mapping[str, Any], facts: ClusterFacts, gates: frozenset[str] = frozenset()) -> bool:
    """Whether the Service is to have a load balancer from here."""
    return kind_of(service, facts, gates) is not None


def to_clean(service: Mapping[str, Any], facts: ClusterFacts, gates: frozenset[str] = frozenset()) -> bool:
    """Whether the Service has something from here that is to go."""
    metadata, spec = service["metadata"], service.get("spec") or {}
    if not set(FINALIZERS) & set(metadata.get("finalizers") or []):
        return False
    if "deletionTimestamp" in metadata or spec.get("type") != "LoadBalancer":
        return True
    # In a managed cluster a Service that another controller takes keeps what it has, as with the CCM.
    return facts.external and not wanted(service, facts, gates)


def change(
    old: Mapping[str, Any], new: Mapping[str, Any], facts: ClusterFacts, gates: frozenset[str] = frozenset()
) -> tuple[str, str] | None:
    """Why a changed Service is to be looked at again: an event's reason and message, the latter maybe empty.

    Rule source: the CCM's `pkg/controller/service`; labels, finalizers and status are not among the reasons.
    """
    before, after = old["metadata"], new["metadata"]
    if wanted(old, facts, gates) != wanted(new, facts, gates) and old["spec"].get("type") != new["spec"].get("type"):
        return "TypeChanged", f"type change {old['spec'].get('type')} - {new['spec'].get('type')}"
    if before["uid"] != after["uid"]:
        return "UIDChanged", ""
    if (before.get("annotations") or {}) != (after.get("annotations") or {}):
        return "AnnotationChanged", "The service will be updated because the annotations has been changed."
    if old["spec"] != new["spec"]:
        return "ServiceSpecChanged", "The service will be updated because the spec has been changed."
    if ("deletionTimestamp" in before) != ("deletionTimestamp" in after):
        return "DeleteTimestampChanged", "The service will be updated because the delete timestamp has been changed."
    if facts.service_labels and wanted(old, facts, gates) != wanted(new, facts, gates):
        return "LabelChanged", ""
    return None
