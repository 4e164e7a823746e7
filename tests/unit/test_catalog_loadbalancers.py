"""What load balancers can do, by kind, specification and charge type."""

import pytest

from ackbox.catalog.loadbalancers import Limits, limits, specs
from ackbox.catalog.network import network_rules
from ackbox.resources.loadbalancer import ServiceLoadBalancerSpec

ZONES = [{"zoneId": "cn-hangzhou-h", "vSwitchId": "h"}, {"zoneId": "cn-hangzhou-i", "vSwitchId": "i"}]


def of(**spec):
    return limits(ServiceLoadBalancerSpec.model_validate(spec))


def test_the_specifications_grow():
    assert list(specs()) == [
        "slb.s1.small",
        "slb.s2.small",
        "slb.s2.medium",
        "slb.s3.small",
        "slb.s3.medium",
        "slb.s3.large",
    ]
    figures = [(each.connections, each.new_connections, each.requests) for each in specs().values()]
    assert figures == sorted(figures)
    assert figures[0] == (5000, 3000, 1000)


@pytest.mark.parametrize(
    ("spec", "limit"),
    [
        ({"instanceChargeType": "PayBySpec"}, Limits(5000, 3000, 1000, 5000)),
        ({"instanceChargeType": "PayBySpec", "loadBalancerSpec": "slb.s2.small"}, Limits(50000, 5000, 5000, 5000)),
        ({"instanceChargeType": "PayBySpec", "loadBalancerSpec": "unheard"}, Limits(5000, 3000, 1000, 5000)),
        ({"loadBalancerSpec": "slb.s1.small"}, Limits(1000000, 100000, 50000, 5000)),
    ],
)
def test_a_specification_counts_when_it_is_paid_for(spec, limit):
    assert of(**spec) == limit


def test_bandwidth_counts_when_it_is_paid_for():
    bought = {"instanceChargeType": "PayBySpec", "bandwidth": 20}
    assert of(**bought, internetChargeType="paybybandwidth").bandwidth == 20
    assert of(**bought, internetChargeType="paybytraffic").bandwidth == 5000
    assert of(**bought).bandwidth == 5000


def test_the_bandwidth_that_is_paid_for_unnamed_is_the_clouds_least():
    assert of(instanceChargeType="PayBySpec", internetChargeType="paybybandwidth").bandwidth == 1


def test_an_nlb_takes_more_with_each_zone():
    one = of(loadBalancerType="nlb", addressType="intranet", zoneMappings=ZONES[:1])
    two = of(loadBalancerType="nlb", addressType="intranet", zoneMappings=ZONES)
    assert two == one.times(2)
    assert one.requests is None


@pytest.mark.parametrize("kind", ["nlb", "alb"])
def test_internet_bandwidth_is_that_of_the_elastic_addresses_unless_a_package_lifts_it(kind):
    assert of(loadBalancerType=kind, zoneMappings=ZONES).bandwidth == 400
    assert of(loadBalancerType=kind, zoneMappings=ZONES, bandwidthPackageId="cbwp-1").bandwidth is None


def test_addresses_of_different_kinds_never_meet():
    elastic, public = network_rules().elastic_addresses, network_rules().public_addresses
    assert elastic.subnet_of(public)
    assert public[0x7FFF] < elastic[0]  # The Internet addresses of CLBs end at the loopback range's last one.
