"""Virtual nodes of serverless clusters."""

import asyncio
from datetime import UTC, datetime
from ipaddress import IPv4Network
from types import SimpleNamespace
from typing import Any

from ackbox.cloud.allocation.ledger import Subnet
from ackbox.cloud.clusters.virtual_nodes import POLICY, VirtualNodes, places, virtual_node
from ackbox.kube.cache import Cache
from ackbox.kube.client import NODE, POD
from ackbox.kube.errors import NotFound
from ackbox.resources import VPC, ManagedCluster

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TAINT = {"key": "virtual-kubelet.io/provider", "value": "alibabacloud", "effect": "NoSchedule"}


def subnet(zone, cidr, name="s"):
    return Subnet(name, f"vsw-{name}", zone, IPv4Network(cidr))


def cluster(profile="Serverless"):
    spec = {
        "regionId": "cn-hangzhou",
        "profile": profile,
        "vpcId": "net",
        "vswitchIds": ["h", "i"],
    }
    status = {"currentVersion": "1.36.3-aliyun.1", "kubeletAddress": "127.9.1.1"}
    metadata = {"name": "c", "namespace": "n", "uid": "u"}
    return ManagedCluster.model_validate({"metadata": metadata, "spec": spec, "status": status})


def test_a_zone_has_one_node_and_all_together_hold_the_quota():
    every = [subnet("z-h", "10.0.0.0/20"), subnet("z-i", "10.0.16.0/20"), subnet("z-h", "10.0.32.0/20")]
    found = places(every, 1001)
    assert [(place.name, place.pods) for place in found] == [
        ("virtual-kubelet-z-h", 501),
        ("virtual-kubelet-z-i", 500),
    ]
    assert found[0].cidr == IPv4Network("10.0.0.0/20")
    assert places([], 1000) == []


def test_the_node_is_acks_virtual_node():
    node = virtual_node(places([subnet("cn-hangzhou-h", "10.0.0.0/20")], 1000)[0], cluster(), True, NOW)
    assert node["metadata"]["name"] == "virtual-kubelet-cn-hangzhou-h"
    assert node["metadata"]["labels"]["type"] == "virtual-kubelet"
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "cn-hangzhou-h"
    assert node["spec"]["taints"] == [TAINT]
    assert node["status"]["allocatable"]["pods"] == "1000"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3-aliyun.1"


def test_pods_have_addresses_of_the_v_switch_that_machines_get_last():
    node = virtual_node(places([subnet("z", "10.0.0.0/20")], 1)[0], cluster(), True, NOW)
    assert node["spec"]["podCIDR"] == "10.0.8.0/21"


class Workload:
    """Just enough of an API server."""

    def __init__(self, mutating: bool = True) -> None:
        self.nodes: dict[str, Any] = {}
        self.policies: list[str] = []
        self.pods: list[Any] = []
        self._mutating = mutating

    async def apply(self, kind, body, _manager):
        if not self._mutating:
            raise NotFound(404, "NotFound", "the server could not find the requested resource")
        self.policies.append(kind.kind)
        return body

    async def list(self, kind, label_selector=None):
        if kind == POD:
            return self.pods, "1"
        assert (kind, label_selector) == (NODE, "type=virtual-kubelet")
        return list(self.nodes.values()), "1"

    async def create(self, _kind, body):
        self.nodes[body["metadata"]["name"]] = body
        return body

    async def delete(self, _kind, name):
        del self.nodes[name]

    async def patch(self, kind, name, _namespace, patch, _subresource=None):
        if kind == POD:
            (pod,) = [each for each in self.pods if each["metadata"]["name"] == name]
            pod["spec"] |= patch["spec"]
            return
        for section, fields in patch.items():
            for field, value in fields.items():
                there = self.nodes[name][section].get(field)
                merged = {**there, **value} if isinstance(there, dict) else value
                self.nodes[name][section][field] = merged


def part(limit=1000, now=lambda: 0.0):
    vpcs = Cache(VPC, {"id": lambda _: []})
    switches = [
        {"vSwitchName": "h", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/20"},
        {"vSwitchName": "i", "zoneId": "cn-hangzhou-i", "cidrBlock": "192.168.16.0/20"},
    ]
    spec = {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": switches}
    vpcs.upsert(
        {"kind": "VPC", "metadata": {"name": "net", "namespace": "n", "uid": "v", "resourceVersion": "1"}, "spec": spec}
    )
    quotas = SimpleNamespace(limit=lambda *_: limit)
    cloud: Any = SimpleNamespace(world=SimpleNamespace(vpcs=vpcs), quotas=quotas)
    return VirtualNodes(cloud, now=now)


def ensured(nodes, workload, of=None):
    return asyncio.run(nodes.ensure({}, of or cluster(), workload))


def test_nodes_come_stay_and_follow_the_quota():
    workload = Workload()
    ensured(part(), workload)
    assert sorted(workload.nodes) == ["virtual-kubelet-cn-hangzhou-h", "virtual-kubelet-cn-hangzhou-i"]
    assert workload.policies == ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"]
    ensured(part(limit=300), workload)
    assert {node["status"]["capacity"]["pods"] for node in workload.nodes.values()} == {"150"}
    workload.nodes["virtual-kubelet-cn-hangzhou-k"] = {"metadata": {"name": "virtual-kubelet-cn-hangzhou-k"}}
    ensured(part(), workload)
    assert "virtual-kubelet-cn-hangzhou-k" not in workload.nodes


def test_where_pods_get_no_toleration_there_is_no_taint():
    """Before Kubernetes 1.36; after the upgrade the taint comes."""
    workload = Workload(mutating=False)
    ensured(part(), workload)
    assert all(node["spec"]["taints"] == [] for node in workload.nodes.values())
    upgraded = Workload()
    upgraded.nodes = workload.nodes
    ensured(part(), upgraded)
    assert all(node["spec"]["taints"] == [TAINT] for node in upgraded.nodes.values())
    assert POLICY.kind in upgraded.policies


def pod(name, node=None, *tolerations):
    return {
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"tolerations": list(tolerations)} | ({"nodeName": node} if node else {}),
    }


def test_pods_that_came_before_the_policy_are_let_in_once():
    clock = [100.0]
    workload, nodes = Workload(), part(now=lambda: clock[0])
    theirs = {"key": "a", "operator": "Exists"}
    workload.pods = [pod("early", None, theirs), pod("there", "virtual-kubelet-cn-hangzhou-h"), pod("own", None, TAINT)]
    assert ensured(nodes, workload).again == 3.0
    clock[0] += 1.0
    assert ensured(nodes, workload).again == 2.0
    clock[0] += 2.0
    assert workload.pods[0]["spec"]["tolerations"] == [theirs], "the policy may not be in force yet"
    assert ensured(nodes, workload).again is None
    assert [len(each["spec"]["tolerations"]) for each in workload.pods] == [2, 0, 1]
    assert workload.pods[0]["spec"]["tolerations"][1] == {**TAINT, "operator": "Equal"}
    workload.pods.append(pod("late"))
    ensured(nodes, workload)
    assert workload.pods[-1]["spec"]["tolerations"] == []


def test_other_clusters_have_none():
    workload = Workload()
    ensured(part(), workload, cluster("Default"))
    assert workload.nodes == {}
