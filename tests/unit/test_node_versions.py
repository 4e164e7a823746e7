"""A Node says what kubelet its Instance runs, and a pool how far its upgrade is."""

from dataclasses import replace
from datetime import UTC, datetime

import ccm_facts
import pytest

from ackbox.ccm.nodes.model import Route, new_node
from ackbox.ccm.nodes.plan import repair
from ackbox.cloud.instances.harm import installed
from ackbox.cloud.nodepools.plan import Machine, PoolPlan
from ackbox.cloud.nodepools.status import pool_status
from ackbox.cloud.nodepools.upgrade import upgrading
from ackbox.resources import Instance, NodePool
from ackbox.resources.base import EMULATED_LABEL
from ackbox.resources.instance import Installation

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FACTS = replace(ccm_facts.FACTS, kubelet_version="v1.36.3-aliyun.1")
OLD, NEW = "1.35.4-aliyun.1", "1.36.3-aliyun.1"


def instance(kubelet=None):
    return Instance.model_validate(
        {
            "metadata": {"name": "i-1", "namespace": "team", "uid": "u"},
            "spec": {
                "regionId": "cn-hangzhou",
                "zoneId": "cn-hangzhou-h",
                "instanceType": "ecs.g6.xlarge",
                "cpu": 4,
                "memory": 16,
                "vpcAttributes": {"vpcId": "vpc-1", "vSwitchId": "vsw-1", "privateIpAddress": "192.168.0.1"},
                "node": {"kubeletVersion": kubelet} if kubelet else {},
            },
        }
    )


def node(kubelet=None):
    return new_node(instance(kubelet), FACTS, Route.CREATED, NOW)


@pytest.mark.parametrize(("kubelet", "said"), [(OLD, f"v{OLD}"), (f"v{OLD}", f"v{OLD}"), (None, f"v{NEW}")])
def test_a_node_is_born_with_the_kubelet_of_its_instance_or_of_the_cluster(kubelet, said):
    info = node(kubelet)["status"]["nodeInfo"]
    assert (info["kubeletVersion"], info["kubeProxyVersion"]) == (said, said)


def test_a_node_follows_its_instance_to_another_kubelet():
    patches = repair(node(OLD), instance(NEW), FACTS, Route.CREATED, NOW)
    assert patches.status == [
        {"op": "replace", "path": "/status/nodeInfo/kubeletVersion", "value": f"v{NEW}"},
        {"op": "replace", "path": "/status/nodeInfo/kubeProxyVersion", "value": f"v{NEW}"},
    ]
    assert not repair(node(NEW), instance(NEW), FACTS, Route.CREATED, NOW).status


def test_a_real_kubelet_speaks_for_itself():
    real = node(OLD)
    del real["metadata"]["labels"][EMULATED_LABEL]
    real["metadata"]["annotations"] = {}
    operations = repair(real, instance(NEW), FACTS, Route.CREATED, NOW).status
    assert not [each for each in operations if "nodeInfo" in each["path"]]


def pool(**management):
    group = {"desiredSize": 2, "instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["v"]}
    spec = {"clusterId": "c", "scalingGroup": group, "management": management}
    return NodePool.model_validate({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})


def machines(*kubelets):
    return [{"spec": {"node": {"kubeletVersion": kubelet} if kubelet else {}}} for kubelet in kubelets]


def test_a_pool_says_how_far_its_upgrade_is():
    cluster = {"status": {"currentVersion": NEW}}
    state = upgrading(pool(), machines(OLD, NEW, OLD, None), cluster)
    assert state is not None
    assert (state.reason, state.message) == ("Upgrading", f"2 of 4 nodes still to be upgraded to {NEW}")
    status = pool_status(1, {"a": Machine("a", "Running", "")}, PoolPlan(), None, state)
    assert (status.phase, status.state) == ("updating", state)


def test_a_pool_without_an_upgrade_to_come_says_nothing_of_it():
    cluster = {"status": {"currentVersion": NEW}}
    assert upgrading(pool(), machines(NEW, None), cluster) is None
    assert upgrading(pool(autoUpgrade=False), machines(OLD), cluster) is None
    assert upgrading(pool(), machines(OLD), {}) is None


@pytest.mark.parametrize(("kubelet", "recorded"), [(NEW, NEW), (OLD, OLD), ("1.30.0-aliyun.1", OLD)])
def test_an_upgrade_by_ack_counts_as_installed_and_one_by_hand_does_not(kubelet, recorded):
    machine = instance(kubelet)
    before = Installation(private_ip_address="192.168.0.1", kubelet_version=OLD)
    machine = machine.model_copy(update={"status": machine.status.model_copy(update={"installation": before})})
    assert installed(machine, {NEW}).kubelet_version == recorded
