"""Versions and upgrades: what is refused, what stands in the way, and three minors under a client that never stops."""

import json
from collections import Counter

import pytest

from e2e import objects
from e2e.clients import client_at_work
from e2e.stack import CORE, condition, eventually, is_ready

pytestmark = pytest.mark.e2e

OBJECTS = 200
PAUSED = {"ackbox.dev/paused": "true"}


def taken_over(stack, namespace, version, **spec):
    """A paused cluster that says of itself that it runs a version which new clusters can't have any more."""
    manifest = objects.cluster(namespace=namespace, **spec)
    manifest["metadata"]["annotations"] = PAUSED
    stack.api.apply(manifest)
    say(stack, namespace, {"currentVersion": version})


def say(stack, namespace, status):
    patch = json.dumps({"status": status})
    stack.api.kubectl(
        "patch", "managedcluster", "one", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch
    )


def ask(stack, namespace, version, *flags):
    patch = json.dumps({"spec": {"kubernetesVersion": version}})
    return stack.api.kubectl(
        "patch", "managedcluster", "one", "-n", namespace, "--type=merge", "-p", patch, *flags, check=False
    )


def cluster(stack, namespace):
    return stack.api.object("managedclusters", "one", namespace)


def test_a_new_cluster_gets_one_of_the_newest_two_minors(stack, namespace):
    stack.api.apply(objects.cluster(namespace=namespace, kubernetesVersion="1.35", vpcId="none-yet"))
    text = stack.api.refused(objects.cluster("two", namespace=namespace, kubernetesVersion="1.34"))
    assert "spec.kubernetesVersion: 1.34 is not offered for new clusters (InvalidKubernetesVersion)" in text
    assert "allowed: 1.36, 1.36.3, 1.36.3-aliyun.1, 1.35" in text


RUNNING = {"nextVersion": "1.35.4-aliyun.1", "status": "running", "upgradeStep": "upgrading"}

REFUSED = {
    "several minors at once": ("1.34.4-aliyun.1", "1.36", ["1.36 is not what 1.34.4-aliyun.1 can be upgraded to"]),
    "back to an older minor": ("1.35.4-aliyun.1", "1.34", ["1.34 is older than what the cluster runs", "ever undone"]),
    "an unknown version": ("1.34.4-aliyun.1", "1.99", ["1.99 is not what", "allowed: 1.34", "1.35.4-aliyun.1"]),
    "away from an expired minor": ("1.30.1-aliyun.1", "1.31", ["reached its end of life", "no upgrade path"]),
}


def test_where_an_upgrade_may_not_go_is_refused_with_what_is_allowed(stack, namespace):
    taken_over(stack, namespace, "1.34.4-aliyun.1")
    for case, (running, asked, words) in REFUSED.items():
        say(stack, namespace, {"currentVersion": running})
        text = ask(stack, namespace, asked, "--dry-run=server")
        assert "InvalidKubernetesVersion" in text, case
        assert all(word in text for word in words), text
    say(stack, namespace, {"currentVersion": "1.34.4-aliyun.1"})
    for allowed in ("1.34", "1.34.4", "1.35", "1.35.4-aliyun.1"):
        assert "patched" in ask(stack, namespace, allowed, "--dry-run=server")
    say(stack, namespace, {"upgrade": RUNNING})
    text = ask(stack, namespace, "1.36", "--dry-run=server")
    assert "is being upgraded to 1.35.4-aliyun.1 (ErrorClusterState)" in text
    assert "can be upgraded to" in text, "everything that is wrong is told at once"


