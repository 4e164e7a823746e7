"""`ackbox ccm`: the cloud-controller-managers of all workload clusters, each beside the others."""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from ackbox.ccm import certificates
from ackbox.ccm.access import connection_of
from ackbox.ccm.cluster import run_cluster
from ackbox.ccm.facts import ClusterFacts, facts_of
from ackbox.ccm.management import management_store, watched
from ackbox.ccm.metrics import REGISTRY
from ackbox.ccm.release import release
from ackbox.ccm.store import Store
from ackbox.ccm.usage.server import Front
from ackbox.kube.cache import Key, key_of
from ackbox.kube.client import Client, Object
from ackbox.kube.connection import Connection, KubeconfigError, connect
from ackbox.kube.queue import WorkQueue
from ackbox.kube.serving import CCM_PORT, metrics_api_files, of_registry, serve, serve_in_pod, server_files
from ackbox.kube.settings import Settings
from ackbox.kube.watching import watch
from ackbox.resources import MANAGED_CLUSTER, ManagedCluster
from ackbox.resources.base import SERVICES_FINALIZER
from ackbox.resources.managedcluster import ClusterPhase

logger = logging.getLogger(__name__)

SECRET_PERIOD = 10.0
"""Seconds between looks at a cluster's kubeconfig: watching all Secrets would need the right to read them all."""

FIRST_BACK_OFF = 1.0
LONGEST_BACK_OFF = 30.0
LONG_RUN = 60.0
"""Seconds after which a run counts as good, so that the next failure starts with the first back-off."""


async def run(settings: Settings) -> None:
    """Serve the workload clusters of the management cluster until cancelled."""
    # The ccm of one cluster reads that cluster's namespace only, so that it needs no right to any other.
    namespace = settings.cluster.partition("/")[0] if settings.cluster else None
    async with Client(connect(settings.kubeconfig)) as client, asyncio.TaskGroup() as group:
        management = management_store(client)
        ready = asyncio.Event()
        group.create_task(_serve_metrics(settings, ready))
        group.create_task(watch(client, watched(management), ready, namespace))
        await ready.wait()
        group.create_task(certificates.keep(management, namespace))
        await Clusters(management, group, settings.cluster, _usage_front(settings)).run()


async def _serve_metrics(settings: Settings, ready: asyncio.Event) -> None:
    if settings.in_cluster:
        await serve_in_pod(of_registry(REGISTRY), ready.is_set)
    else:
        host, files = str(settings.loopback[1]), server_files(settings.home, "ccm")
        await serve(of_registry(REGISTRY), host, files, CCM_PORT)


def _usage_front(settings: Settings) -> Front:
    """Where the metrics APIs of workload clusters are served: a Pod has no address of a cluster's kubelets."""
    return Front(metrics_api_files(settings.home), "0.0.0.0" if settings.in_cluster else None)  # noqa: S104


@dataclass(frozen=True)
class Target:
    """A cluster to serve and the way to it; another target means another run."""

    facts: ClusterFacts
    connection: Connection

    def __hash__(self) -> int:
        return hash((self.facts.namespace, self.facts.name))


@dataclass
class Running:
    """The task that serves a target."""

    target: Target
    task: asyncio.Task[None] = field(repr=False)


