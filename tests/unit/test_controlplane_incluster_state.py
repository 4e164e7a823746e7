"""How a control plane in a cluster stands, and the ccm beside it."""

from pathlib import Path
from typing import Any

import pytest

from ackbox.ccm.usage.server import PORT
from ackbox.cloud.allocation.addresses_in_cluster import labels, service
from ackbox.cloud.allocation.exposure import Exposure
from ackbox.controlplane.images import Images, PodOptions
from ackbox.controlplane.incluster_ccm import METRICS_API_PORT, objects
from ackbox.controlplane.incluster_state import changed, rolled_out, settled, troubles
from ackbox.controlplane.labels import REVISION_ANNOTATION
from ackbox.kube.serving import metrics_api_files
from ackbox.kube.settings import POD_DEFAULTS
from ackbox.resources import ManagedCluster


def workload(revision: str = "a", wanted: int = 1, **status: int) -> dict[str, Any]:
    metadata = {"name": "demo", "generation": 2, "annotations": {REVISION_ANNOTATION: revision}}
    spec, current = {"replicas": wanted}, {"observedGeneration": 2, **status}
    return {"kind": "StatefulSet", "metadata": metadata, "spec": spec, "status": current}


DONE = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}


@pytest.mark.parametrize(
    ("obj", "done"),
    [
        (workload(**DONE), True),
        (workload(**DONE | {"observedGeneration": 1}), False),
        (workload(**DONE | {"readyReplicas": 0}), False),
        (workload(**DONE | {"updatedReplicas": 0}), False),
        (workload(**DONE | {"replicas": 2}), False),
        (workload(wanted=0), True),
        (workload(wanted=0) | {"status": {"observedGeneration": 2, "replicas": 1}}, False),
        (None, False),
    ],
)
def test_a_workload_is_done_when_it_runs_what_it_says_and_nothing_else(obj: dict[str, Any] | None, done: bool) -> None:
    assert rolled_out(obj) is done


def test_what_has_no_pods_is_changed_at_once() -> None:
    assert changed(workload("b"), workload("a"))
    assert not changed(workload("a"), workload("a"))
    assert not changed(workload("b"), workload("a", wanted=0))


def test_claims_stay_as_they_were_made() -> None:
    wanted = {"spec": {"volumeClaimTemplates": [{"spec": {"size": 8}}], "replicas": 1}}
    live = {"spec": {"volumeClaimTemplates": [{"spec": {"size": 4}, "status": {"phase": "Pending"}}], "replicas": 0}}
    assert settled(wanted, live) == {"spec": {"volumeClaimTemplates": [{"spec": {"size": 4}}], "replicas": 1}}
    assert settled(wanted, None) == wanted


def test_what_keeps_pods_from_running_is_told() -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node has room"}
    waiting = {"name": "kwok", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    creating = {"name": "kwok", "state": {"waiting": {"reason": "ContainerCreating"}}}
    pods = [
        {"metadata": {"name": "b"}, "status": {"containerStatuses": [waiting]}},
        {"metadata": {"name": "a"}, "status": {"conditions": [scheduled]}},
        {"metadata": {"name": "c"}, "status": {"containerStatuses": [creating]}},
        {"metadata": {"name": "d"}},
    ]
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    deployment = {"kind": "Deployment", "metadata": {"name": "demo"}, "spec": {}, "status": {"conditions": [refused]}}
    assert troubles(pods, [deployment, workload(**DONE), workload(wanted=0)]) == (
        "Deployment demo: exceeded quota; Pod a: Unschedulable: no node has room;"
        " Pod b, container kwok: ImagePullBackOff: no such image"
    )
    # It says by Events only what refuses its Pod.
    assert troubles([], [workload(), workload() | {"status": {}}]) == (
        "StatefulSet demo has no Pod: `kubectl describe statefulset demo` says why"
    )
    assert troubles([], []) == ""


def cluster(kind: str = "ManagedKubernetes", **changes: Any) -> ManagedCluster:
    spec: dict[str, Any] = {"clusterType": kind, "regionId": "cn-hangzhou", "vpcId": "v", **changes}
    if kind == "ExternalKubernetes":
        spec["externalCluster"] = {"kubeconfigSecretRef": {"name": "k"}}
    return ManagedCluster.model_validate({"metadata": {"name": "demo", "namespace": "team", "uid": "d1"}, "spec": spec})


def made(of: ManagedCluster) -> dict[str, dict[str, Any]]:
    return {kind.kind: body for kind, body in objects(of, f"c{1:032x}", PodOptions(Images("ackbox:1")))}


def test_a_ccm_may_what_its_role_allows_in_the_namespace_of_its_cluster() -> None:
    found = made(cluster())
    binding, account = found["RoleBinding"], found["ServiceAccount"]
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("ClusterRole", "ackbox:ccm")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "demo-ccm", "namespace": "team"}]
    assert account["metadata"]["name"] == "demo-ccm"
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("demo-ccm", True)
    assert pod["containers"][0]["command"] == ["ackbox", "ccm", "--cluster", "team/demo"]
    for each in found.values():
        assert [owner["uid"] for owner in each["metadata"]["ownerReferences"]] == ["d1"]
        # A cluster that sleeps stops what carries its id; the ccm goes by the spec.
        assert "ackbox.dev/cluster-id" not in each["metadata"]["labels"]


def test_the_metrics_api_is_dialled_where_the_kubelets_are() -> None:
    owner = "kubelet/team/demo/kwok"
    template = made(cluster())["Deployment"]["spec"]["template"]
    assert labels(owner).items() <= template["metadata"]["labels"].items()
    ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    led = {port["targetPort"]: port["port"] for port in service(owner, Exposure())["spec"]["ports"]}
    assert ports["metrics-api"] == led["metrics-api"] == METRICS_API_PORT == PORT
    assert "kubelet" not in ports


def test_the_ccm_finds_the_files_of_its_metrics_api() -> None:
    pod = made(cluster())["Deployment"]["spec"]["template"]["spec"]
    secret = next(volume for volume in pod["volumes"] if "secret" in volume)
    mount = next(each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if each["name"] == secret["name"])
    there = {f"{mount}/{item['path']}" for item in secret["secret"]["items"]}
    looked_for = metrics_api_files(Path(POD_DEFAULTS["ACKBOX_HOME"]))
    assert there == {str(each) for each in (looked_for.certificate, looked_for.key, looked_for.authority)}


def test_the_ccm_of_a_registered_cluster_needs_no_control_plane() -> None:
    template = made(cluster("ExternalKubernetes"))["Deployment"]["spec"]["template"]
    assert not [volume for volume in template["spec"]["volumes"] if "secret" in volume]
    assert "ackbox.dev/component" not in template["metadata"]["labels"]


def test_a_cluster_that_sleeps_has_no_ccm() -> None:
    assert made(cluster())["Deployment"]["spec"]["replicas"] == 1
    assert made(cluster(emulation={"hibernated": True}))["Deployment"]["spec"]["replicas"] == 0