def prepare(stack, namespace):
    """A Pro cluster of the oldest minor with nodes and objects; its API server."""
    taken_over(stack, namespace, "1.34.4-aliyun.1", clusterSpec="ack.pro.small")
    pool = objects.pool(size=3, namespace=namespace)
    pool["spec"]["management"] = {"upgradeConfig": {"maxUnavailable": 2}}
    stack.api.apply(objects.vpc(namespace=namespace), pool)
    stack.api.kubectl("annotate", "managedcluster", "one", "-n", namespace, "ackbox.dev/paused-")
    eventually(lambda: is_ready(cluster(stack, namespace)), "the cluster of the oldest minor Ready")
    workload = stack.workload("one", namespace)
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"cm-{n}"}, "data": {"number": str(n)}}
        for n in range(OBJECTS)
    ]
    workload.apply(*maps)
    eventually(lambda: kubelets(workload) == {"v1.34.4-aliyun.1": 3}, "its nodes")
    return workload


def kubelets(workload):
    return Counter(node["status"]["nodeInfo"]["kubeletVersion"] for node in workload.nodes())


def contents(workload):
    found = workload.items(f"{CORE}/namespaces/default/configmaps")
    return {
        (each["metadata"]["uid"], each["data"]["number"])
        for each in found
        if each["metadata"]["name"].startswith("cm-")
    }


GOING = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "VolumeAttributesClass",
    "metadata": {
        "name": "gold",
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": '{"apiVersion": "storage.k8s.io/v1alpha1"}'
        },
    },
    "driverName": "disk.example",
    "parameters": {"iops": "9"},
}


def test_three_minors_under_a_client_that_never_stops(stack, namespace):
    workload = prepare(stack, namespace)
    before = contents(workload)
    assert len(before) == OBJECTS
    with client_at_work(workload) as client:
        blocked_until_mended(stack, namespace, workload)
        reached(stack, namespace, workload, "1.35.4")
        assert "patched" in ask(stack, namespace, "1.36")
        reached(stack, namespace, workload, "1.36.3")
    assert not client.failed
    assert client.done > OBJECTS
    names = {each["metadata"]["name"] for each in workload.items(f"{CORE}/namespaces/default/configmaps")}
    assert {f"n{number}" for number in range(client.done)} <= names, "what was written during the upgrade is there"
    assert contents(workload) == before
    reasons = [reason for _, reason, _ in stack.api.events(namespace, "one")]
    assert {"ClusterUpgradeStart", "ClusterUpgradeSuccess", "UpgradeBlocked"} <= set(reasons)


def blocked_until_mended(stack, namespace, workload):
    """An object of an API that goes stands in the way of the first step; the upgrade goes on once it is gone."""
    workload.post("/apis/storage.k8s.io/v1/volumeattributesclasses", GOING)
    assert "patched" in ask(stack, namespace, "1.35")
    found = eventually(lambda: cluster(stack, namespace)["status"]["upgrade"]["findings"], "the findings")
    assert [finding["code"] for finding in found] == ["RemovedAPI"]
    assert "VolumeAttributesClass gold is written as storage.k8s.io/v1alpha1 by kubectl apply" in found[0]["message"]
    assert condition(cluster(stack, namespace))["reason"] == "UpgradeBlocked"
    assert workload.get("/version")["gitVersion"] == "v1.34.4"
    workload.kubectl("delete", "volumeattributesclass", "gold")


def reached(stack, namespace, workload, version):
    """The control plane, the nodes and what is said of them have come to a version."""
    name = f"{version}-aliyun.1"
    eventually(
        lambda: cluster(stack, namespace)["status"]["currentVersion"] == name and is_ready(cluster(stack, namespace)),
        f"the control plane at {version}",
    )
    status = cluster(stack, namespace)["status"]
    assert [member["version"] for member in status["controlPlane"]] == [name]
    assert (status["upgrade"]["status"], status["upgrade"]["nextVersion"]) == ("success", name)
    # An API server that makes room in a Pod answers what was under way with it for some seconds more.
    eventually(lambda: workload.get("/version")["gitVersion"] == f"v{version}", f"an API server of {version}")
    eventually(lambda: kubelets(workload) == {f"v{name}": 3}, f"the nodes at {version}")
    eventually(lambda: is_ready(stack.api.object("nodepools", "pool", namespace)), "the pool Ready")
