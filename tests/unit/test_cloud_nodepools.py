"""What a node pool does next: scale out and in, shortages, crashes half-way."""

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ackbox.catalog.instance_types import instance_types
from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation.ids import v_switch_id
from ackbox.cloud.allocation.ledger import Subnet
from ackbox.cloud.allocation.quota import Budget
from ackbox.cloud.nodepools import birth
from ackbox.cloud.nodepools.plan import Machine, PoolPlan, Shortage, Site, allocate, plan, usable_types
from ackbox.cloud.nodepools.status import pool_status
from ackbox.kube.conditions import stalled
from ackbox.resources import ManagedCluster, NodePool, Vpc
from ackbox.resources.network import Allocation

H = Subnet("h", "vsw-h", "cn-hangzhou-h", IPv4Network("192.168.0.0/24"))
I = Subnet("i", "vsw-i", "cn-hangzhou-i", IPv4Network("192.168.1.0/24"))  # noqa: E741 - a zone's letter
TINY = Subnet("tiny", "vsw-t", "cn-hangzhou-h", IPv4Network("192.168.2.0/29"))
SMALL, LARGE = instance_types()["ecs.g6.xlarge"], instance_types()["ecs.g6.2xlarge"]


def vcpu(kind) -> int:
    return kind.vcpu


def budgets(nodes=(0, 100), vcpus=(0, 500), routes=(0, 100)) -> tuple[Budget, ...]:
    return (
        Budget(QuotaName.NODES, *nodes),
        Budget(QuotaName.ROUTE_ENTRIES, *routes),
        Budget(QuotaName.VCPUS, *vcpus, vcpu),
    )


def site(**changes) -> Site:
    default = Site(
        cluster="c",
        pool="p",
        subnets=(H, I),
        balanced=False,
        types=(SMALL,),
        held={},
        taken=frozenset(),
        pod_network=IPv4Network("10.0.0.0/16"),
        pod_mask=26,
        pod_taken=(),
        budgets=budgets(),
    )
    return replace(default, **changes)


def numbered():
    count = iter(range(10_000))
    return lambda: f"i-{next(count)}"


def machine(name: str, phase: str | None = "Running", created: str = "2026-01-01T00:00:00Z", deleting: bool = False):
    return Machine(name, phase, created, deleting)


def entry(owner: str) -> Allocation:
    return Allocation(owner=owner, v_switch_id="vsw-h", address="192.168.0.9", cluster="c", node_pool="p")


def planned(desired: int, machines: list[Machine], entries: list[Allocation], where: Site | None = None) -> PoolPlan:
    return plan(desired, {each.name: each for each in machines}, entries, lambda: where or site(), numbered())


def test_scale_out_reserves_before_it_creates():
    result = planned(3, [], [])
    assert len(result.reserve) == 3
    assert result.create == result.reserve
    assert result.shortage is None
    assert {each.pod_cidr for each in result.reserve} == {"10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26"}
    assert [each.address for each in result.reserve] == ["192.168.0.1", "192.168.0.2", "192.168.0.3"]


def test_a_pool_at_its_size_does_nothing():
    assert planned(1, [machine("i-a")], [entry("i-a")]) == PoolPlan()


def test_a_reservation_without_its_machine_is_made_up_for_with_the_same_id():
    result = planned(2, [machine("i-a")], [entry("i-a"), entry("i-b")])
    assert (result.reserve, [each.owner for each in result.create]) == ((), ["i-b"])


def test_a_reservation_without_its_machine_is_forgotten_first_when_there_are_too_many():
    result = planned(1, [machine("i-a")], [entry("i-a"), entry("i-b")])
    assert result == PoolPlan(forget=("i-b",))


def test_a_machine_that_is_being_deleted_is_replaced_by_a_new_one():
    result = planned(1, [machine("i-a", deleting=True)], [entry("i-a")])
    assert len(result.reserve) == 1
    assert result.reserve[0].owner != "i-a"


