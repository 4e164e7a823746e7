"""Node controller: a running Instance has a Node, a stopped one's Node is left alone, a released one's Node goes.

A Node that somebody deletes while its Instance runs stays gone until the Instance is restarted, as only a kubelet that
starts registers itself; the Instance is marked for it. Who deletes it while no ccm looks sees it come back.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime

from ackbox.ccm.facts import ClusterFacts, instance_id
from ackbox.ccm.management import cluster_of
from ackbox.ccm.metrics import NODE_LATENCIES, timed
from ackbox.ccm.nodes.apply import SYNC_FAILED, delete, delete_stale, mend
from ackbox.ccm.nodes.harm import unregistered
from ackbox.ccm.nodes.machine import Machine, machine, provider_id_of
from ackbox.ccm.nodes.model import PROVIDED_IP, Route, is_emulated, new_node
from ackbox.ccm.nodes.others import OtherNodes
from ackbox.ccm.nodes.plan import power_off, repair, stale, unknown_address
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.routes.controller import RouteController
from ackbox.ccm.store import Store
from ackbox.kube.cache import Cache
from ackbox.kube.client import NODE, Object
from ackbox.kube.errors import AlreadyExists, Conflict, NotFound
from ackbox.kube.queue import Retry, WorkQueue
from ackbox.resources import INSTANCE, Instance
from ackbox.resources.base import NODE_DELETED_ANNOTATION, NODE_FINALIZER, PAUSED_ANNOTATION
from ackbox.resources.instance import InstancePhase

logger = logging.getLogger(__name__)

WORKERS = 48
"""As many as the client has connections: a node is one write, and nearly all of its time is the API server's."""

REPAIR_PERIOD = 300.0
"""Seconds between looks that nothing asked for, spread by a quarter each way."""


def node_cache(region: str | None = None) -> Cache:
    """A cache of Nodes by the instance (of a region) that their providerID names."""

    def instances(node: Object) -> list[str]:
        found = instance_id(provider_id_of(node), region)
        return [found] if found else []

    return Cache(NODE, {"instance": instances})


