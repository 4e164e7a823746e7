"""The nodes of a cluster follow its control plane, as many at a time as their pool allows."""

import asyncio
from types import SimpleNamespace

import pytest

from ackbox.catalog.versions import KubernetesVersion
from ackbox.cloud.clusters.node_upgrade import NodeUpgrades, batch, crowds, message, well
from ackbox.cloud.world import World
from ackbox.kube.client import NODE
from ackbox.kube.errors import NotFound
from ackbox.resources import INSTANCE, ManagedCluster, NodePool

OLD, NEW = "1.35.4-aliyun.1", "1.36.3-aliyun.1"
TARGET = KubernetesVersion(NEW, "v1.36.3")


def instance(name, kubelet=OLD, pool="p", **metadata):
    labels = {"ackbox.dev/cluster": "c", "ackbox.dev/nodepool": pool}
    return {
        "kind": "Instance",
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": labels, **metadata},
        "spec": {
            "regionId": "cn-hangzhou",
            "clusterId": "c",
            "vpcAttributes": {"vpcId": "vpc-1", "vSwitchId": "v", "privateIpAddress": f"192.168.0.{name[2:]}"},
            "node": {"kubeletVersion": kubelet} if kubelet else {},
        },
    }


def pool_object(name="p", at_once=1, automatic=True):
    group = {"desiredSize": 3, "instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["v"]}
    management = {"autoUpgrade": automatic, "upgradeConfig": {"maxUnavailable": at_once}}
    spec = {"clusterId": "c", "scalingGroup": group, "management": management}
    return {"kind": "NodePool", "metadata": {"name": name, "namespace": "n", "uid": name}, "spec": spec}


def pool(*arguments, **changes):
    return NodePool.model_validate(pool_object(*arguments, **changes))


def names(objects):
    return [obj["metadata"]["name"] for obj in objects]


@pytest.mark.parametrize(
    ("at_once", "waiting", "expected"), [(1, [], ["i-1"]), (2, ["x"], ["i-1"]), (2, [], ["i-1", "i-2"]), (1, ["x"], [])]
)
def test_a_batch_is_what_the_pool_can_spare(at_once, waiting, expected):
    (crowd,) = crowds([instance("i-2"), instance("i-1"), instance("i-3")], [pool(at_once=at_once)], TARGET, ())
    assert names(batch(crowd, waiting)) == expected


def test_nothing_is_upgraded_in_a_pool_that_does_not_follow_by_itself():
    (crowd,) = crowds([instance("i-1")], [pool(automatic=False)], TARGET, ())
    assert batch(crowd, ()) == ()
    assert "autoUpgrade of the NodePool is off" in message(crowd, (), TARGET)


def test_machines_that_are_new_going_or_of_no_version_are_not_outdated():
    machines = [
        instance("i-1", NEW),
        instance("i-2", deletionTimestamp="2026-01-01T00:00:00Z"),
        instance("i-3", None),
        instance("i-4", "1.37.1-aliyun.1"),
    ]
    (crowd,) = crowds(machines, [pool()], TARGET, ())
    assert crowd.outdated == ()
    assert names(crowd.unproven) == ["i-1"]
    assert crowds(machines, [pool()], TARGET, {"i-1"})[0].unproven == ()


def node(ready="True", kubelet=f"v{NEW}"):
    return {"status": {"conditions": [{"type": "Ready", "status": ready}], "nodeInfo": {"kubeletVersion": kubelet}}}


def test_a_node_is_well_when_it_is_ready_with_the_new_kubelet():
    assert well(node(), TARGET)
    assert not well(node("False"), TARGET)
    assert not well(node("Unknown"), TARGET)
    assert not well(node(kubelet=f"v{OLD}"), TARGET)
    assert not well({}, TARGET)


def test_a_message_names_the_nodes_that_are_waited_for():
    (crowd,) = crowds([instance("i-1")], [pool()], TARGET, ())
    text = message(crowd, ["a", "b"], TARGET)
    assert text == "p: 1 nodes still to be upgraded to 1.36.3-aliyun.1; waits for a, b to be Ready with it"


class Cloud:
    """Both sides of a cluster: what is patched shows in the Instance at once, and in the Node when the test says so."""

    def __init__(self, *instances, pools=None):
        self.world = World()
        self.nodes, self.most, self.order = {}, 0, []
        for obj in pools or [pool_object(at_once=2)]:
            self.world.node_pools.upsert({**obj, "metadata": {**obj["metadata"], "resourceVersion": "1"}})
        for obj in instances:
            self.world.instances.upsert({**obj, "metadata": {**obj["metadata"], "resourceVersion": "1"}})
            self.nodes[f"cn-hangzhou.192.168.0.{obj['metadata']['name'][2:]}"] = node(kubelet=f"v{OLD}")
        self.client = SimpleNamespace(patch=self.patch)

    async def patch(self, kind, name, namespace, body):
        await asyncio.sleep(0)
        assert kind == INSTANCE
        assert body == {"spec": {"node": {"kubeletVersion": NEW}}}
        self.order.append(name)
        old = self.world.instances.get(namespace, name)
        version = str(int(old["metadata"]["resourceVersion"]) + 1)
        self.world.instances.upsert(
            {
                **old,
                "metadata": {**old["metadata"], "resourceVersion": version},
                "spec": {**old["spec"], "node": {"kubeletVersion": NEW}},
            }
        )

    async def get(self, kind, name, namespace=None):
        await asyncio.sleep(0)
        assert kind == NODE
        if name not in self.nodes:
            raise NotFound(404, "NotFound", name)
        return self.nodes[name]

    def kubelets_follow(self):
        for obj in self.world.instances.all("n"):
            name = f"cn-hangzhou.{obj['spec']['vpcAttributes']['privateIpAddress']}"
            self.nodes[name] = node(kubelet=f"v{obj['spec']['node']['kubeletVersion']}")


def cluster(upgrade=None):
    spec = {"regionId": "cn-hangzhou", "vpcId": "v"}
    return {
        "kind": "ManagedCluster",
        "metadata": {"name": "c", "namespace": "n", "uid": "c"},
        "spec": spec,
        "status": {"currentVersion": NEW, "upgrade": upgrade},
    }


async def ensure(part, cloud, obj):
    return await part.ensure(obj, ManagedCluster.model_validate(obj), cloud)


async def test_batch_after_batch_waits_for_its_nodes():
    cloud = Cloud(*(instance(f"i-{number}") for number in range(1, 6)))
    part, obj = NodeUpgrades(cloud), cluster()
    first = await ensure(part, cloud, obj)
    assert cloud.order == ["i-1", "i-2"]
    assert first.aspects[0].reason == "Upgrading"
    again = await ensure(part, cloud, obj)
    assert cloud.order == ["i-1", "i-2"], "the nodes of the first batch are not well yet"
    assert "waits for cn-hangzhou.192.168.0.1, cn-hangzhou.192.168.0.2" in again.aspects[0].message
    while (await ensure(NodeUpgrades(cloud), cloud, obj)).aspects[0].status is not None:
        cloud.kubelets_follow()
    assert cloud.order == ["i-1", "i-2", "i-3", "i-4", "i-5"]


async def test_nodes_wait_until_the_control_plane_is_upgraded():
    cloud = Cloud(instance("i-1"))
    under_way = {"nextVersion": NEW, "status": "running", "upgradeStep": "upgrading"}
    outcome = await ensure(NodeUpgrades(cloud), cloud, cluster(under_way))
    assert not cloud.order
    assert not outcome.aspects


async def test_a_node_that_is_gone_holds_up_its_pool_only():
    cloud = Cloud(
        instance("i-1", NEW),
        instance("i-2"),
        instance("i-3", pool="q"),
        pools=[pool_object("p"), pool_object("q")],
    )
    del cloud.nodes["cn-hangzhou.192.168.0.1"]
    await ensure(NodeUpgrades(cloud), cloud, cluster())
    assert cloud.order == ["i-3"]
