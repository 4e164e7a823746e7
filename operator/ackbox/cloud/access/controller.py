"""Gives sub-accounts their kubeconfigs and roles, and takes them away again."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime

from ackbox.cloud.access.bindings import bind
from ackbox.cloud.access.kubeconfig import Issuer
from ackbox.cloud.access.plan import Grant, bindings, grant, secret_name
from ackbox.cloud.clusters.parts import Outcome
from ackbox.cloud.clusters.secrets import KUBECONFIG_KEY, read_value
from ackbox.cloud.reconciling import (
    RESYNC_PERIOD,
    Cloud,
    Controller,
    add_finalizer,
    deleting,
    metadata,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.kube.cache import Key
from ackbox.kube.client import SECRET, Client, Object
from ackbox.kube.conditions import State, patch_status, progressing, ready, stalled
from ackbox.kube.connection import Connection
from ackbox.kube.errors import NotFound
from ackbox.kube.refs import belongs_to, owner_reference
from ackbox.resources import CLUSTER_USER, ClusterUser, ManagedCluster
from ackbox.resources.base import CLUSTER_LABEL, RESOURCE_FINALIZER
from ackbox.runtime.certificates import KeyPair

WAITING_PERIOD = 5.0
"""Seconds between looks while something is missing in the workload cluster."""

REGISTERED = "ExternalKubernetes"
UNREACHED = "WaitingForCluster"


class ClusterUsers(Controller):
    """Reconciles ClusterUsers; as a part of every cluster it learns how the cluster is reached."""

    def __init__(self, cloud: Cloud, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(cloud, CLUSTER_USER, "cluster-users", workers=4)
        self._now = now
        self._ways: dict[str, Connection] = {}
        cloud.world.cluster_users.subscribe(self._on_user)
        cloud.world.clusters.subscribe(self._on_cluster)

    async def ensure(self, obj: Object, cluster: ManagedCluster, workload: Client) -> Outcome:
        """See `Part.ensure`."""
        uid = cluster.metadata.uid
        if self._ways.get(uid) != workload.connection:
            self._ways[uid] = workload.connection
            self._add_users(obj)
        return Outcome()

    def forget(self, uid: str) -> None:
        """See `Part.forget`."""
        self._ways.pop(uid, None)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.cluster_users.get(*key)
        if obj is None or paused(obj):
            return
        user = ClusterUser.model_validate(obj)
        found = self.cloud.world.cluster(user.metadata.namespace, user.spec.cluster_id)
        cluster = ManagedCluster.model_validate(found) if found is not None else None
        if deleting(obj):
            await self._finish(obj, user, cluster)
            return
        wrong = self._waits(user, cluster)
        if wrong is not None and wrong.reason == UNREACHED and _settled(user):
            return  # the operator has just started; the cluster's controller tells the way soon
        if wrong is not None:
            await self.report(obj, {"phase": "pending"}, wrong)
            self.resync(key)
            return
        assert cluster is not None
        obj = await add_finalizer(self.cloud.client, CLUSTER_USER, obj, RESOURCE_FINALIZER)
        async with Client(self._ways[cluster.metadata.uid]) as workload:
            await self._give(obj, user, cluster, workload)

    def _waits(self, user: ClusterUser, cluster: ManagedCluster | None) -> State | None:
        """Why nothing can be given out now."""
        named = user.spec.cluster_id
        if self.cloud.world.clusters.get(*user.key) is not None:
            message = (
                f"the ManagedCluster {user.metadata.name} keeps its own kubeconfig in Secret {secret_name(user)};"
                " give this ClusterUser another name"
            )
            return stalled("SecretNameTaken", message)
        if cluster is None:
            message = f"spec.clusterId: {named}: no such cluster in this namespace yet"
            return progressing("ErrorClusterNotFound", message)
        if cluster.spec.cluster_type == REGISTERED:
            message = f"spec.clusterId: {named} is registered; its kubeconfigs are given out by its owner"
            return stalled("RegisteredCluster", message)
        if cluster.deleting:
            return progressing("ClusterDeleting", f"spec.clusterId: {named} is being deleted")
        if cluster.metadata.uid not in self._ways or cluster.status.endpoint is None:
            return progressing(UNREACHED, f"spec.clusterId: {named} isn't running yet")
        return None

    async def _give(self, obj: Object, user: ClusterUser, cluster: ManagedCluster, workload: Client) -> None:
        now = self._now()
        given = grant(user, now)
        fields = {
            "userName": given.user_name,
            "secretName": secret_name(user),
            "expiration": given.expiration,
            "phase": "active",
        }
        if given.until <= now:
            await bind(workload, user.metadata.uid, ())
            message = f"it ended at {given.expiration}; raise spec.kubeconfigRevision to get another one"
            await self.report(obj, fields | {"phase": "expired"}, stalled("KubeconfigExpired", message))
            return
        if (user.status.user_name, user.status.expiration) != (given.user_name, given.expiration):
            # The end of a temporary kubeconfig is written down before there is one.
            await patch_status(self.cloud.client, CLUSTER_USER, obj, {**fields, "phase": user.status.phase})
        missing = await bind(workload, user.metadata.uid, bindings(user, given.user_name))
        state = await self._store(obj, user, cluster, given)
        if state is None and missing:
            message = f"spec.permissions: {', '.join(missing)} not in cluster {cluster.metadata.name} yet"
            state = progressing("WaitingForRole", message)
        await self.report(obj, fields, state or ready("Granted"))
        self.resync(user.key, WAITING_PERIOD if state is not None else RESYNC_PERIOD)
        if user.spec.temporary_duration_minutes is not None:
            self.queue.add(user.key, after=(given.until - now).total_seconds())

    async def _store(self, obj: Object, user: ClusterUser, cluster: ManagedCluster, given: Grant) -> State | None:
        """Put the kubeconfig into its Secret if it isn't there; what keeps it from that."""
        client, (namespace, name) = self.cloud.client, (user.metadata.namespace, secret_name(user))
        authority = f"{cluster.metadata.name}-ca"
        certificate = await read_value(client, namespace, authority, "tls.crt")
        key = await read_value(client, namespace, authority, "tls.key")
        if certificate is None or key is None or certificate != self._ways[cluster.metadata.uid].ca:
            message = f"Secret {authority} doesn't hold the certificate authority of cluster {cluster.metadata.name}"
            return progressing("CertificateAuthorityMissing", message)
        assert cluster.status.endpoint is not None
        issuer = Issuer(cluster.metadata.name, cluster.status.endpoint, KeyPair(certificate, key))
        try:
            secret = await client.get(SECRET, name, namespace)
        except NotFound:
            await client.create(SECRET, _secret(obj, cluster, name, issuer.kubeconfig(given)), namespace)
            return None
        if not belongs_to(secret, user.metadata.uid):
            message = (
                f"Secret {name} is there and not of this ClusterUser; delete it, or give the ClusterUser another name"
            )
            return stalled("SecretNameTaken", message)
        text = await read_value(client, namespace, name, KUBECONFIG_KEY)
        if text is None or not issuer.issued(text, given):
            body = _secret(obj, cluster, name, issuer.kubeconfig(given))
            await client.patch(SECRET, name, namespace, {"data": body["data"]})
        return None

    async def _finish(self, obj: Object, user: ClusterUser, cluster: ManagedCluster | None) -> None:
        """Revoke everything, unless the cluster goes as well."""
        if RESOURCE_FINALIZER not in user.metadata.finalizers:
            return
        if cluster is not None and not cluster.deleting and user.status.user_name is not None:
            way = self._ways.get(cluster.metadata.uid)
            if way is None:
                message = f"cluster {cluster.metadata.name} must run for its bindings to be deleted"
                await self.report(obj, {"phase": "deleting"}, progressing(UNREACHED, message))
                self.resync(user.key)
                return
            async with Client(way) as workload:
                await bind(workload, user.metadata.uid, ())
        await remove_finalizers(self.cloud.client, CLUSTER_USER, obj, RESOURCE_FINALIZER)

    def _on_user(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self.queue.add(metadata(new))

    def _on_cluster(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None and (spec_changed(old, new) or _endpoint(old) != _endpoint(new)):
            self._add_users(obj)
            self.queue.add(metadata(obj))  # a ClusterUser of the same name

    def _add_users(self, cluster: Object) -> None:
        for user in self.cloud.world.users_of(cluster):
            self.queue.add(metadata(user))


def _settled(user: ClusterUser) -> bool:
    return user.status.observed_generation == user.metadata.generation


def _endpoint(cluster: Object | None) -> object:
    return ((cluster or {}).get("status") or {}).get("endpoint")


def _secret(user: Object, cluster: ManagedCluster, name: str, text: str) -> Object:
    owner = owner_reference(CLUSTER_USER, user["metadata"]["name"], user["metadata"]["uid"])
    return {
        "metadata": {"name": name, "labels": {CLUSTER_LABEL: cluster.metadata.name}, "ownerReferences": [owner]},
        "type": "Opaque",
        "data": {KUBECONFIG_KEY: base64.b64encode(text.encode()).decode()},
    }
