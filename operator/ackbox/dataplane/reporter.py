"""Writes the status of Listeners and ServerGroups: only what differs, and gathered where it is large."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from ackbox.dataplane.ads import AdsServer
from ackbox.dataplane.caches import Caches, is_paused
from ackbox.dataplane.controller import Controller, Subject, WorkKey
from ackbox.dataplane.model import Serving
from ackbox.dataplane.names import resource_name
from ackbox.dataplane.status import Delivery, Report, group_report, listener_report
from ackbox.dataplane.xds_store import ResourceType
from ackbox.kube.cache import Key
from ackbox.kube.client import Client, Object
from ackbox.kube.conditions import State, patch_status
from ackbox.kube.errors import NotFound
from ackbox.kube.events import EventRecorder
from ackbox.kube.queue import WorkQueue
from ackbox.resources import LISTENER, SERVER_GROUP, Kind

GRACE = 5.0
"""Seconds that Envoy has to answer before a listener is said to wait for it."""

GATHER = 0.02
GATHER_PER_SERVER = 0.002
"""Seconds that a server group's status waits for more changes: it is one list, written whole."""

StatusWriter: TypeAlias = Callable[[Kind, Object, dict[str, Any], State], Awaitable[None]]


class Reporter:
    """Compares what Listeners and ServerGroups say with what is, and writes the difference."""

    def __init__(
        self,
        caches: Caches,
        controller: Controller,
        ads: AdsServer,
        write: StatusWriter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._caches = caches
        self._controller = controller
        self._ads = ads
        self._write = write
        self._clock = clock
        self._unsettled: dict[Key, float] = {}
        self.queue = WorkQueue[WorkKey](self.report, "slb status")

    def mark(self, work: WorkKey) -> None:
        """A status may have changed."""
        if work.subject is Subject.LISTENER:
            self.queue.add(work)
            return
        group = self._caches.groups.get(*work.key)
        if group is not None:
            servers = len((group.get("spec") or {}).get("backendServers") or ())
            self.queue.add(work, GATHER + GATHER_PER_SERVER * servers)

    async def report(self, work: WorkKey) -> None:
        """Write the status of one Listener or ServerGroup, if it differs."""
        if work.subject is Subject.GROUP:
            await self._group(work.key)
            return
        wait = await self._listener(work.key)
        if wait > 0:
            self.queue.add(work, wait)

    async def _listener(self, key: Key) -> float:
        """Write a listener's status; or how many seconds to wait for Envoy's word first."""
        controller = self._controller
        obj, outcome = self._caches.listeners.get(*key), controller.outcomes.get(key)
        if obj is None or outcome is None or is_paused(obj):
            self._unsettled.pop(key, None)
            return 0.0
        delivery = self._delivery(key)
        if isinstance(outcome.result, Serving) and not delivery.settled:
            now = self._clock()
            left = self._unsettled.setdefault(key, now) + GRACE - now
            if left > 0:
                return left
        else:
            self._unsettled.pop(key, None)
        report = listener_report(outcome.result, delivery, outcome.servers, controller.seen(key))
        await self._send(LISTENER, obj, report)
        return 0.0

    async def _group(self, key: Key) -> None:
        controller = self._controller
        obj, group = self._caches.groups.get(*key), self._caches.group_view.get(key)
        if obj is None or group is None or group.deleting or is_paused(obj):
            return
        targets = controller.lookup.problem(group)
        views = [controller.seen(user, key) for user in controller.users(key)]
        await self._send(SERVER_GROUP, obj, group_report(group, views, targets.problem if targets else None))

    def _delivery(self, key: Key) -> Delivery:
        ads, name, owned = self._ads, resource_name(key), self._controller.owned(key)
        rejections = (ads.rejection(*resource) for resource in owned)
        endpoints = [own for kind, own in owned if kind is ResourceType.ENDPOINTS]
        others = [resource for resource in owned if resource[0] is not ResourceType.ENDPOINTS]
        present = bool(owned) and all(ads.runs(*resource) for resource in others)
        return Delivery(
            running=present and all(ads.has(ResourceType.ENDPOINTS, own) for own in endpoints),
            serving=ads.has(ResourceType.LISTENER, name),
            connected=ads.connected,
            current=all(ads.runs(ResourceType.ENDPOINTS, own) for own in endpoints),
            rejection=next((text for text in rejections if text is not None), None),
        )

    async def _send(self, kind: Kind, obj: Object, report: Report) -> None:
        fields, state = report
        await self._write(kind, obj, fields, state)


def status_writer(client: Client, events: EventRecorder) -> StatusWriter:
    """Write to the API server, and a Warning when something begins to need the user."""

    async def write(kind: Kind, obj: Object, fields: dict[str, Any], state: State) -> None:
        try:
            written = await patch_status(client, kind, obj, fields, state)
        except NotFound:
            # Deleted meanwhile; the cache will learn of it.
            return
        if written and state.stalled and not _says(obj, state):
            await events.warning(obj, state.reason, state.message)

    return write


def _says(obj: Object, state: State) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(
        (one["type"], one["reason"], one.get("message")) == ("Stalled", state.reason, state.message)
        for one in conditions
    )
