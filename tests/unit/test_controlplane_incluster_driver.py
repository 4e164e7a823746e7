"""How the driver in a cluster acts: against an API server that keeps objects, and programs that do as their Pods do."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from test_controlplane_incluster import AVAILABLE, SINGLE

from ackbox.controlplane import incluster
from ackbox.controlplane.images import Images, PodOptions
from ackbox.controlplane.incluster import InClusterControlPlane
from ackbox.controlplane.incluster_manifests import DEPLOYMENT, STATEFUL_SET, etcd_service
from ackbox.controlplane.spec import ControlPlaneSpec
from ackbox.controlplane.turns import ETCD_RUNS
from ackbox.kube.errors import Conflict, NotFound, Unavailable
from ackbox.resources import Kind
from ackbox.runtime.errors import RuntimeProblem

Manifest = dict[str, Any]

OLD, NEW = PodOptions(Images("ackbox:1")), PodOptions(Images("ackbox:2", "new/{program}", "new/etcd"))


class Died(Exception):
    """The operator's process was killed."""


class Cluster:
    """A management cluster: what its API server keeps, and the Pods that follow from it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.writes: list[tuple[str, str]] = []
        self.dies_after = -1
        self._numbers = count(1)
        self._applied: dict[tuple[str, str], Manifest] = {}

    async def get(self, kind: Kind, name: str, _namespace: str | None = None) -> Manifest:
        if (kind.kind, name) not in self.objects:
            raise NotFound(404, "NotFound", name)
        return copy.deepcopy(self.objects[kind.kind, name])

    async def list(
        self, kind: Kind, _namespace: str | None = None, label_selector: str = ""
    ) -> tuple[list[Manifest], str]:
        wanted = dict(pair.split("=") for pair in label_selector.split(","))
        found = [obj for (one, _), obj in self.objects.items() if one == kind.kind]
        return [copy.deepcopy(each) for each in found if wanted.items() <= each["metadata"]["labels"].items()], "1"

    async def create(self, kind: Kind, body: Manifest, namespace: str) -> Manifest:
        assert (kind.kind, body["metadata"]["name"]) not in self.objects
        return await self.apply(kind, body, "", namespace)

    async def apply(self, kind: Kind, body: Manifest, manager: str, _namespace: str) -> Manifest:
        key = kind.kind, body["metadata"]["name"]
        before = self.objects.get(key, {})
        after = _merged(before, {"kind": kind.kind, **body})
        if kind.kind == "Service":
            after["spec"].setdefault("clusterIP", "10.96.0.77")
        # Who applied which fields is kept too, so other ones are a write though nothing else differs.
        applied = self._applied.get(key) if manager else None
        self._applied[key] = body
        if after != before or applied not in (None, body):
            after["metadata"] |= {"resourceVersion": str(next(self._numbers))}
            after["metadata"].setdefault("uid", f"u{next(self._numbers)}")
            after["metadata"]["generation"] = next(self._numbers)
            self.objects[key] = after
            self._written("apply", key[1])
        return copy.deepcopy(self.objects[key])

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Manifest) -> Manifest:
        return await self.apply(kind, _merged({"metadata": {"name": name}}, patch), "", namespace)

    async def delete(self, kind: Kind, name: str, _namespace: str, uid: str | None = None) -> None:
        assert self.objects[kind.kind, name]["metadata"]["uid"] == uid
        del self.objects[kind.kind, name]
        self._written("delete", name)

    def _written(self, verb: str, name: str) -> None:
        self.writes.append((verb, name))
        if len(self.writes) == self.dies_after:
            raise Died

    def workloads(self) -> dict[str, Manifest]:
        kinds = {"Deployment", "StatefulSet"}
        return {name: obj for (kind, name), obj in self.objects.items() if kind in kinds and obj["metadata"]["labels"]}

    def run(self) -> None:
        """Bring the Pods to what their workloads say."""
        for obj in self.workloads().values():
            replicas = obj["spec"]["replicas"]
            counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), replicas)
            obj["status"] = {"observedGeneration": obj["metadata"]["generation"], **counts}

    def behind(self) -> set[str]:
        """The workloads whose Pods are not, or not yet, what they should be."""
        every = self.workloads().items()
        return {
            name
            for name, obj in every
            if obj.get("status", {}).get("observedGeneration") != obj["metadata"]["generation"]
        }

    def whole(self, part: str) -> bool:
        """Whether a part's Pod runs."""
        obj = self.workloads().get(f"demo-{part}")
        return obj is not None and obj["spec"]["replicas"] == 1 and f"demo-{part}" not in self.behind()


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    return {**copy.deepcopy(old), **{key: _merged(old.get(key), value) for key, value in new.items()}}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """With programs that answer as long as their Pods run; an etcd works when all of its members do."""
    cluster = Cluster()

    async def server(_held: object, _spec: object, member: Any) -> bool:
        return cluster.whole(member.name)

    async def etcd(_held: object, member: Any, path: str) -> bool:
        here = [name.removeprefix("demo-") for name in cluster.workloads() if name.startswith("demo-etcd")]
        # Whoever is replaced may have been the leader: then nobody works until there is another one.
        return cluster.whole(member.name) if path == ETCD_RUNS else all(map(cluster.whole, here))

    async def kubelet(*_: object) -> bool:
        return cluster.whole("kwok")

    async def equipped(*_: object) -> None:
        if not cluster.whole("apiserver1"):
            raise Unavailable(0, "Unreachable", "no answer")

    class Workload:
        def __init__(self, _way: object) -> None: ...

        async def __aenter__(self) -> "Workload":
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def get(self, *_: object) -> Manifest:
            return {}

    for name, stand_in in (
        ("server_answers", server),
        ("etcd_answers", etcd),
        ("healthy", kubelet),
        ("apply", equipped),
        ("Client", Workload),
    ):
        monkeypatch.setattr(incluster, name, stand_in)
    return cluster


