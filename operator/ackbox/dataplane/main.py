"""`ackbox slb`: puts the parts of the data plane together and runs them."""

import asyncio
import logging
import resource
from functools import partial

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
from ackbox.dataplane.xds_store import ResourceStore
from ackbox.dataplane.xds_stream import Answer
from ackbox.kube.client import SECRET, Client
from ackbox.kube.connection import load_kubeconfig
from ackbox.kube.errors import ApiError
from ackbox.kube.events import EventRecorder
from ackbox.kube.serving import SLB_PORT, serve, server_files
from ackbox.kube.settings import Settings
from ackbox.kube.watching import watch
from ackbox.resources.base import CERTIFICATE_LABEL
from ackbox.runtime.envoy import ADMIN_SOCKET, ADS_SOCKET

logger = logging.getLogger(__name__)

PROBE_INTERVAL = 2.0
"""Seconds between looks at what Envoy's probes found."""

CERTIFICATE_INTERVAL = 3.0
"""Seconds between looks at the Secrets that hold certificates."""

RETRY_REFUSED = 30.0
"""Seconds until what Envoy refused is offered again: a port may have become free."""


class DataPlane:
    """Everything of the data plane but the caches' filling: run it once they are full.

    Args:
        settings: where the sockets are, and the addresses.
        caches: the management cluster's objects.
        write: writes a status.
        lowest_port: the lowest port that Envoy can bind.
    """

    def __init__(self, settings: Settings, caches: Caches, write: StatusWriter, lowest_port: int) -> None:
        self._settings = settings
        self.store = ResourceStore()
        self._ads = AdsServer(self.store, self._answered, self._connected)
        self._servers = VirtualServers(settings.loopback)
        self.controller = Controller(
            caches, self.store, self._servers, lowest_port, logs=access_log.prepare(settings.home)
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
                group.create_task(self.reporter.queue.run())
                group.create_task(self._probe())
        finally:
            await self._ads.stop()
            self._servers.close()

    def _answered(self, answer: Answer) -> None:
        loop = asyncio.get_running_loop()
        for name in dict.fromkeys(owner(name) for name in answer.names):
            self.reporter.queue.add(WorkKey(Subject.LISTENER, key_of_resource(name)))
        for name in answer.names if answer.error is not None else ():
            loop.call_later(RETRY_REFUSED, self._ads.retry, name)

    def _connected(self, _connected: bool) -> None:
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
    async with Client(load_kubeconfig(settings.kubeconfig)) as client:
        write = status_writer(client, EventRecorder(client, "ackbox-slb"))
        plane = DataPlane(settings, caches, write, ports.first_bindable())
        async with asyncio.TaskGroup() as group:
            group.create_task(_serve_metrics(settings))
            group.create_task(watch(client, caches.all(), filled))
            await filled.wait()
            await _read_certificates(client, caches)
            group.create_task(_keep_certificates(client, caches))
            group.create_task(plane.run())


async def _serve_metrics(settings: Settings) -> None:
    """What Envoy counts, for whoever has a client certificate of this home."""
    source = partial(read_metrics, settings.run / ADMIN_SOCKET)
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
