"""When ackbox may go from a cluster, and how a purge takes everything away."""

import pytest

from ackbox.cloud import removal
from ackbox.cloud.removal import Found, StillAlive, complaint, preparation, purge, refuse_if_alive
from ackbox.kube.client import CUSTOM_RESOURCE_DEFINITION, SERVICE
from ackbox.kube.errors import NotFound
from ackbox.resources import CLOUD_QUOTA, INSTANCE, MANAGED_CLUSTER, RESOURCES, SERVICE_LOAD_BALANCER

OURS, THEIRS = "ackbox.dev/resources", "example.com/theirs"


def thing(name, finalizers=(OURS,), spec=None, annotations=None):
    metadata = {"name": name, "namespace": "team", "uid": name, "finalizers": list(finalizers)}
    return {"metadata": metadata | {"annotations": annotations or {}}, "spec": spec or {}}


class Cluster:
    """An API server with an operator that cleans up, or is gone."""

    def __init__(self, objects, operator=True):
        self.objects = {(kind, each["metadata"]["name"]): each for kind, each in objects}
        self.operator = operator
        self.definitions = {f"{each.KIND.plural}.{each.KIND.group}" for each in RESOURCES}
        self.deleted = []
        self.services = []

    async def list(self, kind, namespace=None, label_selector=None):
        if kind == SERVICE:
            assert (namespace, label_selector) == ("ackbox-system", "ackbox.dev/component=load-balancer")
            return list(self.services), "1"
        if f"{kind.plural}.{kind.group}" not in self.definitions:
            raise NotFound(404, "NotFound", "")
        self._work()
        return [each for (of, _), each in self.objects.items() if of == kind], "1"

    async def patch(self, kind, name, namespace, patch):
        found = self._find(kind, name)
        finalizers = patch.get("metadata", {}).get("finalizers")
        if finalizers is not None:
            found["metadata"]["finalizers"] = finalizers
        found["metadata"]["annotations"] |= patch.get("metadata", {}).get("annotations", {})
        found["spec"] |= patch.get("spec", {})
        self._collect()

    async def get(self, kind, name):
        assert kind == CUSTOM_RESOURCE_DEFINITION
        if name not in self.definitions:
            raise NotFound(404, "NotFound", "")
        return {"metadata": {"name": name}}

    async def delete(self, kind, name, namespace=None, uid=None):
        if kind == CUSTOM_RESOURCE_DEFINITION:
            self.definitions.remove(name)
            return
        if kind == SERVICE:
            self.services = [each for each in self.services if each["metadata"]["uid"] != uid]
            return
        found = self._find(kind, name)
        assert not found["spec"].get("deletionProtection")
        assert found["spec"].get("deleteProtection") != "on"
        self.deleted.append(name)
        found["metadata"]["deletionTimestamp"] = "now"
        self._collect()

    def _find(self, kind, name):
        if (kind, name) not in self.objects:
            raise NotFound(404, "NotFound", "")
        return self.objects[kind, name]

    def _work(self):
        for each in self.objects.values():
            metadata = each["metadata"]
            paused = metadata["annotations"].get("ackbox.dev/paused")
            if self.operator and not paused and "deletionTimestamp" in metadata:
                metadata["finalizers"] = [name for name in metadata["finalizers"] if name != OURS]
        self._collect()

    def _collect(self):
        gone = [
            key
            for key, each in self.objects.items()
            if "deletionTimestamp" in each["metadata"] and not each["metadata"]["finalizers"]
        ]
        for key in gone:
            del self.objects[key]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(removal, "POLL_SECONDS", 0)


def clock(step):
    """Seconds that pass by `step` with every look."""
    passed = [0.0]

    def now():
        passed[0] += step
        return passed[0]

    return now


def test_ackbox_may_go_when_it_has_to_clean_up_nothing():
    assert complaint([]) == ""
    assert complaint([Found(CLOUD_QUOTA, thing("default", ())), Found(INSTANCE, thing("i", (THEIRS,)))]) == ""


async def test_ackbox_is_not_removed_while_something_needs_it():
    with pytest.raises(StillAlive, match="ManagedCluster team/demo: without it") as caught:
        await refuse_if_alive(Cluster([(MANAGED_CLUSTER, thing("demo")), (CLOUD_QUOTA, thing("default", ()))]))
    assert "--purge" in str(caught.value)
    assert "default" not in str(caught.value)


def test_a_long_list_of_what_is_left_is_cut():
    text = complaint([Found(INSTANCE, thing(f"i-{number}")) for number in range(12)])
    assert "i-9 and 2 more" in text
    assert "i-10" not in text


async def test_a_cluster_goes_before_what_it_would_make_again():
    cluster = Cluster([(INSTANCE, thing("i-1")), (MANAGED_CLUSTER, thing("demo"))])
    await purge(cluster, 100, clock(0.1))
    assert cluster.deleted == ["demo", "i-1"]
    assert not cluster.objects
    assert not cluster.definitions


@pytest.mark.parametrize(
    ("kind", "spec"),
    [(MANAGED_CLUSTER, {"deletionProtection": True}), (SERVICE_LOAD_BALANCER, {"deleteProtection": "on"})],
)
async def test_a_purge_lifts_protection_and_pauses(kind, spec):
    cluster = Cluster([(kind, thing("one", spec=spec, annotations={"ackbox.dev/paused": "true"}))])
    await purge(cluster, 100, clock(0.1))
    assert not cluster.objects


def test_what_nothing_stands_in_the_way_of_is_not_written():
    assert preparation(Found(MANAGED_CLUSTER, thing("one", spec={"deletionProtection": False}))) == {}
    assert preparation(Found(INSTANCE, thing("i"))) == {}


async def test_what_does_not_go_by_itself_loses_our_finalizers_and_keeps_others():
    stuck = thing("stuck", (OURS, THEIRS))
    cluster = Cluster([(MANAGED_CLUSTER, thing("demo")), (INSTANCE, stuck)], operator=False)
    await purge(cluster, 5, clock(1))
    assert list(cluster.objects) == [(INSTANCE, "stuck")]
    assert stuck["metadata"]["finalizers"] == [THEIRS]


async def test_a_purge_takes_away_the_services_that_an_operator_that_is_gone_has_left():
    cluster = Cluster([(SERVICE_LOAD_BALANCER, thing("one"))], operator=False)
    cluster.services = [thing("slb-team-one")]
    await purge(cluster, 5, clock(1))
    assert not cluster.objects
    assert not cluster.services


async def test_finalizers_stay_while_there_is_time():
    cluster = Cluster([(MANAGED_CLUSTER, thing("demo"))], operator=False)
    looks = []

    def now():
        looks.append(cluster.objects.get((MANAGED_CLUSTER, "demo")) is not None)
        return float(len(looks))

    await purge(cluster, 5, now)
    assert looks[:6] == [True] * 6


async def test_a_purge_can_be_run_again():
    cluster = Cluster([])
    await purge(cluster, 5, clock(0.1))
    await purge(cluster, 5, clock(0.1))
    await refuse_if_alive(cluster)