def driver(cluster: Cluster, options: PodOptions = OLD) -> InClusterControlPlane:
    return InClusterControlPlane(cluster, options)  # type: ignore[arg-type]


async def up(cluster: Cluster, spec: ControlPlaneSpec, options: PodOptions = OLD) -> InClusterControlPlane:
    plane = driver(cluster, options)
    for _ in range(20):
        if await plane.ensure(spec) and await plane.ready(spec):
            return plane
        cluster.run()
    raise AssertionError("it doesn't come to an end")


def images(cluster: Cluster) -> Iterator[str]:
    for obj in cluster.workloads().values():
        yield from (each["image"] for each in obj["spec"]["template"]["spec"]["containers"])


async def test_what_dials_an_api_server_is_started_when_one_answers(cluster: Cluster) -> None:
    plane = driver(cluster)
    assert not await plane.ensure(SINGLE)
    assert set(cluster.workloads()) == {"demo-etcd", "demo-apiserver1"}
    cluster.run()
    assert not await plane.ensure(SINGLE)
    assert set(cluster.workloads()) == {"demo-etcd", "demo-apiserver1", "demo-apiserver1-controllers", "demo-kwok"}
    assert not await plane.ready(SINGLE)
    cluster.run()
    assert await plane.ensure(SINGLE)
    assert await plane.ready(SINGLE)


@pytest.mark.parametrize("spec", [SINGLE, AVAILABLE])
async def test_what_is_in_order_is_not_written_again_by_this_operator_or_the_next(
    cluster: Cluster, spec: ControlPlaneSpec
) -> None:
    plane = await up(cluster, spec)
    written = len(cluster.writes)
    assert await plane.ensure(spec)
    assert await driver(cluster).ensure(spec)
    assert cluster.writes[written:] == []


