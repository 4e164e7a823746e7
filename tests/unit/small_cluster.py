"""A management and a workload cluster that live in memory, for tests of the CCM's controllers."""

import asyncio
import copy
import itertools
import uuid
from dataclasses import dataclass, field

from ackbox.ccm.config import config_cache
from ackbox.ccm.management import management_store
from ackbox.ccm.nodes.controller import node_cache
from ackbox.ccm.services.triggers import service_caches
from ackbox.ccm.store import Store
from ackbox.kube.errors import AlreadyExists, Conflict, Invalid, NotFound

PATIENCE = 10.0
"""Seconds to wait for something that is to happen."""


class ApiServer:
    """Objects with resourceVersions, merge patches and the JSON patches that ackbox sends.

    `refuse(method, kind, body)` may answer an error to raise. `calls` are all writes, as (method, kind, name).
    """

    def __init__(self, *objects):
        self._versions = itertools.count(1)
        self.objects = {}
        self.calls = []
        self.refuse = lambda _method, _kind, _body: None
        for obj in objects:
            self.put(obj)

    def put(self, obj):
        """Store an object as somebody else would; answers it as stored."""
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        key = obj["kind"], metadata.get("namespace") or "", metadata["name"]
        there = self.objects.get(key)
        metadata.setdefault("uid", there["metadata"]["uid"] if there is not None else str(uuid.uuid4()))
        metadata["resourceVersion"] = str(next(self._versions))
        self.objects[key] = obj
        return copy.deepcopy(obj)

    def _found(self, kind, name, namespace):
        try:
            return self.objects[kind.kind, namespace or "", name]
        except KeyError:
            raise NotFound(404, "NotFound", f"{kind.kind} {name} not found") from None

    def _write(self, method, kind, name, body):
        self.calls.append((method, kind.kind, name))
        error = self.refuse(method, kind, body)
        if error is not None:
            raise error

    async def get(self, kind, name, namespace=None):
        await asyncio.sleep(0)
        return copy.deepcopy(self._found(kind, name, namespace))

    async def create(self, kind, body, namespace=None):
        await asyncio.sleep(0)
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **copy.deepcopy(body)}
        name = body["metadata"]["name"]
        self._write("create", kind, name, body)
        if (kind.kind, namespace or "", name) in self.objects:
            raise AlreadyExists(409, "AlreadyExists", f"{kind.kind} {name} exists")
        if namespace:
            body["metadata"]["namespace"] = namespace
        return self.put(body)

    async def patch(self, kind, name, namespace, patch, subresource=None):
        await asyncio.sleep(0)
        self._write("patch", kind, name, patch)
        obj = copy.deepcopy(self._found(kind, name, namespace))
        version = patch.get("metadata", {}).get("resourceVersion")
        if version not in (None, obj["metadata"]["resourceVersion"]):
            raise Conflict(409, "Conflict", f"{kind.kind} {name} has changed")
        _merge(obj, copy.deepcopy(patch))
        return self.put(obj)

    async def json_patch(self, kind, name, namespace, operations, subresource=None):
        await asyncio.sleep(0)
        self._write("json_patch", kind, name, operations)
        obj = copy.deepcopy(self._found(kind, name, namespace))
        for operation in copy.deepcopy(operations):
            _operate(obj, operation)
        return self.put(obj)

    async def delete(self, kind, name, namespace=None, uid=None):
        await asyncio.sleep(0)
        self._write("delete", kind, name, None)
        self._found(kind, name, namespace)
        del self.objects[kind.kind, namespace or "", name]


def _merge(target, patch):
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


def _operate(obj, operation):
    *parents, last = operation["path"].strip("/").split("/")
    place = obj
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    if operation["op"] == "test":
        if place[last] != operation["value"]:
            raise Invalid(422, "Invalid", f"{operation['path']} is {place[last]}")
    elif isinstance(place, list):
        if last == "-":
            place.append(operation["value"])
        else:
            place[int(last)] = operation["value"]
    else:
        place[last] = operation["value"]


@dataclass
class Events:
    """Stands in for a reporter: keeps (kind, reason, message) by the object's name."""

    said: list[tuple[str, str, str, str]] = field(default_factory=list)

    def normal(self, obj, reason, message):
        self.said.append((obj["metadata"]["name"], "Normal", reason, message))

    def warning(self, obj, reason, message):
        self.said.append((obj["metadata"]["name"], "Warning", reason, message))

    def of(self, reason):
        """Names and messages of the events with a reason."""
        return [(name, message) for name, _, each, message in self.said if each == reason]


class World:
    """Both clusters with the CCM's caches, filled."""

    def __init__(self, *management, workload=(), region="cn-hangzhou"):
        self.cloud, self.cluster = ApiServer(*management), ApiServer(*workload)
        self.management = management_store(self.cloud)
        self.workload = Store(self.cluster, [node_cache(region), *service_caches(), config_cache()])
        self.events = Events()
        for server, store in ((self.cloud, self.management), (self.cluster, self.workload)):
            for obj in server.objects.values():
                self._cache(store, obj).upsert(copy.deepcopy(obj))

    @staticmethod
    def _cache(store, obj):
        return next(cache for kind, cache in store.caches.items() if kind.kind == obj["kind"])

    def _side(self, obj):
        in_cloud = obj["apiVersion"].startswith("ackbox.dev/")
        return (self.cloud, self.management) if in_cloud else (self.cluster, self.workload)

    def change(self, obj):
        """Somebody else creates or changes an object; the watch tells."""
        server, store = self._side(obj)
        self._cache(store, obj).upsert(server.put(obj))

    def remove(self, obj):
        """Somebody else deletes an object; the watch tells."""
        server, store = self._side(obj)
        metadata = obj["metadata"]
        gone = server.objects.pop((obj["kind"], metadata.get("namespace") or "", metadata["name"]))
        self._cache(store, obj).remove(gone)

    def tell_gone(self, kind, name):
        """The watch tells that an object of the workload cluster is gone."""
        cache = next(cache for each, cache in self.workload.caches.items() if each.kind == kind)
        cache.remove(cache.get("", name))

    def node(self, name):
        """A Node as it is now."""
        return copy.deepcopy(self.cluster.objects.get(("Node", "", name)))

    def there(self, kind, name, namespace="team"):
        """An object of the management cluster as it is now."""
        return copy.deepcopy(self.cloud.objects.get((kind, namespace, name)))


async def until(condition, what="it"):
    """Wait until something holds, and answer it."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):
                await asyncio.sleep(0.005)
            return found
    except TimeoutError:
        raise AssertionError(f"{what} didn't come within {PATIENCE} s") from None
