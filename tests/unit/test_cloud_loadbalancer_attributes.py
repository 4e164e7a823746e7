"""What the cloud gives a load balancer besides its private addresses."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.loadbalancers.attributes import (
    bound_elsewhere,
    busy,
    crowding,
    elastic_ids,
    missing,
    public_address,
    shown,
    with_ids,
)
from ackbox.resources import ServiceLoadBalancer

REACHABLE, NUMBER = "127.42.16.1", 0x1001
ZONES = [
    {"zoneId": "cn-hangzhou-h", "vSwitchId": "v-h"},
    {"zoneId": "cn-hangzhou-i", "vSwitchId": "v-i", "allocationId": "eip-mine"},
]
PRIVATE = {"cn-hangzhou-h": ("192.168.0.1", "vsw-h"), "cn-hangzhou-i": ("192.168.9.1", "vsw-i")}


def raw(name="b", bound=(), born="2026-01-01T00:00:00Z", **spec):
    held = [{"allocationId": eip, "ipAddress": "198.19.0.9"} for eip in bound]
    meta = {"name": name, "namespace": "n", "uid": f"uid-{name}", "creationTimestamp": born}
    return {"metadata": meta, "spec": spec, "status": {"eips": held}}


def balancer(**fields):
    return ServiceLoadBalancer.model_validate(raw(**fields))


def test_an_internet_address_is_as_unique_as_the_number_of_its_load_balancer():
    assert public_address(0x1001) == "198.18.16.1"
    assert public_address(0x7FFE) == "198.18.127.254"


def status_of(wanted, private=None, elastic=None):
    return shown(wanted, REACHABLE, NUMBER, private or {}, elastic or {}, "cn-hangzhou")


def test_a_clb_shows_its_public_or_its_private_address_and_no_name():
    public = status_of(balancer())
    assert public["loadBalancerId"].startswith("lb-")
    assert (public["address"], public["dnsName"], public["zoneMappings"]) == ("198.18.16.1", None, None)
    private = status_of(balancer(addressType="intranet"), {"": ("192.168.0.1", "vsw-h")}, {"eip-1": "198.19.0.7"})
    assert private["address"] == "192.168.0.1"
    assert private["eips"] == [{"allocationId": "eip-1", "ipAddress": "198.19.0.7"}]


@pytest.mark.parametrize("kind", ["nlb", "alb"])
def test_an_nlb_or_alb_has_a_name_and_an_address_in_each_zone(kind):
    wanted = balancer(loadBalancerType=kind, zoneMappings=ZONES)
    elastic = {each: f"198.19.0.{n}" for n, each in enumerate(elastic_ids(wanted).values(), 1)}
    status = status_of(wanted, PRIVATE, elastic)
    assert status["loadBalancerId"].startswith(f"{kind}-")
    assert status["dnsName"] == f"{status['loadBalancerId']}.cn-hangzhou.{kind}.aliyuncs.com"
    first, second = status["zoneMappings"]
    assert first["allocationId"].startswith("eip-")
    assert second["allocationId"] == "eip-mine"
    assert (first["privateIPv4Address"], second["privateIPv4Address"]) == ("192.168.0.1", "192.168.9.1")
    assert status["address"] == first["publicIPv4Address"] != second["publicIPv4Address"]
    assert len(status["eips"]) == 2


def test_an_intranet_nlb_has_private_addresses_only():
    wanted = balancer(loadBalancerType="nlb", addressType="intranet", zoneMappings=ZONES)
    assert elastic_ids(wanted) == {}
    status = status_of(wanted, PRIVATE)
    assert (status["address"], status["eips"]) == ("192.168.0.1", None)
    assert all("publicIPv4Address" not in zone for zone in status["zoneMappings"])


@pytest.mark.parametrize(("version", "has_one"), [("ipv4", False), ("ipv6", True), ("DualStack", True)])
def test_an_ipv6_address_is_shown_where_there_is_one(version, has_one):
    address = status_of(balancer(addressIPVersion=version))["addressIPv6"]
    assert (address is not None) == has_one
    assert address is None or IPv6Address(address) in IPv6Network("2001:db8::/32")


def test_the_address_of_an_ipv6_clb_is_the_ipv6_one():
    status = status_of(balancer(addressIPVersion="ipv6"))
    assert status["address"] == status["addressIPv6"]


def test_source_ranges_are_kept_in_a_security_group_of_its_own():
    assert status_of(balancer())["sourceRangeSecurityGroupId"] is None
    assert status_of(balancer(sourceRanges=["10.0.0.0/8"]))["sourceRangeSecurityGroupId"].startswith("sg-")


def test_elastic_addresses_can_be_named_by_their_objects():
    spec = {"addressType": "intranet", "eips": [{"allocationId": "office"}]}
    assert elastic_ids(with_ids(balancer(**spec), {"office": "eip-1"})) == {"": "eip-1"}
    zones = with_ids(balancer(loadBalancerType="nlb", zoneMappings=ZONES), {"eip-mine": "eip-2"})
    assert elastic_ids(zones)["cn-hangzhou-i"] == "eip-2"
    assert elastic_ids(zones)["cn-hangzhou-h"].startswith("eip-")
    young, old = raw(name="a", born="2026-01-02T00:00:00Z", **spec), raw(**spec)
    late = with_ids(ServiceLoadBalancer.model_validate(young), {"office": "eip-1"})
    assert bound_elsewhere(late, ["eip-1"], [old], {"office": "eip-1"}) == {"eip-1": "load balancer b"}


def test_an_elastic_address_that_is_not_there_yet_is_waited_for():
    told = missing(["office"], {})
    assert told is not None
    assert (told.reason, told.stalled) == ("InvalidAllocationId.NotFound", False)
    assert "office" in told.message
    waiting = missing(["eip-1"], {"eip-1": None})
    assert waiting is not None
    assert "eip-1 is being allocated" in waiting.message
    assert missing(["eip-1", "eip-bought-elsewhere"], {"eip-1": "198.19.0.1"}) is None


def test_who_has_an_elastic_address_keeps_it_else_the_older_one_gets_it():
    spec = {"addressType": "intranet", "eips": [{"allocationId": "eip-1"}]}
    young = {"name": "a", "born": "2026-01-02T00:00:00Z", **spec}
    assert bound_elsewhere(balancer(**young), ["eip-1"], [raw(**young), raw(**spec)], {}) == {
        "eip-1": "load balancer b"
    }
    assert bound_elsewhere(balancer(**spec), ["eip-1"], [raw(**young), raw(**spec)], {}) == {}
    has = raw(**young, bound=["eip-1"])
    assert bound_elsewhere(balancer(**spec), ["eip-1"], [has], {}) == {"eip-1": "load balancer a"}
    assert bound_elsewhere(ServiceLoadBalancer.model_validate(has), ["eip-1"], [raw(**spec)], {}) == {}
    given_up = raw(name="a", bound=["eip-1"])
    assert bound_elsewhere(balancer(**spec), ["eip-1"], [given_up], {}) == {"eip-1": "load balancer a"}


def test_a_bound_elastic_address_is_told_of():
    state = busy({"eip-1": "load balancer a"})
    assert state is not None
    assert state.reason == "IncorrectEipStatus"
    assert "eip-1 is bound to load balancer a" in state.message
    assert busy({}) is None


@pytest.mark.parametrize(
    ("listeners", "backends", "reason"),
    [(2, 3, "Active"), (3, 3, "ListenerNumberOverLimit"), (2, 4, "BackendServerNumberOverLimit")],
)
def test_a_load_balancer_over_its_quota_serves_and_says_so(listeners, backends, reason):
    state = crowding(listeners, backends, {QuotaName.LISTENERS: 2, QuotaName.BACKENDS: 3})
    assert (state.ready, state.reason) == ("True", reason)
