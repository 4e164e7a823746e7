"""A whole ackbox in a folder of its own, used as a user would: its command line, kubectl and plain sockets."""

import asyncio
import base64
import json
import os
import secrets
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pykube
import yaml
from pykube.exceptions import HTTPError

from ackbox.catalog.data import CATALOG_VARIABLE, read_text
from ackbox.runtime.home import load
from ackbox.runtime.supervisor import Status, Supervisor

ROOT = Path(__file__).resolve().parents[2]
ACKBOX = "/apis/ackbox.dev/v1alpha1"
CORE = "/api/v1"
DEADLINE = 180.0
"""Seconds that a slow machine may take for any one thing."""

T = TypeVar("T")
_pause = threading.Event()


class Expired(AssertionError):
    """What a test waited for did not come."""


def eventually(look: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """Look again and again until the answer is true; an assertion or lookup that fails counts as not yet."""
    import time

    end = time.monotonic() + deadline
    last: object = None
    while True:
        try:
            answer = look()
            if answer:
                return answer
            last = answer
        except (AssertionError, LookupError, StopIteration, OSError, subprocess.SubprocessError, HTTPError) as error:
            if isinstance(error, Expired):
                raise
            last = error
        if time.monotonic() > end:
            raise Expired(f"{what}: not within {deadline:.0f} s; last seen: {last!r}")
        _pause.wait(0.1)


class Api:
    """One API server, by pykube."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._client = pykube.HTTPClient(pykube.KubeConfig(_with_files(kubeconfig)), timeout=60)

    def get(self, path: str) -> Any:
        """The parsed answer of a GET; a KeyError when there is no such object."""
        response = self._client.session.get(self._client.url + path, timeout=60)
        if response.status_code == 404:
            raise KeyError(path)
        if not response.ok:
            raise HTTPError(response.status_code, response.text)
        return response.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The parsed answer of a POST."""
        response = self._client.session.post(self._client.url + path, json=body, timeout=60)
        if not response.ok:
            raise HTTPError(response.status_code, response.text)
        return response.json()

    def items(self, path: str) -> list[dict[str, Any]]:
        """The items of a list."""
        return self.get(path)["items"]

    def object(self, plural: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """One ackbox object."""
        return self.get(f"{ACKBOX}/namespaces/{namespace}/{plural}/{name}")

    def objects(self, plural: str, namespace: str = "default") -> list[dict[str, Any]]:
        """All ackbox objects of a kind in a namespace."""
        return self.items(f"{ACKBOX}/namespaces/{namespace}/{plural}")

    def core(self, plural: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """One core object."""
        return self.get(f"{CORE}/namespaces/{namespace}/{plural}/{name}")

    def nodes(self) -> list[dict[str, Any]]:
        """All Nodes."""
        return self.items(f"{CORE}/nodes")

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl against this server; its output, or on failure its error text when `check` is off."""
        done = subprocess.run(
            [str(kubectl_path()), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            env=os.environ | {"KUBECACHEDIR": str(self.kubeconfig.parent / "kubectl-cache")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout if done.returncode == 0 else done.stderr

    def apply(self, *objects: dict[str, Any]) -> str:
        """`kubectl apply` objects."""
        return self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def refused(self, *objects: dict[str, Any]) -> str:
        """The error text of an apply that must not go through."""
        text = self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects), check=False)
        assert "rror" in text or "invalid" in text or "denied" in text, text
        return text

    def events(self, namespace: str, name: str) -> list[tuple[str, str, str]]:
        """Type, reason and message of the events about an object."""
        found = self.items(f"{CORE}/namespaces/{namespace}/events")
        return [(e["type"], e["reason"], e.get("message", "")) for e in found if e["involvedObject"]["name"] == name]


def _with_files(kubeconfig: Path) -> dict[str, Any]:
    """A kubeconfig that names files beside it: pykube would leave certificates and keys in the system's /tmp."""
    config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    sections = [entry["cluster"] for entry in config["clusters"]] + [entry["user"] for entry in config["users"]]
    for number, section in enumerate(sections):
        for field in [name for name in section if name.endswith("-data")]:
            path = kubeconfig.with_name(f"{kubeconfig.name}-{number}-{field}.pem")
            content = base64.b64decode(section.pop(field))
            if not path.exists() or path.read_bytes() != content:
                path.touch(mode=0o600)
                path.write_bytes(content)
            section[field.removesuffix("-data")] = str(path)
    return config


_kubectl: list[Path] = []


def kubectl_path() -> Path:
    """The kubectl that ackbox found or built."""
    return _kubectl[0]


def use_kubectl(path: Path) -> None:
    """Run this kubectl from now on, unless there is one already."""
    if not _kubectl:
        _kubectl.append(path)


class Stack:
    """One ackbox home and what runs in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        catalog = home.with_name(f"{home.name}-catalog")
        write_catalog(catalog)
        self.environment = os.environ | {"ACKBOX_HOME": str(home), CATALOG_VARIABLE: str(catalog)}

    def ackbox(self, *arguments: str, check: bool = True, timeout: float = 1800) -> str:
        """Run the command line."""
        done = subprocess.run(
            [sys.executable, "-m", "ackbox.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"ackbox {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def up(self) -> None:
        """`ackbox up`."""
        self.ackbox("up")
        use_kubectl(self.home / "bin" / "kubectl")

    @property
    def api(self) -> Api:
        """The management cluster."""
        return Api(self.home / "kubeconfig")

    def workload(self, name: str, namespace: str = "default") -> Api:
        """A workload cluster, by its kubeconfig Secret."""
        path = self.home / f"test-{namespace}-{name}.kubeconfig"
        path.write_text(self.ackbox("kubeconfig", name, "-n", namespace))
        return Api(path)

    @contextmanager
    def namespace(self, wait: bool = False) -> Iterator[str]:
        """A namespace of the management cluster, deleted afterwards; with `wait`, gone afterwards.

        Kubernetes takes ten seconds or more for it, so only those wait who look at what is left.
        """
        name = f"t-{secrets.token_hex(4)}"
        self.api.kubectl("create", "namespace", name)
        try:
            yield name
        finally:
            self.api.kubectl("delete", "namespace", name, "--wait=false")
            if wait:
                eventually(lambda: gone(self.api, f"{CORE}/namespaces/{name}"), f"namespace {name} gone")

    def statuses(self) -> list[Status]:
        """Every supervised process."""
        return asyncio.run(Supervisor(load(self.home)).statuses())

    def pid(self, program: str) -> int:
        """The process id of a supervised program that runs."""
        return next(s.pid for s in self.statuses() if s.name.rpartition(":")[2] == program and s.pid)

    def supervisor_pid(self) -> int:
        """The process id of supervisord."""
        return int((load(self.home).run / "supervisord.pid").read_text())


def write_catalog(folder: Path) -> None:
    """A catalogue in which a server may be behind more load balancers than in the cloud: the suites share few servers."""
    quotas = yaml.safe_load(read_text("quotas.yaml"))
    for row in quotas["quotas"]:
        if row["name"] == "attachments":
            row["raise"] = "ticket"
    folder.mkdir(exist_ok=True)
    (folder / "quotas.yaml").write_text(yaml.safe_dump(quotas))


def gone(api: Api, path: str) -> bool:
    """Whether nothing is at a path any more."""
    try:
        api.get(path)
    except KeyError:
        return True
    return False


def condition(obj: dict[str, Any], kind: str = "Ready") -> dict[str, Any]:
    """A condition of an object; empty when it has none such."""
    return next((c for c in obj.get("status", {}).get("conditions", []) if c["type"] == kind), {})


def is_ready(obj: dict[str, Any]) -> bool:
    """Ready=True for the present generation."""
    ready = condition(obj)
    generation = obj["metadata"].get("generation")
    return ready.get("status") == "True" and ready.get("observedGeneration", generation) == generation


def http(address: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """What answers at `address:port`, as the responder's JSON."""
    request = urllib.request.Request(f"http://{address}/", headers=headers or {})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())
