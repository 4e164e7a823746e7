"""Security groups: which there are, which a machine joins, what they let through and how full they are."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from ackbox.catalog.security_groups import group_rules
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.security_groups import (
    Member,
    cluster_group,
    find_group,
    groups_problem,
    opens,
    own_group,
    pool_groups,
    rooms,
)
from ackbox.cloud.network.plan import security_groups, vpc_state
from ackbox.kube.conditions import State
from ackbox.resources import ManagedCluster, NodePool, Vpc
from ackbox.resources.network import SecurityGroupStatus

FIXTURE = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "network.yaml").read_text())
TERWAY = [{"name": "terway-eniip"}]


def vpc(*groups, status=()):
    switch = {"vSwitchName": "h", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/24"}
    spec = {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [switch]}
    return Vpc.model_validate(
        {
            "metadata": {"name": "v", "uid": "u"},
            "spec": {**spec, "securityGroups": list(groups)},
            "status": {"securityGroups": list(status)},
        }
    )


def group(name, kind="normal", *permissions):
    return {"securityGroupName": name, "securityGroupType": kind, "permissions": list(permissions)}


def cluster(**spec):
    spec = {"regionId": "cn-hangzhou", "vpcId": "v", "vswitchIds": ["h"], "containerCidr": "10.32.0.0/16"} | spec
    return ManagedCluster.model_validate({"metadata": {"name": "c", "uid": "cu"}, "spec": spec})


def pool(*groups):
    scaling = {"instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["h"], "securityGroupIds": list(groups)}
    return NodePool.model_validate({"metadata": {"name": "p"}, "spec": {"clusterId": "c", "scalingGroup": scaling}})


def allow(**fields):
    return {"cidrIp": "0.0.0.0/0", **fields}


def made(kind, *permissions):
    return SecurityGroupStatus.model_validate(
        {
            "securityGroupId": "sg-1",
            "securityGroupName": "one",
            "securityGroupType": kind,
            "permissions": list(permissions),
        }
    )


def test_a_cluster_has_a_group_of_its_own_unless_it_names_one():
    own = own_group(cluster(), vpc())
    assert own is not None
    assert (own.security_group_id, own.security_group_type, own.cluster) == (ids.security_group_id("cu"), "normal", "c")
    assert [each.security_group_id for each in security_groups(vpc(group("web")), [cluster()], {})] == [
        ids.security_group_id("u", "web"),
        own.security_group_id,
    ]
    named = cluster(securityGroupId="web")
    assert own_group(named, vpc()) is None
    assert cluster_group(named, vpc()) is None
    found = cluster_group(named, vpc(group("web")))
    assert found is not None
    assert found.security_group_id == ids.security_group_id("u", "web")


@pytest.mark.parametrize(
    ("spec", "kind"),
    [({}, "normal"), ({"isEnterpriseSecurityGroup": True}, "enterprise"), ({"addons": TERWAY}, "enterprise")],
)
def test_with_terway_the_own_group_is_always_an_enterprise_one(spec, kind):
    own = own_group(cluster(**spec), vpc())
    assert own is not None
    assert own.security_group_type == kind


def test_a_pool_joins_its_own_groups_else_the_clusters():
    where = vpc(group("aa"), group("bb"))
    assert [each.security_group_name for each in pool_groups(pool("bb", "aa"), cluster(), where)] == ["bb", "aa"]
    assert pool_groups(pool(), cluster(), where) == [own_group(cluster(), where)]


def test_the_group_of_another_cluster_can_be_named_by_its_id():
    other = {"securityGroupId": "sg-x", "securityGroupName": "x", "securityGroupType": "normal", "cluster": "other"}
    assert find_group(vpc(status=[other]), "sg-x") is not None
    gone = {name: value for name, value in other.items() if name != "cluster"}
    assert find_group(vpc(status=[gone]), "sg-x") is None, "a group that the user took out of the spec"


@pytest.mark.parametrize(
    ("references", "spec", "reason", "words"),
    [
        (["nope"], {}, "InvalidSecurityGroupId.NotFound", ["nope", "basic, other, advanced"]),
        (["basic", "advanced"], {}, "InvalidSecurityGroup.TypeMismatch", ["basic, advanced", "one type only"]),
        (["basic"], {"addons": TERWAY}, "InvalidSecurityGroup.TypeMismatch", ["terway-eniip", "enterprise", "basic"]),
    ],
)
def test_what_is_wrong_with_named_groups_is_told(references, spec, reason, words):
    where = vpc(group("basic"), group("other"), group("advanced", "enterprise"))
    state = groups_problem("spec.securityGroupId", references, cluster(**spec), where)
    assert isinstance(state, State)
    assert state.reason == reason
    assert all(word in state.message for word in ["spec.securityGroupId", *words]), state.message


@pytest.mark.parametrize(
    ("references", "spec"), [([], {}), (["basic", "other"], {}), (["advanced"], {"addons": TERWAY})]
)
def test_groups_of_one_fitting_type_can_be_named(references, spec):
    where = vpc(group("basic"), group("other"), group("advanced", "enterprise"))
    assert groups_problem("spec.securityGroupId", references, cluster(**spec), where) is None


@pytest.mark.parametrize("row", FIXTURE["security_groups"], ids=lambda row: row["type"])
def test_a_group_holds_so_many_and_refuses_the_next(row):
    assert {kind.value: rules.capacity for kind, rules in group_rules().items()}[row["type"]] == row["addresses"]
    (room,) = rooms([made(row["type"])], [Member(["sg-1"])] * (row["addresses"] - 1) + [Member(["sg-2"])])
    assert room.refusal(1) is None
    told = room.refusal(2)
    assert told is not None
    assert told[0] == "QuotaExceeded.SecurityGroupInstance"
    assert str(row["addresses"]) in told[1]


def test_network_interfaces_of_pods_count_too():
    (room,) = rooms([made("enterprise")], [Member(["sg-1"], 2), Member(["sg-1"])])
    assert room.used == 4


SOURCE = IPv4Network("10.32.0.0/16")


@pytest.mark.parametrize(
    ("permissions", "inside", "is_open"),
    [
        ([], False, False),
        ([], True, True),  # Members of a basic group reach each other.
        ([allow(ipProtocol="UDP", portRange="53/53")], False, True),
        ([allow()], False, True),
        ([allow(cidrIp="10.32.0.0/16")], False, True),
        ([allow(cidrIp="10.32.0.0/17")], False, False),  # Only half of the pods.
        ([allow(ipProtocol="TCP", portRange="53/53")], False, False),
        ([allow(ipProtocol="UDP", portRange="54/60")], False, False),
        ([allow(direction="egress")], False, False),
        ([allow(policy="drop")], True, False),
        ([allow(policy="drop", cidrIp="10.32.9.0/24"), allow()], False, False),  # Of equal priorities `drop` counts.
        ([allow(policy="drop", priority=2), allow()], False, True),
        ([allow(policy="drop"), allow(priority=2)], False, False),
    ],
)
def test_the_first_rule_by_priority_decides(permissions, inside, is_open):
    assert opens([made("normal", *permissions)], "UDP", 53, SOURCE, inside) is is_open


def test_members_of_an_enterprise_group_do_not_reach_each_other_by_themselves():
    assert not opens([made("enterprise")], "UDP", 53, SOURCE, inside=True)


def test_the_own_group_lets_pods_resolve_names():
    protocol, port = FIXTURE["dns"]["protocol"], FIXTURE["dns"]["port"]
    for spec, pods in (({}, "10.32.0.0/16"), ({"addons": TERWAY}, "192.168.0.0/24")):
        own = own_group(cluster(**spec), vpc())
        assert own is not None
        assert opens([own], protocol, port, IPv4Network(pods), inside=False)


def test_a_group_that_is_taken_out_stays_while_machines_are_in_it():
    left = {"securityGroupId": "sg-x", "securityGroupName": "old", "securityGroupType": "normal"}
    where = vpc(group("web"), status=[left])
    assert [each.security_group_name for each in security_groups(where, [], {"sg-x": ["i-1"]})] == ["web", "old"]
    state = vpc_state(where, {"sg-x": ["i-1"]})
    assert (state.reason, state.stalled) == ("DependencyViolation", True)
    assert "old: i-1" in state.message
    assert [each.security_group_name for each in security_groups(where, [], {"sg-x": []})] == ["web"]
    assert vpc_state(where, {}).reason == "Available"