class Clusters:
    """Starts, restarts and stops the controllers of each ManagedCluster."""

    def __init__(self, management: Store, group: asyncio.TaskGroup, only: str | None, usage: Front) -> None:
        self._management = management
        self._usage = usage
        self._group = group
        self._only = only
        self._running: dict[Key, Running] = {}
        self._queue = WorkQueue[Key](self._reconcile, "clusters", longest_back_off=SECRET_PERIOD)

    @property
    def running(self) -> Mapping[Key, Running]:
        """What runs, by ManagedCluster."""
        return self._running

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        with self._management.subscribed(MANAGED_CLUSTER, self._on_cluster):
            for cluster in self._management[MANAGED_CLUSTER].all():
                self._on_cluster(None, cluster, False)
            await self._queue.run()

    def _on_cluster(self, old: Object | None, new: Object | None, _own: bool) -> None:
        for obj in (old, new):
            if obj is not None and self._only in (None, "/".join(key_of(obj))):
                self._queue.add(key_of(obj))
                break

    async def _reconcile(self, key: Key) -> None:
        obj = self._management[MANAGED_CLUSTER].get(*key)
        cluster = ManagedCluster.model_validate(obj) if obj is not None else None
        target = await self._target(cluster) if cluster is not None else None
        served = target if cluster is not None and not cluster.deleting else None
        running = self._running.get(key)
        if running is not None and running.target != served:
            del self._running[key]
            running.task.cancel()
            await asyncio.wait([running.task])
        if cluster is None:
            return
        if cluster.deleting:
            # Its Secret may be gone already, as when the whole namespace is deleted.
            await self._release(cluster, target or (running.target if running is not None else None))
            return
        if served is not None and key not in self._running:
            if served.facts.external:
                await self._set_finalizer(cluster, present=True)
            logger.info("serving cluster %s/%s at %s", *key, served.connection.server)
            task = self._group.create_task(_keep_running(served, self._management, self._usage))
            self._running[key] = Running(served, task)
        self._queue.add(key, SECRET_PERIOD * random.uniform(0.8, 1.2))

    async def _target(self, cluster: ManagedCluster) -> Target | None:
        """How a cluster is to be served; None when it can't be."""
        if cluster.paused or cluster.status.cluster_id is None or not _is_up(cluster):
            return None
        try:
            connection = await connection_of(self._management.client, cluster)
        except KubeconfigError as error:
            # The operator says it in the cluster's conditions.
            logger.warning("cluster %s/%s is not served: %s", *cluster.key, error)
            return None
        return Target(facts_of(cluster, connection.server), connection) if connection is not None else None

    async def _release(self, cluster: ManagedCluster, target: Target | None) -> None:
        """A registered cluster lives on when it leaves; a managed one's Services go with it."""
        if SERVICES_FINALIZER not in cluster.metadata.finalizers:
            return
        if target is not None:
            await release(target.facts, target.connection)
        await self._set_finalizer(cluster, present=False)

    async def _set_finalizer(self, cluster: ManagedCluster, present: bool) -> None:
        before, metadata = cluster.metadata.finalizers, cluster.metadata
        after = [item for item in before if item != SERVICES_FINALIZER] + [SERVICES_FINALIZER] * present
        if after != before:
            body = {"metadata": {"resourceVersion": metadata.resource_version, "finalizers": after}}
            await self._management.patch(MANAGED_CLUSTER, metadata.name, metadata.namespace, body)


def _is_up(cluster: ManagedCluster) -> bool:
    """Whether its API server is meant to answer; a registered one's comes and goes without our doing."""
    down = (None, ClusterPhase.INITIAL, ClusterPhase.HIBERNATED)
    return cluster.spec.cluster_type == "ExternalKubernetes" or cluster.status.phase not in down


async def _keep_running(target: Target, management: Store, usage: Front) -> None:
    """Run a cluster's controllers again and again; what breaks there never disturbs another cluster."""
    loop, back_off = asyncio.get_running_loop(), FIRST_BACK_OFF
    while True:
        started = loop.time()
        try:
            await run_cluster(target.facts, target.connection, management, usage)
        except Exception as error:
            reasons = "; ".join(_leaves(error))
            if loop.time() - started > LONG_RUN:
                back_off = FIRST_BACK_OFF
            name = f"{target.facts.namespace}/{target.facts.name}"
            logger.warning("cluster %s: again in %.0f s: %s", name, back_off, reasons)
            logger.debug("cluster %s", name, exc_info=error)
        await asyncio.sleep(back_off * random.uniform(0.8, 1.2))
        back_off = min(LONGEST_BACK_OFF, back_off * 2)


def _leaves(error: BaseException) -> list[str]:
    """What really went wrong, inside groups of exceptions."""
    if isinstance(error, BaseExceptionGroup):
        return [text for inner in error.exceptions for text in _leaves(inner)]
    return [f"{type(error).__name__}: {error}"]
