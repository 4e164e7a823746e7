"""The cloud-controller-managers of clusters, in a cluster: a Deployment each. Elsewhere one process serves all clusters."""

import logging

from ackbox.cloud.allocation import ids
from ackbox.cloud.reconciling import (
    Cloud,
    Controller,
    deleting,
    namespace_terminating,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.controlplane.images import PodOptions
from ackbox.controlplane.incluster_ccm import CCM, objects
from ackbox.controlplane.incluster_objects import Objects
from ackbox.controlplane.incluster_state import rolled_out, troubles
from ackbox.controlplane.labels import CLUSTER_ID_LABEL, PROGRAM_LABEL
from ackbox.kube.cache import Key, key_of
from ackbox.kube.client import POD, Object
from ackbox.kube.errors import PASSING, ApiError, Forbidden
from ackbox.resources import MANAGED_CLUSTER, ManagedCluster
from ackbox.resources.base import SERVICES_FINALIZER
from ackbox.runtime.errors import RuntimeProblem

logger = logging.getLogger(__name__)

WAITING_PERIOD = 30.0
"""Seconds between two looks at a ccm that doesn't run yet, or has a cluster to leave."""


class Agents(Controller):
    """Runs a ccm for every ManagedCluster, those that are registered too; it goes with its ManagedCluster."""

    def __init__(self, cloud: Cloud, options: PodOptions) -> None:
        super().__init__(cloud, MANAGED_CLUSTER, "agents", workers=2)
        self._options = options
        self._objects = Objects(cloud.client)
        cloud.world.clusters.subscribe(self._on_cluster)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.clusters.get(*key)
        if obj is None or paused(obj) or not wanted(obj):
            return
        try:
            runs = await self._ensure(obj)
        except (ApiError, RuntimeProblem) as error:
            if deleting(obj) and isinstance(error, Forbidden) and namespace_terminating(error):
                await self._give_up(obj)
                return
            if not isinstance(error, PASSING):
                await self._tell(obj, str(error))
            raise
        if runs and not deleting(obj):
            self.resync(key)
        else:
            self.resync(key, WAITING_PERIOD)

    async def _ensure(self, obj: Object) -> bool:
        """Apply everything, and tell what keeps the Pod from running; whether it runs."""
        cluster = ManagedCluster.model_validate(obj)
        uid, cluster_id = cluster.metadata.uid, ids.cluster_id(cluster.metadata.uid)
        *_, deployment = [
            await self._objects.apply(kind, body, uid) for kind, body in objects(cluster, cluster_id, self._options)
        ]
        if rolled_out(deployment):
            return True
        selector = f"{CLUSTER_ID_LABEL}={cluster_id},{PROGRAM_LABEL}={CCM}"
        pods, _ = await self.cloud.client.list(POD, cluster.metadata.namespace, label_selector=selector)
        if text := troubles(pods, [deployment]):
            await self._tell(obj, text)
        return False

    async def _tell(self, obj: Object, text: str) -> None:
        await self.cloud.events.warning(
            obj, "CloudControllerManagerFailed", f"nothing follows Nodes and Services: {text}"
        )

    async def _give_up(self, obj: Object) -> None:
        """The namespace goes, and the ccm can't come again to release the Services of a registered cluster."""
        metadata = obj["metadata"]
        where = f"{metadata['namespace']}/{metadata['name']}"
        logger.warning("cluster %s: its namespace is being deleted, and its Services keep their finalizers", where)
        await remove_finalizers(self.cloud.client, MANAGED_CLUSTER, obj, SERVICES_FINALIZER)

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        if new is not None and (spec_changed(old, new) or wanted(old) != wanted(new)):
            self.queue.add(key_of(new))


def wanted(obj: Object | None) -> bool:
    """Whether a cluster is to have a ccm.

    It can, once it is registered or its control plane is being made. One that is being deleted keeps what it has, and
    needs it as long as Services of a registered cluster are to be released.
    """
    if obj is None:
        return False
    if deleting(obj):
        return SERVICES_FINALIZER in (obj["metadata"].get("finalizers") or ())
    external = obj["spec"].get("clusterType") == "ExternalKubernetes"
    return external or bool((obj.get("status") or {}).get("controlPlane"))
