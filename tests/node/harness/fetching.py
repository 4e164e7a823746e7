"""Gets what a node needs while the machine's own network is there: a node's network leads nowhere."""

import subprocess
from pathlib import Path

from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.progress import Progress
from node.harness import ackbox_image

SETUP = Path(__file__).resolve().parents[3] / "hack" / "node" / "setup"


def obstacle() -> str | None:
    """Install what the machine lacks; why it can have no node, or None."""
    done = subprocess.run([SETUP], capture_output=True, text=True, check=False)
    return done.stderr.strip() or f"{SETUP} ended with {done.returncode}" if done.returncode else None


async def fetch(progress: Progress) -> None:
    """Get the programs of a node and of control planes on it, and build the image of ackbox, unless they are cached."""
    control_planes = [tools.kubernetes(minor) for minor in tools.KUBERNETES_PATCHES]
    for tool in (*control_planes, tools.kubernetes_node(), tools.etcd(), tools.kwok(), tools.helm()):
        await locate(tool, progress)
    with progress.step("building the image of ackbox"):
        ackbox_image.archive()