async def test_an_operator_that_dies_after_any_write_is_followed_by_one_that_ends_the_same(cluster: Cluster) -> None:
    await up(cluster, AVAILABLE)
    undisturbed = {key: obj["spec"] for key, obj in cluster.objects.items() if "spec" in obj}
    total = len(cluster.writes)
    for number in range(1, total):
        cluster.objects.clear()
        cluster.writes.clear()
        cluster.dies_after = number
        with pytest.raises(Died):
            await up(cluster, AVAILABLE)
        secret = copy.deepcopy(cluster.objects["Secret", "demo-control-plane"]["data"])
        await up(cluster, AVAILABLE)
        assert cluster.objects["Secret", "demo-control-plane"]["data"] == secret
        found = {key: obj["spec"] for key, obj in cluster.objects.items() if "spec" in obj}
        assert found.keys() == undisturbed.keys()
        assert len(cluster.writes) == total


async def test_members_are_replaced_one_at_a_time_and_the_etcd_before_the_api_servers(cluster: Cluster) -> None:
    await up(cluster, AVAILABLE)
    order: list[str] = []
    for _ in range(20):
        # Another operator takes over at every step.
        done = await driver(cluster, NEW).ensure(AVAILABLE)
        gone = {name for name in cluster.behind() if name.startswith(("demo-etcd", "demo-apiserver"))}
        members = {name for name in gone if not name.endswith("-controllers")}
        assert len(members) <= 1
        order += members
        # While an etcd elects, its members don't work: another look changes nothing.
        await driver(cluster, NEW).ensure(AVAILABLE)
        assert cluster.behind() >= gone
        assert len({name for name in cluster.behind() if name.startswith("demo-etcd")}) <= 1
        if done:
            break
        cluster.run()
    assert order == ["demo-etcd1", "demo-etcd2", "demo-etcd3", "demo-apiserver1", "demo-apiserver2"]
    assert not [image for image in images(cluster) if "etcd" in image and not image.startswith("new/")]


async def test_members_that_do_not_run_anyway_are_replaced_at_once(cluster: Cluster) -> None:
    await up(cluster, AVAILABLE)
    for name in ("demo-etcd2", "demo-etcd3"):
        cluster.objects["StatefulSet", name]["status"]["readyReplicas"] = 0
    await driver(cluster, NEW).ensure(AVAILABLE)
    assert {name for name in cluster.behind() if name.startswith("demo-etcd")} == {"demo-etcd2", "demo-etcd3"}


async def test_a_member_that_goes_is_deleted_and_no_other(cluster: Cluster) -> None:
    plane = await up(cluster, AVAILABLE)
    written = len(cluster.writes)
    await plane.ensure(replace(AVAILABLE, members=AVAILABLE.members[:1]))
    gone = {"demo-apiserver2", "demo-apiserver2-controllers", "demo-kube-apiserver"}
    assert {name for verb, name in cluster.writes[written:] if verb == "delete"} == gone


async def test_a_cluster_that_sleeps_keeps_everything_but_its_pods(cluster: Cluster) -> None:
    plane = await up(cluster, SINGLE)
    there = set(cluster.objects)
    await plane.stop(SINGLE.cluster_id)
    cluster.run()
    assert {obj["spec"]["replicas"] for obj in cluster.workloads().values()} == {0}
    written = len(cluster.writes)
    await plane.stop(SINGLE.cluster_id)
    assert len(cluster.writes) == written
    # It wakes in the order in which it was started, under whichever operator.
    woken = driver(cluster)
    await woken.ensure(SINGLE)
    assert {name for name, obj in cluster.workloads().items() if obj["spec"]["replicas"]} == {
        "demo-etcd",
        "demo-apiserver1",
    }
    await up(cluster, SINGLE)
    assert set(cluster.objects) == there


