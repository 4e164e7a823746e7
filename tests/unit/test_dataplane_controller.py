"""From caches to what Envoy is to have, and back into status."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Network
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from envoy.config.endpoint.v3 import endpoint_pb2

from ackbox.dataplane.ads import AdsServer
from ackbox.dataplane.caches import Caches, is_running
from ackbox.dataplane.controller import Controller, Subject, WorkKey
from ackbox.dataplane.reporter import GRACE, Reporter
from ackbox.dataplane.servers import VirtualServers
from ackbox.dataplane.subscriptions import Subscriptions
from ackbox.dataplane.xds_store import ResourceStore, ResourceType
from ackbox.kube.cache import Cache
from ackbox.kube.conditions import State
from ackbox.kube.refs import cloud_ids
from ackbox.resources import Kind

LOOPBACK = IPv4Network(f"127.{100 + os.getpid() % 40}.0.0/16")
CDS, EDS, RDS, LDS, SDS = ResourceType
RESOURCE = "ns/web-80-tcp"


class Rig:
    """A data plane without Envoy and API server, worked by hand."""

    def __init__(self, lowest_port: int = 1) -> None:
        self.caches, self.store = Caches(), ResourceStore()
        self.now = 1000.0
        self.servers = VirtualServers(LOOPBACK)
        self.controller = Controller(self.caches, self.store, self.servers, lowest_port, lambda: self.now)
        self.ads = AdsServer(self.store, lambda _: None)
        self.reporter = Reporter(self.caches, self.controller, self.ads, self._write, lambda: self.now)
        self.marked: dict[WorkKey, None] = {}
        self.reports: Counter[WorkKey] = Counter()
        self.written: list[tuple[str, dict[str, Any], State]] = []
        self._versions = count(1)
        self.controller.subscribe(lambda key: self.reports.update([key]))
        Subscriptions(
            self.caches,
            lambda key: self.marked.update({key: None}),
            lambda key: self.reports.update([key]),
            lowest_port,
        )

    async def _write(self, kind: Kind, obj: dict[str, Any], fields: dict[str, Any], state: State) -> None:
        self.written.append((obj["metadata"]["name"], fields, state))

    def put(
        self, cache: Cache, name: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **metadata: Any
    ) -> None:
        old = cache.get("ns", name)
        generation = (old["metadata"]["generation"] + (old["spec"] != spec)) if old else 1
        cache.upsert(
            {
                "apiVersion": cache.kind.api_version,
                "kind": cache.kind.kind,
                "spec": spec,
                "status": status or {},
                "metadata": {
                    "namespace": "ns",
                    "name": name,
                    "uid": f"uid-{name}",
                    "generation": generation,
                    "resourceVersion": str(next(self._versions)),
                    **metadata,
                },
            }
        )

    def balancer(self, reachable: str | None = "127.42.16.1", **metadata: Any) -> None:
        self.put(self.caches.balancers, "web", {}, {"reachable": reachable, "loadBalancerId": "lb-1"}, **metadata)

    def group(self, *servers: str, name: str = "rsp-1", **metadata: Any) -> None:
        backends = [{"serverId": one, "serverIp": "10.0.0.1", "port": 80, "weight": 100} for one in servers]
        spec = {"loadBalancerId": "web", "vServerGroupName": "g", "backendServers": backends}
        self.put(self.caches.groups, name, spec, **metadata)

    def listener(self, port: int = 80, **fields: Any) -> None:
        metadata = fields.pop("metadata", {})
        spec = {"loadBalancerId": "web", "listenerPort": port, "listenerProtocol": "tcp", "vServerGroupId": "rsp-1"}
        self.put(self.caches.listeners, f"web-{port}-tcp", {**spec, **fields}, **metadata)

    def instance(self, name: str, phase: str = "Running") -> None:
        self.put(self.caches.instances, name, {}, {"phase": phase})

    async def work(self) -> None:
        while self.marked:
            marked, self.marked = self.marked, {}
            for key in marked:
                await self.controller.reconcile(key)

    def endpoints(self, name: str = RESOURCE) -> list[Any]:
        resource = self.store.get(EDS, name)
        assert resource is not None
        assignment = endpoint_pb2.ClusterLoadAssignment.FromString(resource.body.value)
        return [endpoint for locality in assignment.endpoints for endpoint in locality.lb_endpoints]

    def versions(self) -> dict[ResourceType, str]:
        return {kind: self.store.all(kind)[RESOURCE].version for kind in (CDS, EDS, LDS)}


@pytest_asyncio.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    rig.servers.close()


async def full(rig: Rig) -> None:
    rig.balancer()
    rig.instance("i-1")
    rig.instance("i-2")
    rig.group("i-1", "i-2")
    rig.listener()
    await rig.work()


async def test_any_order_converges(rig: Rig) -> None:
    steps: list[Callable[[], None]] = [
        rig.listener,
        lambda: rig.group("i-1"),
        rig.balancer,
        lambda: rig.instance("i-1"),
    ]
    for step in steps:
        step()
        await rig.work()
    assert len(rig.endpoints()) == 1
    assert rig.store.get(LDS, RESOURCE) is not None


async def test_endpoint_change_touches_endpoints_only(rig: Rig) -> None:
    await full(rig)
    before = rig.versions()
    rig.group("i-1")
    await rig.work()
    after = rig.versions()
    assert {kind for kind in before if before[kind] != after[kind]} == {EDS}


async def test_status_changes_plan_nothing(rig: Rig) -> None:
    await full(rig)
    rig.group("i-1", "i-2")
    rig.listener()
    rig.instance("i-1")
    assert not rig.marked


async def test_own_cloud_id_can_be_named(rig: Rig) -> None:
    await full(rig)
    rig.listener(vServerGroupId="rsp-cloud", loadBalancerId="lb-1")
    await rig.work()
    assert rig.store.get(LDS, RESOURCE) is None
    group = rig.caches.groups.get("ns", "rsp-1")
    assert group is not None
    rig.put(rig.caches.groups, "rsp-1", group["spec"], {"vServerGroupId": "rsp-cloud"})
    assert cloud_ids(rig.caches.groups.all()[0]) == ["ns/rsp-cloud"]
    await rig.work()
    assert rig.store.get(LDS, RESOURCE) is not None


@pytest.mark.parametrize("gone", ["listener", "balancer", "group"])
@pytest.mark.parametrize("how", ["removed", "deleting"])
async def test_gone_at_once(rig: Rig, gone: str, how: str) -> None:
    await full(rig)
    cache = {"listener": rig.caches.listeners, "balancer": rig.caches.balancers, "group": rig.caches.groups}[gone]
    obj = cache.all()[0]
    if how == "removed":
        cache.remove(obj)
    else:
        deleting = {**obj["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "99"}
        cache.upsert({**obj, "metadata": deleting})
    await rig.work()
    assert all(rig.store.get(kind, RESOURCE) is None for kind in ResourceType)


async def test_stopped_instance_counts_after_the_threshold(rig: Rig) -> None:
    await full(rig)
    healthy = [one.health_status for one in rig.endpoints()]
    rig.instance("i-1", "Stopped")
    await rig.work()
    assert [one.health_status for one in rig.endpoints()] == healthy
    rig.now += 6.0
    await rig.controller.reconcile(WorkKey(Subject.LISTENER, ("ns", "web-80-tcp")))
    first, second = rig.endpoints()
    assert first.health_status != second.health_status
    assert rig.controller.seen(("ns", "web-80-tcp")) == {("i-1", "10.0.0.1", 80): False, ("i-2", "10.0.0.1", 80): True}


@pytest.mark.parametrize("kind", ["listener", "group"])
async def test_paused_object_stays_as_it_was(rig: Rig, kind: str) -> None:
    await full(rig)
    before = rig.versions()
    paused = {"annotations": {"ackbox.dev/paused": "true"}}
    if kind == "listener":
        rig.listener(scheduler="wlc", metadata=paused)
    else:
        rig.group("i-1", **paused)
    await rig.work()
    assert rig.versions() == before
    if kind == "listener":
        rig.listener(scheduler="wlc")
    else:
        rig.group("i-1")
    await rig.work()
    assert rig.versions() != before


async def test_paused_objects_status_is_left_alone(rig: Rig) -> None:
    await full(rig)
    rig.listener(metadata={"annotations": {"ackbox.dev/paused": "true"}})
    await rig.reporter.report(WorkKey(Subject.LISTENER, ("ns", "web-80-tcp")))
    assert not rig.written


async def test_missing_cluster_is_neither_real_nor_virtual(rig: Rig) -> None:
    await full(rig)
    group = rig.caches.groups.get("ns", "rsp-1")
    assert group is not None
    rig.put(rig.caches.groups, "rsp-1", {**group["spec"], "clusterId": "later"})
    await rig.work()
    assert not rig.endpoints()
    await rig.reporter.report(WorkKey(Subject.GROUP, ("ns", "rsp-1")))
    assert rig.written[-1][2].reason == "ClusterNotFound"
    spec = {"clusterType": "ManagedKubernetes", "regionId": "cn-hangzhou", "vpcId": "v"}
    rig.put(rig.caches.clusters, "later", spec)
    await rig.work()
    assert len(rig.endpoints()) == 2


async def test_privileged_port_gives_way_and_comes_back() -> None:
    rig = Rig(lowest_port=1024)
    await full(rig)
    rig.listener(10080)
    await rig.work()
    assert rig.store.get(LDS, RESOURCE) is None
    assert rig.store.get(LDS, "ns/web-10080-tcp") is not None
    rig.caches.listeners.remove(rig.caches.listeners.get("ns", "web-10080-tcp") or {})
    await rig.work()
    assert rig.store.get(LDS, RESOURCE) is not None
    rig.servers.close()


async def test_listener_waits_for_envoy_before_it_says_so(rig: Rig) -> None:
    await full(rig)
    key = WorkKey(Subject.LISTENER, ("ns", "web-80-tcp"))
    await rig.reporter.report(key)
    assert not rig.written
    rig.now += GRACE
    await rig.reporter.report(key)
    ((_, fields, state),) = rig.written
    assert (fields["phase"], state.reason, state.message) == ("starting", "Programming", "Envoy is not connected")


async def test_blocked_listener_says_why_at_once(rig: Rig) -> None:
    rig.balancer()
    rig.listener()
    await rig.work()
    await rig.reporter.report(WorkKey(Subject.LISTENER, ("ns", "web-80-tcp")))
    ((_, fields, state),) = rig.written
    assert (fields["phase"], state.reason) == ("starting", "ServerGroupNotFound")


@pytest.mark.parametrize(
    ("reason", "status", "answers"),
    [
        ("NodeUnavailable", "True", False),
        ("ComponentsGone", "True", False),
        ("NetworkDown", "True", False),
        ("NetworkDown", "False", True),
        ("HealthChecksFail", "True", True),
        ("NodeCountDiffers", "True", True),
    ],
)
def test_a_machine_whose_network_or_node_was_broken_by_hand_does_not_answer(reason, status, answers):
    conditions = [{"type": "Any", "status": status, "reason": reason}]
    instance = {"metadata": {"name": "i-1"}, "status": {"phase": "Running", "conditions": conditions}}
    assert is_running(instance) is answers
