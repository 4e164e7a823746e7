"""How GitOps tools see objects: Argo CD's health Lua as Argo runs it, kstatus and Flux's expressions by Flux's own code."""

import asyncio
import json
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lupa.lua51 import LuaRuntime

from ackbox.resources import RESOURCES
from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.progress import Silent
from e2e.stack import ACKBOX, ROOT, Api

MANIFESTS = ROOT / "manifests"
LUA = MANIFESTS / "gitops" / "argocd" / "setup" / "health.lua"
IN_FLUX = {"Healthy": "Current", "Progressing": "InProgress", "Degraded": "Failed"}
"""Argo CD's words in kstatus' words."""


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """The objects of a folder that needs no more of kustomize than its list of resources."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [each for name in listed for each in documents(folder / name)]


def argo_health(obj: dict[str, Any], text: str | None = None) -> tuple[str, str]:
    """Status and message that Argo CD shows for an object. Its Lua is 5.1, and numbers are floating point there."""
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    lua.globals().obj = lua.table_from(json.loads(json.dumps(obj), parse_int=float), recursive=True)
    found = lua.execute(text or LUA.read_text())
    return found.status, found.message or ""


@dataclass(frozen=True)
class FluxHealth:
    """What Flux takes an object for: by kstatus, and by the sample's healthCheckExprs if they speak of its kind."""

    kstatus: str
    expressions: str | None


def flux_health(objects: Iterable[dict[str, Any]]) -> list[FluxHealth]:
    """Ask Flux's own code; the samples are read strictly on the way."""
    found = asyncio.run(locate(tools.kstatus(), Silent()))
    flux = [each for each in kustomized(MANIFESTS / "gitops" / "flux") if each["kind"] != "Namespace"]
    question = json.dumps({"flux": flux, "objects": list(objects)})
    done = subprocess.run([found["kstatus"]], input=question, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [
        FluxHealth(each["kstatus"]["status"], each.get("expressions", {}).get("status"))
        for each in json.loads(done.stdout)
    ]


def versions(api: Api, namespace: str, since: dict[str, str]) -> list[dict[str, Any]]:
    """Every version of every ackbox object since these resourceVersions, by plural, in order for each kind."""

    def of(plural: str) -> list[dict[str, Any]]:
        query = f"watch=1&timeoutSeconds=1&resourceVersion={since[plural]}"
        path = f"{ACKBOX}/namespaces/{namespace}/{plural}?{query}"
        answer = api._client.session.get(api._client.url + path, timeout=60)
        events = [json.loads(line) for line in answer.text.splitlines()]
        assert all(event["type"] != "ERROR" for event in events), events[-1:]
        return [event["object"] for event in events]

    plurals = [resource.KIND.plural for resource in RESOURCES]
    with ThreadPoolExecutor(len(plurals)) as pool:
        return [obj for found in pool.map(of, plurals) for obj in found]


def now(api: Api, namespace: str) -> dict[str, str]:
    """The resourceVersion of each ackbox kind, by plural."""
    plurals = [resource.KIND.plural for resource in RESOURCES]
    return {
        plural: api.get(f"{ACKBOX}/namespaces/{namespace}/{plural}")["metadata"]["resourceVersion"]
        for plural in plurals
    }


def drift(wanted: Any, live: Any, path: str = "") -> list[str]:
    """Fields in which an object differs from its manifest for a tool that compares lists whole, as Argo CD does."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return [each for key, value in wanted.items() for each in drift(value, live.get(key), f"{path}.{key}")]
    return [] if wanted == live else [f"{path}: {wanted!r} in the manifest, {live!r} in the cluster"]
