"""What is done by hand to Nodes and to what Services made, as the CCM's controllers see and tell it."""

import contextlib
import copy
from datetime import UTC, datetime

from ccm_facts import FACTS
from small_cluster import World, until
from test_ccm_nodes import TERWAY, cloud, instance, running

from ackbox.ccm.nodes.model import Route, new_node
from ackbox.ccm.nodes.plan import repair
from ackbox.ccm.services.by_hand import ByHand, changed
from ackbox.kube.client import NODE
from ackbox.resources import INSTANCE, SERVICE_LOAD_BALANCER

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODE_NAME = "cn-hangzhou.192.168.0.1"
STARTED = "2026-01-01T00:00:00Z"


def broken(kind, reason, message="what was done"):
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": STARTED}


def spoilt(*conditions):
    body = instance().model_dump(by_alias=True, mode="json")
    body["status"] |= {"phase": "Running", "conditions": [broken(*each) for each in conditions]}
    return type(instance()).model_validate(body)


def applied(node, patches):
    """The conditions of a Node, by type, once its patches are on it."""
    conditions = copy.deepcopy(node["status"]["conditions"])
    for each in patches.status:
        place = each["path"].removeprefix("/status/conditions/")
        if each["op"] == "add" and place == "-":
            conditions.append(each["value"])
        elif each["op"] == "replace":
            conditions[int(place)] = each["value"]
    return {each["type"]: (each["status"], each["reason"]) for each in conditions}, conditions


def test_a_node_out_of_service_is_no_longer_kept_alive_and_says_why():
    node = new_node(instance(), FACTS, Route.CREATED, NOW)
    patches = repair(node, spoilt(("AddressChanged", "NodeUnavailable")), FACTS, Route.CREATED, NOW)
    assert patches.node == {"metadata": {"labels": {"ackbox.dev/emulated": None}}}
    found, _ = applied(node, patches)
    assert found["AddressChanged"] == ("True", "NodeUnavailable")


def test_what_was_put_right_is_false_on_the_node_and_its_heart_beats_again():
    node = new_node(instance(), FACTS, Route.CREATED, NOW)
    spoil = repair(node, spoilt(("AddressChanged", "NodeUnavailable")), FACTS, Route.CREATED, NOW)
    _, node["status"]["conditions"] = applied(node, spoil)
    del node["metadata"]["labels"]["ackbox.dev/emulated"]
    patches = repair(node, spoilt(), FACTS, Route.CREATED, NOW)
    found, _ = applied(node, patches)
    assert found["AddressChanged"] == ("False", "NoAddressChanged")
    assert patches.node == {"metadata": {"labels": {"ackbox.dev/emulated": "true"}}}


def test_a_broken_network_is_told_whether_the_node_has_a_route_or_not():
    for facts, route, well in ((FACTS, Route.CREATED, "RouteCreated"), (TERWAY, Route.NOT_NEEDED, "NetworkRestored")):
        node = new_node(instance(), facts, route, NOW)
        patches = repair(node, spoilt(("IPForwardingOff", "NetworkDown")), facts, route, NOW)
        assert patches.node is None
        found, node["status"]["conditions"] = applied(node, patches)
        assert found["NetworkUnavailable"] == ("True", "IPForwardingOff")
        assert found["IPForwardingOff"] == ("True", "NetworkDown")
        found, node["status"]["conditions"] = applied(node, repair(node, spoilt(), facts, route, NOW))
        assert found["NetworkUnavailable"] == ("False", well)
        assert repair(node, spoilt(), facts, route, NOW).status == []


# A Node that somebody deletes


def started(at=STARTED, phase="Running", annotations=None, conditions=()):
    obj = cloud(phase=phase, annotations=annotations or {})
    obj["status"] |= {"startTime": at, "conditions": list(conditions)}
    return obj


def mark(world):
    obj = world.cloud.objects["Instance", "team", "i-1"]
    return (obj["metadata"].get("annotations") or {}).get("ackbox.dev/node-deleted")


def deleted(world):
    node = world.cluster.objects.pop(("Node", "", NODE_NAME))
    world.workload[NODE].remove(node)


async def test_a_deleted_node_stays_away_until_its_machine_is_restarted():
    world = World(started())
    async with running(world):
        await until(lambda: world.node(NODE_NAME))
        deleted(world)
        await until(lambda: mark(world) == STARTED)
        marked = {"ackbox.dev/node-deleted": STARTED}
        world.change(started(annotations=marked, conditions=[broken("NodeDeleted", "NodeCountDiffers")]))
        world.change(started(annotations=marked, phase="Stopping"))
        assert world.node(NODE_NAME) is None
        world.change(started("2026-01-01T00:00:05Z", annotations=marked))
        await until(lambda: world.node(NODE_NAME))
    assert [call for call in world.cluster.calls if call[:2] == ("create", "Node")] == [
        ("create", "Node", NODE_NAME)
    ] * 2


