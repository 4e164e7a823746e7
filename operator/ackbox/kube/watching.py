"""Keeps caches up to date. The one place that knows kopf.

kopf's raw events feed our caches; what is to be done follows from the caches alone (level-triggered). kopf doesn't tell
which objects vanished while a watch was broken, so each of its own listings is followed by one of ours.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import kopf

from ackbox.kube.cache import Cache
from ackbox.kube.client import Client
from ackbox.kube.connection import Connection
from ackbox.kube.queue import WorkQueue

logger = logging.getLogger(__name__)

RELIST_DELAY = 1.0
"""Seconds after the first event of a listing, so that one listing causes one of ours."""

RESYNC_PERIOD = 600.0
"""Seconds between listings that nothing asked for."""


async def watch(client: Client, caches: Sequence[Cache], ready: asyncio.Event) -> None:
    """Fill the caches, set `ready`, and keep them up to date until cancelled.

    Raises:
        ApiError: the first listing failed.
        RuntimeError: the watch ended by itself, as when the API server stays away.
    """

    async def relist(index: int) -> None:
        cache = caches[index]
        cache.replace(*await client.list(cache.kind))
        relists.add(index, RESYNC_PERIOD)

    relists = WorkQueue[int](relist, "relist", workers=2)
    await asyncio.gather(*(relist(index) for index in range(len(caches))))
    ready.set()
    registry = _registry(client.connection, caches, relists)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(relists.run())
        group.create_task(_operate(registry, stop))


async def _operate(registry: kopf.OperatorRegistry, stop: asyncio.Event) -> None:
    try:
        await kopf.operator(registry=registry, settings=_settings(), clusterwide=True, standalone=True, stop_flag=stop)
    except asyncio.CancelledError:
        stop.set()
        raise
    raise RuntimeError("the watch ended")


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.5
    settings.watching.server_timeout = 600
    return settings


def _registry(connection: Connection, caches: Sequence[Cache], relists: WorkQueue[int]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_data=connection.ca.encode(),
            certificate_data=connection.certificate.encode() if connection.certificate else None,
            private_key_data=connection.key.encode() if connection.key else None,
            scheme="Bearer" if connection.token else None,
            token=connection.token,
        )

    for index, cache in enumerate(caches):
        _feed(registry, cache, index, relists)
    return registry


def _feed(registry: kopf.OperatorRegistry, cache: Cache, index: int, relists: WorkQueue[int]) -> None:
    kind = cache.kind

    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"cache-{index}")
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        obj = dict(event["object"])
        if event["type"] == "DELETED":
            cache.remove(obj)
            return
        if event["type"] is None:
            relists.add(index, RELIST_DELAY)
        cache.upsert(obj)
