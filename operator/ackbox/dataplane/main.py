"""`ackbox slb`: puts the parts of the data plane together and runs them."""

import asyncio
import logging
import resource
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from ackbox.dataplane import access_log, ports
from ackbox.dataplane.admin import read_health
from ackbox.dataplane.ads import AdsServer
from ackbox.dataplane.caches import Caches
from ackbox.dataplane.controller import Controller, Subject, WorkKey
from ackbox.dataplane.metrics import read_metrics
from ackbox.dataplane.names import key_of_resource, owner
from ackbox.dataplane.reporter import GRACE, Reporter, StatusWriter, status_writer
from ackbox.dataplane.servers import VirtualServers
from ackbox.dataplane.subscriptions import Subscriptions
from ackbox.dataplane.xds_store import ResourceStore, ResourceType
from ackbox.dataplane.xds_stream import Answer
from ackbox.kube.client import SECRET, Client
from ackbox.kube.connection import connect
from ackbox.kube.errors import ApiError
from ackbox.kube.events import EventRecorder
from ackbox.kube.lease import LeaseLost, Work, lead
from ackbox.kube.serving import SLB_PORT, serve, serve_in_pod, server_files
from ackbox.kube.settings import Pod, Settings
from ackbox.kube.watching import watch
from ackbox.resources.base import CERTIFICATE_LABEL
from ackbox.runtime.envoy import ADMIN_SOCKET, ADS_SOCKET
from ackbox.runtime.manifests import SYSTEM_NAMESPACE

logger = logging.getLogger(__name__)

COMPONENT = "ackbox-slb"

PROBE_INTERVAL = 2.0
"""Seconds between looks at what Envoy's probes found."""

CERTIFICATE_INTERVAL = 3.0
"""Seconds between looks at the Secrets that hold certificates."""

RETRY_REFUSED = 30.0
"""Seconds until what Envoy refused is offered again: a port may have become free."""


async def _alone(work: Work) -> None:
    await work()


class DataPlane:
    """Everything of the data plane but the caches' filling: run it once they are full.

    Args:
        settings: where the sockets are, and the addresses.
        caches: the management cluster's objects.
        write: writes a status.
        lowest_port: the lowest port that Envoy can bind.
        lead: does a work for as long as this replica is the one to do it: every replica serves, one writes status.
    """

    def __init__(
        self,
        settings: Settings,
        caches: Caches,
        write: StatusWriter,
        lowest_port: int,
        lead: Callable[[Work], Coroutine[Any, Any, None]] = _alone,
    ) -> None:
        self._settings = settings
        self._lead = lead
        self._whole = False
        self.store = ResourceStore()
        self._ads = AdsServer(self.store, self._answered, self._connected)
        self._servers = VirtualServers(settings.loopback)
        self.controller = Controller(
            caches,
            self.store,
            self._servers,
            lowest_port,
            logs=access_log.prepare(settings.home),
            in_cluster=settings.in_cluster,
        )
        self.reporter = Reporter(caches, self.controller, self._ads, write)
        self.controller.subscribe(self.reporter.mark)
        self._subscriptions = Subscriptions(caches, self.controller.queue.add, self.reporter.mark, lowest_port)

    async def run(self) -> None:
        """Serve until cancelled. Envoy is let in once everything has been planned: it loses nothing by a restart."""
        for key in self._subscriptions.everything():
            try:
                await self.controller.reconcile(key)
            except Exception:
                # One object must not keep the others from being served; the queue tries it again.
                logger.exception("%s %s", key.subject.value, "/".join(key.key))
                self.controller.queue.add(key, 1.0)
        await self._ads.start(self._settings.run / ADS_SOCKET)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.controller.queue.run())
                group.create_task(self._lead(self._report))
                group.create_task(self._probe())
        finally:
            await self._ads.stop()
            self._servers.close()

    @property
    def ready(self) -> bool:
        """Whether Envoy has come, and has once had every listener: a Service must not send clients here sooner."""
        if not self._ads.connected:
            return False
        listeners = self.store.all(ResourceType.LISTENER)
        self._whole = self._whole or all(self._ads.answered(ResourceType.LISTENER, name) for name in listeners)
        return self._whole

    async def _report(self) -> None:
        """Write the status of everything, and again what changes."""
        for key in self._subscriptions.everything():
            self.reporter.mark(key)
        await self.reporter.queue.run()

    def _answered(self, answer: Answer) -> None:
        loop = asyncio.get_running_loop()
        for name in dict.fromkeys(owner(name) for name in answer.names):
            self.reporter.queue.add(WorkKey(Subject.LISTENER, key_of_resource(name)))
        for name in answer.names if answer.error is not None else ():
            loop.call_later(RETRY_REFUSED, self._ads.retry, name)

    def _connected(self, _connected: bool) -> None:
        self._whole = False
        for key in self.controller.outcomes:
            self.reporter.queue.add(WorkKey(Subject.LISTENER, key), GRACE)

    async def _probe(self) -> None:
        """Keep the health of real backend servers up to date."""
        while True:
            await asyncio.sleep(PROBE_INTERVAL)
            if not self.controller.probed():
                continue
            try:
                found = await read_health(self._settings.run / ADMIN_SOCKET)
            except (OSError, TimeoutError) as error:
                logger.warning("the health of real backend servers is unknown: %s", error)
                found = {}
            before, self.controller.found = self.controller.found, found
            for key, outcome in self.controller.outcomes.items():
                for part in outcome.parts:
                    if part.probed and before.get(part.cluster) != found.get(part.cluster):
                        self.reporter.queue.add(WorkKey(Subject.LISTENER, key))
                        self.reporter.mark(WorkKey(Subject.GROUP, part.use.group))


