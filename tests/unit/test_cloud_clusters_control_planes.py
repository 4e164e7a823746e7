"""What control planes consist of, who their masters are, and which load balancer users come by."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import yaml

from ackbox.catalog.control_planes import control_planes
from ackbox.catalog.instance_types import instance_types
from ackbox.catalog.quotas import QuotaName
from ackbox.catalog.regions import Edition
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.ledger import subnets
from ackbox.cloud.allocation.quota import Budget
from ackbox.cloud.clusters import endpoint, masters, members, throttling
from ackbox.cloud.clusters.secrets import ClusterKeys, KeysReplaced, _checked, fingerprint
from ackbox.controlplane.spec import EtcdMember
from ackbox.kube.conditions import State
from ackbox.resources import ManagedCluster, Vpc
from ackbox.resources.managedcluster import ControlPlaneMember
from ackbox.resources.network import Allocation

SEED = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "control_planes.yaml").read_text())
OWN = {"clusterType": "Kubernetes"}
HA = {"emulation": {"footprint": "ha"}}


def cluster(status=None, **spec):
    default = {"regionId": "cn-hangzhou", "vpcId": "v", "containerCidr": "10.32.0.0/16"}
    metadata = {"name": "c", "namespace": "n", "uid": "u"}
    return ManagedCluster.model_validate({"metadata": metadata, "spec": {**default, **spec}, "status": status or {}})


def vpc(*switches):
    rows = [{"vSwitchName": name, "zoneId": zone, "cidrBlock": block} for name, zone, block in switches]
    spec = {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": rows}
    return Vpc.model_validate({"metadata": {"name": "v", "uid": "vu"}, "spec": spec, "status": {"vpcId": "vpc-1"}})


TWO = (("h", "cn-hangzhou-h", "192.168.0.0/24"), ("i", "cn-hangzhou-i", "192.168.1.0/24"))


def member(name="apiserver1", address="127.42.1.1", version="1.36.3-aliyun.1", instance=None):
    return ControlPlaneMember(name=name, address=address, version=version, instance_id=instance)


@pytest.mark.parametrize(
    ("spec", "api_servers", "etcd"),
    [
        ({}, 1, 0),
        (HA, SEED["managed"]["apiServers"], SEED["managed"]["etcdMembers"]),
        (OWN, SEED["dedicated"]["masters"], SEED["dedicated"]["masters"]),
        ({**OWN, "controlPlaneConfig": {"size": 5}}, 5, 5),
    ],
)
def test_a_cluster_has_as_many_api_servers_and_etcd_members_as_acks(spec, api_servers, etcd):
    assert len(set(members.first_names(cluster(**spec)))) == api_servers
    assert len(set(members.etcd_names(cluster(**spec)))) == etcd


def test_standard_clusters_are_throttled_more_than_pro_ones():
    limits = control_planes().limits
    for family in ("ack", "ask", "edge"):
        standard, pro = limits[Edition(f"{family}_standard")], limits[Edition(f"{family}_pro")]
        assert standard.reading < pro.reading
        assert standard.mutating < pro.mutating
    assert set(limits) == set(Edition) - {Edition.REGISTERED}


def test_a_master_that_is_off_stops_its_api_server_and_its_etcd_member_and_no_other():
    plane = [member(f"master{n}", f"127.42.1.{n}", instance=f"i-{n}") for n in (1, 2, 3)]
    addresses = {f"etcd{n}": f"127.42.1.{n + 10}" for n in (1, 2, 3)}
    api_servers = members.driver_members(plane, {"i-2"})
    etcd = members.etcd_members(addresses, plane, {"i-2"})
    assert [each.running for each in api_servers] == [each.running for each in etcd] == [True, False, True]
    assert [each.minor for each in api_servers] == ["1.36"] * 3


def test_etcd_that_acks_runs_has_no_master_under_it():
    etcd = members.etcd_members({"etcd1": "127.42.1.9"}, [member()], set())
    assert [each.running for each in etcd] == [True]


@pytest.mark.parametrize(
    ("running", "of", "lost"), [(3, 3, False), (2, 3, False), (1, 3, True), (0, 3, True), (3, 5, False), (2, 5, True)]
)
def test_a_majority_of_etcd_is_needed(running, of, lost):
    etcd = [EtcdMember(f"etcd{n}", IPv4Address(n), running=n < running) for n in range(of)]
    assert members.quorum_lost(etcd) is lost


def test_the_shared_etcd_is_nobodys_quorum():
    assert members.quorum_lost([]) is False


def test_a_cluster_runs_the_version_of_its_oldest_api_server():
    plane = [
        member(version="1.36.3-aliyun.1"),
        member("b", version="1.35.10-aliyun.1"),
        member("d", version="1.35.9-aliyun.1"),
    ]
    assert members.oldest_version(plane) == "1.35.9-aliyun.1"


def test_secrets_are_encrypted_with_a_key_of_the_cluster_and_of_the_kms_key():
    def key(ca: str, **spec):
        return members.settings(cluster(**spec), Edition.ACK_PRO, ["127.42.16.1"], ca).encryption_key

    assert key("ca") is None
    one = key("ca", encryptionProviderKey="kms-1")
    assert one == key("ca", encryptionProviderKey="kms-1")
    assert len({one, key("ca", encryptionProviderKey="kms-2"), key("other", encryptionProviderKey="kms-1")}) == 3


def test_a_certificate_names_the_load_balancer_and_what_the_user_adds():
    settings = members.settings(cluster(extraSans=["k8s.test", "127.42.16.1"]), Edition.ACK_PRO, ["127.42.16.1"], "")
    assert settings.hosts == ("127.42.16.1", "k8s.test")


def ground(*switches, nodes=100, types=("ecs.g6.xlarge",), taken=()):
    budget = Budget(QuotaName.NODES, 0, nodes)
    vcpus = Budget(QuotaName.VCPUS, 0, 100, lambda kind: kind.vcpu)
    blocks = IPv4Network("10.32.0.0/24").subnets(new_prefix=26)
    kinds = [instance_types()[name] for name in types]
    return masters.Ground(subnets(vpc(*switches)), kinds, frozenset(taken), blocks, [budget, vcpus], terway=False)


def test_masters_take_turns_in_the_zones_and_have_an_address_and_a_pod_cidr_each():
    found = masters.allocate("c", ["master1", "master2", "master3"], ground(*TWO))
    assert not isinstance(found, State)
    assert [entry.node_pool for entry in found] == ["c/master1", "c/master2", "c/master3"]
    assert len({entry.address for entry in found}) == len({entry.pod_cidr for entry in found}) == 3
    assert len({entry.v_switch_id for entry in found}) == 2


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (ground(*TWO, nodes=2), "QuotaExceeded.Node"),
        (ground(*TWO, types=("ecs.g6.26xlarge",)), "QuotaExceed.ElasticQuota"),
        (
            ground(
                ("h", "cn-hangzhou-h", "192.168.0.0/24"),
                taken=range(int(IPv4Address("192.168.0.0")), int(IPv4Address("192.168.1.0"))),
            ),
            "InvalidVSwitchId.IpNotEnough",
        ),
    ],
)
def test_either_all_masters_can_be_had_or_none_is_reserved(where, reason):
    found = masters.allocate("c", ["master1", "master2", "master3"], where)
    assert isinstance(found, State)
    assert found.reason == reason


def test_a_master_is_a_tainted_node_of_the_control_plane_that_gets_no_traffic_of_services():
    network = vpc(*TWO)
    entry = Allocation(
        owner="i-1",
        v_switch_id=subnets(network)[1].id,
        address="192.168.1.7",
        instance_type="ecs.g6.xlarge",
        node_pool="c/master1",
    )
    found = masters.instance(cluster(**OWN), network, entry)
    assert found["metadata"]["labels"] == {"ackbox.dev/cluster": "c"}
    spec = found["spec"]
    assert (spec["instanceRole"], spec["zoneId"]) == ("Master", "cn-hangzhou-i")
    assert {label["key"] for label in spec["node"]["labels"]} >= {"node-role.kubernetes.io/control-plane"}
    assert spec["node"]["taints"][0]["key"] == "node-role.kubernetes.io/control-plane"
    assert spec["node"]["taints"][0]["effect"] == "NoSchedule"


def balancer_of(uid="lb-uid", tag="c1", **metadata):
    return {"metadata": {"uid": uid, **metadata}, "spec": {"tags": [{"key": "ack.aliyun.com", "value": tag}]}}


def test_the_api_servers_load_balancer_is_made_once():
    made = cluster({"loadBalancerId": ids.load_balancer_id("lb-uid")})
    assert endpoint.trouble(made, balancer_of(), "c1") is None
    assert endpoint.trouble(cluster(), None, "c1") is None
    for found in (None, balancer_of("another"), balancer_of(deletionTimestamp="2026-11-21T00:00:00Z")):
        state = endpoint.trouble(made, found, "c1")
        assert state is not None
        assert (state.reason, state.stalled) == (endpoint.GONE, True)
        assert "create the cluster again" in state.message


def test_a_load_balancer_of_that_name_that_somebody_else_made_is_not_taken_over():
    state = endpoint.trouble(cluster(), balancer_of(tag="another"), "c1")
    assert state is not None
    assert state.reason == "LoadBalancerNameTaken"
    # Once it is the cluster's, its tags are the user's affair.
    mine = cluster({"loadBalancerId": ids.load_balancer_id("lb-uid")})
    assert endpoint.trouble(mine, balancer_of(tag="changed"), "c1") is None


def test_a_load_balancer_stands_in_the_clusters_first_vswitch_or_in_any():
    network = vpc(*TWO)
    for wanted, spec in ((1, {"vswitchIds": ["i", "h"]}), (0, {})):
        made = endpoint.balancer(cluster(**spec), "c1", network)
        assert not isinstance(made, State)
        assert made["spec"]["vSwitchId"] == subnets(network)[wanted].id
        assert made["spec"]["addressType"] == "intranet"
    assert isinstance(endpoint.balancer(cluster(), "c1", vpc()), State)


def test_only_several_api_servers_are_probed():
    assert endpoint.listener(cluster(), checked=False)["spec"]["healthCheckSwitch"] == "off"
    assert endpoint.listener(cluster(), checked=True)["spec"]["healthCheckSwitch"] == "on"


def test_what_was_once_filled_in_by_the_api_server_is_no_difference():
    wanted = endpoint.group(cluster(), [member()])
    there = {"spec": {"backendServers": [{**wanted["spec"]["backendServers"][0], "weight": 100}]}}
    assert endpoint._filled(there, wanted) == there["spec"]["backendServers"]


def test_keys_that_a_cluster_was_not_made_with_are_refused_by_the_name_of_their_secret():
    keys, other = ClusterKeys("a", "b", "c"), ClusterKeys("a", "b", "d")
    assert _checked(keys, None, "c-ca") == _checked(keys, fingerprint(keys), "c-ca") == keys
    with pytest.raises(KeysReplaced, match="Secret c-ca"):
        _checked(other, fingerprint(keys), "c-ca")


@pytest.mark.parametrize(("form", "response"), [(Edition.ACK_STANDARD, "Reject"), (Edition.ACK_PRO, "Queue")])
def test_what_users_ask_beyond_their_share_is_refused_in_a_standard_cluster_and_waits_in_a_pro_one(form, response):
    (_, level), (_, own), (_, users) = throttling.objects(control_planes().limits[form])
    assert level["spec"]["limited"]["limitResponse"]["type"] == response
    assert users["spec"]["priorityLevelConfiguration"]["name"] == level["metadata"]["name"]
    # What ackbox itself does there is never throttled, so its schema is asked first.
    assert own["spec"]["priorityLevelConfiguration"]["name"] == "exempt"
    assert own["spec"]["matchingPrecedence"] < users["spec"]["matchingPrecedence"]