async def test_what_is_removed_leaves_only_what_goes_with_its_owner(cluster: Cluster) -> None:
    plane = await up(cluster, AVAILABLE)
    await plane.remove(AVAILABLE.cluster_id)
    await plane.remove(AVAILABLE.cluster_id)
    assert set(cluster.objects) == {("Secret", "demo-control-plane")}


def theirs(**metadata: Any) -> Manifest:
    return {"metadata": {"namespace": "team", "labels": {}, "uid": "x", **metadata}, "spec": {"replicas": 3}}


SEIZED: list[tuple[Kind, str]] = [
    (DEPLOYMENT, "demo-kwok"),
    (STATEFUL_SET, "demo-etcd"),
    (DEPLOYMENT, "demo-apiserver1"),
]


@pytest.mark.parametrize(("kind", "name"), SEIZED)
async def test_an_object_of_the_users_is_left_alone_and_named(cluster: Cluster, kind: Kind, name: str) -> None:
    cluster.objects[kind.kind, name] = theirs(name=name)
    with pytest.raises(RuntimeProblem, match=f"{kind} team/{name} isn't ackbox's own"):
        await up(cluster, SINGLE)
    assert cluster.objects[kind.kind, name] == theirs(name=name)


async def test_what_an_earlier_cluster_left_is_waited_for(cluster: Cluster) -> None:
    owner = {"apiVersion": "ackbox.dev/v1alpha1", "kind": "ManagedCluster", "name": "demo", "uid": "d0"}
    cluster.objects["StatefulSet", "demo-etcd"] = theirs(name="demo-etcd", ownerReferences=[owner])
    with pytest.raises(Conflict, match="earlier cluster"):
        await driver(cluster).ensure(SINGLE)
    assert ("delete", "demo-etcd") not in cluster.writes


async def test_an_etcd_whose_service_was_deleted_is_dialled_where_it_was(cluster: Cluster) -> None:
    plane = await up(cluster, SINGLE)
    before = copy.deepcopy(cluster.objects["Service", "demo-etcd"]["spec"])
    del cluster.objects["Service", "demo-etcd"]
    assert await plane.ensure(SINGLE)
    assert cluster.objects["Service", "demo-etcd"]["spec"] == before
    assert etcd_service(SINGLE)["spec"].items() <= before.items()


@pytest.mark.parametrize("lost", ["memory", "Secret"])
async def test_keys_outlive_the_operator_or_the_secret(cluster: Cluster, lost: str) -> None:
    plane = await up(cluster, SINGLE)
    kubeconfig, key = plane.admin_kubeconfig(SINGLE), ("Secret", "demo-control-plane")
    if lost == "memory":
        plane = driver(cluster)
    else:
        del cluster.objects[key]
    assert await plane.ensure(SINGLE)
    assert plane.admin_kubeconfig(SINGLE) == kubeconfig


async def test_a_cluster_that_refuses_what_kwok_needs_is_brought_up_to_date_all_the_same(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await up(cluster, SINGLE)

    async def refused(*_: object) -> None:
        raise Unavailable(500, "InternalError", "etcdserver: mvcc: database space exceeded")

    monkeypatch.setattr(incluster, "apply", refused)
    await driver(cluster, NEW).ensure(SINGLE)
    assert [image for image in images(cluster) if image.startswith("new/etcd")]


async def test_why_pods_do_not_start_is_told_as_long_as_it_is_so(cluster: Cluster) -> None:
    plane = driver(cluster)
    await plane.ensure(SINGLE)
    assert plane.progress(SINGLE) is None
    cluster.objects["StatefulSet", "demo-etcd"]["status"] = {"observedGeneration": 1, "replicas": 0}
    assert not await plane.ready(SINGLE)
    said = "StatefulSet demo-etcd has no Pod: `kubectl describe statefulset demo-etcd` says why"
    assert plane.progress(SINGLE) == said
    cluster.run()
    await plane.ensure(SINGLE)
    cluster.run()
    assert await plane.ready(SINGLE)
    assert plane.progress(SINGLE) is None
