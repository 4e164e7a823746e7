"""Routes: which entries a table has, which tables a cluster uses, and the controller on two clusters in memory."""

import asyncio
import contextlib
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_cluster import World, until
from test_ccm_config import config_map
from test_ccm_nodes import FACTS, cloud, known

from ackbox.catalog.quotas import QuotaName
from ackbox.ccm.nodes.controller import NodeController
from ackbox.ccm.nodes.model import Route
from ackbox.ccm.routes.controller import RouteController
from ackbox.ccm.routes.hosts import pod_cidr, wants_route
from ackbox.ccm.routes.plan import plan
from ackbox.ccm.routes.tables import choose
from ackbox.kube.errors import Forbidden, Unavailable
from ackbox.resources.cloudquota import QUOTA_NAME
from ackbox.resources.network import RouteEntry

PODS = IPv4Network("10.0.0.0/16")


def entry(cidr, instance_name):
    return RouteEntry(destination_cidr_block=cidr, next_hop_id=instance_name)


def pairs(result):
    return [(e.destination_cidr_block, e.next_hop_id) for e in result.entries]


def test_missing_routes_are_added_at_the_end():
    result = plan([entry("10.0.0.0/26", "i-1")], {"i-1": "10.0.0.0/26", "i-2": "10.0.0.64/26"}, set(), 48, PODS)
    assert pairs(result) == [("10.0.0.0/26", "i-1"), ("10.0.0.64/26", "i-2")]
    assert [e.next_hop_id for e in result.added] == ["i-2"]


def test_routes_of_others_stay_and_dead_ones_go():
    there = [entry("172.16.0.0/16", "i-user"), entry("10.0.0.0/26", "i-1")]
    assert pairs(plan(there, {}, {"i-1"}, 48, PODS)) == [("172.16.0.0/16", "i-user")]


def test_a_block_that_points_elsewhere_is_mended():
    result = plan([entry("10.0.0.0/26", "i-9")], {"i-1": "10.0.0.0/26"}, set(), 48, PODS)
    assert pairs(result) == [("10.0.0.0/26", "i-1")]


@pytest.mark.parametrize(
    ("cidr", "stays"),
    [("10.0.0.0/27", False), ("10.0.0.32/28", False), ("10.0.0.0/25", True), ("10.0.0.64/26", True)],
)
def test_an_entry_inside_a_nodes_block_takes_its_traffic_away_and_goes(cidr, stays):
    result = plan([entry(cidr, "i-user")], {"i-1": "10.0.0.0/26"}, set(), 48, PODS)
    assert ((cidr, "i-user") in pairs(result)) is stays
    assert ("10.0.0.0/26", "i-1") in pairs(result)


def test_a_node_loses_the_block_that_it_had_before():
    result = plan([entry("10.0.0.0/26", "i-1")], {"i-1": "10.0.1.0/26"}, set(), 48, PODS)
    assert pairs(result) == [("10.0.1.0/26", "i-1")]


def test_a_users_route_through_a_node_to_somewhere_else_stays():
    there = [entry("172.16.0.0/16", "i-1"), entry("10.0.0.0/26", "i-1")]
    assert pairs(plan(there, {"i-1": "10.0.0.0/26"}, set(), 48, PODS)) == pairs(plan(there, {}, set(), 48, PODS))


def test_of_two_nodes_with_one_block_the_one_that_has_the_route_keeps_it():
    result = plan([entry("10.0.0.0/26", "i-2")], {"i-1": "10.0.0.0/26", "i-2": "10.0.0.0/26"}, set(), 48, PODS)
    assert pairs(result) == [("10.0.0.0/26", "i-2")]
    assert result.refused == {"i-1": "pod CIDR 10.0.0.0/26 overlaps pod CIDR 10.0.0.0/26 of i-2"}


def test_a_node_inside_another_nodes_block_gets_no_route():
    result = plan([], {"i-1": "10.0.0.0/27", "i-2": "10.0.0.0/26"}, set(), 48, PODS)
    assert pairs(result) == [("10.0.0.0/26", "i-2")]
    assert "overlaps pod CIDR 10.0.0.0/26 of i-2" in result.refused["i-1"]


@pytest.mark.parametrize("bad", ["fd00::/64", "10.0.0", "x"])
def test_what_is_no_block_harms_nobody_else(bad):
    result = plan([entry(bad, "i-user")], {"i-1": bad, "i-2": "10.0.0.0/26"}, set(), 48, PODS)
    assert pairs(result) == [(bad, "i-user"), ("10.0.0.0/26", "i-2")]
    assert result.refused == {"i-1": f"pod CIDR {bad} is not an IPv4 block"}


