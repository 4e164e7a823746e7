"""What of an addon is in its workload cluster. Pure."""

import hashlib
import json
from ipaddress import IPv4Network
from typing import Any

from ackbox.catalog.addons import AddonService, Proof, Workload
from ackbox.cloud.clusters.addon_plan import Installation
from ackbox.kube.client import CONFIG_MAP, SERVICE, Object
from ackbox.resources import Kind
from ackbox.resources.base import EMULATED_LABEL, GROUP

NAMESPACE = "kube-system"
ADDON_LABEL = f"{GROUP}/addon"
"""On everything of an addon: its name. What carries it and isn't wanted is deleted."""

CONFIG_ANNOTATION = f"{GROUP}/config"
"""On pods: the hash of their addon's config, so that another config brings new pods."""

METRICS_PORT = 4443
"""Where the metrics API of a cluster is served, on an address of its API server; the port of metrics-server."""

DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
DAEMON_SET = Kind("apps", "v1", "daemonsets", "DaemonSet")
API_SERVICE = Kind("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
KINDS = (CONFIG_MAP, SERVICE, DEPLOYMENT, DAEMON_SET, API_SERVICE)
"""Kinds of the objects of addons, in the order in which they are applied."""

WORKLOADS = (DEPLOYMENT, DAEMON_SET)


def objects(installation: Installation, service_cidr: str, metrics_host: str, metrics_ca: str) -> list[Object]:
    """Every object of an addon.

    Args:
        service_cidr: of the cluster.
        metrics_host: address at which the metrics API is served.
        metrics_ca: whose certificate it shows, base64.
    """
    addon = installation.addon
    if addon.managed:
        return []
    made = [_config_map(installation)]
    made += [_service(installation, each, service_cidr) for each in addon.services]
    made += [_workload(installation, each) for each in addon.workloads]
    if addon.proof is Proof.METRICS_API:
        made += _metrics_api(installation, metrics_host, metrics_ca)
    return made


def kind_of(obj: Object) -> Kind:
    """The kind of an object of an addon."""
    return next(kind for kind in KINDS if (kind.api_version, kind.kind) == (obj["apiVersion"], obj["kind"]))


def _object(kind: Kind, installation: Installation, name: str, **parts: Any) -> Object:
    metadata: Object = {"name": name, "labels": {ADDON_LABEL: installation.addon.name}}
    if kind.namespaced:
        metadata["namespace"] = NAMESPACE
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **parts}


def _config_map(installation: Installation) -> Object:
    data = {key: value if isinstance(value, str) else json.dumps(value) for key, value in installation.config.items()}
    return _object(CONFIG_MAP, installation, f"{installation.addon.name}-config", data=data)


def _service(installation: Installation, service: AddonService, service_cidr: str) -> Object:
    ports = []
    for name, port in service.ports.items():
        number, _, protocol = port.partition("/")
        ports.append({"name": name, "port": int(number), "protocol": protocol})
    spec: Object = {"selector": {"k8s-app": service.workload}, "ports": ports}
    if service.address is not None:
        spec["clusterIP"] = str(IPv4Network(service_cidr)[service.address])
    return _object(SERVICE, installation, service.name, spec=spec)


def _workload(installation: Installation, workload: Workload) -> Object:
    kind = DEPLOYMENT if workload.kind == DEPLOYMENT.kind else DAEMON_SET
    labels = {"k8s-app": workload.name}
    spec: Object = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels, "annotations": {CONFIG_ANNOTATION: _digest(installation)}},
            "spec": _pod(installation, workload, kind),
        },
    }
    if kind is DEPLOYMENT:
        spec["replicas"] = workload.replicas
    return _object(kind, installation, workload.name, spec=spec)


def _pod(installation: Installation, workload: Workload, kind: Kind) -> Object:
    config = installation.config
    requests = {"cpu": config.get("CpuRequest", workload.cpu), "memory": config.get("MemoryRequest", workload.memory)}
    limits = {name: config[key] for name, key in (("cpu", "CpuLimit"), ("memory", "MemoryLimit")) if key in config}
    container = {
        "name": workload.name,
        "image": f"acs/{workload.image}:{installation.version}",
        "resources": {"requests": requests} | ({"limits": limits} if limits else {}),
    }
    pod: Object = {"priorityClassName": "system-cluster-critical", "containers": [container]}
    if kind is DAEMON_SET:
        pod |= {"priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}]}
        if not workload.placed:
            pod["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": _NOT_EMULATED}}
    return pod


_NOT_EMULATED = {
    "nodeSelectorTerms": [{"matchExpressions": [{"key": EMULATED_LABEL, "operator": "NotIn", "values": ["true"]}]}]
}


def _digest(installation: Installation) -> str:
    return hashlib.sha256(json.dumps(installation.config, sort_keys=True).encode()).hexdigest()[:16]


def _metrics_api(installation: Installation, host: str, authority: str) -> list[Object]:
    """The Service of metrics-server leads out of the cluster: its pods answer nothing."""
    service = _object(SERVICE, installation, "metrics-server", spec={"type": "ExternalName", "externalName": host})
    group, version = "metrics.k8s.io", "v1beta1"
    spec = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "caBundle": authority,
        "service": {"name": "metrics-server", "namespace": NAMESPACE, "port": METRICS_PORT},
    }
    return [service, _object(API_SERVICE, installation, f"{version}.{group}", spec=spec)]
