"""Starts everything inside the namespaces, in order, and waits until it works."""

import asyncio
import base64
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ackbox.runtime import logs, tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.files import link, private_folder, write_private
from ackbox.runtime.probe import wait_until
from ackbox.runtime.progress import Progress, Terminal
from ackbox.runtime.supervisor import Supervisor
from node.harness import images, inside
from node.harness.cluster import API_SERVER, Cluster
from node.harness.layout import ADDRESS, JOINED_ADDRESS, NODE, POD_CIDR, Layout, run
from node.harness.machine import Machine, proxy

SECONDS = 120.0
LAST_LINES = 20
VOLUMES = 30
STORAGE_CLASS = "node"


@dataclass(frozen=True)
class Start:
    """A node on its way up."""

    layout: Layout
    programs: dict[str, Path]
    progress: Progress

    async def up(self) -> None:
        """Start what doesn't run.

        Raises:
            RuntimeProblem: something doesn't get well in time.
        """
        inside.set_up(self.layout)
        supervisor = Supervisor(self.layout.home)
        self.layout.home.run.mkdir(exist_ok=True)
        await supervisor.start()
        cluster, machine = self.cluster, self.machine
        cluster.write_kubeconfig()
        store, server, *controllers = cluster.groups()
        runtime = machine.container_runtime()
        await supervisor.ensure(store, server, runtime)
        endpoint = cluster.api_server.endpoint(cluster.administrator)
        await self._wait("the API server", lambda: endpoint.healthy("/readyz"), API_SERVER)
        await self._wait("containerd", lambda: _answers(machine), runtime.name)
        import_all(machine, images.small())
        kube_proxy = proxy(self.programs["kube-proxy"], cluster.identity("system:kube-proxy"), NODE)
        await supervisor.ensure(*controllers, machine.kubelet(self.programs["kubelet"]), kube_proxy)
        self._kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(storage(self.layout)))
        await self._wait("the node", self._node_ready, f"kubelet-{NODE}")

    async def join(self, name: str, bootstrap: Path) -> None:
        """Start a second kubelet, with a container runtime of its own, as a node of another cluster.

        Args:
            name: of the Node.
            bootstrap: kubeconfig of that cluster, with which kubelet may ask for certificates.
        """
        inside.add_machine(self.layout, name, JOINED_ADDRESS)
        machine = self._joined(name, bootstrap)
        runtime = machine.container_runtime()
        supervisor = Supervisor(self.layout.home)
        await supervisor.ensure(runtime)
        await self._wait("containerd", lambda: _answers(machine), runtime.name)
        import_all(machine, images.small())
        await supervisor.ensure(machine.kubelet(self.programs["kubelet"]))

    async def leave(self, name: str) -> None:
        """Stop what `join` has started and forget what that cluster gave it. Its pods should be gone."""
        supervisor = Supervisor(self.layout.home)
        for program in ("kubelet", "containerd"):
            await supervisor.remove(f"{program}-{name}")
        (self.layout.folder / name / "kubeconfig").unlink(missing_ok=True)
        shutil.rmtree(self.layout.folder / name / "certificates", ignore_errors=True)

    def _joined(self, name: str, bootstrap: Path) -> Machine:
        folder = private_folder(self.layout.folder / name)
        authority, config = folder / "ca.crt", yaml.safe_load(bootstrap.read_text())
        write_private(authority, base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
        return Machine(
            name=name,
            folder=folder,
            address=JOINED_ADDRESS,
            pods=list(POD_CIDR.subnets(new_prefix=24))[1],
            cgroup=f"/{self.layout.cgroup}/{name}",
            kubeconfig=folder / "kubeconfig",
            authority=authority,
            bootstrap=bootstrap,
        )

    @cached_property
    def cluster(self) -> Cluster:
        """The control plane."""
        return Cluster(self.layout, self.programs)

    @property
    def machine(self) -> Machine:
        """What is on the node."""
        return Machine(
            name=NODE,
            folder=self.layout.folder / NODE,
            address=ADDRESS,
            pods=next(POD_CIDR.subnets(new_prefix=24)),
            cgroup=f"/{self.layout.cgroup}/{NODE}",
            kubeconfig=self.cluster.identity(f"system:node:{NODE}", "system:nodes"),
            authority=self.cluster.api_server.authority.certificate,
        )

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run(
            self.programs["kubectl"], f"--kubeconfig={self.layout.kubeconfig}", *arguments, stdin=stdin, check=False
        )

    async def _node_ready(self) -> bool:
        ready = '{.status.conditions[?(@.type=="Ready")].status}'
        return self._kubectl("get", "node", NODE, f"--output=jsonpath={ready}") == "True"

    async def _wait(self, what: str, condition: Callable[[], Awaitable[bool]], program: str) -> None:
        log = self.layout.home.logs / f"{program}.log"

        def complaint() -> str:
            lines = "\n".join(logs.tail(log, LAST_LINES))
            return f"{what} did not get ready in {SECONDS:.0f} s. The end of {log}:\n{lines}"

        with self.progress.step(f"waiting for {what}"):
            await wait_until(condition, SECONDS, complaint)


async def _answers(machine: Machine) -> bool:
    return "linux" in run("ctr", f"--address={machine.socket}", "plugins", "ls", check=False)


async def find_programs(progress: Progress) -> dict[str, Path]:
    """Path of every program that a node runs, by name; got first if need be."""
    wanted = (tools.kubernetes(tools.MANAGEMENT_MINOR), tools.kubernetes_node(), tools.etcd(), tools.kwok())
    found: dict[str, Path] = {}
    for tool in wanted:
        found |= await locate(tool, progress)
    return found


def import_all(machine: Machine, wanted: tuple[images.Image, ...]) -> None:
    """Make images known to the container runtime, but those that are."""
    known = ctr(machine, "images", "ls", "-q").split()
    for image in wanted:
        if image.name not in known:
            ctr(machine, "images", "import", images.archive(image))


def ctr(machine: Machine, *arguments: str | Path) -> str:
    """Run containerd's own client, for the images and containers of kubelet."""
    return run("ctr", f"--address={machine.socket}", "--namespace=k8s.io", *arguments)


def storage(layout: Layout) -> list[dict[str, Any]]:
    """A default StorageClass with volumes that are folders here: no provisioner runs."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    return [storage_class, *(_volume(layout.folder / "volumes" / str(number)) for number in range(VOLUMES))]


def _volume(folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{folder.name}"},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
        },
    }


async def _main(folder: str, what: str, *arguments: str) -> None:
    layout, progress = Layout(Path(folder)), Terminal()
    programs = await find_programs(progress)
    link(layout.bin / "kubectl", programs["kubectl"])
    start = Start(layout, programs, progress)
    if what == "join":
        name, bootstrap = arguments
        await start.join(name, Path(bootstrap))
    elif what == "leave":
        await start.leave(*arguments)
    else:
        await start.up()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
