"""Names, folders and addresses of a node."""

import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from ackbox.runtime.files import private_folder
from ackbox.runtime.home import Home

NETWORK = IPv4Network("10.201.0.0/24")
"""Of the node and whatever else is beside it in its network namespace."""

SERVICE_CIDR = IPv4Network("10.96.0.0/16")
POD_CIDR = IPv4Network("10.244.0.0/16")

NODE = "node-1"
ADDRESS = NETWORK[1]
"""Where the API server, etcd and the kubelet of the node listen."""

JOINED_ADDRESS = NETWORK[2]
"""Where the kubelet listens that joins another cluster."""

RUN = Path("/run/ackbox-node")
"""Sockets, inside the mount namespace, where `/run` is the node's own."""


@dataclass(frozen=True)
class Layout:
    """A node's folder.

    Attributes:
        folder: absolute path; everything that is kept stands below it.
    """

    folder: Path

    @property
    def home(self) -> Home:
        """The folder as ackbox's supervisor and its helpers want it."""
        return Home(self.folder, NETWORK, RUN)

    @property
    def init_pid(self) -> Path:
        """Holds the process id of the first process of the namespaces, as the machine counts."""
        return self.folder / "init.pid"

    @property
    def kubeconfig(self) -> Path:
        """Of the cluster's administrator."""
        return self.folder / "kubeconfig"

    @property
    def bin(self) -> Path:
        """Links to the cluster's kubectl and to helm."""
        return self.folder / "bin"

    @property
    def cgroup(self) -> str:
        """Name of the parent of all control groups, unlike that of any other node on this machine."""
        return f"ackbox-{self.folder.stat().st_ino}"

    def prepare(self) -> None:
        """Make the folders."""
        for name in ("", "bin", "conf.d", "logs", "pki", "volumes"):
            private_folder(self.folder / name)
        # Pods that are not root find their volumes below.
        for name in ("", "volumes"):
            (self.folder / name).chmod(0o755)


def run(*command: str | Path, check: bool = True, stdin: str | None = None, timeout: float = 600) -> str:
    """Run a program to its end; its output.

    Raises:
        AssertionError: it failed; with what it wrote.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise AssertionError(f"`{' '.join(words)}` ended with {done.returncode}:\n{done.stderr or done.stdout}")
    return done.stdout
