"""Network interfaces of an instance type bound a node's pods: with Terway by their addresses, with Flannel by its block."""

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ackbox.catalog.instance_types import instance_types
from ackbox.catalog.quotas import QuotaName, quotas
from ackbox.cloud.allocation.addresses import block_addresses, usable
from ackbox.cloud.allocation.ledger import Draft, Subnet, find_subnet
from ackbox.cloud.allocation.security_groups import Room
from ackbox.cloud.nodepools import birth
from ackbox.cloud.nodepools.interfaces import PodBlocks
from ackbox.cloud.nodepools.plan import Site, allocate, usable_types
from ackbox.resources import ManagedCluster, NodePool, Vpc
from ackbox.resources.network import SecurityGroupStatus

FIXTURE = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "network.yaml").read_text())
G6 = instance_types()["ecs.g6.xlarge"]
NODES = Subnet("nodes", "vsw-n", "cn-hangzhou-h", IPv4Network("192.168.0.0/24"))
PODS = Subnet("pods", "vsw-p", "cn-hangzhou-h", IPv4Network("192.168.1.0/24"))
ELSEWHERE = Subnet("else", "vsw-e", "cn-hangzhou-i", IPv4Network("192.168.2.0/24"))

PLAIN = Site(
    cluster="c",
    pool="p",
    subnets=(NODES,),
    balanced=False,
    types=(G6,),
    held={},
    taken=frozenset(),
    pod_network=None,
    pod_mask=26,
    pod_taken=(),
)
TERWAY = replace(PLAIN, pod_subnets=(PODS,))


def ids():
    count = iter(range(10_000))
    return lambda: f"i-{next(count)}"


@pytest.mark.parametrize(("name", "pods"), FIXTURE["terway_pods"].items())
def test_with_terway_a_node_has_as_many_pods_as_its_secondary_interfaces_have_addresses(name, pods):
    assert instance_types()[name].terway_pods == pods
    assert usable_types([name], terway=True) == ([instance_types()[name]], None)


@pytest.mark.parametrize("name", [*FIXTURE["terway_refused"], "ecs.c6a.xlarge"])
def test_a_type_with_too_few_addresses_or_none_known_is_no_node_with_terway(name):
    good, wrong = usable_types([name, "ecs.g6.xlarge"], terway=True)
    assert good == [G6]
    assert wrong is not None
    assert f"{name} (" in wrong
    assert "more than 11 pods" in wrong
    assert usable_types([name])[1] is None


@pytest.mark.parametrize(("mask", "pods"), FIXTURE["flannel_pods"]["by_mask"].items())
def test_with_flannel_the_block_of_a_node_bounds_its_pods(mask, pods):
    (made,), _ = allocate(1, replace(PLAIN, pod_network=IPv4Network("10.0.0.0/16"), pod_mask=mask), ids())
    assert made.secondary_enis is None
    assert pods <= FIXTURE["flannel_pods"]["most"]
    assert node(made, containerCidr="10.0.0.0/16", nodeCidrMask=mask)["maxPods"] == pods


