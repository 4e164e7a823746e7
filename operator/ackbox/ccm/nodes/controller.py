"""Node controller: a running Instance has a Node, a stopped one's Node is left alone, a released one's Node goes.

A Node that somebody deletes while its Instance runs is registered again at once. On ACK a kubelet would do so when it
is restarted; here nobody restarts it, and what follows from the Instance holds at all times.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime

from ackbox.ccm.facts import ClusterFacts, instance_id
from ackbox.ccm.management import cluster_of
from ackbox.ccm.nodes.model import Route, new_node
from ackbox.ccm.nodes.plan import power_off, repair, stale
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.routes.controller import RouteController
from ackbox.ccm.store import Store
from ackbox.kube.cache import Cache
from ackbox.kube.client import NODE, Object
from ackbox.kube.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from ackbox.kube.queue import Retry, WorkQueue
from ackbox.resources import INSTANCE, Instance
from ackbox.resources.base import NODE_FINALIZER, PAUSED_ANNOTATION
from ackbox.resources.instance import InstancePhase

logger = logging.getLogger(__name__)

WORKERS = 48
"""As many as the client has connections: a node is one write, and nearly all of its time is the API server's."""

REPAIR_PERIOD = 300.0
"""Seconds between looks that nothing asked for, spread by a quarter each way."""

ROUTE_FAILED = "CreateRouteFailed"


def node_cache() -> Cache:
    """A cache of Nodes by the instance that their providerID names."""

    def instances(node: Object) -> list[str]:
        found = instance_id((node.get("spec") or {}).get("providerID"))
        return [found] if found else []

    return Cache(NODE, {"instance": instances})


