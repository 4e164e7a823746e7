"""Nodes and routes of Instances."""

import asyncio
import contextlib
import copy
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network

import ccm_facts
import pytest
from small_cluster import World, until

from ackbox.ccm.facts import facts_of, instance_id
from ackbox.ccm.metrics import REGISTRY
from ackbox.ccm.nodes.apply import mend
from ackbox.ccm.nodes.controller import NodeController
from ackbox.ccm.nodes.machine import Machine, complaint, machine
from ackbox.ccm.nodes.model import (
    PROVIDED_IP,
    UNINITIALIZED_TAINT,
    Route,
    addresses,
    allocatable,
    cloud_labels,
    new_node,
)
from ackbox.ccm.nodes.plan import NodePatches, initialised, power_off, repair, stale, unknown_address
from ackbox.kube.client import NODE
from ackbox.kube.errors import Conflict, Forbidden
from ackbox.resources import Instance, ManagedCluster

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FACTS = replace(ccm_facts.FACTS, kubelet_version="v1.36.3-aliyun.1", pod_network=IPv4Network("10.32.0.0/16"))
TERWAY = replace(FACTS, routed=False, pod_network=None)


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


def test_a_terway_node_has_its_block_of_the_vswitch_and_no_say_in_routes():
    node = new_node(instance(), replace(FACTS, routed=False), Route.NOT_NEEDED, NOW)
    assert node["spec"]["podCIDR"] == "10.32.0.0/26"
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


def test_a_node_that_has_just_come_is_not_stale():
    assert not stale(real_node())


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


# What the CCM has a say in


@pytest.mark.parametrize(
    ("provider", "labels", "expected"),
    [
        ("cn-hangzhou.i-1", {}, Machine.ECS),
        ("alicloud://cn-hangzhou.i-1", {}, Machine.ECS),
        ("cn-beijing.i-1", {}, Machine.ELSEWHERE),
        ("cn-hangzhou.i-1", {"service.alibabacloud.com/exclude-node": ""}, Machine.EXCLUDED),
        ("cn-hangzhou.i-1", {"service.beta.kubernetes.io/exclude-node": "x"}, Machine.EXCLUDED),
        ("ack-hybrid://cn-hangzhou.i-1", {}, Machine.EXCLUDED),
        ("e01-1", {"alibabacloud.com/lingjun-worker": "true"}, Machine.LINGJUN),
        ("cn-hangzhou.i-1", {"alibabacloud.com/lingjun-worker": "true"}, Machine.ECS),
        ("e01-1", {"alibabacloud.com/lingjun-worker": "false"}, Machine.UNRECOGNIZED),
        (
            "e01-1",
            {"alibabacloud.com/lingjun-worker": "true", "alibabacloud.com/lingjun-tianwen-environment": ""},
            Machine.EXCLUDED,
        ),
        ("", {}, Machine.UNRECOGNIZED),
        ("i-1", {}, Machine.UNRECOGNIZED),
        ("aws:///us-west-2a/i-0abc", {}, Machine.UNRECOGNIZED),
    ],
)
def test_kinds_of_machines(provider, labels, expected):
    node = {"metadata": {"labels": labels}, "spec": {"providerID": provider}}
    assert machine(node, "cn-hangzhou") is expected


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (None, "spec.providerID is empty: start the kubelet with --provider-id=<region>.<instance id>"),
        ("i-1", "spec.providerID i-1 is not recognized, it must be <region>.<instance id>, such as cn-hangzhou.i-"),
        ("cn-beijing.i-1", "spec.providerID cn-beijing.i-1 names another region than the cluster's"),
        ("cn-hangzhou.i-1", None),
    ],
)
def test_a_provider_id_that_names_nothing_is_explained(provider, said):
    found = complaint({"metadata": {}, "spec": {"providerID": provider}}, "cn-hangzhou")
    assert found is None if said is None else found.startswith(said)


def test_an_excluded_node_is_left_as_it_is():
    node = real_node(labels={"service.alibabacloud.com/exclude-node": "true"})
    assert repair(node, instance(), FACTS, Route.NOT_NEEDED, NOW) == NodePatches(None, [])


def test_an_excluded_emulated_node_is_kept_alive_all_the_same():
    node = born()
    node["metadata"]["labels"] = {"service.alibabacloud.com/exclude-node": "true"}
    patches = repair(node, instance(), FACTS, Route.NOT_NEEDED, NOW)
    assert patches == NodePatches({"metadata": {"labels": {"ackbox.dev/emulated": "true"}}}, [])


