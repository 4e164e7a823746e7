"""Which changes of which objects make which Listeners and ServerGroups worth a look."""

from collections.abc import Callable
from typing import Any

from ackbox.dataplane import ports
from ackbox.dataplane.caches import Caches, is_running, referring
from ackbox.dataplane.controller import Subject, WorkKey
from ackbox.kube.cache import Cache, key_of
from ackbox.kube.client import Object
from ackbox.kube.refs import cloud_ids
from ackbox.resources.balancer_service import balancer_of
from ackbox.resources.listener import listener_name

Mark = Callable[[WorkKey], None]


class Subscriptions:
    """Feeds work from the caches.

    Args:
        caches: what is watched.
        work: plan again.
        report: only the status may have to be written again.
        lowest_port: the lowest port that can be bound.
    """

    def __init__(self, caches: Caches, work: Mark, report: Mark, lowest_port: int) -> None:
        self._caches = caches
        self._work = work
        self._report = report
        self._lowest_port = lowest_port
        caches.listeners.subscribe(self._listener)
        caches.groups.subscribe(self._group)
        caches.balancers.subscribe(self._balancer)
        caches.instances.subscribe(self._instance)
        caches.clusters.subscribe(self._cluster)
        caches.lists.subscribe(self._list)
        caches.secrets.subscribe(self._secret)
        caches.services.subscribe(self._service)

    def everything(self) -> list[WorkKey]:
        """Every Listener and ServerGroup."""
        return [
            *(WorkKey(Subject.LISTENER, key_of(obj)) for obj in self._caches.listeners.all()),
            *(WorkKey(Subject.GROUP, key_of(obj)) for obj in self._caches.groups.all()),
        ]

    def _listener(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        key = WorkKey(Subject.LISTENER, key_of(obj))
        if _wanted(old) == _wanted(new):
            self._report(key)
            return
        self._work(key)
        # A privileged port may have to give way to this listener, or may have its stand-in back.
        spec = obj["spec"]
        port, transport = spec["listenerPort"], "udp" if spec["listenerProtocol"] == "udp" else "tcp"
        original = ports.stands_in_for(port, self._lowest_port)
        if original is not None:
            balancer = key.key[1].removesuffix(f"-{port}-{transport}")
            other = (key.key[0], listener_name(balancer, original, transport))
            if self._caches.listeners.get(*other) is not None:
                self._work(WorkKey(Subject.LISTENER, other))

    def _group(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        key = WorkKey(Subject.GROUP, key_of(obj))
        if _wanted(old) == _wanted(new) and _ids(old) == _ids(new):
            self._report(key)
            return
        for one in (old, new):
            if one is not None:
                self._mark_all(self._caches.listeners, "group", one)
        self._report(key)

    def _balancer(self, old: Object | None, new: Object | None) -> None:
        if (_wanted(old), _ids(old), _reachable(old)) == (_wanted(new), _ids(new), _reachable(new)):
            return
        for obj in (old, new):
            if obj is not None:
                self._mark_all(self._caches.listeners, "balancer", obj)
                for group in referring(self._caches.groups, "balancer", obj):
                    self._mark_all(self._caches.listeners, "group", group)

    def _instance(self, old: Object | None, new: Object | None) -> None:
        if (old is not None and is_running(old)) == (new is not None and is_running(new)):
            return
        obj = new or old
        assert obj is not None
        for group in self._caches.groups.by("machine", "/".join(key_of(obj))):
            self._mark_all(self._caches.listeners, "group", group)

    def _cluster(self, old: Object | None, new: Object | None) -> None:
        if _wanted(old) == _wanted(new) and _ids(old) == _ids(new):
            return
        for obj in (old, new):
            for group in referring(self._caches.groups, "cluster", obj) if obj is not None else ():
                self._mark_all(self._caches.listeners, "group", group)
                self._report(WorkKey(Subject.GROUP, key_of(group)))

    def _list(self, old: Object | None, new: Object | None) -> None:
        if _wanted(old) == _wanted(new) and _ids(old) == _ids(new):
            return
        for obj in (old, new):
            if obj is not None:
                self._mark_all(self._caches.listeners, "acl", obj)

    def _secret(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None:
                self._mark_all(self._caches.listeners, "certificate", obj)

    def _service(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and old.get("spec") == new.get("spec"):
            return
        for obj in (old, new):
            key = balancer_of(obj) if obj is not None else None
            balancer = self._caches.balancers.get(*key) if key is not None else None
            if balancer is not None:
                self._mark_all(self._caches.listeners, "balancer", balancer)

    def _mark_all(self, cache: Cache, index: str, target: Object) -> None:
        for obj in referring(cache, index, target):
            self._work(WorkKey(Subject.LISTENER, key_of(obj)))


def _wanted(obj: Object | None) -> Any:
    """All of an object but its status."""
    if obj is None:
        return None
    metadata = obj["metadata"]
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        metadata.get("annotations"),
    )


def _ids(obj: Object | None) -> list[str]:
    return cloud_ids(obj) if obj is not None else []


def _reachable(obj: Object | None) -> str | None:
    return (obj.get("status") or {}).get("reachable") if obj is not None else None