def test_a_full_table_refuses_the_rest_with_a_reason():
    wanted = {f"i-{n}": f"10.0.{n}.0/26" for n in range(4)}
    result = plan([entry("172.16.0.0/16", "i-user")], wanted, set(), 3, PODS)
    assert len(result.entries) == 3
    assert result.refused.keys() == {"i-2", "i-3"}
    assert "quota" in result.refused["i-3"]
    assert "3 of 3" in result.refused["i-3"]


def test_a_lowered_limit_takes_nothing_away():
    there = [entry(f"10.0.{n}.0/26", f"i-{n}") for n in range(4)]
    assert len(plan(there, {f"i-{n}": f"10.0.{n}.0/26" for n in range(4)}, set(), 2, PODS).entries) == 4


HOPS = st.sampled_from([f"i-{n}" for n in range(5)])
BLOCKS = st.sampled_from([f"10.0.0.{start}/{length}" for length in (26, 27, 28) for start in (0, 16, 64)] + ["bad"])


@given(st.dictionaries(BLOCKS, HOPS), st.dictionaries(HOPS, BLOCKS), st.sets(HOPS), st.integers(0, 8))
def test_a_plan_is_stable_and_every_node_has_its_route_or_a_reason(table, wanted, dead, limit):
    wanted = {name: cidr for name, cidr in wanted.items() if name not in dead}
    first = plan([entry(cidr, hop) for cidr, hop in table.items()], wanted, dead, limit, PODS)
    again = plan(first.entries, wanted, dead, limit, PODS)
    assert again.entries == first.entries
    blocks = [IPv4Network(e.destination_cidr_block, strict=False) for e in first.added]
    assert len(set(blocks)) == len(blocks)
    for name, cidr in wanted.items():
        routed = IPv4Network(cidr, strict=False) if cidr != "bad" else None
        has = [e for e in first.entries if e.next_hop_id == name and e.destination_cidr_block != "bad"]
        found = routed in [IPv4Network(e.destination_cidr_block, strict=False) for e in has]
        assert found or name in first.refused


# Which machines, which tables


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"podCIDR": "10.1.0.0/26"}, "10.1.0.0/26"),
        ({"podCIDR": "fd00::/64", "podCIDRs": ["fd00::/64", "10.2.0.0/26"]}, "10.2.0.0/26"),
        ({}, "10.32.0.0/26"),
    ],
)
def test_a_nodes_block_is_its_first_ipv4_one(spec, expected):
    assert pod_cidr(cloud(), {"metadata": {}, "spec": spec}) == expected


@pytest.mark.parametrize(
    ("node", "phase", "routed", "expected"),
    [
        (None, "Running", False, True),
        (None, "Stopped", False, False),
        (None, "Stopped", True, True),
        (known(ready="Unknown"), "Running", False, False),
        (known(ready="Unknown"), "Running", True, True),
        (known(ready="False"), "Running", False, True),
        (known(labels={"service.alibabacloud.com/exclude-node": ""}), "Running", True, False),
        (known(provider="ack-hybrid://x"), "Running", False, False),
    ],
)
def test_machines_that_are_to_have_a_route(node, phase, routed, expected):
    assert wants_route(cloud(phase=phase), node, routed) is expected


def table(name="net", vpc="net", entries=(), table_id=None, **annotations):
    return {
        "apiVersion": "ackbox.dev/v1alpha1",
        "kind": "RouteTable",
        "metadata": {"name": name, "namespace": "team", "annotations": annotations},
        "spec": {
            "vpcId": vpc,
            "routeEntries": [
                {"destinationCidrBlock": cidr, "nextHopType": "Instance", "nextHopId": hop} for cidr, hop in entries
            ],
        },
        "status": {"routeTableId": table_id or f"vtb-{name}"},
    }


def test_the_only_table_of_the_vpc_is_used():
    assert choose([table()], (), "vpc-1").tables == (table(),)


@pytest.mark.parametrize(
    ("there", "wanted", "names", "problem"),
    [
        ([], (), [], "no route tables found by vpc id[vpc-1]"),
        (["a", "b"], (), [], "multiple route tables found by vpc id[vpc-1], length(tables)=2"),
        (["a", "b"], ("vtb-b",), ["b"], None),
        (["a", "b"], ("b", "vtb-a", "vtb-b"), ["b", "a"], None),
        (["a", "b"], ("a", "c"), ["a"], "[c] not found in vpc [vpc-1], which has: a, b"),
    ],
)
def test_tables_are_named_or_the_only_one(there, wanted, names, problem):
    found = choose([table(name) for name in there], wanted, "vpc-1")
    assert [each["metadata"]["name"] for each in found.tables] == names
    assert (found.problem is None) if problem is None else (problem in found.problem)


# The controller


VPC = {
    "apiVersion": "ackbox.dev/v1alpha1",
    "kind": "VPC",
    "metadata": {"name": "net", "namespace": "team"},
    "spec": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16"},
    "status": {"vpcId": "vpc-1"},
}
BLOCK = "10.32.0.0/26"


