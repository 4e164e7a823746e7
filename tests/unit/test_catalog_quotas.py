"""The quotas of the catalog are those of the documentation, and which figure is in force for an account."""

from pathlib import Path

import pytest
import yaml

from ackbox.catalog.quotas import UNLIMITED, QuotaName, RaisedBy, limit, limits, quotas, subscription_excludes
from ackbox.catalog.regions import Edition
from ackbox.catalog.security_groups import group_rules
from ackbox.resources.network import SecurityGroupType

EXPECTED = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "quotas.yaml").read_text())
BY_EDITION = (QuotaName.CLUSTERS, QuotaName.NODE_POOLS, QuotaName.NODES, QuotaName.PODS)


@pytest.mark.parametrize("edition", sorted(Edition))
def test_each_type_of_cluster_has_the_documents_figures(edition):
    figures = {name.value: limit({}, name, edition.value) for name in BY_EDITION}
    assert {name: count for name, count in figures.items() if count != UNLIMITED} == EXPECTED["account"][edition.value]


@pytest.mark.parametrize(("name", "figure"), EXPECTED["underlying"].items())
def test_what_lies_below_has_the_documents_figures(name, figure):
    assert limit({}, QuotaName(name)) == figure


def test_pods_of_a_node_and_addresses_of_a_security_group():
    assert limit({}, QuotaName.PODS_PER_NODE) == EXPECTED["pods_per_node"]
    assert group_rules()[SecurityGroupType.NORMAL].capacity == EXPECTED["basic_security_group"]


@pytest.mark.parametrize("name", sorted(QuotaName))
def test_who_raises_a_quota(name):
    nobody = name.value in EXPECTED["raised_by_nobody"]
    assert (quotas()[name].raised_by is RaisedBy.NONE) == nobody
    of = "ask_pro" if name is QuotaName.PODS else "ack_pro"
    figure = limit({}, name, of)
    raised = {each.value: 2_000_000 for each in (name, quotas()[name].within) if each}
    assert limit(raised, name, of) == (figure if nobody else 2_000_000)
    assert limit({name.value: 1}, name, of) == 1, "every figure can be lowered"


def test_disks_grow_with_the_instances():
    rule = EXPECTED["disks"]
    for instances in (0, 1, 2, 3, 200):
        assert limit({}, QuotaName.DISKS, instances=instances) == max(rule["minimum"], rule["per_instance"] * instances)


def test_more_node_pools_need_more_scaling_groups():
    assert EXPECTED["needs_too"] == {name.value: each.within.value for name, each in quotas().items() if each.within}
    raised = {"ack_pro/nodepools": 300}
    assert limit(raised, QuotaName.NODE_POOLS, "ack_pro") == EXPECTED["account"]["ack_pro"]["nodepools"]
    assert limit({**raised, "scalinggroups": 250}, QuotaName.NODE_POOLS, "ack_pro") == 250


def test_the_figure_of_one_edition_or_region_goes_before_the_one_for_all():
    raised = {"nodes": 50, "ack_pro/nodes": 2000, "cn-hangzhou/vcpus": 300}
    assert limit(raised, QuotaName.NODES, "ack_pro") == 2000
    assert limit(raised, QuotaName.NODES, "ack_standard") == 50
    assert limit(raised, QuotaName.VCPUS, "cn-hangzhou") == 300
    assert limit(raised, QuotaName.VCPUS, "cn-beijing") == EXPECTED["underlying"]["vcpus"]


def test_all_limits_are_shown_by_their_keys():
    shown = limits({"cn-hangzhou/vcpus": 300}, ["cn-hangzhou"], instances=4)
    assert (shown["cn-hangzhou/vcpus"], shown["vcpus"], shown["disks"]) == (300, 100, 20)
    assert (shown["ack_standard/nodes"], "nodes" in shown) == (10, False)
    assert "registered/nodes" not in shown, "the cloud has no such limit"


def test_families_that_stay_pay_as_you_go():
    assert list(subscription_excludes()) == EXPECTED["subscription_excludes"]


def test_every_quota_has_a_code_and_words():
    assert set(quotas()) == set(QuotaName)
    assert all(quota.code and quota.message and quota.counts for quota in quotas().values())