async def run(settings: Settings) -> None:
    """Run the data plane until cancelled.

    Raises:
        ApiError: the management cluster could not be read at the start.
        RuntimeError: the watch ended.
    """
    _allow_many_files()
    caches, filled = Caches(), asyncio.Event()
    async with Client(connect(settings.kubeconfig)) as client:
        write = status_writer(client, EventRecorder(client, COMPONENT))
        # In a Pod a listener is never bound to its own port.
        lowest_port = 1 if settings.in_cluster else ports.first_bindable()
        plane = DataPlane(settings, caches, write, lowest_port, partial(_lead, client, settings.pod))
        async with asyncio.TaskGroup() as group:
            group.create_task(_serve_metrics(settings, plane))
            if settings.in_cluster:
                listed = asyncio.Event()
                group.create_task(watch(client, [caches.services], listed, SYSTEM_NAMESPACE))
                await listed.wait()
            group.create_task(watch(client, caches.all(), filled))
            await filled.wait()
            await _read_certificates(client, caches)
            group.create_task(_keep_certificates(client, caches))
            group.create_task(plane.run())


async def _lead(client: Client, pod: Pod | None, work: Work) -> None:
    """Do a work whenever this replica leads; one that leads no longer goes on serving, and waits for its turn."""
    while True:
        try:
            await lead(client, COMPONENT, pod, work)
        except LeaseLost as error:
            logger.warning("status is left to another replica: %s", error)


async def _serve_metrics(settings: Settings, plane: DataPlane) -> None:
    """What Envoy counts: on a machine for whoever has a client certificate of this home."""
    source = partial(read_metrics, settings.run / ADMIN_SOCKET)
    if settings.in_cluster:
        await serve_in_pod(source, lambda: plane.ready)
        return
    await serve(source, str(settings.loopback[1]), server_files(settings.home, "slb"), SLB_PORT)


async def _read_certificates(client: Client, caches: Caches) -> None:
    caches.secrets.replace(*await client.list(SECRET, label_selector=CERTIFICATE_LABEL))


async def _keep_certificates(client: Client, caches: Caches) -> None:
    """Notice new and renewed certificates."""
    while True:
        await asyncio.sleep(CERTIFICATE_INTERVAL)
        try:
            await _read_certificates(client, caches)
        except ApiError as error:
            logger.warning("the certificates could not be read: %s", error)


def _allow_many_files() -> None:
    """A socket for every port of every virtual server group needs more than the usual 1,024 files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
