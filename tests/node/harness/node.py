"""A whole node as its users see it: up, down, commands inside it, images into it."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.progress import Terminal
from node.harness import ackbox_image, images, inside, namespaces
from node.harness.layout import NODE, RUN, Layout, run

TESTS = Path(__file__).resolve().parents[2]


class Node:
    """One node with its cluster, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder.absolute())

    def up(self) -> None:
        """Start everything that doesn't run yet. Harmless when all is well."""
        self.layout.prepare()
        namespaces.start(self.layout)
        self._inside("up")

    def join(self, name: str, bootstrap: Path) -> None:
        """Start a second kubelet as a node of another cluster; `bootstrap` is how it may ask for certificates."""
        self._inside("join", name, str(bootstrap.absolute()))

    def leave(self, name: str) -> None:
        """Stop that kubelet and its container runtime."""
        self._inside("leave", name)

    def _inside(self, *arguments: str) -> None:
        command = (sys.executable, "-m", "node.harness.start", str(self.layout.folder), *arguments)
        words = [*namespaces.prefix(self.layout), "env", f"PYTHONPATH={TESTS}", *command]
        done = os.spawnvp(os.P_WAIT, words[0], words)
        assert done == 0, f"`{' '.join(arguments)}` of the node in {self.layout.folder} failed; see its logs/"

    def down(self) -> None:
        """End everything and remove the folder."""
        namespaces.stop(self.layout)
        if self.layout.folder.is_dir():
            inside.remove_control_groups(self.layout)
            shutil.rmtree(self.layout.folder)

    def run(self, *command: str | Path, stdin: str | None = None, check: bool = True, timeout: float = 600) -> str:
        """Run a command in the namespaces; its output.

        Raises:
            AssertionError: it failed; with what it wrote.
        """
        return run(*namespaces.prefix(self.layout), *command, stdin=stdin, check=check, timeout=timeout)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator of the cluster."""
        kubeconfig = f"--kubeconfig={self.layout.kubeconfig}"
        return self.run(self.layout.bin / "kubectl", kubeconfig, *arguments, stdin=stdin, check=check)

    def helm(self, *arguments: str) -> str:
        """Run helm as the administrator of the cluster."""
        folder = self.layout.folder / "helm"
        own = [f"HELM_{name}_HOME={folder / name.lower()}" for name in ("CACHE", "CONFIG", "DATA")]
        program = asyncio.run(locate(tools.helm(), Terminal()))["helm"]
        return self.run("env", *own, program, f"--kubeconfig={self.layout.kubeconfig}", *arguments)

    def import_image(self, archive: Path, name: str = NODE) -> None:
        """Make the image in an archive known to the container runtime of a node."""
        self.run(*self._ctr(name), "images", "import", archive)

    def import_ackbox(self) -> None:
        """Build the image of the checkout as it is now and make it known in place of an earlier one."""
        archive, imported = ackbox_image.archive(), self.layout.folder / "ackbox-image"
        if not imported.is_file() or imported.read_text() != archive.name:
            self.import_image(archive)
            imported.write_text(archive.name)

    def import_control_planes(self, *minors: str) -> None:
        """Make known what the control planes of ManagedClusters of these minor versions run."""
        for image in asyncio.run(images.of_control_planes(minors, Terminal())):
            if image.name not in self.images:
                self.import_image(images.archive(image))

    @property
    def images(self) -> set[str]:
        """Names of the images that the container runtime knows."""
        return set(self.run(*self._ctr(NODE), "images", "ls", "--quiet").split())

    def _ctr(self, name: str) -> tuple[str, ...]:
        return ("ctr", f"--address={RUN / name / 'containerd.sock'}", "--namespace=k8s.io")