def machines(count):
    found = []
    for number in range(count):
        body = cloud(f"i-{number}")
        body["spec"]["node"]["podCidr"] = str(list(FACTS.pod_network.subnets(new_prefix=26))[number])
        body["spec"]["vpcAttributes"]["privateIpAddress"] = f"192.168.1.{number}"
        found.append(body)
    return found


def quota(limit):
    return {
        "apiVersion": "ackbox.dev/v1alpha1",
        "kind": "CloudQuota",
        "metadata": {"name": QUOTA_NAME, "namespace": "team"},
        "spec": {"hard": {QuotaName.ROUTE_ENTRIES: limit}},
    }


def entries(world, name="net"):
    there = world.there("RouteTable", name)["spec"]["routeEntries"]
    return {each["destinationCidrBlock"]: each["nextHopId"] for each in there}


def network(world, name="real"):
    conditions = (world.node(name) or {}).get("status", {}).get("conditions") or []
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == "NetworkUnavailable"), None)


@contextlib.asynccontextmanager
async def running(world, facts=FACTS):
    controller = NodeController(facts, world.management, world.workload, world.events, world.events)
    task = asyncio.create_task(controller.run())
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.wait([task])


CREATED, MISSING = ("False", "RouteCreated"), ("True", "NoRouteCreated")


async def test_a_pool_of_machines_is_routed_in_batches_before_its_nodes_come():
    world = World(VPC, table(), quota(200), *machines(120))
    async with running(world):
        await until(lambda: len(world.cluster.objects) == 120)
    writes = [call for call in world.cloud.calls if call[1] == "RouteTable"]
    assert len(entries(world)) == 120
    assert 3 <= len(writes) <= 6
    assert world.events.said == []
    assert network(world, "cn-hangzhou.192.168.1.7") == CREATED


async def test_a_route_for_a_node_that_is_there_is_told():
    world = World(VPC, table(), cloud(), workload=[known()])
    async with running(world):
        await until(lambda: network(world) == CREATED)
    assert world.events.of("CreatedRoute") == [("real", f"Created route for vtb-net with real -> {BLOCK} successfully")]


async def test_what_somebody_takes_out_or_turns_is_mended():
    world = World(VPC, table(), cloud(), workload=[known()])
    async with running(world):
        await until(lambda: entries(world) == {BLOCK: "i-1"})
        world.change(table(entries=[("172.16.0.0/16", "i-user")]))
        await until(lambda: entries(world) == {"172.16.0.0/16": "i-user", BLOCK: "i-1"})
        world.change(table(entries=[(BLOCK, "i-user"), ("10.32.0.0/28", "i-user")]))
        await until(lambda: entries(world) == {BLOCK: "i-1"})
        assert network(world) == CREATED


async def test_several_tables_have_every_route():
    world = World(VPC, table("a"), table("b"), table("c"), cloud(), workload=[known()])
    world.change(config_map('{"Global": {"routeTableIDs": "vtb-a,b"}}'))
    async with running(world):
        await until(lambda: network(world) == CREATED)
        assert (entries(world, "a"), entries(world, "b")) == ({BLOCK: "i-1"}, {BLOCK: "i-1"})
        assert entries(world, "c") == {}
        world.change(config_map('{"Global": {"routeTableIDs": "vtb-c"}}'))
        await until(lambda: entries(world, "c") == {BLOCK: "i-1"})
    assert entries(world, "a") == {BLOCK: "i-1"}


async def test_several_tables_and_none_named_is_a_problem_for_new_nodes_only():
    there = known(ready="True")
    world = World(VPC, table("a", entries=[(BLOCK, "i-1")]), table("b"), cloud(), workload=[there])
    async with running(world):
        await until(lambda: network(world) == CREATED)
        world.change(machines(3)[2])
        await until(lambda: network(world, "cn-hangzhou.192.168.1.2") == MISSING)
        assert network(world) == CREATED
        [(name, message)] = world.events.of("SyncRouteFailed")
        assert name == "route-controller"
        assert "multiple route tables found by vpc id[vpc-1], length(tables)=2" in message
        world.change(config_map('{"Global": {"routeTableIDs": "vtb-a"}}'))
        await until(lambda: network(world, "cn-hangzhou.192.168.1.2") == CREATED)
    assert entries(world, "b") == {}


async def test_a_table_that_is_not_there_holds_up_no_other():
    world = World(VPC, table("a"), cloud(), workload=[known()])
    world.change(config_map('{"Global": {"routeTableIDs": "vtb-a,vtb-x"}}'))
    async with running(world):
        await until(lambda: entries(world, "a") == {BLOCK: "i-1"})
        [(_, message)] = await until(lambda: world.events.of("SyncRouteFailed"))
    assert "[vtb-x] not found in vpc [vpc-1]" in message


