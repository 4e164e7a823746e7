"""Names, tags and marks of what Ingresses have in the cloud. Rule source: the CCM's `pkg/controller/ingress`. Pure."""

import hashlib
import re

from ackbox.ccm.services.names import CLUSTER_TAG
from ackbox.resources.base import GROUP

FINALIZER = "ingress.k8s.alibaba/resources"
TAG_PREFIX = "ingress.k8s.alibaba/"

OWNER_LABEL = f"{GROUP}/albconfig"
"""On listeners, server groups and certificates: which AlbConfig of which cluster they were made for."""

HOME = "kube-system"
"""The namespace that names and tags give for an AlbConfig."""

MAX_TAG = 128
MAX_NAME = 80


def _digest(*parts: str, length: int) -> str:
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:length]


def owner_mark(cluster_id: str, config: str) -> str:
    """What stands for an AlbConfig of a cluster: in the name of its load balancer and in labels."""
    return _digest(cluster_id, f"{HOME}/{config}", length=10)


def load_balancer_name(cluster_id: str, config: str) -> str:
    """Name of the load balancer of an AlbConfig, and of its object."""
    start, end = f"k8s-{_letters(HOME)}-", f"-{owner_mark(cluster_id, config)}"
    return start + _letters(config)[: MAX_NAME - len(start) - len(end)] + end


def _letters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)


def load_balancer_tags(cluster_id: str, config: str) -> dict[str, str]:
    """Tags of a load balancer that was made for an AlbConfig."""
    return {
        CLUSTER_TAG: cluster_id,
        f"{TAG_PREFIX}resource": "ApplicationLoadBalancer",
        f"{TAG_PREFIX}albconfig": f"{HOME}/{config}"[:MAX_TAG],
    }


def group_name(namespace: str, service: str, port: int | str) -> str:
    """Name of the server group of a Service's port."""
    return f"{namespace}-{service}-{port}"


def group_object_name(load_balancer: str, namespace: str, ingress: str, service: str, port: int | str) -> str:
    """Name of its object: every Ingress has its own, as its annotations say how it is checked."""
    return "sgp-" + _digest(load_balancer, f"\0{namespace}/{ingress}-{service}:{port}", length=20)


def group_tags(namespace: str, ingress: str, service: str, port: int | str) -> dict[str, str]:
    """Tags of a server group."""
    values = {"service_ns": namespace, "ingress_name": ingress, "service_name": service, "service_port": str(port)}
    return {TAG_PREFIX + key: value[:MAX_TAG] for key, value in values.items()}


def certificate_id(load_balancer: str, namespace: str, secret: str) -> str:
    """Id of the certificate that a TLS Secret of a workload cluster becomes."""
    return "cert-" + _digest(load_balancer, f"\0{namespace}/{secret}", length=20)