class NodeController:
    """Nodes of one managed cluster. Keys are instance ids."""

    def __init__(
        self, facts: ClusterFacts, management: Store, workload: Store, reporter: Reporter, routes: Reporter
    ) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._reporter = reporter
        self._said: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._queue = WorkQueue[str](self._reconcile, f"nodes of {facts.name}", WORKERS)
        self._routes = RouteController(facts, management, workload, routes, self._queue.add)
        self._others = OtherNodes(facts, workload, reporter)

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        with self._subscribed():
            for name in self._known():
                self._queue.add(name)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._routes.run())
                group.create_task(self._queue.run())
                group.create_task(self._others.run())
                group.create_task(self._repair())

    @contextlib.contextmanager
    def _subscribed(self) -> Iterator[None]:
        with self._management.subscribed(INSTANCE, self._on_instance), self._workload.subscribed(NODE, self._on_node):
            yield

    def _known(self) -> set[str]:
        ours = self._management[INSTANCE].by("cluster", f"{self._facts.namespace}/{self._facts.name}")
        nodes = map(self._instance_of, self._workload[NODE].all())
        return {instance["metadata"]["name"] for instance in ours} | {name for name in nodes if name}

    async def _repair(self) -> None:
        while True:
            await asyncio.sleep(REPAIR_PERIOD * random.uniform(0.75, 1.25))
            for name in self._known():
                self._queue.add(name, random.uniform(0.0, REPAIR_PERIOD / 4))
            self._routes.look()
            self._others.look_at_all()

    def _on_instance(self, old: Object | None, new: Object | None, _own: bool) -> None:
        obj = new or old
        if obj is None or not any(self._is_ours(each) for each in (old, new) if each is not None):
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
        for node in (old, new):
            name = self._instance_of(node) if node is not None else None
            if name is not None:
                self._queue.add(name)
            if node is not None and name is not None and new is None and is_emulated(node):
                self._deleted.add(name)
        if new is not None:
            self._others.look(new)
        elif old is not None:
            self._said.pop(old["metadata"]["uid"], None)
        self._routes.look()

    def _is_ours(self, instance: Object) -> bool:
        same_namespace = instance["metadata"]["namespace"] == self._facts.namespace
        return same_namespace and cluster_of(instance) == self._facts.name

    def _instance_of(self, node: Object) -> str | None:
        return instance_id(provider_id_of(node), self._facts.region)

    def _nodes(self, name: str) -> list[Object]:
        return self._workload[NODE].by("instance", name)

    async def _reconcile(self, name: str) -> None:
        with timed(NODE_LATENCIES, "reconcile"):
            await self._look(name)

    async def _look(self, name: str) -> None:
        instance = self._management[INSTANCE].get(self._facts.namespace, name)
        if instance is None or not self._is_ours(instance) or not _runs(instance):
            self._deleted.discard(name)  # it goes with its machine
        try:
            if instance is None or not self._is_ours(instance):
                await self._orphaned(name)
            elif (instance["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true":
                return
            elif "deletionTimestamp" in instance["metadata"]:
                await self._released(instance)
            elif _runs(instance):
                await self._running(instance)
            elif (instance.get("status") or {}).get("phase") in (InstancePhase.STOPPING, InstancePhase.STOPPED):
                await self._stopped(name)
        except Conflict as error:
            raise Retry(f"changed meanwhile: {error}", 0.1) from None

    async def _running(self, obj: Object) -> None:
        name, route = obj["metadata"]["name"], self._routes.state(obj)
        instance, nodes, now = Instance.model_validate(obj), self._nodes(name), datetime.now(UTC)
        if nodes:
            self._deleted.discard(name)
        elif name in self._deleted:
            await self._mark_deleted(instance)
            return
        elif route is Route.WAITING or instance.out_of_service or unregistered(instance):
            return  # the route controller or the Instance calls again
        else:
            nodes = [await self._register(instance, route, now)]
        for node in nodes:
            self._explain(node, unknown_address(node, instance))
            await mend(self._workload, node, repair(node, instance, self._facts, route, now))
            self._routes.tell(node, name)

    async def _mark_deleted(self, instance: Instance) -> None:
        """Remember on the Instance that its Node was deleted by hand, and since which start it is so."""
        patch = {"metadata": {"annotations": {NODE_DELETED_ANNOTATION: instance.status.start_time}}}
        await self._management.patch(INSTANCE, instance.metadata.name, instance.metadata.namespace, patch)
        self._deleted.discard(instance.metadata.name)

    async def _register(self, instance: Instance, route: Route, now: datetime) -> Object:
        body = new_node(instance, self._facts, route, now)
        try:
            return await self._workload.create(NODE, body)
        except AlreadyExists:
            there = self._workload[NODE].get("", body["metadata"]["name"])
            if there in self._nodes(instance.metadata.name):
                raise Retry("the Node was there already", 0.0) from None
            text = f"Node {body['metadata']['name']} has another providerID than {body['spec']['providerID']}"
            if there is not None:
                self._explain(there, f"{text}, which would register under this name")
            raise Retry(text, 5.0) from None

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
            await delete(self._workload, node)
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
            excluded = machine(node, self._facts.region) is Machine.EXCLUDED
            if not excluded and stale(node) and not await self._exists(name):
                await delete_stale(self._workload, self._reporter, node)

    async def _exists(self, name: str) -> bool:
        """Whether an instance is there and ours after all: the Node may be ahead of our picture of the instances."""
        try:
            return self._is_ours(await self._management.read(INSTANCE, name, self._facts.namespace))
        except NotFound:
            return False

    def _explain(self, node: Object, text: str | None) -> None:
        """Say once what keeps a Node from being synced."""
        uid = node["metadata"]["uid"]
        if text is None:
            self._said.pop(uid, None)
        elif self._said.get(uid) != text:
            self._said[uid] = text
            self._reporter.warning(node, SYNC_FAILED, text)


def _runs(instance: Object) -> bool:
    return (instance.get("status") or {}).get("phase") == InstancePhase.RUNNING


def _relevant(instance: Object) -> tuple[object, ...]:
    metadata, status = instance["metadata"], instance.get("status") or {}
    annotations = metadata.get("annotations") or {}
    marks = annotations.get(PAUSED_ANNOTATION), annotations.get(NODE_DELETED_ANNOTATION)
    conditions = [(each["type"], each["status"], each["reason"]) for each in status.get("conditions") or []]
    machine = instance["spec"], status.get("phase"), status.get("startTime"), conditions
    whose = metadata.get("deletionTimestamp"), metadata.get("finalizers"), cluster_of(instance)
    return *machine, *whose, *marks


def _seen(node: Object) -> tuple[object, ...]:
    """What somebody else may have changed. Heartbeats and the like are nobody's business here."""
    metadata, status = node["metadata"], node.get("status") or {}
    network = [c.get("status") for c in status.get("conditions") or [] if c["type"] == "NetworkUnavailable"]
    ready = [c.get("status") for c in status.get("conditions") or [] if c["type"] == "Ready"]
    return (
        metadata.get("labels"),
        (metadata.get("annotations") or {}).get(PROVIDED_IP),
        node.get("spec"),
        status.get("addresses"),
        network,
        ready,
        "deletionTimestamp" in metadata,
    )