def test_a_node_that_says_an_address_which_the_cloud_does_not_know_is_left_as_it_is():
    node = real_node(annotations={"alpha.kubernetes.io/provided-node-ip": "10.9.9.9"})
    assert repair(node, instance(), FACTS, Route.CREATED, NOW) == NodePatches(None, [])
    assert "10.9.9.9 is not an address of i-1, which has: 192.168.0.1" in unknown_address(node, instance())


def test_a_kubelets_node_says_that_its_route_is_still_to_come():
    (_, change) = repair(real_node(), instance(), FACTS, Route.WAITING, NOW).status
    assert change["value"][0] | {"lastHeartbeatTime": "", "lastTransitionTime": ""} == {
        "type": "NetworkUnavailable",
        "status": "True",
        "reason": "NoRouteCreated",
        "message": "Node created without a route",
        "lastHeartbeatTime": "",
        "lastTransitionTime": "",
    }


def test_a_route_that_vanished_for_a_moment_does_not_disturb_the_node():
    assert repair(born(), instance(), FACTS, Route.WAITING, NOW).status == []


# The controller on two clusters in memory


def cloud(name="i-1", phase="Running", **metadata):
    body = instance().model_dump(by_alias=True, exclude_none=True, mode="json")
    return {
        "apiVersion": "ackbox.dev/v1alpha1",
        "kind": "Instance",
        "metadata": {"name": name, "namespace": "team", "labels": {"ackbox.dev/cluster": "one"}, **metadata},
        "spec": body["spec"],
        "status": {"phase": phase},
    }


