"""What stands against an upgrade, by name."""

import json

import pytest

from ackbox.catalog.removed_apis import RemovedApi
from ackbox.catalog.versions import KubernetesVersion, Minors, VersionOffer, VersionPolicy
from ackbox.cloud.clusters.upgrade_check import (
    LAST_APPLIED,
    check,
    node_findings,
    path_findings,
    removed_api_findings,
)


def version(name):
    return KubernetesVersion(f"{name}-aliyun.1", f"v{name}")


V36, V35, V34 = version("1.36.3"), version("1.35.4"), version("1.34.4")
OFFER = VersionOffer(VersionPolicy(Minors.ALL, 2, 3), (V36, V35, V34), 3)
REMOVED = (RemovedApi((1, 35), "batch/v1beta1", ("CronJob",), "batch/v1"), RemovedApi((1, 35), "a/v1", ("Thing",)))


def node(name, ready="True", kubelet="v1.34.4-aliyun.1"):
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    status = {"conditions": conditions, "nodeInfo": {"kubeletVersion": kubelet}}
    return {"kind": "Node", "metadata": {"name": name}, "status": status}


def obj(kind="CronJob", applied=None, fields=(), name="report", namespace="shop"):
    annotations = {LAST_APPLIED: applied} if applied is not None else {}
    entries = [{"manager": m, "time": t, "apiVersion": v, "subresource": s} for m, t, v, s in fields]
    metadata = {"name": name, "namespace": namespace, "annotations": annotations, "managedFields": entries}
    return {"kind": kind, "metadata": metadata}


def told(findings):
    return [(finding.code, finding.message) for finding in findings]


def test_healthy_nodes_within_the_skew_are_no_finding():
    assert told(node_findings([node("a"), node("b", kubelet="v1.33.1-aliyun.1")], OFFER, V36)) == []


@pytest.mark.parametrize("ready", ["False", "Unknown", None])
def test_a_node_that_is_not_ready_is_named(ready):
    assert told(node_findings([node("b"), node("a", ready)], OFFER, V35)) == [
        ("NodeNotReady", "node a is not Ready; repair it, or take it out of the cluster")
    ]


def test_a_node_that_would_be_too_old_is_named_with_how_far_it_is_behind():
    (code, message), *more = told(node_findings([node("a", kubelet="v1.32.9-aliyun.1")], OFFER, V36))
    assert (code, more) == ("NodeVersionSkew", [])
    assert "node a runs v1.32.9-aliyun.1, 4 minors behind 1.36; at most 3" in message


def test_a_virtual_node_has_no_kubelet_to_be_too_old():
    assert told(node_findings([node("virtual", kubelet="emulated")], OFFER, V36)) == []


def test_only_the_neighbour_can_be_upgraded_to():
    assert told(path_findings(OFFER, V34, V35)) == []
    ((code, message),) = told(path_findings(OFFER, V34, V36))
    assert code == "InvalidKubernetesVersion"
    assert "1.36.3-aliyun.1 is not what 1.34.4-aliyun.1 can be upgraded to; allowed: 1.35.4-aliyun.1" in message
    ((_, closed),) = told(path_findings(OFFER, version("1.30.1"), V36))
    assert "its upgrade path is closed" in closed


@pytest.mark.parametrize("name", ["1.99.0", "1.36.99"])
def test_a_version_without_programs_is_told_before_the_upgrade_begins(name):
    table = VersionOffer(OFFER.policy, (version(name), V36, V35), 3)
    ((code, message),) = told(path_findings(table, V36, version(name)))
    assert code == "VersionNotAvailable"
    assert name.rpartition(".")[0] in message


def test_an_object_that_was_applied_in_an_api_that_goes_is_named_with_the_cure():
    ((code, message),) = told(removed_api_findings([obj(applied='{"apiVersion": "batch/v1beta1"}')], REMOVED, V35))
    assert code == "RemovedAPI"
    assert message == (
        "CronJob report in namespace shop is written as batch/v1beta1 by kubectl apply, which Kubernetes 1.35 no"
        " longer serves; write it as batch/v1"
    )


def test_what_a_writer_wrote_last_counts():
    still = [("ci", "2026-01-01T00:00:00Z", "batch/v1", ""), ("ci", "2026-01-02T00:00:00Z", "batch/v1beta1", "")]
    mended = [("ci", "2026-01-02T00:00:00Z", "batch/v1beta1", ""), ("ci", "2026-01-03T00:00:00Z", "batch/v1", "")]
    assert [code for code, _ in told(removed_api_findings([obj(fields=still)], REMOVED, V35))] == ["RemovedAPI"]
    assert told(removed_api_findings([obj(fields=mended)], REMOVED, V35)) == []


def test_status_kinds_of_another_name_and_texts_that_are_no_object_say_nothing():
    status = [("manager", "2026-01-01T00:00:00Z", "batch/v1beta1", "status")]
    others = [obj(fields=status), obj("Job", '{"apiVersion": "batch/v1beta1"}'), obj(applied="what"), obj(applied="[]")]
    assert told(removed_api_findings(others, REMOVED, V35)) == []


def test_what_has_no_successor_is_to_be_removed():
    ((_, message),) = told(removed_api_findings([obj("Thing", '{"apiVersion": "a/v1"}', namespace="")], REMOVED, V35))
    assert message.startswith("Thing report is written as a/v1")
    assert message.endswith("remove it")


class ApiServer:
    """Answers discovery and lists."""

    def __init__(self, nodes, objects=(), kind="VolumeAttributesClass", name="volumeattributesclasses"):
        self._nodes, self._objects = nodes, list(objects)
        self._resources = [
            {"name": name, "kind": kind, "verbs": ["list", "get"]},
            {"name": f"{name}/status", "kind": kind, "verbs": ["get"]},
        ]
        self.listed = []

    async def text(self, path):
        versions = [{"groupVersion": f"storage.k8s.io/{each}", "version": each} for each in ("v1", "v1beta1")]
        if path == "/apis":
            return json.dumps({"groups": [{"name": "storage.k8s.io", "versions": versions}]})
        return json.dumps({"resources": self._resources})

    async def list(self, kind):
        self.listed.append(f"{kind.group}/{kind.version}/{kind.plural}")
        return (self._nodes if kind.kind == "Node" else self._objects), "1"


async def test_the_check_looks_through_the_kinds_of_apis_that_go_each_once():
    written = obj("VolumeAttributesClass", '{"apiVersion": "storage.k8s.io/v1alpha1"}', name="gold", namespace="")
    server = ApiServer([node("a")], [written])
    findings = await check(server, OFFER, V34, V35)
    assert [finding.code for finding in findings] == ["RemovedAPI"]
    assert "VolumeAttributesClass gold is written as storage.k8s.io/v1alpha1" in findings[0].message
    assert server.listed == ["/v1/nodes", "storage.k8s.io/v1/volumeattributesclasses"]


async def test_where_no_api_goes_nothing_is_looked_through():
    server = ApiServer([node("a")])
    assert await check(server, OFFER, V35, V36) == []
    assert server.listed == ["/v1/nodes"]


async def test_no_more_findings_than_the_status_holds():
    findings = await check(ApiServer([node(f"n{number:03}", "False") for number in range(150)]), OFFER, V35, V36)
    assert len(findings) == 100
    assert (findings[-1].code, findings[-1].message) == ("MoreFindings", "and 51 more")
