"""Where a load balancer's addresses come from."""

from ipaddress import IPv4Address

import pytest

from ackbox.cloud.allocation.addresses import integers
from ackbox.cloud.allocation.ledger import subnets
from ackbox.cloud.loadbalancers.plan import WHOLE, Places, assign, owned, places
from ackbox.kube.conditions import State
from ackbox.resources import ServiceLoadBalancer, Vpc
from ackbox.resources.network import Allocation


def balancer(**spec):
    return ServiceLoadBalancer.model_validate({"metadata": {"name": "b", "namespace": "n"}, "spec": spec})


def vpc(name="v", cidr="192.168.0.0/24"):
    switches = [
        {"vSwitchName": f"{name}-h", "zoneId": "cn-hangzhou-h", "cidrBlock": cidr},
        {"vSwitchName": f"{name}-i", "zoneId": "cn-hangzhou-i", "cidrBlock": "192.168.9.0/24"},
    ]
    return Vpc.model_validate(
        {
            "metadata": {"name": name, "uid": name},
            "spec": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": switches},
            "status": {"vpcId": f"vpc-{name}"},
        }
    )


def intranet(**spec):
    return balancer(addressType="intranet", vSwitchId="v-h", **spec)


def zone(letter, switch, **fields):
    return {"zoneId": f"cn-hangzhou-{letter}", "vSwitchId": switch, **fields}


def zonal(*mappings, kind="nlb", **spec):
    return balancer(loadBalancerType=kind, zoneMappings=list(mappings), **spec)


def where(wanted, cidr="192.168.0.0/24"):
    found = places(wanted, [vpc(cidr=cidr)])
    assert isinstance(found, Places)
    return found.each


def test_an_internet_clb_needs_no_vswitch():
    assert places(balancer(), []) is None
    assert places(balancer(networkType="classic"), []) is None


@pytest.mark.parametrize("reference", ["w-h", subnets(vpc("w"))[0].id])
@pytest.mark.parametrize("vpc_id", [None, "w", "vpc-w"])
def test_an_intranet_address_comes_from_its_vswitch(reference, vpc_id):
    wanted = balancer(addressType="intranet", vSwitchId=reference, vpcId=vpc_id, address="192.168.0.5")
    found = places(wanted, [vpc("v"), vpc("w")])
    assert isinstance(found, Places)
    (place,) = found.each
    assert (found.vpc.metadata.name, place.subnet.name, place.zone) == ("w", "w-h", WHOLE)
    assert (place.owner, place.wanted) == ("slb/b", "192.168.0.5")


@pytest.mark.parametrize("kind", ["nlb", "alb"])
def test_an_nlb_or_alb_takes_an_address_in_each_of_its_zones(kind):
    each = where(zonal(zone("h", "v-h"), zone("i", "v-i", privateIPv4Address="192.168.9.7"), kind=kind))
    assert [place.owner for place in each] == ["slb/b/cn-hangzhou-h", "slb/b/cn-hangzhou-i"]
    given = assign(each, {}, set())
    assert [entry.address for entry in given] == ["192.168.0.1", "192.168.9.7"]
    assert len({entry.v_switch_id for entry in given}) == 2


@pytest.mark.parametrize(
    ("wanted", "reason", "is_stalled"),
    [
        (balancer(address="192.168.0.9"), "InvalidParameter", True),
        (balancer(addressType="intranet"), "InvalidParameter", True),
        (intranet(networkType="classic"), "InvalidParameter", True),
        (intranet(vpcId="x"), "WaitingForVPC", False),
        (balancer(addressType="intranet", vSwitchId="x"), "WaitingForVSwitch", False),
        (zonal(), "ParameterMissing", True),
        (zonal(zone("h", "v-i")), "InvalidParameter", True),
        (zonal(zone("h", "v-h"), zone("i", "w-i")), "WaitingForVSwitch", False),
        (zonal(zone("h", "x")), "WaitingForVSwitch", False),
        (zonal(zone("h", "v-h"), vpcId="x"), "WaitingForVPC", False),
    ],
)
def test_what_is_missing_or_wrong_is_named(wanted, reason, is_stalled):
    """Among them: a vSwitch of another zone, and zones of two VPCs."""
    state = places(wanted, [vpc(), vpc("w")])
    assert isinstance(state, State)
    assert (state.reason, state.stalled) == (reason, is_stalled)
    assert "spec." in state.message


def test_a_free_address_is_reserved_under_the_load_balancers_name():
    (chosen,) = assign(where(intranet()), {}, integers(["192.168.0.1"]))
    assert (chosen.owner, chosen.address) == ("slb/b", "192.168.0.2")
    assert chosen.v_switch_id == subnets(vpc())[0].id


def test_a_clb_keeps_its_reservation_whatever_its_spec_says():
    held = Allocation(owner="slb/b", v_switch_id="other", address="192.168.0.77")
    assert assign(where(intranet(address="192.168.0.5")), {"slb/b": held}, integers(["192.168.0.77"])) == [held]


def test_a_zone_keeps_its_address_until_it_gets_another_vswitch():
    (place,) = where(zonal(zone("h", "v-h")))
    held = Allocation(owner=place.owner, v_switch_id=place.subnet.id, address="192.168.0.77")
    assert assign([place], {place.owner: held}, integers(["192.168.0.77"])) == [held]
    moved = held.model_copy(update={"v_switch_id": "other"})
    assert [entry.address for entry in assign([place], {place.owner: moved}, set())] == ["192.168.0.1"]


def test_what_belongs_to_a_load_balancer_is_known_by_its_name():
    owners = ["slb/b", "slb/b/cn-hangzhou-h", "slb/bb", "slb/bb/cn-hangzhou-h", "i-1"]
    assert owned("b", owners) == owners[:2]


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
@pytest.mark.parametrize("zoned", [False, True])
def test_an_address_that_can_not_be_had_stalls_it(address, reason, zoned):
    wanted = zonal(zone("h", "v-h", privateIPv4Address=address)) if zoned else intranet(address=address)
    state = assign(where(wanted), {}, integers(["192.168.0.9"]))
    assert isinstance(state, State)
    assert (state.reason, state.stalled) == (reason, True)
    assert address in state.message
    assert ("spec.zoneMappings[cn-hangzhou-h].privateIPv4Address" if zoned else "spec.address") in state.message


def test_two_zones_never_get_one_address():
    both = where(zonal(zone("h", "v-h"), zone("i", "v-i")))
    twice = [both[0], both[1].__class__("x", both[0].subnet, "slb/b/x", "192.168.0.1", "f")]
    state = assign(twice, {}, set())
    assert isinstance(state, State)
    assert state.reason == "ObtainIpFail"


def test_a_full_vswitch_is_waited_for():
    taken = {int(IPv4Address("192.168.0.1")) + n for n in range(4)}
    state = assign(where(intranet(), cidr="192.168.0.0/29"), {}, taken)
    assert isinstance(state, State)
    assert (state.reason, state.stalled) == ("VSwitchAvailableIpNotExist", False)
