"""The addons of a cluster as they are brought up, kept, and taken away."""

import copy
import json

import pytest
from small_cluster import ApiServer

from ackbox.cloud.clusters import addons
from ackbox.cloud.clusters.addons import Addons
from ackbox.cloud.reconciling import Cloud
from ackbox.kube.connection import Connection
from ackbox.kube.errors import Invalid, Unavailable
from ackbox.resources import ManagedCluster


class Workload(ApiServer):
    """A workload cluster whose workloads are rolled out at once; `metrics` says whether the metrics API answers."""

    def __init__(self):
        super().__init__()
        self.connection = Connection("https://127.5.1.2:6443", "CA")
        self.metrics = True

    async def apply(self, kind, body, field_manager, namespace=None):
        self.calls.append(("apply", kind.kind, body["metadata"]["name"]))
        done = {"observedGeneration": 1, "updatedReplicas": body["spec"].get("replicas", 0) if "spec" in body else 0}
        done["replicas"] = done["updatedReplicas"]
        self.put({**copy.deepcopy(body), "status": done})

    async def list(self, kind, namespace=None, label_selector=None):
        found = [obj for (name, *_), obj in self.objects.items() if name == kind.kind]
        return [each for each in copy.deepcopy(found) if label_selector in each["metadata"].get("labels", {})], "1"

    async def text(self, path):
        if path.startswith("/apis/metrics.k8s.io") and not self.metrics:
            raise Unavailable(503, "ServiceUnavailable", "no endpoint")
        return json.dumps({"items": [{"metadata": {"name": "n1"}}]})

    def names(self, kind):
        return {name for each, _, name in self.objects if each == kind}


class Management:
    connection = Connection("https://127.5.0.1:6443", "CA")


class Place:
    """A cluster and its addons; the status is kept as the controller of clusters keeps it."""

    def __init__(self):
        self.workload = Workload()
        self.part = Addons(Cloud(Management(), None, None, None, None, None))
        self.status = {"currentVersion": "1.36.3-aliyun.1"}

    async def look(self, *wishes, again=True):
        if again:  # as if time had passed
            known = self.part._known.get("u")
            if known is not None:
                known.looked -= 1000
        spec = {"regionId": "cn-hangzhou", "addons": list(wishes)}
        obj = {"metadata": {"name": "one", "uid": "u"}, "spec": spec, "status": self.status}
        self.outcome = await self.part.ensure(obj, ManagedCluster.model_validate(obj), self.workload)
        self.status |= self.outcome.fields
        return {each["name"]: each for each in self.status["addons"]}


@pytest.fixture
def place():
    return Place()


async def test_the_defaults_are_there_and_only_what_is_proved_is_called_running(place):
    found = await place.look()
    assert {"coredns", "metrics-server"} <= place.workload.names("Deployment")
    assert {each["state"] for each in found.values()} == {"active"}
    assert {name for name, each in found.items() if "running" in each} == {"metrics-server"}
    assert found["metrics-server"]["running"] is True
    assert [(each.type, each.status) for each in place.outcome.aspects] == [("AddonsReady", "True")]


async def test_metrics_server_does_not_run_while_the_metrics_api_does_not_answer(place):
    place.workload.metrics = False
    found = await place.look()
    assert found["metrics-server"]["running"] is False
    assert "metrics.k8s.io" in found["metrics-server"]["message"]
    assert place.outcome.again is not None
    place.workload.metrics = True
    assert (await place.look())["metrics-server"] == {
        "name": "metrics-server",
        "version": found["metrics-server"]["version"],
        "state": "active",
        "running": True,
    }


async def test_a_cluster_that_is_looked_at_often_costs_nothing(place):
    await place.look()
    calls = len(place.workload.calls)
    first = place.outcome
    await place.look(again=False)
    assert place.outcome is first
    await place.look()
    assert len(place.workload.calls) == calls


async def test_what_was_deleted_by_hand_is_made_again(place):
    await place.look()
    del place.workload.objects["Deployment", "kube-system", "coredns"]
    await place.look()
    assert "coredns" in place.workload.names("Deployment")


async def test_an_addon_that_is_taken_off_the_list_is_deleted_with_everything_of_it(place):
    await place.look({"name": "logtail-ds"})
    assert {"logtail-ds"} <= place.workload.names("DaemonSet")
    assert (await place.look())["logtail-ds"]["state"] == "deleting"
    assert "logtail-ds" not in await place.look()
    for kind, name in (
        ("DaemonSet", "logtail-ds"),
        ("Deployment", "alibaba-log-controller"),
        ("ConfigMap", "logtail-ds-config"),
    ):
        assert name not in place.workload.names(kind)


async def test_nothing_without_the_label_of_an_addon_is_deleted(place):
    place.workload.put(
        {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "mine", "namespace": "kube-system"}}
    )
    await place.look()
    await place.look({"name": "logtail-ds"})
    assert "mine" in place.workload.names("Deployment")


async def test_an_addon_that_can_not_be_had_keeps_what_is_there_and_is_told(place):
    await place.look({"name": "logtail-ds"})
    found = await place.look({"name": "logtail-ds", "config": '{"Colour":"red"}'})
    assert found["logtail-ds"]["state"] == "failed"
    assert "logtail-ds" in place.workload.names("DaemonSet")
    (aspect,) = place.outcome.aspects
    assert (aspect.status, aspect.warn) == ("False", True)
    assert "spec.addons[logtail-ds]: config: Colour" in aspect.message


async def test_an_upgrade_is_applied_and_called_so_until_every_pod_is_new(place):
    version = addons.addons()["coredns"].version_names
    await place.look({"name": "coredns", "version": version[0]})
    roll_out = place.workload.apply

    async def slowly(kind, body, field_manager, namespace=None):
        await roll_out(kind, body, field_manager, namespace)
        if body["metadata"]["name"] == "coredns":
            place.workload.objects["Deployment", "kube-system", "coredns"]["status"]["updatedReplicas"] = 1

    place.workload.apply = slowly
    wish = {"name": "coredns", "version": version[1]}
    for _ in range(2):
        found = await place.look(wish)
        assert (found["coredns"]["version"], found["coredns"]["state"]) == (version[1], "upgrading")
    place.workload.objects["Deployment", "kube-system", "coredns"]["status"]["updatedReplicas"] = 2
    assert (await place.look(wish))["coredns"]["state"] == "active"


async def test_what_the_cluster_refuses_is_told_and_tried_again(place):
    take = place.workload.apply

    async def refuse(kind, body, field_manager, namespace=None):
        if body["metadata"]["name"] == "kube-dns":
            raise Invalid(422, "Invalid", "provided IP is already allocated")
        await take(kind, body, field_manager, namespace)

    place.workload.apply = refuse
    found = await place.look()
    assert (found["coredns"]["state"], found["coredns"]["message"]) == ("failed", "provided IP is already allocated")
    assert found["metrics-server"]["state"] == "active"
    place.workload.apply = take
    assert (await place.look())["coredns"]["state"] == "active"