async def test_one_entry_that_is_refused_keeps_no_other_out():
    world = World(VPC, table(), quota(200), *machines(60))

    def refuse(method, kind, body):
        return Forbidden(403, "Forbidden", "not i-3") if kind.kind == "RouteTable" and "'i-3'" in str(body) else None

    world.cloud.refuse = refuse
    async with running(world):
        await until(lambda: len(world.cluster.objects) == 60)
        [(name, message)] = await until(lambda: world.events.of("CreateRouteFailed"))
    assert (name, message) == ("cn-hangzhou.192.168.1.3", "Error creating route entry in vtb-net: not i-3")
    assert len(entries(world)) == 59
    assert network(world, name) == MISSING


async def test_a_table_that_cannot_be_written_is_said_and_tried_again(monkeypatch):
    monkeypatch.setattr("ackbox.ccm.routes.controller.FAILED_RETRY", 0.01)
    world, refusals = World(VPC, table("a"), table("b"), cloud()), [Unavailable(503, "", "busy")] * 2
    world.change(config_map('{"Global": {"routeTableIDs": "a,b"}}'))
    world.cloud.refuse = lambda _method, kind, _body: refusals.pop() if kind.kind == "RouteTable" and refusals else None
    async with running(world):
        await until(lambda: entries(world, "a") and entries(world, "b"))
    assert world.events.of("SyncRouteFailed") == [
        ("route-controller", "Error reconciling route, reconcile table [vtb-a,vtb-b] failed")
    ]


async def test_another_writer_of_the_table_is_respected():
    world = World(VPC, table(entries=[("10.32.0.0/28", "i-user")]), cloud())
    world.cloud.put(table(entries=[("10.32.0.0/28", "i-user"), ("172.16.0.0/16", "i-other")]))  # not told yet
    async with running(world):
        await until(lambda: entries(world) == {"172.16.0.0/16": "i-other", BLOCK: "i-1"})


async def test_a_paused_table_is_not_written():
    world = World(VPC, table("a", **{"ackbox.dev/paused": "true"}), table("b"), cloud(), workload=[known()])
    world.change(config_map('{"Global": {"routeTableIDs": "a,b"}}'))
    async with running(world):
        await until(lambda: entries(world, "b"))
        assert entries(world, "a") == {}
        world.change(table("a"))
        await until(lambda: entries(world, "a") == {BLOCK: "i-1"})


async def test_a_machine_is_routed_when_every_table_has_its_entry():
    world = World(VPC, table("a", entries=[(BLOCK, "i-1")]), table("b", **{"ackbox.dev/paused": "true"}), cloud())
    world.change(config_map('{"Global": {"routeTableIDs": "a,b"}}'))
    changed = []
    routes = RouteController(FACTS, world.management, world.workload, world.events, changed.append)
    task = asyncio.create_task(routes.run())
    await until(lambda: changed)
    assert routes.state(cloud()) is Route.WAITING
    world.change(table("b"))
    await until(lambda: routes.state(cloud()) is Route.CREATED)
    task.cancel()


async def test_those_that_are_refused_do_not_hold_up_those_behind_them(monkeypatch):
    monkeypatch.setattr("ackbox.ccm.routes.controller.REFUSED_RETRY", 0.01)
    world, bad = World(VPC, table(), quota(200), *machines(80)), [f"'i-{number}'" for number in range(60)]

    def refuse(method, kind, body):
        return (
            Forbidden(403, "Forbidden", "no")
            if kind.kind == "RouteTable" and any(b in str(body) for b in bad)
            else None
        )

    world.cloud.refuse = refuse
    async with running(world):
        await until(lambda: len(entries(world)) == 20)


async def test_a_released_machine_loses_node_and_routes_and_then_goes():
    gone = cloud(finalizers=["ackbox.dev/node"], deletionTimestamp="2026-01-01T00:00:00Z")
    mine = [(BLOCK, "i-1"), ("172.16.0.0/16", "i-user")]
    world = World(VPC, table("a", entries=mine), table("b", entries=mine), gone, workload=[known()])
    world.change(config_map('{"Global": {"routeTableIDs": "a,b"}}'))
    async with running(world):
        await until(lambda: world.node("real") is None)
        world.tell_gone("Node", "real")
        await until(lambda: world.there("Instance", "i-1")["metadata"]["finalizers"] == [])
    assert entries(world, "a") == entries(world, "b") == {"172.16.0.0/16": "i-user"}


async def test_an_excluded_node_gets_no_route_and_no_condition():
    excluded = known(labels={"service.alibabacloud.com/exclude-node": ""})
    world = World(VPC, table(), cloud(), machines(3)[2], workload=[excluded])
    async with running(world):
        await until(lambda: len(entries(world)) == 1)
    assert entries(world) == {"10.32.0.128/26": "i-2"}
    assert network(world) is None
