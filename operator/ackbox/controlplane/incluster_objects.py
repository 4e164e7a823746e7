"""Writes the objects of control planes in a cluster: only what differs, and nothing of somebody else's."""

from collections.abc import Sequence

from ackbox.controlplane.incluster_state import of_a_cluster
from ackbox.controlplane.labels import CLUSTER_ID_LABEL
from ackbox.kube.client import SECRET, Client, Object
from ackbox.kube.conditions import merge_difference
from ackbox.kube.errors import AlreadyExists, Conflict, NotFound
from ackbox.kube.refs import belongs_to
from ackbox.resources import Kind
from ackbox.runtime.errors import RuntimeProblem

FIELD_MANAGER = "ackbox-control-planes"


class Objects:
    """The objects in the namespaces of ManagedClusters that a control plane consists of.

    Every method raises an `ApiError` when the management cluster refuses or can't be reached.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def of_cluster(
        self, cluster_id: str, kinds: Sequence[Kind], namespace: str | None = None
    ) -> list[tuple[Kind, Object]]:
        """Everything that runs for a cluster, in its namespace or wherever that is."""
        selector = f"{CLUSTER_ID_LABEL}={cluster_id}"
        lists = [(await self._client.list(kind, namespace, label_selector=selector))[0] for kind in kinds]
        return [(kind, obj) for kind, found in zip(kinds, lists, strict=True) for obj in found]

    async def find(self, kind: Kind, name: str, namespace: str, owner: str) -> Object | None:
        """An object of the owner with this uid; None when there is none.

        Raises:
            Conflict: what has the name belongs to an earlier cluster, and goes.
            RuntimeProblem: it is somebody else's.
        """
        try:
            found = await self._client.get(kind, name, namespace)
        except NotFound:
            return None
        if belongs_to(found, owner):
            return found
        where = f"{kind} {namespace}/{name}"
        if of_a_cluster(found):
            # The owner's uid is no cluster's any more, so the garbage collector takes it away.
            raise Conflict(409, "Conflict", f"{where} of an earlier cluster is being deleted")
        text = f"{where} isn't ackbox's own; the cluster of that name needs it: delete or rename it"
        raise RuntimeProblem(text)

    async def apply(self, kind: Kind, body: Object, owner: str, known: bool = False) -> Object:
        """Server-side apply, which would take over whatever has the name: so that is looked at first, unless it is known.

        Raises:
            Conflict: what has the name belongs to an earlier cluster, and goes.
            RuntimeProblem: it is somebody else's.
        """
        metadata = body["metadata"]
        if not known:
            await self.find(kind, metadata["name"], metadata["namespace"], owner)
        return await self._client.apply(kind, body, FIELD_MANAGER, metadata["namespace"])

    async def write_secret(self, wanted: Object, found: Object | None) -> None:
        """Create a Secret, or bring the one that was found to what is wanted.

        Raises:
            Conflict: it was written by somebody else meanwhile.
        """
        name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
        if found is None:
            try:
                await self._client.create(SECRET, wanted, namespace)
            except AlreadyExists as error:
                raise Conflict(error.status, "Conflict", str(error)) from error
            return
        data = found.get("data") or {}
        stale = dict.fromkeys(data.keys() - wanted["data"].keys())
        difference = merge_difference(data, {**wanted["data"], **stale})
        if difference:
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            await self._client.patch(SECRET, name, namespace, {"metadata": version, "data": difference})

    async def delete(self, kind: Kind, obj: Object) -> None:
        """Ask for the deletion of exactly this object."""
        metadata = obj["metadata"]
        try:
            await self._client.delete(kind, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except (NotFound, Conflict):
            return  # it is gone, or another one by now