def node(entry, **spec):
    switch = {"vSwitchName": "nodes", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/24"}
    vpc = Vpc.model_validate(
        {
            "metadata": {"name": "v", "uid": "u"},
            "spec": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [switch]},
        }
    )
    where = find_subnet(vpc, "nodes")
    assert where is not None
    cluster = {"regionId": "cn-hangzhou", "vpcId": "v", "vswitchIds": ["nodes"]} | spec
    group = {"instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["nodes"]}
    pool = NodePool.model_validate({"metadata": {"name": "p"}, "spec": {"clusterId": "c", "scalingGroup": group}})
    owner = ManagedCluster.model_validate({"metadata": {"name": "c", "uid": "cu"}, "spec": cluster})
    made = birth.instance(pool, owner, vpc, entry.model_copy(update={"v_switch_id": where.id}))
    return made["spec"]["node"]


def test_a_terway_node_is_born_with_its_block_and_counts_its_interfaces():
    (made,), shortage = allocate(1, TERWAY, ids())
    assert shortage is None
    assert (made.secondary_enis, made.pod_cidr) == (G6.enis - 1, None)
    assert (made.pod_v_switch_id, made.pod_block) == ("vsw-p", "192.168.1.192/27")
    born = node(made, addons=[{"name": "terway-eniip"}])
    assert (born["podCidr"], born["maxPods"]) == ("192.168.1.192/27", 20)


def test_a_vswitch_for_pods_that_has_no_block_left_is_named():
    made, shortage = allocate(9, TERWAY, ids())
    assert len(made) == 6  # Of eight blocks, the first and the last one have addresses that the cloud keeps.
    assert shortage is not None
    assert (shortage.code, shortage.missing) == ("InvalidVSwitchId.IpNotEnough", 3)
    assert shortage.message.endswith("spec.podVswitchIds: pods")
    made, shortage = allocate(1, replace(TERWAY, pod_subnets=(ELSEWHERE,)), ids())
    assert made == []
    assert shortage is not None
    assert "none in cn-hangzhou-h" in shortage.message


def test_machines_go_where_their_pods_have_room():
    both = replace(TERWAY, subnets=(NODES, ELSEWHERE), pod_subnets=(PODS, ELSEWHERE))
    made, shortage = allocate(9, both, ids())
    assert shortage is None
    assert [entry.pod_v_switch_id for entry in made] == ["vsw-p"] * 6 + ["vsw-e"] * 3


@given(st.sets(st.integers(min_value=0, max_value=255)), st.integers(min_value=1, max_value=40))
def test_machines_and_pods_share_a_vswitch_and_never_an_address(taken, count):
    first = int(NODES.cidr.network_address)
    site = replace(TERWAY, pod_subnets=(NODES,), taken=frozenset(first + each for each in taken))
    made, _ = allocate(count, site, ids())
    given_out = [int(each) for entry in made for each in block_addresses(entry.pod_block)]
    given_out += [int(block_addresses(f"{entry.address}/32").start) for entry in made]
    assert len(set(given_out)) == len(given_out) == len(made) * 33
    assert site.taken.isdisjoint(given_out)
    assert set(given_out) <= set(usable(NODES.cidr))


def lower(count):
    return frozenset(int(NODES.cidr[each]) for each in range(count))


def test_a_machine_and_a_block_side_by_side_do_not_meet():
    made, _ = allocate(2, replace(TERWAY, pod_subnets=(NODES, PODS), taken=lower(191)), ids())
    assert [entry.address for entry in made] == ["192.168.0.191", "192.168.0.224"]
    assert [entry.pod_block for entry in made] == ["192.168.0.192/27", "192.168.1.192/27"]
    (made,), _ = allocate(1, replace(TERWAY, pod_subnets=(NODES, PODS), taken=lower(192)), ids())
    assert (made.address, made.pod_v_switch_id) == ("192.168.0.192", "vsw-p")


def test_a_block_has_room_for_all_pods():
    for pods, size in ((1, 1), (20, 32), (32, 32), (33, 64), (140, 256), (256, 256)):
        wide = Subnet("wide", "vsw-w", "z", IPv4Network("10.0.0.0/16"))
        found = PodBlocks([wide], set()).take("z", pods, ())
        assert found is not None
        assert found[1].num_addresses == size


def test_addresses_of_pods_are_taken_in_the_vpc():
    (made,), _ = allocate(1, TERWAY, ids())
    switch = {"vSwitchName": "pods", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.1.0/24"}
    vpc = {
        "metadata": {"name": "v", "uid": "u"},
        "spec": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [switch]},
    }
    where = find_subnet(Vpc.model_validate(vpc), "pods")
    assert where is not None
    draft = Draft(vpc)
    draft.reserve([made.model_copy(update={"pod_v_switch_id": where.id})])
    assert set(block_addresses("192.168.1.192/27")) <= draft.taken()
    (shown,) = draft.difference()["vswitches"]
    assert shown["availableIpAddressCount"] == 252 - 32


def test_a_full_security_group_stops_the_pool():
    group = SecurityGroupStatus(security_group_id="sg-1", security_group_name="one", security_group_type="normal")
    made, shortage = allocate(3, replace(PLAIN, rooms=(Room(group, 1998),)), ids())
    assert len(made) == 2
    assert shortage is not None
    assert (shortage.code, shortage.missing) == ("QuotaExceeded.SecurityGroupInstance", 1)
    # With Terway the interfaces of the pods are in the group too: three addresses a machine.
    made, _ = allocate(3, replace(TERWAY, rooms=(Room(group, 1994),)), ids())
    assert len(made) == 2


def test_route_entries_are_those_of_the_product():
    assert quotas()[QuotaName.ROUTE_ENTRIES].hard == FIXTURE["route_entries"]
