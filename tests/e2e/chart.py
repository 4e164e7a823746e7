"""The chart as Helm renders it, and the sets of values that its tests try."""

import asyncio
import json
import os
import subprocess
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.progress import Silent
from e2e.stack import ROOT

CHART = ROOT / "charts" / "ackbox"
NAMESPACE = "ackbox-system"
DEFAULTS: dict[str, Any] = {}
EVERYTHING = {
    "image": {
        "repository": "example.com:5000/ackbox",
        "digest": f"sha256:{'0' * 64}",
        "pullPolicy": "Always",
        "pullSecrets": ["one", "two"],
    },
    "controlPlanes": {
        "images": {
            "kubernetes": "example.com/{program}:{version}",
            "etcd": "example.com/etcd:{version}",
            "kwok": "example.com/kwok:{version}",
        },
        "etcdStorage": {"size": "1Gi", "storageClassName": "fast"},
        "priorityClassName": "high",
    },
    "operator": {
        "replicas": 1,
        "resources": {"limits": {"cpu": "2"}},
        "nodeSelector": {"a": "true"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "high",
        "podAnnotations": {"c": "1", "kubectl.kubernetes.io/default-container": "other"},
    },
    "slb": {
        "replicas": 3,
        "resources": {"limits": {"cpu": 1}},
        "envoyResources": {"requests": {"memory": "1Gi"}},
        "nodeSelector": {"e": "f"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "highest",
        "podAnnotations": {"g": "h"},
        "serviceType": "LoadBalancer",
        "loadBalancerClass": "example.com/metal",
    },
    "serviceMonitor": {"enabled": True, "interval": "1m30s", "labels": {"release": "prometheus"}},
    "podLabels": {"team": "cloud", "number": "1"},
    "purge": True,
    "purgeTimeoutSeconds": 7,
    "global": {"anything": 1},
}
LITTLE = {
    "image": {"tag": "1.10"},
    **{
        name: {"enabled": False}
        for name in ("crds", "admissionPolicies", "rbac", "networkPolicy", "podDisruptionBudget", "serviceMonitor")
    },
}
UNKNOWN_TO_THE_SERVER = {"ServiceMonitor", "PodMonitor"}


class Strict(yaml.CSafeLoader):
    """Refuses a mapping that says something twice: some clients take the last, strict ones refuse it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(key) for key, _ in node.value]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"{twice} twice at{node.start_mark}"
        return super().construct_mapping(node, deep)


class Helm:
    """Helm with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = asyncio.run(locate(tools.helm(), Silent()))["helm"]
        self._rendered: dict[str, list[dict[str, Any]]] = {}

    def run(
        self, *arguments: str, values: dict[str, Any] | None = None, check: bool = True, namespace: str = NAMESPACE
    ) -> str:
        """What a command writes; with `check` off, its errors."""
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        own = {f"HELM_{name}_HOME": str(self.folder) for name in ("CACHE", "CONFIG", "DATA")}
        command = [self.program, *arguments, CHART, "--namespace", namespace, "--values", file]
        done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False, timeout=120)
        if check:
            assert done.returncode == 0, done.stderr
        return done.stderr if done.returncode else done.stdout

    def objects(self, values: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
        """The rendered objects."""
        asked = json.dumps([values, *arguments])
        if asked not in self._rendered:
            text = self.run("template", *arguments, "ackbox", values=values)
            self._rendered[asked] = [each for each in yaml.load_all(text, Strict) if each]
        return self._rendered[asked]


def name_of(obj: dict[str, Any]) -> str:
    name: str = obj["metadata"]["name"]
    return name


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(each for each in objects if (each["kind"], name_of(each)) == (kind, name))


def pod_templates(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every Pod that the chart's objects become."""
    found = {}
    for each in objects:
        template = each if each["kind"] == "Pod" else each.get("spec", {}).get("template")
        if template:
            found[each["metadata"]["name"]] = template
    return found


def said(values: Any, path: tuple[str, ...]) -> Any:
    """What values say of a path; None when they don't."""
    for name in path:
        values = (values or {}).get(name)
    return values
