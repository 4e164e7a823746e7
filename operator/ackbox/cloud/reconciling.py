"""What every controller of the cloud side shares: its loop, finalizers, and which refusals only mean "later"."""

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ackbox.cloud.allocation.ledger import Ledgers
from ackbox.cloud.allocation.loopback import AddressPool
from ackbox.cloud.allocation.quota import Quotas
from ackbox.cloud.world import World
from ackbox.kube.cache import Cache, Key
from ackbox.kube.client import Client, Object
from ackbox.kube.conditions import Aspect, State, patch_status
from ackbox.kube.errors import Conflict, Forbidden, NotFound, Unavailable
from ackbox.kube.events import EventRecorder
from ackbox.kube.queue import Retry, WorkQueue
from ackbox.resources import Kind
from ackbox.resources.base import PAUSED_ANNOTATION

logger = logging.getLogger(__name__)

T = TypeVar("T")

RESYNC_PERIOD = 300.0
"""Seconds after which a finished object is looked at again, give or take a third."""

PARALLEL_WRITES = 50
"""Writes of one batch under way at a time; as many as the client has connections."""


@dataclass(frozen=True)
class Cloud:
    """What controllers work with.

    Attributes:
        services: in a cluster, the Services by which load balancers are dialled.
    """

    client: Client
    world: World
    events: EventRecorder
    ledgers: Ledgers
    quotas: Quotas
    addresses: AddressPool
    services: Cache | None = None


class Controller(ABC):
    """Reconciles the keys of one kind; a subclass subscribes to the caches and says what a reconcile is."""

    def __init__(self, cloud: Cloud, kind: Kind, name: str, workers: int = 8) -> None:
        self.cloud = cloud
        self.kind = kind
        self.queue = WorkQueue[Key](self._guarded, name, workers=workers)

    @abstractmethod
    async def reconcile(self, key: Key) -> None:
        """Bring one object a step further."""

    async def run(self) -> None:
        """Work until cancelled."""
        await self.queue.run()

    def resync(self, key: Key, period: float = RESYNC_PERIOD) -> None:
        """Look again later, so that what no event told of is mended too."""
        self.queue.add(key, after=random.uniform(period * 2 / 3, period * 4 / 3))

    async def report(
        self, obj: Object, fields: Object, state: State, warn: bool = False, aspects: Sequence[Aspect] = ()
    ) -> None:
        """Bring status and conditions up to date; a Warning tells of a new reason why the object is stalled.

        `warn` asks for the Warning with other states too, such as a quota that is used up; `aspects` are further
        conditions.
        """
        before = condition(obj, "Ready")
        if not await patch_status(self.cloud.client, self.kind, obj, fields, state, aspects):
            return
        other = before.get("reason") != state.reason
        if (state.stalled and (other or before.get("message") != state.message)) or (warn and other):
            await self.cloud.events.warning(obj, state.reason, state.message)
        for aspect in aspects:
            said = condition(obj, aspect.type)
            new = (said.get("reason"), said.get("message")) != (aspect.reason, aspect.message)
            if aspect.warn and aspect.status is not None and new:
                await self.cloud.events.warning(obj, aspect.reason, aspect.message)

    async def _guarded(self, key: Key) -> None:
        try:
            await self.reconcile(key)
        except Conflict as error:
            raise Retry(f"changed meanwhile: {error}", 0.1) from error
        except NotFound as error:
            raise Retry(f"gone meanwhile: {error}", 0.5) from error
        except Forbidden as error:
            if not namespace_terminating(error):
                raise
            raise Retry("its namespace is being deleted", 1.0) from error
        except Unavailable as error:
            raise Retry(str(error), 1.0) from error


def namespace_terminating(error: Forbidden) -> bool:
    """Whether the API server refuses to create something because its namespace is going away."""
    return "because it is being terminated" in str(error)


def metadata(obj: Object) -> tuple[str, str]:
    """Namespace and name."""
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def deleting(obj: Object) -> bool:
    """Whether an object waits for its finalizers."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def paused(obj: Object) -> bool:
    """Whether the user asked ackbox to leave an object alone."""
    return (obj["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true"


def condition(obj: Object, kind: str) -> Object:
    """A condition of an object; empty when there is none such."""
    every = (obj.get("status") or {}).get("conditions") or []
    return next((each for each in every if each["type"] == kind), {})


def is_ready(obj: Object) -> bool:
    """Whether an object is as its spec says."""
    return condition(obj, "Ready").get("status") == "True"


def spec_changed(old: Object | None, new: Object | None) -> bool:
    """Whether an object came, went, is being deleted, or has another spec, id or label: more than a status counter."""
    if old is None or new is None:
        return True
    return _substance(old) != _substance(new)


def _substance(obj: Object) -> tuple[object, ...]:
    meta = obj["metadata"]
    return meta["uid"], meta.get("generation"), deleting(obj), meta.get("labels"), meta.get("annotations")


async def add_finalizer(client: Client, kind: Kind, obj: Object, finalizer: str) -> Object:
    """Make sure that an object can't vanish before we let it; the object as it is then."""
    finalizers = obj["metadata"].get("finalizers") or []
    return obj if finalizer in finalizers else await _set_finalizers(client, kind, obj, [*finalizers, finalizer])


async def remove_finalizers(client: Client, kind: Kind, obj: Object, *finalizers: str) -> None:
    """Let an object go, as far as these finalizers are concerned."""
    before = obj["metadata"].get("finalizers") or []
    left = [each for each in before if each not in finalizers]
    if left != before:
        try:
            await _set_finalizers(client, kind, obj, left)
        except NotFound:
            logger.debug("%s %s is gone already", kind, obj["metadata"]["name"])


async def _set_finalizers(client: Client, kind: Kind, obj: Object, finalizers: list[str]) -> Object:
    namespace, name = metadata(obj)
    body = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"], "finalizers": finalizers}}
    return await client.patch(kind, name, namespace, body)


async def delete_all(client: Client, kind: Kind, objects: Iterable[Object]) -> None:
    """Ask for the deletion of objects that are not being deleted yet."""

    async def delete(obj: Object) -> None:
        namespace, name = metadata(obj)
        try:
            await client.delete(kind, name, namespace, uid=obj["metadata"]["uid"])
        except (NotFound, Conflict):
            logger.debug("%s %s is gone already", kind, name)

    await in_parallel(delete, [obj for obj in objects if not deleting(obj)])


async def in_parallel(work: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do something for every item, several at a time; every item has its turn before the first error is raised."""
    gate = asyncio.Semaphore(PARALLEL_WRITES)

    async def one(item: T) -> None:
        async with gate:
            await work(item)

    results = await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
