"""Fixtures for the tests of ackbox's users, known to pytest as soon as ackbox is installed.

`ackbox` is a management cluster, brought up for the session; `ackbox_cluster` is a ManagedCluster with nodes in it. With
`--ackbox-home` an ackbox that is kept from run to run is used, so that only the first run waits for it. Everything of a
session is in a namespace of its own, so that pytest-xdist's workers share a home without meeting.
"""

import fcntl
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAME = "test"
"""The VPC, the cluster and the node pool of `ackbox_cluster`."""

TIMEOUT = 300
"""Seconds that one command of kubectl may take."""

START = 3600
"""Seconds that `ackbox up` may take; the first time it may have to build Kubernetes."""


class CommandFailed(AssertionError):
    """A command ended with an error; the text is what it said."""


@dataclass(frozen=True)
class Cluster:
    """An API server.

    Attributes:
        program: kubectl, of the version of the management cluster.
        kubeconfig: the administrator's.
        namespace: where commands act unless they name another one.
    """

    program: Path
    kubeconfig: Path
    namespace: str = "default"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What `kubectl` printed; CommandFailed when it ends with an error, `subprocess.TimeoutExpired` when not at all."""
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *arguments]
        return _output(command, f"kubectl {' '.join(arguments)}", TIMEOUT, stdin=stdin)

    def apply(self, *what: Path | str | dict[str, Any]) -> str:
        """Apply files and folders by their paths, and objects as they are; what kubectl printed."""
        objects = [each for each in what if isinstance(each, dict)]
        said = [self.kubectl("apply", "--recursive", "-f", str(each)) for each in what if not isinstance(each, dict)]
        if objects:
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
            said.append(self.kubectl("apply", "-f", "-", stdin=text))
        return "".join(said)

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, parsed: an object, or a List with `items`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))


@dataclass(frozen=True)
class Ackbox(Cluster):
    """A management cluster, with the account of this session as its namespace.

    Attributes:
        home: the folder of its state.
    """

    home: Path = Path()

    def cluster(self, name: str) -> Cluster:
        """A ManagedCluster of the session's account, by its kubeconfig; CommandFailed when it has none yet."""
        path = self.home / f"{self.namespace}-{name}.kubeconfig"
        text = _ackbox(self.home, "kubeconfig", name, "--namespace", self.namespace)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return Cluster(self.program, path)


@dataclass(frozen=True)
class WorkloadCluster(Cluster):
    """A ManagedCluster with nodes.

    Attributes:
        name: of the ManagedCluster, its VPC and its node pool.
        management: where they live.
    """

    name: str = NAME
    management: Ackbox | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the fixtures."""
    group = parser.getgroup("ackbox", "Alibaba Cloud ACK in a box")
    group.addoption(
        "--ackbox-home", type=Path, help="Use and keep the ackbox in this folder; else a new one each time."
    )
    group.addoption(
        "--ackbox-kubernetes", help="Kubernetes version of `ackbox_cluster`, such as 1.35; else the newest."
    )
    group.addoption("--ackbox-nodes", type=int, default=2, help="Nodes of `ackbox_cluster`. [default: 2]")


@pytest.fixture(scope="session")
def ackbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ackbox]:
    """A management cluster with an account of this session."""
    kept: Path | None = request.config.getoption("--ackbox-home")
    home = (kept or tmp_path_factory.mktemp("ackbox")).absolute()
    account = f"pytest-{secrets.token_hex(4)}"
    try:
        with _alone(home):
            _ackbox(home, "up")
        found = Ackbox(home / "bin" / "kubectl", home / "kubeconfig", account, home)
        found.kubectl("create", "namespace", account)
        try:
            yield found
        finally:
            found.kubectl("delete", "namespace", account, "--wait=false")
    finally:
        if kept is None:
            _ackbox(home, "clean")


@pytest.fixture(scope="session")
def ackbox_cluster(request: pytest.FixtureRequest, ackbox: Ackbox) -> Iterator[WorkloadCluster]:
    """A ManagedCluster whose nodes are Ready."""
    option = request.config.getoption
    ackbox.apply(*_objects(option("--ackbox-kubernetes"), option("--ackbox-nodes")))
    wanted = (f"managedcluster/{NAME}", f"nodepool/{NAME}")
    ackbox.kubectl("wait", "--for=condition=Ready", f"--timeout={TIMEOUT - 10}s", *wanted)
    there = ackbox.cluster(NAME)
    try:
        yield WorkloadCluster(there.program, there.kubeconfig, name=NAME, management=ackbox)
    finally:
        there.kubeconfig.unlink()


def _objects(version: str | None, nodes: int) -> list[dict[str, Any]]:
    """A VPC, a Pro cluster in it, and a pool of nodes."""
    switch = {"vSwitchName": NAME, "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/20"}
    cluster = {"clusterSpec": "ack.pro.small", "regionId": "cn-hangzhou", "vpcId": NAME, "vswitchIds": [NAME]}
    networks = {"containerCidr": "10.32.0.0/16", "serviceCidr": "172.19.0.0/20"}
    chosen = {"kubernetesVersion": version} if version else {}
    group = {"desiredSize": nodes, "instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": [NAME]}
    specs = {
        "VPC": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [switch]},
        "ManagedCluster": cluster | networks | chosen,
        "NodePool": {"clusterId": NAME, "scalingGroup": group},
    }
    head = {"apiVersion": "ackbox.dev/v1alpha1", "metadata": {"name": NAME}}
    return [{**head, "kind": kind, "spec": spec} for kind, spec in specs.items()]


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Only one process at a time brings a home up."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ackbox(home: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "ackbox.cli", *arguments]
    return _output(command, f"ackbox {' '.join(arguments)}", START, environment={"ACKBOX_HOME": str(home)})


def _output(
    command: list[str], shown: str, timeout: int, stdin: str | None = None, environment: dict[str, str] | None = None
) -> str:
    done = subprocess.run(
        command,
        input=stdin,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(f"{shown} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
