"""The cloud-controller-managers of clusters, in a cluster: a Deployment each. Elsewhere one process serves all clusters."""

from ackbox.cloud.allocation import ids
from ackbox.cloud.reconciling import Cloud, Controller, deleting, paused, spec_changed
from ackbox.controlplane.images import PodOptions
from ackbox.controlplane.incluster_ccm import objects
from ackbox.controlplane.incluster_objects import Objects
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.resources import MANAGED_CLUSTER, ManagedCluster


class Agents(Controller):
    """Runs a ccm for every ManagedCluster, those that are registered too; it goes with its ManagedCluster."""

    def __init__(self, cloud: Cloud, options: PodOptions) -> None:
        super().__init__(cloud, MANAGED_CLUSTER, "agents", workers=2)
        self._options = options
        self._objects = Objects(cloud.client)
        cloud.world.clusters.subscribe(self._on_cluster)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`. The ccm of a deleted cluster still has Services to release."""
        obj = self.cloud.world.clusters.get(*key)
        if obj is None or deleting(obj) or paused(obj) or not wanted(obj):
            return
        cluster = ManagedCluster.model_validate(obj)
        for kind, body in objects(cluster, ids.cluster_id(cluster.metadata.uid), self._options):
            await self._objects.apply(kind, body, cluster.metadata.uid)
        self.resync(key)

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        if new is not None and (spec_changed(old, new) or wanted(old) != wanted(new)):
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]))


def wanted(obj: Object | None) -> bool:
    """Whether a cluster can have a ccm: it is registered, or its control plane is being made."""
    if obj is None:
        return False
    external = obj["spec"].get("clusterType") == "ExternalKubernetes"
    return external or bool((obj.get("status") or {}).get("controlPlane"))
