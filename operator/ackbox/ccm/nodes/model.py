"""The Node of an Instance: its labels, addresses, capacity and conditions. Pure.

`cloud_labels` and `addresses` serve both the Nodes that are registered here and those that a kubelet registered.
Rule source: the CCM's `pkg/controller/node`; reserved resources as ACK documents its kubelets' `kubeReserved`.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from ackbox.catalog.instance_families import accelerators
from ackbox.catalog.operating_systems import OperatingSystem, operating_system
from ackbox.ccm.facts import ClusterFacts
from ackbox.kube.conditions import timestamp
from ackbox.resources import Instance
from ackbox.resources.base import EMULATED_LABEL

KUBELET_PORT = 10247
"""Where KWOK answers for every emulated node, on the API server's address."""

UNINITIALIZED_TAINT = "node.cloudprovider.kubernetes.io/uninitialized"
PROVIDED_IP = "alpha.kubernetes.io/provided-node-ip"
GIB = 1024 * 1024
"""In KiB."""

DISK = "120Gi"
DISK_FREE = "108Gi"
EVICTION_KIB = 100 * 1024


WINDOWS_TAINT = {"key": "os", "value": "windows", "effect": "NoSchedule"}
"""On nodes with Windows, so that only pods made for it come there (ACK User Guide, Windows nodes)."""


class Route(StrEnum):
    """How it stands with the route to a node's pods."""

    NOT_NEEDED = "not needed"
    WAITING = "waiting"
    CREATED = "created"
    REFUSED = "refused"


def node_name(instance: Instance) -> str:
    """`<region>.<private ip>`."""
    return f"{instance.spec.region_id}.{instance.spec.vpc_attributes.private_ip_address}"


def provider_id(instance: Instance) -> str:
    """`<region>.<instance id>`."""
    return f"{instance.spec.region_id}.{instance.metadata.name}"


def cloud_labels(instance: Instance, facts: ClusterFacts) -> dict[str, str]:
    """The labels that follow from the Instance, and that nobody else may change."""
    spec = instance.spec
    labels = {
        "beta.kubernetes.io/instance-type": spec.instance_type,
        "node.kubernetes.io/instance-type": spec.instance_type,
        "failure-domain.beta.kubernetes.io/zone": spec.zone_id,
        "topology.kubernetes.io/zone": spec.zone_id,
        "failure-domain.beta.kubernetes.io/region": spec.region_id,
        "topology.kubernetes.io/region": spec.region_id,
        "node.alibabacloud.com/instance-charge-type": spec.instance_charge_type,
        "node.alibabacloud.com/spot-strategy": spec.spot_strategy,
        "alibabacloud.com/ecs-instance-id": instance.metadata.name,
        "ack.aliyun.com": facts.cluster_id,
    }
    cards = accelerators(spec.instance_type)
    labels |= cards.labels if cards else {}
    if spec.nodepool_id:
        labels |= dict.fromkeys(("alibabacloud.com/nodepool-id", "node.alibabacloud.com/nodepool-id"), spec.nodepool_id)
    return {key: value for key, value in labels.items() if value}


def cloud_addresses(instance: Instance) -> list[dict[str, str]]:
    """The addresses that the cloud knows of an Instance."""
    return [{"type": "InternalIP", "address": instance.spec.vpc_attributes.private_ip_address}]


def addresses(instance: Instance, facts: ClusterFacts, node: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """The addresses of an Instance's Node, `node` being the one that is there.

    A Node that says which of its addresses to show has no other. An emulated node also has an InternalDNS address,
    where the API server finds its kubelet.
    """
    known = cloud_addresses(instance)
    there = ((node or {}).get("status") or {}).get("addresses") or []
    hostnames = [address for address in there if address["type"] == "Hostname"]
    kubelet: list[dict[str, str]] = []
    if node is None or is_emulated(node):
        hostnames = [{"type": "Hostname", "address": node_name(instance)}]
        kubelet = [{"type": "InternalDNS", "address": facts.kubelet_address}]
    provided = ((node or {}).get("metadata", {}).get("annotations") or {}).get(PROVIDED_IP)
    if provided is not None:
        return [address for address in known if address["address"] == provided] + kubelet
    return known + hostnames + kubelet


def is_emulated(node: Mapping[str, Any]) -> bool:
    """Whether the Node was registered here: its label goes while the machine is off, its annotation stays."""
    metadata = node["metadata"]
    marks = (metadata.get("annotations") or {}) | (metadata.get("labels") or {})
    return EMULATED_LABEL in marks


def new_node(instance: Instance, facts: ClusterFacts, route: Route, now: datetime) -> dict[str, Any]:
    """The whole Node, as its kubelet would register it and report its first status."""
    spec, name = instance.spec, node_name(instance)
    labels = {
        **{label.key: label.value for label in spec.node.labels},
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": _system(instance).os,
        "kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": _system(instance).os,
        "beta.kubernetes.io/arch": "amd64",
        **cloud_labels(instance, facts),
        EMULATED_LABEL: "true",
    }
    taints = [{"key": t.key, "value": t.value, "effect": t.effect} for t in spec.node.taints]
    if _system(instance).os == "windows":
        taints.append(WINDOWS_TAINT)
    node_spec: dict[str, Any] = {"providerID": provider_id(instance), "taints": taints}
    if spec.node.unschedulable:
        node_spec["unschedulable"] = True
    if spec.node.pod_cidr:  # With Terway too: KWOK gives pods their addresses by it.
        node_spec |= {"podCIDR": spec.node.pod_cidr, "podCIDRs": [spec.node.pod_cidr]}
    annotations = {"node.alpha.kubernetes.io/ttl": "0", EMULATED_LABEL: "true"}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": node_spec,
        "status": {
            "capacity": capacity(instance),
            "allocatable": allocatable(instance),
            "addresses": addresses(instance, facts),
            "conditions": _conditions(route, now),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": _node_info(instance, facts),
        },
    }


