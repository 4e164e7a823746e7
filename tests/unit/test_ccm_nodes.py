"""Nodes and routes of Instances."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network

import pytest

from ackbox.ccm.facts import ClusterFacts, facts_of, instance_id
from ackbox.ccm.nodes.model import Route, addresses, allocatable, cloud_labels, new_node
from ackbox.ccm.nodes.plan import power_off, repair, stale
from ackbox.ccm.routes.plan import plan
from ackbox.resources import Instance, ManagedCluster
from ackbox.resources.network import RouteEntry

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FACTS = ClusterFacts(
    namespace="team",
    name="one",
    uid="u",
    cluster_id="c1",
    region="cn-hangzhou",
    vpc_id="net",
    v_switch_id="net-h",
    external=False,
    service_labels={},
    routed=True,
    api_host="127.42.1.1",
    kubelet_version="v1.36.3-aliyun.1",
    pod_network=IPv4Network("10.32.0.0/16"),
)


def instance(**spec):
    return Instance.model_validate(
        {
            "metadata": {"name": "i-1", "namespace": "team", "uid": str(uuid.UUID(int=1))},
            "spec": {
                "regionId": "cn-hangzhou",
                "zoneId": "cn-hangzhou-h",
                "instanceType": "ecs.g6.xlarge",
                "cpu": 4,
                "memory": 16,
                "nodepoolId": "np1",
                "vpcAttributes": {"vpcId": "vpc-1", "vSwitchId": "vsw-1", "privateIpAddress": "192.168.0.1"},
                "node": {
                    "podCidr": "10.32.0.0/26",
                    "labels": [{"key": "team", "value": "a"}, {"key": "topology.kubernetes.io/zone", "value": "x"}],
                    "taints": [{"key": "gpu", "effect": "NoExecute"}],
                    "maxPods": 64,
                },
                **spec,
            },
        }
    )


def born(route=Route.CREATED):
    node = new_node(instance(), FACTS, route, NOW)
    node["metadata"]["resourceVersion"] = "5"
    return node


def conditions(node):
    return {c["type"]: (c["status"], c["reason"]) for c in node["status"]["conditions"]}


def test_a_node_is_born_whole():
    node = born()
    assert node["metadata"]["name"] == "cn-hangzhou.192.168.0.1"
    assert node["spec"] == {
        "providerID": "cn-hangzhou.i-1",
        "podCIDR": "10.32.0.0/26",
        "podCIDRs": ["10.32.0.0/26"],
        "taints": [{"key": "gpu", "value": "", "effect": "NoExecute"}],
    }
    assert conditions(node)["Ready"] == ("True", "KubeletReady")
    assert conditions(node)["NetworkUnavailable"] == ("False", "RouteCreated")
    assert node["status"]["addresses"] == [
        {"type": "InternalIP", "address": "192.168.0.1"},
        {"type": "Hostname", "address": "cn-hangzhou.192.168.0.1"},
        {"type": "InternalDNS", "address": "127.42.1.1"},
    ]
    assert node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 10247
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3-aliyun.1"
    assert node["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"] == "0"


def test_labels_of_the_cloud_win_over_those_of_the_pool():
    labels = born()["metadata"]["labels"]
    assert labels["team"] == "a"
    assert labels["topology.kubernetes.io/zone"] == "cn-hangzhou-h"
    assert labels["ackbox.dev/emulated"] == "true"


def test_cloud_labels():
    assert cloud_labels(instance(spotStrategy="SpotAsPriceGo"), FACTS) == {
        "beta.kubernetes.io/instance-type": "ecs.g6.xlarge",
        "node.kubernetes.io/instance-type": "ecs.g6.xlarge",
        "failure-domain.beta.kubernetes.io/zone": "cn-hangzhou-h",
        "topology.kubernetes.io/zone": "cn-hangzhou-h",
        "failure-domain.beta.kubernetes.io/region": "cn-hangzhou",
        "topology.kubernetes.io/region": "cn-hangzhou",
        "node.alibabacloud.com/instance-charge-type": "PostPaid",
        "node.alibabacloud.com/spot-strategy": "SpotAsPriceGo",
        "node.alibabacloud.com/nodepool-id": "np1",
        "alibabacloud.com/nodepool-id": "np1",
        "alibabacloud.com/ecs-instance-id": "i-1",
        "ack.aliyun.com": "c1",
    }
    assert "alibabacloud.com/nodepool-id" not in cloud_labels(instance(nodepoolId=None), FACTS)


def test_a_terway_node_has_no_pod_cidr_and_no_say_in_routes():
    node = new_node(instance(), replace(FACTS, routed=False), Route.NOT_NEEDED, NOW)
    assert "podCIDR" not in node["spec"]
    assert "NetworkUnavailable" not in conditions(node)


def test_a_node_without_a_route_says_so():
    assert conditions(born(Route.REFUSED))["NetworkUnavailable"] == ("True", "NoRouteCreated")


@pytest.mark.parametrize(
    ("cpu", "memory", "pods", "expected"),
    [
        (4, 16, 64, ("3920m", 16384 - 959 - 100)),
        (4, 8, 256, ("3920m", 8192 - 2048 - 100)),
        (96, 192, 256, ("95690m", 192 * 1024 - 3071 - 100)),
    ],
)
def test_what_is_left_for_pods(cpu, memory, pods, expected):
    left = allocatable(instance(cpu=cpu, memory=memory, node={"maxPods": pods}))
    assert (left["cpu"], left["memory"], left["pods"]) == (expected[0], f"{expected[1] * 1024}Ki", str(pods))


def test_a_node_as_it_should_be_needs_nothing():
    patches = repair(born(), instance(), FACTS, Route.CREATED, NOW)
    assert (patches.node, patches.status) == (None, [])


def test_hand_edited_cloud_labels_are_put_back_and_others_stay():
    node = born()
    node["metadata"]["labels"] |= {"topology.kubernetes.io/zone": "mars", "mine": "1"}
    del node["metadata"]["labels"]["ackbox.dev/emulated"]
    patches = repair(node, instance(), FACTS, Route.CREATED, NOW)
    assert patches.node == {
        "metadata": {"labels": {"topology.kubernetes.io/zone": "cn-hangzhou-h", "ackbox.dev/emulated": "true"}}
    }


def test_a_route_that_came_late_is_told():
    (test, change) = repair(born(Route.REFUSED), instance(), FACTS, Route.CREATED, NOW).status
    assert (test["op"], test["value"]) == ("test", "NetworkUnavailable")
    assert change["value"]["reason"] == "RouteCreated"


def real_node(**metadata):
    return {
        "metadata": {"name": "real", "resourceVersion": "9", **metadata},
        "spec": {
            "providerID": "cn-hangzhou.i-1",
            "taints": [{"key": "node.cloudprovider.kubernetes.io/uninitialized", "effect": "NoSchedule"}, {"key": "a"}],
        },
        "status": {"addresses": [{"type": "Hostname", "address": "real"}]},
    }


def test_a_kubelets_node_is_initialised():
    patches = repair(real_node(), instance(), FACTS, Route.CREATED, NOW)
    assert patches.node["spec"] == {"taints": [{"key": "a"}]}
    assert patches.node["metadata"]["resourceVersion"] == "9"
    assert "ackbox.dev/emulated" not in patches.node["metadata"]["labels"]
    wanted = [{"type": "InternalIP", "address": "192.168.0.1"}, {"type": "Hostname", "address": "real"}]
    assert patches.status[0] == {"op": "add", "path": "/status/addresses", "value": wanted}
    assert patches.status[1]["path"] == "/status/conditions"


def test_a_provided_address_is_the_only_one():
    node = real_node(annotations={"alpha.kubernetes.io/provided-node-ip": "192.168.0.1"})
    assert addresses(instance(), FACTS, node) == [{"type": "InternalIP", "address": "192.168.0.1"}]


def test_power_off_takes_the_label_once():
    node = born()
    assert power_off(node) == {"metadata": {"labels": {"ackbox.dev/emulated": None}}}
    del node["metadata"]["labels"]["ackbox.dev/emulated"]
    assert power_off(node) is None


@pytest.mark.parametrize(("status", "expected"), [("True", False), ("False", False), ("Unknown", True)])
def test_a_real_node_without_an_instance_is_stale_when_nothing_is_heard_of_it(status, expected):
    node = real_node()
    node["status"]["conditions"] = [{"type": "Ready", "status": status}]
    assert stale(node) is expected


def test_an_emulated_node_without_an_instance_is_stale():
    assert stale(born())


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("cn-hangzhou.i-1", "i-1"),
        ("alicloud://cn-hangzhou.i-1", "i-1"),
        ("us-west-1.i-1", None),
        ("i-1", None),
        ("aws:///us-west-2a/i-0abc", None),
        (None, None),
    ],
)
def test_provider_ids(provider, expected):
    assert instance_id(provider, "cn-hangzhou") == expected


def cluster(**spec):
    return ManagedCluster.model_validate(
        {
            "metadata": {"name": "one", "namespace": "team", "uid": "u"},
            "spec": {"regionId": "cn-hangzhou", "vpcId": "net", "containerCidr": "10.32.0.0/16", **spec},
            "status": {"clusterId": "c1", "currentVersion": "1.36.3-aliyun.1"},
        }
    )


def test_facts_of_a_managed_cluster():
    facts = facts_of(cluster(vswitchIds=["net-h"]), "https://127.42.1.1:6443")
    assert facts == FACTS


def test_facts_of_other_clusters():
    terway = facts_of(cluster(addons=[{"name": "terway-eniip"}]), "https://127.42.1.1:6443")
    assert (terway.routed, terway.pod_network) == (False, None)
    external = {"kubeconfigSecretRef": {"name": "s"}, "serviceSelector": {"matchLabels": {"a": "b"}}}
    registered = facts_of(cluster(clusterType="ExternalKubernetes", externalCluster=external), "https://127.0.0.1")
    assert (registered.external, registered.routed, registered.service_labels) == (True, False, {"a": "b"})


# Routes


def entry(cidr, instance_name):
    return RouteEntry(destination_cidr_block=cidr, next_hop_id=instance_name)


def pairs(result):
    return [(e.destination_cidr_block, e.next_hop_id) for e in result.entries]


def test_missing_routes_are_added_at_the_end():
    result = plan([entry("10.0.0.0/26", "i-1")], {"i-1": "10.0.0.0/26", "i-2": "10.0.0.64/26"}, set(), 48)
    assert pairs(result) == [("10.0.0.0/26", "i-1"), ("10.0.0.64/26", "i-2")]


def test_routes_of_others_stay_and_dead_ones_go():
    there = [entry("172.16.0.0/16", "i-user"), entry("10.0.0.0/26", "i-1")]
    assert pairs(plan(there, {}, {"i-1"}, 48)) == [("172.16.0.0/16", "i-user")]


def test_a_block_that_points_elsewhere_is_mended():
    assert pairs(plan([entry("10.0.0.0/26", "i-9")], {"i-1": "10.0.0.0/26"}, set(), 48)) == [("10.0.0.0/26", "i-1")]


def test_an_instance_has_one_route():
    assert pairs(plan([entry("10.0.0.0/26", "i-1")], {"i-1": "10.0.1.0/26"}, set(), 48)) == [("10.0.1.0/26", "i-1")]


def test_a_full_table_refuses_the_rest_with_a_reason():
    wanted = {f"i-{n}": f"10.0.{n}.0/26" for n in range(4)}
    result = plan([entry("172.16.0.0/16", "i-user")], wanted, set(), 3)
    assert len(result.entries) == 3
    assert result.refused.keys() == {"i-2", "i-3"}
    assert "quota" in result.refused["i-3"]
    assert "3 of 3" in result.refused["i-3"]


def test_a_lowered_limit_takes_nothing_away():
    there = [entry(f"10.0.{n}.0/26", f"i-{n}") for n in range(4)]
    assert len(plan(there, {f"i-{n}": f"10.0.{n}.0/26" for n in range(4)}, set(), 2).entries) == 4