class NodeController:
    """Nodes of one managed cluster. Keys are instance ids."""

    def __init__(self, facts: ClusterFacts, management: Store, workload: Store, reporter: Reporter) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._reporter = reporter
        self._said: dict[str, str] = {}
        self._queue = WorkQueue[str](self._reconcile, f"nodes of {facts.name}", WORKERS)
        self._routes = RouteController(facts, management, lambda name: bool(self._nodes(name)), self._queue.add)

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        with self._subscribed():
            for name in self._known():
                self._queue.add(name)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._routes.run())
                group.create_task(self._queue.run())
                group.create_task(self._repair())

    @contextlib.contextmanager
    def _subscribed(self) -> Iterator[None]:
        with self._management.subscribed(INSTANCE, self._on_instance), self._workload.subscribed(NODE, self._on_node):
            yield

    def _known(self) -> set[str]:
        ours = self._management[INSTANCE].by("cluster", f"{self._facts.namespace}/{self._facts.name}")
        nodes = (instance_id((node.get("spec") or {}).get("providerID")) for node in self._workload[NODE].all())
        return {instance["metadata"]["name"] for instance in ours} | {name for name in nodes if name}

    async def _repair(self) -> None:
        while True:
            await asyncio.sleep(REPAIR_PERIOD * random.uniform(0.75, 1.25))
            for name in self._known():
                self._queue.add(name, random.uniform(0.0, REPAIR_PERIOD / 4))

    def _on_instance(self, old: Object | None, new: Object | None, _own: bool) -> None:
        obj = new or old
        if obj is None or not self._is_ours(obj):
            return
        if old and new and _relevant(old) == _relevant(new):
            return
        self._queue.add(obj["metadata"]["name"])
        self._routes.look()

    def _on_node(self, old: Object | None, new: Object | None, own: bool) -> None:
        if own and new is not None:
            return
        if old and new and _seen(old) == _seen(new):
            return
        for obj in (old, new):
            name = instance_id(((obj or {}).get("spec") or {}).get("providerID"))
            if name is not None:
                self._queue.add(name)
        if new is None:
            self._routes.look()

    def _is_ours(self, instance: Object) -> bool:
        same_namespace = instance["metadata"]["namespace"] == self._facts.namespace
        return same_namespace and cluster_of(instance) == self._facts.name

    def _nodes(self, name: str) -> list[Object]:
        return self._workload[NODE].by("instance", name)

    async def _reconcile(self, name: str) -> None:
        instance = self._management[INSTANCE].get(self._facts.namespace, name)
        try:
            if instance is None or not self._is_ours(instance):
                await self._orphaned(name)
            elif (instance["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true":
                return
            elif "deletionTimestamp" in instance["metadata"]:
                await self._released(instance)
            elif (instance.get("status") or {}).get("phase") == InstancePhase.RUNNING:
                await self._running(instance)
            elif (instance.get("status") or {}).get("phase") in (InstancePhase.STOPPING, InstancePhase.STOPPED):
                await self._stopped(name)
        except Conflict as error:
            raise Retry(f"changed meanwhile: {error}", 0.1) from None

    async def _running(self, obj: Object) -> None:
        name, route = obj["metadata"]["name"], self._routes.state(obj)
        if route is Route.WAITING:
            return  # the route controller calls again
        instance = Instance.model_validate(obj)
        nodes = self._nodes(name)
        now = datetime.now(UTC)
        if not nodes:
            node = await self._register(instance, route, now)
        else:
            node = nodes[0]
            await self._mend(node, instance, route, now)
        refused = self._routes.refused.get(name)
        if refused is not None and self._said.get(name) != refused:
            table = self._facts.vpc_id
            self._reporter.warning(node, ROUTE_FAILED, f"Error creating route entry in {table}: {refused}")
        if refused is None:
            self._said.pop(name, None)
        else:
            self._said[name] = refused

    async def _register(self, instance: Instance, route: Route, now: datetime) -> Object:
        body = new_node(instance, self._facts, route, now)
        try:
            return await self._workload.create(NODE, body)
        except AlreadyExists:
            there = self._workload[NODE].get("", body["metadata"]["name"])
            if there in self._nodes(instance.metadata.name):
                raise Retry("the Node was there already", 0.0) from None
            other = ((there or {}).get("spec") or {}).get("providerID")
            raise Retry(f"Node {body['metadata']['name']} is there for {other}", 5.0) from None

    async def _mend(self, node: Object, instance: Instance, route: Route, now: datetime) -> None:
        patches, name = repair(node, instance, self._facts, route, now), node["metadata"]["name"]
        if patches.status:
            try:
                await self._workload.json_patch(NODE, name, None, patches.status, "status")
            except Invalid as error:
                await self._workload.read(NODE, name)
                raise Retry(f"the status has changed meanwhile: {error}", 0.5) from None
        if patches.node is not None:
            await self._workload.patch(NODE, name, None, patches.node)

    async def _stopped(self, name: str) -> None:
        for node in self._nodes(name):
            patch = power_off(node)
            if patch is not None:
                await self._workload.patch(NODE, node["metadata"]["name"], None, patch)

    async def _released(self, instance: Object) -> None:
        """Node, route, finalizer: each only when what comes before is gone, so that no address is freed too early."""
        metadata = instance["metadata"]
        finalizers = metadata.get("finalizers") or []
        if NODE_FINALIZER not in finalizers:
            return
        nodes = self._nodes(metadata["name"])
        for node in nodes:
            await self._delete(node)
        if nodes or self._routes.has_entry(metadata["name"]):
            self._routes.look()
            return
        patch = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": [item for item in finalizers if item != NODE_FINALIZER],
            }
        }
        try:
            await self._management.patch(INSTANCE, metadata["name"], metadata["namespace"], patch)
        except Conflict:
            await self._management.read(INSTANCE, metadata["name"], metadata["namespace"])
            raise
        except NotFound:
            logger.debug("instance %s is gone already", metadata["name"])

    async def _orphaned(self, name: str) -> None:
        """Nodes that name an instance which isn't this cluster's, or isn't there at all."""
        for node in self._nodes(name):
            region = instance_id((node.get("spec") or {}).get("providerID"), self._facts.region)
            if not stale(node) or await self._exists(name, region):
                continue
            try:
                await self._delete(node)
            except ApiError as error:
                self._reporter.warning(node, "DeleteNodeFailed", f"Error deleting node: {error}")
                raise
            self._reporter.normal(node, "DeletedNode", node["metadata"]["name"])

    async def _exists(self, name: str, region: str | None) -> bool:
        """Whether an instance is there and ours after all: the Node may be ahead of our picture of the instances."""
        if region is None:
            return False
        try:
            return self._is_ours(await self._management.read(INSTANCE, name, self._facts.namespace))
        except NotFound:
            return False

    async def _delete(self, node: Object) -> None:
        if "deletionTimestamp" not in node["metadata"]:
            await self._workload.delete(NODE, node["metadata"]["name"], uid=node["metadata"]["uid"])


def _relevant(instance: Object) -> tuple[object, ...]:
    metadata, status = instance["metadata"], instance.get("status") or {}
    paused = (metadata.get("annotations") or {}).get(PAUSED_ANNOTATION)
    return instance["spec"], status.get("phase"), metadata.get("deletionTimestamp"), metadata.get("finalizers"), paused


def _seen(node: Object) -> tuple[object, ...]:
    """What somebody else may have changed. Heartbeats and the like are nobody's business here."""
    metadata, status = node["metadata"], node.get("status") or {}
    network = [c.get("status") for c in status.get("conditions") or [] if c["type"] == "NetworkUnavailable"]
    ready = [c.get("status") for c in status.get("conditions") or [] if c["type"] == "Ready"]
    return (
        metadata.get("labels"),
        node.get("spec"),
        status.get("addresses"),
        network,
        ready,
        "deletionTimestamp" in metadata,
    )
