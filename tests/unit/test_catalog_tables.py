"""The catalog's tables load, agree with each other and give what ACK gives."""

from ipaddress import IPv4Network

import pytest

from ackbox.catalog.instance_types import instance_types, vcpus
from ackbox.catalog.network import network_rules
from ackbox.catalog.quotas import QuotaName, quotas
from ackbox.catalog.regions import Edition, edition, regions
from ackbox.catalog.versions import accepted, resolve, versions


def test_every_region_of_the_product_introduction_is_there():
    assert len(regions()) == 31
    assert {"cn-hangzhou", "cn-guangzhou", "ap-southeast-1", "cn-north-2-gov-1", "cn-nanjing"} <= set(regions())
    assert all(region.zones for region in regions().values())


@pytest.mark.parametrize(
    ("region", "zone"),
    [("cn-hangzhou", "cn-hangzhou-h"), ("ap-southeast-1", "ap-southeast-1a"), ("cn-beijing", "cn-beijing-a")],
)
def test_zones_are_spelled_as_the_cloud_spells_them(region, zone):
    assert zone in regions()[region].zones


def test_editions_follow_the_table_of_regions():
    assert regions()["cn-nanjing"].editions == {Edition.PRO}
    assert Edition.REGISTERED not in regions()["ap-northeast-2"].editions
    assert regions()["me-east-1"].editions == frozenset()
    assert edition("ExternalKubernetes", "ack.standard") is Edition.REGISTERED
    assert edition("ManagedKubernetes", "ack.pro.small") is Edition.PRO
    assert edition("ManagedKubernetes", "ack.standard") is Edition.STANDARD


@pytest.mark.parametrize("spelling", ["1.36", "1.36.3", "1.36.3-aliyun.1", None])
def test_a_version_has_several_spellings_and_the_newest_is_the_default(spelling):
    version = resolve(spelling)
    assert version is versions()[0]
    assert (version.name, version.git_version, version.minor) == ("1.36.3-aliyun.1", "v1.36.3", "1.36")


@pytest.mark.parametrize("spelling", ["", "1.3", "1.36.30", "v1.36.3", "1.36.3-aliyun.2"])
def test_an_unknown_version_is_unknown(spelling):
    assert resolve(spelling) is None
    assert spelling not in accepted()


def test_instance_types_and_what_a_node_needs():
    xlarge = instance_types()["ecs.g6.xlarge"]
    assert (xlarge.vcpu, xlarge.memory, xlarge.fits_node) == (4, 16, True)
    assert not instance_types()["ecs.c6.large"].fits_node
    assert instance_types()["ecs.c6.xlarge"].fits_node
    assert len(instance_types()) > 500
    assert vcpus("ecs.g6.2xlarge") == 8
    assert vcpus("ecs.nothing") == vcpus(None) == 0


def test_every_quota_has_a_default_and_a_code():
    assert set(quotas()) == set(QuotaName)
    assert quotas()[QuotaName.CLUSTERS].hard == 50
    assert quotas()[QuotaName.NODES].hard == 100
    assert quotas()[QuotaName.ROUTE_ENTRIES].hard == 48
    assert all(quota.hard > 0 and quota.code and quota.message and quota.counts for quota in quotas().values())


def test_network_rules():
    rules = network_rules()
    assert rules.service_masks == (16, 24)
    assert IPv4Network("172.16.0.0/12") in rules.container_ranges
    assert (rules.reserved_first, rules.reserved_last) == (1, 3)
