"""Address blocks of a cluster: private, large enough, and apart from the VPC's and from those of other clusters."""

import pytest

from ackbox.cloud.clusters.cidrs import cidr_problem
from ackbox.resources import ManagedCluster, Vpc

TERWAY = [{"name": "terway-eniip"}]
SPEC = {"regionId": "cn-hangzhou", "vpcId": "v", "vswitchIds": ["node-h"], "containerCidr": "10.32.0.0/16"}


def vpc():
    names = (("node-h", "h", "0.0"), ("pod-h", "h", "1.0"), ("pod-i", "i", "2.0"))
    switches = [
        {"vSwitchName": name, "zoneId": f"cn-hangzhou-{zone}", "cidrBlock": f"192.168.{block}/24"}
        for name, zone, block in names
    ]
    spec = {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": switches}
    return Vpc.model_validate({"metadata": {"name": "v", "uid": "u"}, "spec": spec})


def cluster(name="c", **spec):
    return ManagedCluster.model_validate({"metadata": {"name": name}, "spec": SPEC | spec})


def test_blocks_that_are_apart_are_fine():
    neighbour = cluster("other", containerCidr="10.33.0.0/16")
    assert cidr_problem(cluster(), vpc(), [neighbour]) is None, "services of two clusters may overlap"
    assert cidr_problem(cluster(containerCidr=None, profile="Serverless"), vpc(), []) is None


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"containerCidr": "192.168.128.0/17"}, ["spec.containerCidr 192.168.128.0/17", "the VPC's cidrBlock"]),
        ({"serviceCidr": "192.168.128.0/17"}, ["spec.serviceCidr 192.168.128.0/17", "the VPC's cidrBlock"]),
        ({"serviceCidr": "10.32.0.0/20"}, ["spec.serviceCidr 10.32.0.0/20", "spec.containerCidr 10.32.0.0/16"]),
        ({"containerCidr": "10.48.0.0/12"}, ["spec.containerCidr", "containerCidr of cluster other 10.50.0.0/16"]),
        ({"containerCidr": "172.21.0.0/16"}, ["spec.containerCidr", "serviceCidr of cluster other 172.21.0.0/20"]),
        ({"serviceCidr": "10.50.0.0/20"}, ["spec.serviceCidr", "containerCidr of cluster other 10.50.0.0/16"]),
        ({"containerCidr": "10.32.0.0/27"}, ["no block of spec.nodeCidrMask 26"]),
        ({"serviceCidr": "172.19.0.0/25"}, ["/16 to /24"]),
        ({"containerCidr": "11.0.0.0/16"}, ["10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"]),
    ],
)
def test_a_wrong_block_is_refused(spec, words):
    neighbour = cluster("other", containerCidr="10.50.0.0/16", serviceCidr="172.21.0.0/20")
    state = cidr_problem(cluster(**spec), vpc(), [neighbour])
    assert state is not None
    assert (state.reason, state.stalled) == ("InvalidCIDR", True)
    assert all(word in state.message for word in words), state.message


def test_everything_that_is_wrong_is_told_at_once():
    state = cidr_problem(cluster(containerCidr="192.168.0.0/27", serviceCidr="192.168.0.0/25"), vpc(), [])
    assert state is not None
    for words in ("/16 to /24", "no block", "spec.serviceCidr 192.168.0.0/25 overlaps spec.containerCidr", "VPC's"):
        assert words in state.message


def test_flannel_needs_a_container_cidr():
    state = cidr_problem(cluster(containerCidr=None), vpc(), [])
    assert state is not None
    assert state.reason == "EmptyCIDR"


def test_with_terway_each_zone_of_nodes_has_a_vswitch_for_pods():
    terway = {"containerCidr": None, "addons": TERWAY}
    assert cidr_problem(cluster(podVswitchIds=["pod-h", "pod-i"], **terway), vpc(), []) is None
    state = cidr_problem(cluster(podVswitchIds=["pod-i"], **terway), vpc(), [])
    assert state is not None
    assert (state.reason, state.stalled) == ("InvalidVSwitchId.ZoneMismatch", True)
    assert "cn-hangzhou-h" in state.message
