"""How a Pod of a control plane is made from its programs. Pure.

Every Pod keeps to the Pod Security Standard `restricted`, has no token of the management cluster unless it is said, and
mounts only the files that its programs name.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ackbox.controlplane.images import PodOptions
from ackbox.controlplane.incluster_keys import MOUNT, needed
from ackbox.controlplane.incluster_programs import Health, PodProgram, Start
from ackbox.resources.base import GROUP

Manifest: TypeAlias = dict[str, Any]

Volumes: TypeAlias = Mapping[str, tuple[str, Manifest]]
"""Volumes by name: where they are mounted, and what they are, such as `{"emptyDir": {}}`."""

USER_ID = 65532
"""Nobody in particular: the user `nonroot` of most images that have one."""

FILES_ANNOTATION = f"{GROUP}/files"
"""On Pods: a hash of what their programs read only when they start, so that other files bring new Pods."""

STARTING_SECONDS = 300
"""How long a program may take until it first says that it is well; a slow machine pulls and starts many at once."""

RESTRICTED: Manifest = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


@dataclass(frozen=True)
class PodPlan:
    """A Pod.

    Attributes:
        labels: by which it is found.
        spread: the labels of the Pods from which it keeps away, in other zones and on other nodes if it can.
        programs: what runs in it.
        secret: the Secret with the files.
        files: the texts of those files, by name.
        start: what runs before the programs.
        volumes: further volumes, by name: where they are mounted, and what they are.
        mounts: where volumes are mounted that a StatefulSet claims, by name.
        service_account: as whom it comes to the management cluster; None: it doesn't.
        stop_seconds: how long its programs may take to stop.
    """

    labels: Mapping[str, str]
    spread: Mapping[str, str]
    programs: Sequence[PodProgram]
    secret: str
    files: Mapping[str, str]
    start: Start | None = None
    volumes: Volumes = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None
    stop_seconds: int = 30


def template(plan: PodPlan, options: PodOptions) -> Manifest:
    """The Pod template of a Deployment or StatefulSet."""
    commands = [word for program in plan.programs for word in program.command]
    names = needed([*commands, *(plan.start.command if plan.start else ())], plan.files)
    mounts: list[Manifest] = [{"name": name, "mountPath": path} for name, path in plan.mounts.items()]
    mounts += [{"name": name, "mountPath": path} for name, (path, _) in plan.volumes.items()]
    volumes: list[Manifest] = [{"name": name, **source} for name, (_, source) in plan.volumes.items()]
    if names:
        mounts.append({"name": "files", "mountPath": str(MOUNT), "readOnly": True})
        volumes.append(_files(plan.secret, names))
    spec: Manifest = {
        "automountServiceAccountToken": plan.service_account is not None,
        "enableServiceLinks": False,
        # Everything is dialled by its address, so a cluster without a DNS server does as well.
        "dnsPolicy": "Default",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": plan.stop_seconds,
        **_placement(plan.spread),
        "containers": [_container(program, mounts, options) for program in plan.programs],
        "volumes": volumes,
    }
    if plan.start is not None:
        spec["initContainers"] = [_start(plan.start, mounts, options)]
    if plan.service_account is not None:
        spec["serviceAccountName"] = plan.service_account
    if options.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.pull_secrets]
    if options.priority_class is not None:
        spec["priorityClassName"] = options.priority_class
    read_once = {path.name: plan.files[path.name] for program in plan.programs for path in program.restarts_for}
    annotations = {FILES_ANNOTATION: digest(read_once)}
    return {"metadata": {"labels": dict(plan.labels), "annotations": annotations}, "spec": spec}


def digest(texts: Mapping[str, str]) -> str:
    """What tells some files from others."""
    return hashlib.sha256("\0".join(f"{name}\0{texts[name]}" for name in sorted(texts)).encode()).hexdigest()[:16]


def _files(secret: str, names: Sequence[str]) -> Manifest:
    # The group, which is `fsGroup`, may read them too; only so can a user that isn't root.
    items = [{"key": name, "path": name} for name in names]
    return {"name": "files", "secret": {"secretName": secret, "defaultMode": 0o440, "items": items}}


def _placement(spread: Mapping[str, str]) -> Manifest:
    selector = {"labelSelector": {"matchLabels": dict(spread)}}
    near = {"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", **selector}}
    zones = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        **selector,
    }
    return {
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [near]}},
        "topologySpreadConstraints": [zones],
    }


def _container(program: PodProgram, mounts: Sequence[Manifest], options: PodOptions) -> Manifest:
    health = program.health
    container: Manifest = {
        "name": program.name,
        "image": program.image,
        "imagePullPolicy": options.images.pull_policy,
        "command": list(program.command),
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in program.ports.items()],
        "resources": {"requests": {"cpu": program.cpu, "memory": program.memory}},
        "securityContext": _security(program.capabilities),
        "startupProbe": _probe(health, health.ready, period=1, failures=STARTING_SECONDS),
        "livenessProbe": _probe(health, health.live, period=10, failures=6),
        "readinessProbe": _probe(health, health.ready, period=2, failures=2),
        "volumeMounts": list(mounts),
    }
    if program.environment:
        container["env"] = [variable(name, value) for name, value in program.environment.items()]
    return container


def variable(name: str, value: str) -> Manifest:
    """An environment variable; `@metadata.name` and the like stand for a field of the Pod itself."""
    if value.startswith("@"):
        return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": value[1:]}}}
    return {"name": name, "value": value}


def _start(start: Start, mounts: Sequence[Manifest], options: PodOptions) -> Manifest:
    return {
        "name": start.name,
        "image": start.image,
        "imagePullPolicy": options.images.pull_policy,
        "command": list(start.command),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": _security(()),
        "volumeMounts": list(mounts),
    }


def _security(capabilities: Sequence[str]) -> Manifest:
    allowed = {"drop": ["ALL"]} | ({"add": list(capabilities)} if capabilities else {})
    return RESTRICTED | {"capabilities": allowed}


def _probe(health: Health, path: str, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": health.port, "scheme": health.scheme},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
