"""Nodes that no ECS instance of the cluster's region stands behind: Lingjun machines, and those nobody can tell."""

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.nodes.apply import SYNC_FAILED, delete_stale, mend
from ackbox.ccm.nodes.machine import Machine, complaint, machine, ready
from ackbox.ccm.nodes.model import is_emulated
from ackbox.ccm.nodes.plan import NodePatches, initialised
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.store import Store
from ackbox.kube.client import NODE, Object
from ackbox.kube.errors import Conflict
from ackbox.kube.queue import Retry, WorkQueue


class OtherNodes:
    """Such Nodes of one cluster. Keys are their names."""

    def __init__(self, facts: ClusterFacts, workload: Store, reporter: Reporter) -> None:
        self._facts = facts
        self._workload = workload
        self._reporter = reporter
        self._said: dict[str, tuple[str, str]] = {}
        self._queue = WorkQueue[str](self._reconcile, f"other nodes of {facts.name}", workers=2)

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        self.look_at_all()
        await self._queue.run()

    def look(self, node: Object) -> None:
        """Look at a Node soon, if it is of that sort."""
        if machine(node, self._facts.region) is not Machine.ECS:
            self._queue.add(node["metadata"]["name"])

    def look_at_all(self) -> None:
        """Look at every Node of that sort."""
        for node in self._workload[NODE].all():
            self.look(node)

    async def _reconcile(self, name: str) -> None:
        node = self._workload[NODE].get("", name)
        if node is None:
            self._said.pop(name, None)
            return
        kind = machine(node, self._facts.region)
        if kind in (Machine.LINGJUN, Machine.ELSEWHERE) and ready(node) == "Unknown":
            # Neither other regions nor Lingjun machines exist here, so the machine is gone.
            await delete_stale(self._workload, self._reporter, node)
            return
        self._explain(node)
        if kind is Machine.LINGJUN:
            try:
                await mend(self._workload, node, NodePatches(initialised(node), []))
            except Conflict as error:
                raise Retry(f"changed meanwhile: {error}", 0.1) from None

    def _explain(self, node: Object) -> None:
        name, uid = node["metadata"]["name"], node["metadata"]["uid"]
        # Whoever makes an emulated Node by hand has no kubelet to start.
        text = complaint(node, self._facts.region) if not is_emulated(node) else None
        if text is None:
            self._said.pop(name, None)
        elif self._said.get(name) != (uid, text):
            self._said[name] = (uid, text)
            self._reporter.warning(node, SYNC_FAILED, text)
