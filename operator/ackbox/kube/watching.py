"""Keeps caches up to date. The one place that knows kopf.

kopf's raw events feed our caches; what is to be done follows from the caches alone (level-triggered). kopf doesn't tell
which objects vanished before a watch of its began, so whenever a watch is established, the kind is listed once more by
us: what is gone by then is missing in our list, what goes later is in the watch.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import aiohttp
import kopf
from kopf._core.engines.peering import Identity

from ackbox.kube.cache import Cache
from ackbox.kube.client import MAX_CONNECTIONS, Client
from ackbox.kube.connection import Connection, authorization, no_redirects
from ackbox.kube.errors import Unavailable
from ackbox.kube.queue import WorkQueue

logger = logging.getLogger(__name__)

WATCH_LIFE = 600
"""Seconds after which a watch is made anew, and the kind listed again although nothing asked for it."""

BUSY_TRIES, BUSY_SECONDS = 30, 1.0
"""How often, and in what distance, a server that asks for another try later gets one."""


async def watch(client: Client, caches: Sequence[Cache], ready: asyncio.Event, namespace: str | None = None) -> None:
    """Fill the caches, set `ready`, and keep them up to date until cancelled.

    Args:
        namespace: the only namespace to look at, for a process that may read no other.

    Raises:
        ApiError: a kind can't be listed.
        RuntimeError: the watch ended by itself, as when the API server stays away.
    """
    await asyncio.gather(*(_list(client, cache, namespace) for cache in caches))
    listed: set[int] = set()

    async def relist(index: int) -> None:
        await _list(client, caches[index], namespace)
        listed.add(index)
        if len(listed) == len(caches):
            ready.set()

    relists = WorkQueue[int](relist, "relist", workers=2)
    indexes = {cache.kind.path(namespace): index for index, cache in enumerate(caches)}
    async with _session(client.connection, indexes, relists) as session, asyncio.TaskGroup() as group:
        group.create_task(relists.run())
        group.create_task(_operate(_registry(client.connection.server, session, caches), namespace))


async def _list(client: Client, cache: Cache, namespace: str | None) -> None:
    for left in reversed(range(BUSY_TRIES + 1)):
        try:
            cache.replace(*await client.list(cache.kind, namespace))
            return
        except Unavailable as error:
            # As while a kind's definition is being replaced.
            if error.status != 429 or not left:
                raise
            await asyncio.sleep(BUSY_SECONDS)


async def _operate(registry: kopf.OperatorRegistry, namespace: str | None) -> None:
    # Not kopf.operator(): as it ends it cancels every task of the event loop that began after it did, those of other
    # clusters' watches and controllers too.
    stop = asyncio.Event()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=_settings(),
        clusterwide=namespace is None,
        namespaces=() if namespace is None else (namespace,),
        standalone=True,
        # Needed for peering only, which is off; kopf would ask who the user is, and in a Pod nobody knows.
        identity=Identity("ackbox"),
        stop_flag=stop,
    )
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    errors = [error for task in ended if not task.cancelled() and (error := task.exception())]
    raise RuntimeError("the watch ended") from next(iter(errors), None)


class _NoDifferences(kopf.DiffBaseStorage):
    """Raw events need no record of what was handled; making one for every event would cost a quarter of the CPU."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        pass


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.queueing.idle_timeout = 0.5
    settings.watching.server_timeout = WATCH_LIFE
    return settings


def _session(connection: Connection, indexes: Mapping[str, int], relists: WorkQueue[int]) -> aiohttp.ClientSession:
    """The session that kopf works with; it notices when the watch of a path has begun."""

    async def answered(_: object, __: SimpleNamespace, answer: aiohttp.TraceRequestEndParams) -> None:
        index = indexes.get(answer.url.path)
        if index is not None and answer.url.query.get("watch") == "true" and answer.response.ok:
            relists.add(index)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(answered)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=connection.ssl_context(), limit=MAX_CONNECTIONS),
        trace_configs=[trace, no_redirects()],
        **authorization(connection),
    )


def _registry(server: str, session: aiohttp.ClientSession, caches: Sequence[Cache]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=server, aiohttp_session=session)

    for index, cache in enumerate(caches):
        _feed(registry, cache, f"cache-{index}")
    return registry


def _feed(registry: kopf.OperatorRegistry, cache: Cache, name: str) -> None:
    kind = cache.kind

    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=name)
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        obj = dict(event["object"])
        if event["type"] == "DELETED":
            cache.remove(obj)
        else:
            cache.upsert(obj)