def test_scale_in_takes_machines_that_do_not_serve_first_then_the_newest():
    machines = [
        machine("i-old", created="2026-01-01T00:00:00Z"),
        machine("i-new", created="2026-01-03T00:00:00Z"),
        machine("i-mid", created="2026-01-02T00:00:00Z"),
        machine("i-stopped", phase="Stopped", created="2026-01-01T00:00:00Z"),
        machine("i-going", deleting=True),
    ]
    entries = [entry(each.name) for each in machines]
    assert planned(3, machines, entries).delete == ("i-stopped",)
    assert planned(2, machines, entries).delete == ("i-stopped", "i-new")
    assert set(planned(0, machines, entries).delete) == {"i-old", "i-new", "i-mid", "i-stopped"}


@pytest.mark.parametrize(
    ("changes", "had", "code"),
    [
        ({"budgets": budgets(nodes=(98, 100))}, 2, "QuotaExceeded.Node"),
        ({"budgets": budgets(vcpus=(490, 500))}, 2, "QuotaExceed.ElasticQuota"),
        ({"budgets": budgets(routes=(47, 48))}, 1, "QuotaExceeded.RouteEntry"),
        ({"subnets": (TINY,)}, 4, "InvalidVSwitchId.IpNotEnough"),
        ({"pod_network": IPv4Network("10.0.0.0/25")}, 2, "InvalidCIDR.PodCidrNotEnough"),
    ],
)
def test_what_can_be_had_is_had_and_the_rest_is_named(changes, had, code):
    result = planned(6, [], [], site(**changes))
    assert len(result.reserve) == len(result.create) == had
    assert result.shortage is not None
    assert (result.shortage.code, result.shortage.missing) == (code, 6 - had)


def test_without_a_pod_network_there_are_no_pod_cidrs():
    result = planned(3, [], [], site(pod_network=None))
    assert len(result.reserve) == 3
    assert {each.pod_cidr for each in result.reserve} == {None}


def test_a_smaller_type_is_taken_where_the_preferred_one_exceeds_the_quota():
    reserved, shortage = allocate(2, site(types=(LARGE, SMALL), budgets=budgets(vcpus=(0, 12))), numbered())
    assert [each.instance_type for each in reserved] == [LARGE.name, SMALL.name]
    assert shortage is None


def test_priority_fills_the_first_vswitch_and_balance_spreads():
    priority, _ = allocate(6, site(subnets=(TINY, H)), numbered())
    assert Counter(each.v_switch_id for each in priority) == {"vsw-t": 4, "vsw-h": 2}
    balance, _ = allocate(6, site(balanced=True), numbered())
    assert Counter(each.v_switch_id for each in balance) == {"vsw-h": 3, "vsw-i": 3}
    refilled, _ = allocate(2, site(balanced=True, held={"vsw-h": 2}), numbered())
    assert Counter(each.v_switch_id for each in refilled) == {"vsw-i": 2}


@given(
    need=st.integers(min_value=0, max_value=60),
    taken=st.sets(st.integers(min_value=1, max_value=252)),
    pod_taken=st.sets(st.integers(min_value=0, max_value=63), max_size=40),
    balanced=st.booleans(),
    nodes=st.integers(min_value=0, max_value=60),
)
def test_nothing_is_handed_out_twice(need, taken, pod_taken, balanced, nodes):
    base = int(H.cidr.network_address)
    network = IPv4Network("10.0.0.0/20")
    blocks = [block for index, block in enumerate(network.subnets(new_prefix=26)) if index in pod_taken]
    where = site(
        balanced=balanced,
        taken={base + offset for offset in taken},
        pod_network=network,
        pod_taken=blocks,
        budgets=budgets(nodes=(0, nodes)),
    )
    reserved, shortage = allocate(need, where, numbered())
    addresses = [int(IPv4Address(each.address)) for each in reserved]
    cidrs = [IPv4Network(each.pod_cidr) for each in reserved if each.pod_cidr]
    assert len(set(addresses)) == len(addresses)
    assert not set(addresses) & set(where.taken)
    assert len(set(cidrs)) == len(cidrs) == len(reserved)
    assert not set(cidrs) & set(blocks)
    assert len(reserved) <= nodes
    assert len(reserved) + (shortage.missing if shortage else 0) == need


