"""One real node for the whole run, and ackbox installed on it by its chart.

Other suites load this too, so the node's own modules are imported when somebody asks for it.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from node.harness.node import Node
    from node.stack import ClusterStack

WANTED = "ACKBOX_TEST_NODE"
KEPT = "ACKBOX_NODE"
"""Names a folder in which the node is left running, to look at it and to start sooner the next time."""


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Node]":
    """The node. While it is there, this process is in its network."""
    if not os.environ.get(WANTED):
        pytest.skip(f"needs a real node; make test-node runs it, which sets {WANTED}")
    from ackbox.runtime.progress import Terminal
    from node.harness import fetching, namespaces
    from node.harness.node import Node

    obstacle = fetching.obstacle()
    if obstacle:
        pytest.skip(obstacle)
    asyncio.run(fetching.fetch(Terminal()))

    kept = os.environ.get(KEPT)
    node = Node(Path(kept) if kept else tmp_path_factory.mktemp("node"))
    try:
        node.up()
        with namespaces.network(node.layout):
            yield node
    finally:
        if not kept:
            node.down()


@pytest.fixture(scope="session")
def ackbox(node: "Node") -> "ClusterStack":
    """The chart, installed."""
    from node.stack import ClusterStack

    stack = ClusterStack(node)
    stack.up()
    return stack
