"""The catalog's tables load, agree with each other and give what ACK gives."""

from ipaddress import IPv4Network

import pytest

from ackbox.catalog.instance_types import instance_types, vcpus
from ackbox.catalog.network import network_rules
from ackbox.catalog.regions import regions


@pytest.mark.parametrize(
    ("region", "zone"),
    [("cn-hangzhou", "cn-hangzhou-h"), ("ap-southeast-1", "ap-southeast-1a"), ("cn-beijing", "cn-beijing-a")],
)
def test_zones_are_spelled_as_the_cloud_spells_them(region, zone):
    assert zone in regions()[region].zones


def test_instance_types_and_what_a_node_needs():
    xlarge = instance_types()["ecs.g6.xlarge"]
    assert (xlarge.vcpu, xlarge.memory, xlarge.fits_node) == (4, 16, True)
    assert not instance_types()["ecs.c6.large"].fits_node
    assert instance_types()["ecs.c6.xlarge"].fits_node
    assert len(instance_types()) > 500
    assert vcpus("ecs.g6.2xlarge") == 8
    assert vcpus("ecs.nothing") == vcpus(None) == 0


def test_network_rules():
    rules = network_rules()
    assert rules.service_masks == (16, 24)
    assert IPv4Network("172.16.0.0/12") in rules.container_ranges
    assert (rules.reserved_first, rules.reserved_last) == (1, 3)
