"""Cloud config: every key, every gate, and what can't be used."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_cluster import World

from ackbox.ccm.config import DEFAULT, KEY, CloudConfig, current, parse
from ackbox.ccm.configmap import first_config
from ackbox.resources import ManagedCluster, Vpc


def config(**values):
    return parse(json.dumps({"Global": values}))


def config_map(text):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cloud-config", "namespace": "kube-system"},
        "data": text if isinstance(text, dict) else {KEY: text},
    }


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("clusterID", "c1", "cluster_id", "c1"),
        ("region", "cn-beijing", "region", "cn-beijing"),
        ("vpcid", "vpc-1", "vpc_id", "vpc-1"),
        ("zoneid", "cn-beijing-a", "zone_id", "cn-beijing-a"),
        ("vswitchid", "a:vsw-1, b:vsw-2,vsw-3,c:", "vswitch_ids", (("a", "vsw-1"), ("b", "vsw-2"))),
        ("resourceGroupID", "rg-1", "resource_group_id", "rg-1"),
        ("serviceBackendType", "eni", "service_backend_type", "eni"),
        ("disablePublicSLB", True, "disable_public_slb", True),
        ("disablePublicSLB", "true", "disable_public_slb", True),
        ("disablePublicSLB", "False", "disable_public_slb", False),
        ("serviceMaxConcurrentReconciles", 7, "service_max_concurrent_reconciles", 7),
        ("nodeMaxConcurrentReconciles", "2", "node_max_concurrent_reconciles", 2),
        ("routeMaxConcurrentReconciles", 2, "route_max_concurrent_reconciles", 2),
        ("nodeMonitorPeriod", 120, "node_monitor_period", 120),
        ("nodeAddrSyncPeriod", 120, "node_addr_sync_period", 120),
        ("routeTableIDs", "vtb-1, vtb-2,,vtb-1", "route_table_ids", ("vtb-1", "vtb-2")),
        ("privateZoneId", "z", "private_zone_id", "z"),
        ("privateZoneRecordTTL", 60, "private_zone_record_ttl", 60),
        ("featureGates", "IPv6DualStack=true", "gates", frozenset({"IPv6DualStack", "EndpointSlice"})),
        ("featureGates", "EndpointSlice=false", "gates", frozenset()),
    ],
)
def test_each_key_counts(key, value, field, expected):
    found = config(**{key: value})
    assert getattr(found, field) == expected
    assert found.problems == ()


def test_the_defaults():
    assert parse("") == parse("Global: {}") == DEFAULT == CloudConfig()
    assert DEFAULT.gates == {"EndpointSlice"}
    assert DEFAULT.service_max_concurrent_reconciles == 3
    assert config(region="", routeTableIDs=None, accessKeyID="x", accessKeySecret="y", uid="1") == DEFAULT


def test_yaml_is_taken_too():
    assert parse("Global:\n  routeTableIDs: vtb-1\n").route_table_ids == ("vtb-1",)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"serviceBackendType": "pod"}, "Global.serviceBackendType: must be one of ecs, eni, but got [pod]"),
        ({"disablePublicSLB": "yes"}, "Global.disablePublicSLB: must be true or false, but got [yes]"),
        ({"nodeMaxConcurrentReconciles": 0}, "Global.nodeMaxConcurrentReconciles: must be an integer of 1 or more"),
        ({"serviceMaxConcurrentReconciles": 2.5}, "must be an integer of 1 or more, but got [2.5]"),
        ({"region": ["a"]}, "Global.region: must be a string"),
        ({"reigon": "a"}, "Global.reigon is not known; known are: clusterID, region"),
        ({"featureGates": "IPv6DualStack"}, "missing bool value for IPv6DualStack"),
        ({"featureGates": "IPv6DualStack=si"}, "invalid value of IPv6DualStack=si"),
        ({"featureGates": "Turbo=true"}, "unrecognized feature gate: Turbo"),
    ],
)
def test_what_cant_be_used_is_said_and_the_rest_counts(values, problem):
    found = config(**values, vpcid="vpc-1")
    assert found.vpc_id == "vpc-1"
    assert len(found.problems) == 1
    assert problem in found.problems[0]


@pytest.mark.parametrize("text", ["{", "[]", "Global: 1", "a: b", "'x", "Global: {region: 2001-99-99}", "[" * 9999])
def test_a_text_that_is_no_config_leaves_the_defaults(text):
    found = parse(text)
    assert len(found.problems) == 1
    assert found.gates == DEFAULT.gates


@given(st.text() | st.builds(json.dumps, st.fixed_dictionaries({"Global": st.dictionaries(st.text(), st.text())})))
def test_no_text_breaks_the_parser(text):
    assert isinstance(parse(text), CloudConfig)


KEYS = st.sampled_from(
    ["vswitchid", "routeTableIDs", "featureGates", "disablePublicSLB", "nodeMonitorPeriod", "region"]
)
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists)


@given(st.dictionaries(KEYS, VALUES))
def test_no_value_breaks_the_parser(values):
    assert isinstance(config(**values), CloudConfig)


def test_the_config_is_read_anew_whenever_it_changes():
    world = World()
    assert current(world.workload) == DEFAULT
    world.change(config_map('{"Global": {"resourceGroupID": "rg-1"}}'))
    assert current(world.workload).resource_group_id == "rg-1"
    world.change(config_map('{"Global": {"resourceGroupID": "rg-2"}}'))
    assert current(world.workload).resource_group_id == "rg-2"
    world.change(config_map({"other": "x"}))
    assert current(world.workload).problems == (f"ConfigMap kube-system/cloud-config has no key {KEY}",)


def test_a_managed_cluster_begins_with_what_it_is():
    cluster = ManagedCluster.model_validate(
        {
            "metadata": {"name": "one", "namespace": "team", "uid": "u"},
            "spec": {"regionId": "cn-hangzhou", "vpcId": "net", "vswitchIds": ["b", "vsw-a", "nope"]},
            "status": {"clusterId": "c1"},
        }
    )
    switches = {"a": "cn-hangzhou-h", "b": "cn-hangzhou-i"}
    vpc = Vpc.model_validate(
        {
            "metadata": {"name": "net", "namespace": "team", "uid": "v"},
            "spec": {
                "regionId": "cn-hangzhou",
                "cidrBlock": "192.168.0.0/16",
                "vswitches": [
                    {"vSwitchName": name, "zoneId": zone, "cidrBlock": "192.168.0.0/24"}
                    for name, zone in switches.items()
                ],
            },
            "status": {
                "vpcId": "vpc-1",
                "vswitches": [
                    {"vSwitchName": name, "vSwitchId": f"vsw-{name}", "availableIpAddressCount": 1} for name in switches
                ],
            },
        }
    )
    found = parse(first_config(cluster, vpc))
    assert found.problems == ()
    assert (found.cluster_id, found.region, found.vpc_id) == ("c1", "cn-hangzhou", "vpc-1")
    assert found.vswitch_ids == (("cn-hangzhou-i", "vsw-b"), ("cn-hangzhou-h", "vsw-a"))