def capacity(instance: Instance) -> dict[str, str]:
    """What the machine has."""
    spec, cards = instance.spec, accelerators(instance.spec.instance_type)
    return {
        "cpu": str(spec.cpu),
        "memory": f"{spec.memory * GIB}Ki",
        "pods": str(spec.node.max_pods),
        "ephemeral-storage": DISK,
        **({cards.resource: str(cards.count)} if cards else {}),
    }


def allocatable(instance: Instance) -> dict[str, str]:
    """What is left for pods: less what is reserved for Kubernetes, and for memory the eviction threshold."""
    spec = instance.spec
    milli = [60, 10, 5, 5] + [2.5] * max(0, spec.cpu - 4)
    cpu = spec.cpu * 1000 - int(sum(milli[: spec.cpu]))
    reserved = min((11 * spec.node.max_pods + 255) * 1024, spec.memory * GIB // 4)
    return capacity(instance) | {
        "cpu": f"{cpu}m",
        "memory": f"{spec.memory * GIB - reserved - EVICTION_KIB}Ki",
        "ephemeral-storage": DISK_FREE,
    }


def route_condition(route: Route, now: datetime) -> dict[str, str] | None:
    """The condition NetworkUnavailable as the route controller writes it; None where it has no say."""
    if route is Route.NOT_NEEDED or route is Route.WAITING:
        return None
    created = route is Route.CREATED
    return node_condition(
        "NetworkUnavailable",
        "False" if created else "True",
        "RouteCreated" if created else "NoRouteCreated",
        "RouteController created a route" if created else "RouteController failed to create a route",
        now,
    )


def no_route_yet(now: datetime) -> dict[str, str]:
    """The condition of a Node that has just come while its route is being made."""
    return node_condition("NetworkUnavailable", "True", "NoRouteCreated", "Node created without a route", now)


def _conditions(route: Route, now: datetime) -> list[dict[str, str]]:
    network = route_condition(route, now)
    return [
        *([network] if network else []),
        node_condition(
            "MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available", now
        ),
        node_condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", now),
        node_condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available", now),
        node_condition("Ready", "True", "KubeletReady", "kubelet is posting ready status", now),
    ]


def node_condition(kind: str, status: str, reason: str, message: str, now: datetime) -> dict[str, str]:
    """A condition of a Node that was found just now."""
    at = timestamp(now)
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": at,
        "lastTransitionTime": at,
    }


def kubelet_version(instance: Instance, facts: ClusterFacts) -> str:
    """What the machine's kubelet says it runs: the cluster's version, unless the Instance names another."""
    own = instance.spec.node.kubelet_version
    return f"v{own.removeprefix('v')}" if own else facts.kubelet_version


def _system(instance: Instance) -> OperatingSystem:
    """What is installed: the image that the machine's pool names, ACK's default where it names none."""
    return operating_system(instance.spec.image_id)


def _node_info(instance: Instance, facts: ClusterFacts) -> dict[str, str]:
    system = _system(instance)
    machine = uuid.UUID(hashlib.md5(instance.metadata.uid.encode(), usedforsecurity=False).hexdigest())
    return {
        "machineID": machine.hex,
        "systemUUID": str(machine),
        "bootID": str(uuid.uuid5(machine, instance.status.start_time or "")),
        "kernelVersion": "5.10.134",
        "osImage": f"{system.name} (emulated by ackbox)",
        "containerRuntimeVersion": "containerd://0.0.0-emulated",
        "kubeletVersion": kubelet_version(instance, facts),
        "kubeProxyVersion": kubelet_version(instance, facts),
        "operatingSystem": system.os,
        "architecture": "amd64",
    }
