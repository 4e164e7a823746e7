"""What each type of cluster has: pools, load balancers that stay behind, masters."""

import pytest

from ackbox.cloud.clusters.deletion import doomed_balancers
from ackbox.cloud.nodepools.kinds import misplaced, own_labels
from ackbox.resources import ManagedCluster, NodePool


def cluster(**spec):
    return ManagedCluster.model_validate({"metadata": {"name": "c"}, "spec": {"regionId": "cn-hangzhou", **spec}})


def pool(**spec):
    group = {"instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["h"]}
    return NodePool.model_validate(
        {"metadata": {"name": "p"}, "spec": {"clusterId": "c", "scalingGroup": group, **spec}}
    )


@pytest.mark.parametrize(
    ("of", "spec", "words"),
    [
        ({"clusterType": "ExternalKubernetes"}, {}, "registered cluster"),
        ({"profile": "Serverless"}, {}, "serverless cluster"),
        ({}, {"type": "edge"}, "edge pools are for edge clusters"),
        ({"clusterType": "Kubernetes"}, {"type": "edge"}, "edge pools are for edge clusters"),
    ],
)
def test_a_pool_that_its_cluster_can_not_have_is_stalled(of, spec, words):
    state = misplaced(pool(**spec), cluster(**of))
    assert state is not None
    assert (state.reason, state.stalled) == ("InvalidClusterType", True)
    assert words in state.message


@pytest.mark.parametrize(
    ("of", "spec"),
    [({}, {}), ({"clusterType": "Kubernetes"}, {}), ({"profile": "Edge"}, {"type": "edge"}), ({"profile": "Edge"}, {})],
)
def test_a_pool_that_its_cluster_can_have(of, spec):
    assert misplaced(pool(**spec), cluster(**of)) is None


def labels(spec, **of):
    return {label.key: label.value for label in own_labels(pool(**spec), cluster(**of))}


def test_nodes_of_special_pools_say_what_they_are():
    sandboxed = {"kubernetesConfig": {"runtime": "Sandboxed-Container.runv"}}
    assert labels({}) == {}
    assert labels(sandboxed) == {"alibabacloud.com/sandboxed-container": "Sandboxed-Container.runv"}
    assert labels({"type": "edge"}, profile="Edge") == {"alibabacloud.com/is-edge-worker": "true"}
    assert labels({}, profile="Edge") == {"alibabacloud.com/is-edge-worker": "false"}


def balancer(name, kind=None):
    return {"metadata": {"name": name}, "spec": {"loadBalancerType": kind} if kind else {}}


BALANCERS = [balancer("c-apiserver"), balancer("web"), balancer("nlb", "nlb"), balancer("ingress", "alb")]


@pytest.mark.parametrize(
    ("options", "deleted"),
    [
        ([], ["c-apiserver", "web", "nlb"]),
        ([{"resourceType": "SLB", "deleteMode": "retain"}], ["c-apiserver"]),
        ([{"resourceType": "ALB", "deleteMode": "delete"}], ["c-apiserver", "web", "nlb", "ingress"]),
        ([{"resourceType": "SLS_Data", "deleteMode": "delete"}], ["c-apiserver", "web", "nlb"]),
    ],
)
def test_delete_options_say_which_load_balancers_stay(options, deleted):
    assert [each["metadata"]["name"] for each in doomed_balancers(cluster(deleteOptions=options), BALANCERS)] == deleted


def test_a_serverless_cluster_has_no_network_plug_in():
    assert cluster(profile="Serverless").spec.network_plugin == ""
    assert cluster(profile="Edge").spec.network_plugin == "flannel"