async def test_a_node_that_goes_with_its_machine_is_no_ones_deed():
    world = World(started())
    async with running(world):
        await until(lambda: world.node(NODE_NAME))
        leaving = started()
        leaving["metadata"] |= {"deletionTimestamp": STARTED, "finalizers": ["ackbox.dev/node", "ackbox.dev/instance"]}
        world.change(leaving)
        deleted(world)
        await until(
            lambda: "ackbox.dev/node" not in world.management[INSTANCE].get("team", "i-1")["metadata"]["finalizers"]
        )
    assert mark(world) is None


async def test_a_machine_out_of_service_does_not_register():
    world = World(started(conditions=[broken("OperatingSystemReinstalled", "ComponentsGone")]))
    async with running(world):
        world.change(started())
        await until(lambda: world.node(NODE_NAME))
    assert len([call for call in world.cluster.calls if call[0] == "create"]) == 1


# What Services made

MARKS = [{"key": "kubernetes.do.not.delete", "value": "a1"}, {"key": "ack.aliyun.com", "value": "c1"}]


def balancer(tags=MARKS, **spec):
    return {
        "apiVersion": "ackbox.dev/v1alpha1",
        "kind": "ServiceLoadBalancer",
        "metadata": {"name": "a1", "namespace": "team"},
        "spec": {"tags": tags, **spec},
    }


def listener(**spec):
    return {
        "apiVersion": "ackbox.dev/v1alpha1",
        "kind": "Listener",
        "metadata": {"name": "a1-80-tcp", "namespace": "team"},
        "spec": {"loadBalancerId": "a1", "description": "k8s/80/web/apps/c1", "scheduler": "wrr", **spec},
    }


def service():
    metadata = {"name": "web", "namespace": "apps", "uid": "1"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"type": "LoadBalancer"}}


def test_a_change_by_hand_names_the_field_what_it_was_and_the_way_back():
    told = changed(listener(), listener(scheduler="rr", aclIds=["acl-1"]))
    assert told == [
        ("load-balancer-changed", "Listener a1-80-tcp: spec.aclIds was changed; scheduler was wrr and is rr")
    ]
    told = changed(balancer(), balancer([{"key": "ack.aliyun.com", "value": "mine"}], bandwidth=5))
    assert told == [
        (
            "load-balancer-tags-changed",
            "ServiceLoadBalancer a1: spec.tags: kubernetes.do.not.delete=a1, ack.aliyun.com=c1 is missing",
        ),
        ("load-balancer-changed", "ServiceLoadBalancer a1: spec.bandwidth was unset and is 5"),
    ]
    assert changed(balancer(), balancer([*MARKS, {"key": "mine", "value": "1"}])) == []


async def test_a_change_by_hand_is_told_on_the_service_and_an_own_one_is_not():
    world = World(balancer(), listener(), workload=[service()])
    with contextlib.ExitStack() as stack:
        stack.enter_context(ByHand(FACTS, world.management, world.workload, world.events).active())
        world.change(listener(scheduler="rr"))
        world.change(balancer(MARKS[:1]))
        [(_, changed_text), (_, tags_text)] = world.events.of("LoadBalancerChangedByHand")
        assert changed_text.endswith("scheduler was wrr and is rr: the load balancer misbehaves. Restore its settings.")
        assert tags_text.endswith("ack.aliyun.com=c1 is missing: the load balancer misbehaves. Restore the tags.")
        await world.management.patch(SERVICE_LOAD_BALANCER, "a1", "team", {"spec": {"bandwidth": 9}})
        assert len(world.events.of("LoadBalancerChangedByHand")) == 2


async def test_the_watch_may_be_faster_than_the_answer_to_an_own_write():
    world = World(listener(), workload=[service()])
    with contextlib.ExitStack() as stack:
        stack.enter_context(ByHand(FACTS, world.management, world.workload, world.events).active())
        with world.management._sending(type(SERVICE_LOAD_BALANCER)("", "", "", "Listener"), "a1-80-tcp", "team"):
            world.change(listener(scheduler="rr"))
        assert world.events.of("LoadBalancerChangedByHand") == []


async def test_a_node_that_goes_because_its_machine_left_the_cluster_is_no_ones_deed():
    world = World(started())
    async with running(world) as controller:
        await until(lambda: world.node(NODE_NAME))
        left = started()
        left["metadata"]["labels"] = {}
        left["spec"]["clusterId"] = None
        world.change(left)
        await until(lambda: ("delete", "Node", NODE_NAME) in world.cluster.calls)
        world.workload[NODE].remove(world.workload[NODE].get("", NODE_NAME))
        await until(lambda: not controller._deleted)
        world.change(started())
        await until(lambda: world.node(NODE_NAME))
    assert mark(world) is None
