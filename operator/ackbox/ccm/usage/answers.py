"""What the metrics API answers, in the words of `metrics.k8s.io/v1beta1`. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ackbox.kube.client import Object
from ackbox.kube.conditions import timestamp

GROUP_VERSION = "metrics.k8s.io/v1beta1"
WINDOW = "15s"
"""The time over which metrics-server measures; KWOK's figures are those of the moment."""

CPU, MEMORY = "container_cpu_usage_cores", "container_memory_working_set_bytes"


@dataclass(frozen=True)
class Usage:
    """What is used: cores and bytes."""

    cpu: float = 0.0
    memory: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu + other.cpu, self.memory + other.memory)

    def quantities(self) -> dict[str, str]:
        """As metrics-server writes it."""
        return {"cpu": f"{round(self.cpu * 1e9)}n", "memory": f"{round(self.memory / 1024)}Ki"}


Containers = Mapping[tuple[str, str], Mapping[str, Usage]]
"""By namespace and name of a pod: what each of its containers uses."""


def containers(text: str) -> Containers:
    """What KWOK says of the containers on a Node, in Prometheus' text format."""
    found: dict[tuple[str, str], dict[str, Usage]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name not in (CPU, MEMORY):
                continue
            labels = sample.labels
            pod = found.setdefault((labels["namespace"], labels["pod"]), {})
            more = Usage(cpu=sample.value) if sample.name == CPU else Usage(memory=sample.value)
            pod[labels["container"]] = pod.get(labels["container"], Usage()) + more
    return found


def resources() -> Object:
    """What the API serves."""
    kinds = (("nodes", "NodeMetrics", False), ("pods", "PodMetrics", True))
    served = [
        {"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]}
        for name, kind, namespaced in kinds
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": served}


def node_metrics(node: Object, used: Containers, now: datetime) -> Object:
    """What the containers on a Node use together."""
    total = sum((each for pod in used.values() for each in pod.values()), Usage())
    return _metrics("NodeMetrics", node, now) | {"usage": total.quantities()}


def pod_metrics(pod: Object, used: Containers, now: datetime) -> Object | None:
    """What the containers of a pod use; None while nothing is known of it."""
    metadata = pod["metadata"]
    found = used.get((metadata["namespace"], metadata["name"]))
    if not found or (pod.get("status") or {}).get("phase") != "Running":
        return None
    listed = [{"name": name, "usage": usage.quantities()} for name, usage in sorted(found.items())]
    return _metrics("PodMetrics", pod, now) | {"containers": listed}


def listing(kind: str, items: Iterable[Object]) -> Object:
    """A list of NodeMetrics or PodMetrics."""
    return {"kind": f"{kind}List", "apiVersion": GROUP_VERSION, "metadata": {}, "items": list(items)}


def not_found(resource: str, name: str) -> Object:
    """The answer for an object that isn't there."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'{resource}.metrics.k8s.io "{name}" not found',
        "reason": "NotFound",
        "details": {"name": name, "group": "metrics.k8s.io", "kind": resource},
        "code": 404,
    }


def node_names(pods: Sequence[Object]) -> list[str]:
    """The Nodes of pods, each once."""
    names = ((pod.get("spec") or {}).get("nodeName") for pod in pods)
    return list(dict.fromkeys(name for name in names if name))


def _metrics(kind: str, of: Object, now: datetime) -> dict[str, Any]:
    kept = {key: of["metadata"][key] for key in ("name", "namespace", "labels") if key in of["metadata"]}
    metadata = kept | {"creationTimestamp": timestamp(now)}
    return {
        "kind": kind,
        "apiVersion": GROUP_VERSION,
        "metadata": metadata,
        "timestamp": timestamp(now),
        "window": WINDOW,
    }