def test_types_that_can_not_be_nodes_are_named():
    good, wrong = usable_types(["ecs.g6.xlarge", "ecs.c6.large", "ecs.nothing"])
    assert [kind.name for kind in good] == ["ecs.g6.xlarge"]
    assert "ecs.c6.large: a node needs at least 4 vCPUs and 8 GiB" in wrong
    assert "ecs.nothing: no such instance type" in wrong
    assert usable_types(["ecs.g6.xlarge"])[1] is None


@pytest.mark.parametrize(
    ("desired", "machines", "result", "phase", "reason", "is_ready"),
    [
        (1, [machine("i-a")], PoolPlan(), "active", "Active", "True"),
        (2, [machine("i-a")], PoolPlan(create=(entry("i-b"),)), "scaling", "ScalingOut", "False"),
        (1, [machine("i-a", phase="Pending")], PoolPlan(), "scaling", "ScalingOut", "False"),
        (0, [machine("i-a")], PoolPlan(delete=("i-a",)), "removing", "ScalingIn", "False"),
        (0, [machine("i-a", deleting=True)], PoolPlan(), "removing", "ScalingIn", "False"),
        (2, [machine("i-a")], PoolPlan(shortage=Shortage("Code", "Why.", 1)), "active", "Code", "False"),
        (1, [machine("i-a", phase="Stopped")], PoolPlan(), "active", "Active", "True"),
    ],
)
def test_a_pool_says_what_it_does(desired, machines, result, phase, reason, is_ready):
    status = pool_status(desired, {each.name: each for each in machines}, result)
    assert (status.phase, status.state.reason, status.state.ready) == (phase, reason, is_ready)


def test_a_pool_whose_spec_is_partly_wrong_says_so_once_it_is_at_its_size():
    problem = stalled("InvalidVSwitchId.NotFound", "x")
    assert pool_status(1, {"i-a": machine("i-a")}, PoolPlan(), problem).state is problem


def test_a_reservation_becomes_an_instance():
    pool = NodePool.model_validate(
        {
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {
                "clusterId": "c",
                "scalingGroup": {"instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["h"]},
                "kubernetesConfig": {
                    "labels": [{"key": "a", "value": "b"}],
                    "taints": [{"key": "t", "effect": "NoExecute"}],
                },
                "emulation": {"bootDelaySeconds": 3},
            },
            "status": {"nodepoolId": "np1"},
        }
    )
    cluster = ManagedCluster.model_validate(
        {"metadata": {"name": "c"}, "spec": {"regionId": "cn-hangzhou", "vpcId": "v", "nodeCidrMask": 25}}
    )
    switch = {"vSwitchName": "h", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/24"}
    vpc = Vpc.model_validate(
        {
            "metadata": {"name": "v", "uid": "u"},
            "spec": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [switch]},
            "status": {"vpcId": "vpc-1"},
        }
    )
    reservation = Allocation(
        owner="i-1",
        v_switch_id=v_switch_id("u", "h"),
        address="192.168.0.1",
        pod_cidr="10.0.0.0/25",
        instance_type="ecs.g6.xlarge",
    )
    made = birth.instance(pool, cluster, vpc, reservation)
    assert made["metadata"] == {
        "name": "i-1",
        "labels": {"ackbox.dev/cluster": "c", "ackbox.dev/nodepool": "p"},
        "finalizers": ["ackbox.dev/instance", "ackbox.dev/node"],
    }
    spec = made["spec"]
    assert (spec["zoneId"], spec["cpu"], spec["memory"], spec["bootDelaySeconds"]) == ("cn-hangzhou-h", 4, 16, 3)
    assert spec["vpcAttributes"]["privateIpAddress"] == "192.168.0.1"
    assert spec["node"]["podCidr"] == "10.0.0.0/25"
    assert spec["node"]["maxPods"] == 128
    assert spec["node"]["labels"] == [{"key": "a", "value": "b"}]