def known(name="real", provider="cn-hangzhou.i-1", ready="True", labels=None, annotations=None, taints=()):
    """A Node that a kubelet registered."""
    body = real_node(labels=labels or {}, annotations=annotations or {})
    body["metadata"]["name"] = name
    body["spec"] = {"taints": [{"key": UNINITIALIZED_TAINT, "effect": "NoSchedule"}, *taints]}
    if provider is not None:
        body["spec"]["providerID"] = provider
    body["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    return {"apiVersion": "v1", "kind": "Node", **body}


@contextlib.asynccontextmanager
async def running(world, facts=TERWAY):
    controller = NodeController(facts, world.management, world.workload, world.events, world.events)
    task = asyncio.create_task(controller.run())
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.wait([task])


def taints(world, name="real"):
    return [taint["key"] for taint in world.node(name)["spec"].get("taints") or []]


async def test_a_kubelets_node_gets_what_the_cloud_knows_of_it():
    world = World(cloud(), workload=[known(taints=[{"key": "mine", "effect": "NoSchedule"}])])
    async with running(world):
        await until(lambda: taints(world) == ["mine"])
    assert world.node("real")["metadata"]["labels"]["topology.kubernetes.io/zone"] == "cn-hangzhou-h"
    assert {"type": "InternalIP", "address": "192.168.0.1"} in world.node("real")["status"]["addresses"]


async def test_the_taint_goes_from_the_newest_list_of_taints():
    world = World(cloud(), workload=[known()])
    stale_cache = world.workload[NODE].get("", "real")
    newer = copy.deepcopy(stale_cache)
    newer["spec"]["taints"].append({"key": "late", "effect": "NoSchedule"})
    world.cluster.put(newer)  # the watch hasn't told yet
    async with running(world):
        await until(lambda: UNINITIALIZED_TAINT not in taints(world))
    assert taints(world) == ["late"]


async def test_an_excluded_node_keeps_its_taint_until_the_label_goes():
    world = World(cloud(), workload=[known(labels={"service.alibabacloud.com/exclude-node": ""}), known("other")])
    async with running(world):
        await until(lambda: taints(world, "other") == [])
        assert taints(world) == [UNINITIALIZED_TAINT]
        world.change(known())
        await until(lambda: taints(world) == [])


async def test_an_unknown_provided_address_keeps_the_taint_and_is_said_once():
    world = World(cloud(), workload=[known(annotations={PROVIDED_IP: "10.9.9.9"})])
    async with running(world):
        await until(lambda: world.events.of("SyncNodeFailed"))
        assert taints(world) == [UNINITIALIZED_TAINT]
        world.change(known(annotations={PROVIDED_IP: "192.168.0.1"}))
        await until(lambda: taints(world) == [])
    assert len(world.events.of("SyncNodeFailed")) == 1
    assert world.node("real")["status"]["addresses"] == [{"type": "InternalIP", "address": "192.168.0.1"}]


async def test_a_node_without_a_provider_id_is_explained_and_left_alone():
    world = World(workload=[known(provider=None, ready="Unknown")])
    async with running(world):
        [(name, message)] = await until(lambda: world.events.of("SyncNodeFailed"))
    assert (name, "--provider-id" in message) == ("real", True)
    assert taints(world) == [UNINITIALIZED_TAINT]


async def test_a_lingjun_node_loses_its_taint_only():
    world = World(workload=[known(provider="e01-1", labels={"alibabacloud.com/lingjun-worker": "true"})])
    async with running(world):
        await until(lambda: taints(world) == [])
    assert world.node("real")["metadata"]["labels"] == {"alibabacloud.com/lingjun-worker": "true"}
    assert world.node("real")["status"]["addresses"] == [{"type": "Hostname", "address": "real"}]


@pytest.mark.parametrize(
    ("provider", "labels"),
    [("e01-1", {"alibabacloud.com/lingjun-worker": "true"}), ("cn-beijing.i-7", {}), ("cn-hangzhou.i-7", {})],
)
async def test_a_node_is_deleted_when_its_machine_is_gone_and_nothing_is_heard_of_it(provider, labels):
    world = World(workload=[known(provider=provider, labels=labels), known("heard", provider, "False", labels)])
    async with running(world):
        world.change(known(provider=provider, ready="Unknown", labels=labels))
        await until(lambda: world.events.of("DeletedNode"))
    assert world.events.of("DeletedNode") == [("real", "real")]
    assert world.node("real") is None
    assert world.node("heard") is not None


async def test_a_node_that_cannot_be_deleted_is_said():
    world = World(workload=[known(provider="cn-hangzhou.i-7", ready="Unknown")])
    world.cluster.refuse = lambda method, *_: Forbidden(403, "Forbidden", "no") if method == "delete" else None
    async with running(world):
        [(_, message)] = (await until(lambda: world.events.of("DeleteNodeFailed")))[:1]
    assert message == "Error deleting node: no"


async def test_a_name_that_another_node_has_is_explained():
    other = known(name="cn-hangzhou.192.168.0.1", provider="cn-hangzhou.i-9", ready="False")
    world = World(cloud(), workload=[other])
    async with running(world):
        [(name, message)] = await until(lambda: world.events.of("SyncNodeFailed"))
    assert name == "cn-hangzhou.192.168.0.1"
    assert "another providerID than cn-hangzhou.i-1" in message


async def test_the_work_on_nodes_is_measured():
    before = REGISTRY.get_sample_value("ccm_node_latencies_duration_milliseconds_count", {"verb": "remove_taint"}) or 0
    world = World(cloud(), workload=[known()])
    async with running(world):
        await until(lambda: taints(world) == [])
    after = REGISTRY.get_sample_value("ccm_node_latencies_duration_milliseconds_count", {"verb": "remove_taint"})
    assert after == before + 1


async def test_a_taint_that_somebody_adds_meanwhile_is_never_lost():
    world = World(workload=[known()])
    node = world.workload[NODE].get("", "real")
    newer = copy.deepcopy(node)
    newer["spec"]["taints"].append({"key": "late", "effect": "NoSchedule"})
    world.cluster.put(newer)
    with pytest.raises(Conflict):
        await mend(world.workload, node, NodePatches(initialised(node), []))
    assert taints(world) == [UNINITIALIZED_TAINT, "late"]


async def test_a_missing_provider_id_is_not_said_again_at_every_change_of_the_node():
    world = World(workload=[known(provider=None)])
    async with running(world):
        await until(lambda: world.events.of("SyncNodeFailed"))
        world.change(known(provider=None, labels={"a": "b"}))
        world.change(known("later", provider=None))
        await until(lambda: "later" in [name for name, _ in world.events.of("SyncNodeFailed")])
    assert [name for name, _ in world.events.of("SyncNodeFailed")] == ["real", "later"]


async def test_an_excluded_node_outlives_its_machine():
    excluded = {"service.beta.kubernetes.io/exclude-node": ""}
    gone = {"provider": "cn-hangzhou.i-7", "ready": "Unknown"}
    world = World(workload=[known(**gone, labels=excluded), known("other", **gone)])
    async with running(world):
        await until(lambda: world.events.of("DeletedNode"))
    assert world.events.of("DeletedNode") == [("other", "other")]
    assert world.node("real") is not None


def test_only_a_node_that_has_just_come_says_that_its_route_is_still_to_come():
    node = real_node()
    node["spec"]["taints"] = []
    assert [each["path"] for each in repair(node, instance(), FACTS, Route.WAITING, NOW).status] == [
        "/status/addresses"
    ]
