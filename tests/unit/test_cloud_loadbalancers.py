"""Where a load balancer's address comes from."""

from ipaddress import IPv4Address

import pytest

from ackbox.cloud.allocation.addresses import integers
from ackbox.cloud.allocation.ledger import subnets
from ackbox.cloud.loadbalancers.plan import Place, choose, place, public_address
from ackbox.kube.conditions import State
from ackbox.resources import ServiceLoadBalancer, Vpc
from ackbox.resources.network import Allocation


def balancer(**spec):
    return ServiceLoadBalancer.model_validate({"metadata": {"name": "b", "namespace": "n"}, "spec": spec})


def vpc(name="v", cidr="192.168.0.0/24"):
    switch = {"vSwitchName": f"{name}-h", "zoneId": "cn-hangzhou-h", "cidrBlock": cidr}
    return Vpc.model_validate(
        {
            "metadata": {"name": name, "uid": name},
            "spec": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [switch]},
            "status": {"vpcId": f"vpc-{name}"},
        }
    )


def test_an_internet_address_needs_no_vswitch_and_is_as_unique_as_the_loopback_address():
    assert place(balancer(), []) is None
    assert public_address(IPv4Address("127.42.16.1")) == "198.18.16.1"
    assert public_address(IPv4Address("127.42.127.254")) == "198.18.127.254"


@pytest.mark.parametrize("reference", ["w-h", subnets(vpc("w"))[0].id])
@pytest.mark.parametrize("vpc_id", [None, "w", "vpc-w"])
def test_an_intranet_address_comes_from_its_vswitch(reference, vpc_id):
    where = place(balancer(addressType="intranet", vSwitchId=reference, vpcId=vpc_id), [vpc("v"), vpc("w")])
    assert isinstance(where, Place)
    assert (where.vpc.metadata.name, where.subnet.name) == ("w", "w-h")


@pytest.mark.parametrize(
    ("spec", "reason", "is_stalled"),
    [
        ({"addressIPVersion": "ipv6"}, "InvalidParameter", True),
        ({"address": "192.168.0.9"}, "InvalidParameter", True),
        ({"addressType": "intranet"}, "InvalidParameter", True),
        ({"addressType": "intranet", "vSwitchId": "v-h", "vpcId": "x"}, "WaitingForVPC", False),
        ({"addressType": "intranet", "vSwitchId": "x"}, "WaitingForVSwitch", False),
    ],
)
def test_what_is_missing_or_wrong_is_named(spec, reason, is_stalled):
    state = place(balancer(**spec), [vpc()])
    assert isinstance(state, State)
    assert (state.reason, state.stalled) == (reason, is_stalled)
    assert "spec." in state.message


SUBNET = subnets(vpc())[0]


def test_a_free_address_is_reserved_under_the_load_balancers_name():
    chosen = choose(balancer(), SUBNET, {}, integers(["192.168.0.1"]))
    assert isinstance(chosen, Allocation)
    assert (chosen.owner, chosen.address, chosen.v_switch_id) == ("slb/b", "192.168.0.2", SUBNET.id)


def test_the_reservation_it_has_is_kept():
    held = Allocation(owner="slb/b", v_switch_id=SUBNET.id, address="192.168.0.77")
    assert choose(balancer(address="192.168.0.5"), SUBNET, {"slb/b": held}, integers(["192.168.0.77"])) is held


def test_the_address_it_asks_for_is_given():
    chosen = choose(balancer(address="192.168.0.50"), SUBNET, {}, set())
    assert isinstance(chosen, Allocation)
    assert chosen.address == "192.168.0.50"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.168.1.5", "InvalidParameter"),
        ("192.168.0.0", "InvalidParameter"),
        ("192.168.0.255", "InvalidParameter"),
        ("what", "InvalidParameter"),
        ("192.168.0.9", "ObtainIpFail"),
    ],
)
def test_an_address_that_can_not_be_had_stalls_it(address, reason):
    state = choose(balancer(address=address), SUBNET, {}, integers(["192.168.0.9"]))
    assert isinstance(state, State)
    assert (state.reason, state.stalled) == (reason, True)
    assert address in state.message


def test_a_full_vswitch_is_waited_for():
    state = choose(
        balancer(), subnets(vpc(cidr="192.168.0.0/29"))[0], {}, {int(IPv4Address("192.168.0.1")) + n for n in range(4)}
    )
    assert isinstance(state, State)
    assert (state.reason, state.stalled) == ("VSwitchAvailableIpNotExist", False)
