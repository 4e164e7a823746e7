"""Writes to Nodes that are there, and the events that go with them."""

from ackbox.ccm.metrics import NODE_LATENCIES, timed
from ackbox.ccm.nodes.plan import NodePatches, initialised
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.store import Store
from ackbox.kube.client import NODE, Object
from ackbox.kube.errors import ApiError, Invalid
from ackbox.kube.queue import Retry

SYNC_FAILED, DELETED, DELETE_FAILED = "SyncNodeFailed", "DeletedNode", "DeleteNodeFailed"


async def mend(workload: Store, node: Object, patches: NodePatches) -> None:
    """Carry out the patches of a Node: its status first, then labels and taints.

    Raises:
        Retry: the status has changed since it was read.
        Conflict: the taints have.
    """
    name = node["metadata"]["name"]
    if patches.status:
        try:
            node = await workload.json_patch(NODE, name, None, patches.status, "status")
        except Invalid as error:
            await workload.read(NODE, name)
            raise Retry(f"the status has changed meanwhile: {error}", 0.5) from None
    if patches.node is None:
        return
    if "spec" not in patches.node:
        await workload.patch(NODE, name, None, patches.node)
        return
    # The taints are a list that others write too: taken from the newest version, and only on that one.
    version = {"resourceVersion": node["metadata"]["resourceVersion"]}
    patch = {"metadata": {**patches.node.get("metadata", {}), **version}, **(initialised(node) or {})}
    with timed(NODE_LATENCIES, "remove_taint"):
        await workload.patch(NODE, name, None, patch)


async def delete(workload: Store, node: Object) -> None:
    """Delete a Node once."""
    if "deletionTimestamp" not in node["metadata"]:
        await workload.delete(NODE, node["metadata"]["name"], uid=node["metadata"]["uid"])


async def delete_stale(workload: Store, reporter: Reporter, node: Object) -> None:
    """Delete a Node whose machine is gone, and say so."""
    try:
        await delete(workload, node)
    except ApiError as error:
        reporter.warning(node, DELETE_FAILED, f"Error deleting node: {error}")
        raise
    reporter.normal(node, DELETED, node["metadata"]["name"])
