"""ackbox installed by its chart on a real node, used by the suites of the local stack like that one."""

import os
from typing import NoReturn

import pytest

from ackbox.runtime.tools import KUBERNETES_PATCHES
from e2e import stack
from e2e.stack import Stack
from node.harness.node import Node

CHART = stack.ROOT / "charts" / "ackbox"
NAMESPACE = "ackbox-system"
RELEASE = "ackbox"

# One node: a second Pod of each would only share its processor.
VALUES = ("--set=operator.replicas=1", "--set=slb.replicas=1")


class ClusterStack(Stack):
    """A release of the chart on a node.

    Tests that end single processes are skipped: Pods have no supervisor, and other suites end them.
    """

    def __init__(self, node: Node) -> None:
        """Take the node's folder for a home: it has a kubeconfig of the same name."""
        self.home = node.layout.folder
        self.node = node
        self.environment = os.environ | {"ACKBOX_KUBECONFIG": str(node.layout.kubeconfig)}

    def up(self) -> None:
        """Install the chart with the image of the checkout, or upgrade to it."""
        self.node.import_ackbox()
        self.node.import_control_planes(*KUBERNETES_PATCHES)
        where = (f"--namespace={NAMESPACE}", "--create-namespace", "--wait", "--timeout=180s")
        self.node.helm("upgrade", "--install", RELEASE, str(CHART), *where, *VALUES)
        stack.use_kubectl(self.node.layout.bin / "kubectl")

    def statuses(self) -> NoReturn:
        """See `Stack.statuses`."""
        pytest.skip("it looks at processes of a home")

    def pid(self, program: str) -> NoReturn:
        """See `Stack.pid`."""
        pytest.skip(f"it ends {program} of a home")

    def supervisor_pid(self) -> NoReturn:
        """See `Stack.supervisor_pid`."""
        pytest.skip("it ends the supervisor of a home")
