"""Which clusters can be made, and whose API server may be dialled."""

import pytest

from ackbox.cloud.clusters.plan import problem, running_phase
from ackbox.cloud.clusters.registered import forbidden_server, version_of
from ackbox.resources import ManagedCluster, Vpc
from ackbox.resources.cluster_settings import ExternalCluster


def cluster(name="c", **spec):
    default = {"regionId": "cn-hangzhou", "vpcId": "v", "containerCidr": "10.32.0.0/16"}
    merged = {key: value for key, value in {**default, **spec}.items() if value is not None}
    return ManagedCluster.model_validate({"metadata": {"name": name, "uid": name}, "spec": merged})


def vpc(region="cn-hangzhou", cidr="192.168.0.0/16", vpc_id="vpc-1"):
    switch = {"vSwitchName": "h", "zoneId": f"{region}-h", "cidrBlock": "192.168.0.0/24"}
    return Vpc.model_validate(
        {
            "metadata": {"name": "v", "uid": "u"},
            "spec": {"regionId": region, "cidrBlock": cidr, "vswitches": [switch]},
            "status": {"vpcId": vpc_id},
        }
    )


def test_a_good_cluster_has_no_problem():
    assert problem(cluster(vswitchIds=["h"]), vpc(), []) is None


@pytest.mark.parametrize(
    ("spec", "where", "reason", "words"),
    [
        ({"regionId": "mars"}, vpc(), "InvalidRegionId.NotFound", ["spec.regionId: mars", "cn-hangzhou"]),
        ({"regionId": "cn-nanjing"}, vpc(), "InvalidRegionId.NotSupported", ["standard", "pro"]),
        ({"kubernetesVersion": "1.2"}, vpc(), "InvalidKubernetesVersion", ["1.2", "1.36.3-aliyun.1"]),
        ({}, vpc(region="cn-beijing"), "InvalidVpcId.RegionMismatch", ["cn-beijing", "cn-hangzhou"]),
        ({"containerCidr": None}, vpc(), "EmptyCIDR", ["spec.containerCidr"]),
        ({"containerCidr": "11.0.0.0/16"}, vpc(), "InvalidCIDR", ["spec.containerCidr: 11.0.0.0/16", "10.0.0.0/8"]),
        ({"containerCidr": "10.0.0.0/27"}, vpc(), "InvalidCIDR", ["nodeCidrMask 26"]),
        ({"containerCidr": "no"}, vpc(), "InvalidCIDR", ["no"]),
        ({"serviceCidr": "172.16.0.0/12"}, vpc(), "InvalidCIDR", ["spec.serviceCidr: 172.16.0.0/12", "/16 to /24"]),
        ({"containerCidr": "172.19.0.0/16"}, vpc(), "InvalidCIDR", ["172.19.0.0/20", "172.19.0.0/16"]),
        ({"containerCidr": "192.168.128.0/17"}, vpc(), "InvalidCIDR", ["VPC's cidrBlock 192.168.0.0/16"]),
        ({}, vpc(cidr="172.19.0.0/16"), "InvalidCIDR", ["spec.serviceCidr 172.19.0.0/20", "172.19.0.0/16"]),
    ],
)
def test_what_can_not_become_right_by_itself_is_stalled_and_names_field_and_value(spec, where, reason, words):
    state = problem(cluster(**spec), where, [])
    assert state is not None
    assert (state.reason, state.stalled) == (reason, True)
    assert all(word in state.message for word in words), state.message


@pytest.mark.parametrize(
    ("spec", "where", "reason"),
    [
        ({}, None, "WaitingForVPC"),
        ({}, vpc(vpc_id=None), "WaitingForVPC"),
        ({"vswitchIds": ["h", "x"]}, vpc(), "InvalidVSwitchId.NotFound"),
        ({"podVswitchIds": ["x"]}, vpc(), "InvalidVSwitchId.NotFound"),
    ],
)
def test_what_a_later_object_can_mend_is_waited_for(spec, where, reason):
    state = problem(cluster(**spec), where, [])
    assert state is not None
    assert (state.reason, state.stalled, state.reconciling) == (reason, False, True)


def test_pods_of_two_clusters_of_a_vpc_do_not_share_addresses():
    neighbour = cluster("first", containerCidr="10.32.128.0/17")
    state = problem(cluster(), vpc(), [neighbour])
    assert state is not None
    assert "containerCidr of cluster first 10.32.128.0/17" in state.message
    assert problem(cluster(containerCidr="10.33.0.0/16"), vpc(), [neighbour]) is None


def test_terway_needs_no_container_cidr():
    assert problem(cluster(containerCidr=None, addons=[{"name": "terway-eniip"}]), vpc(), []) is None


@pytest.mark.parametrize(
    ("pools", "phase"),
    [
        ([], "running"),
        (["active", None], "running"),
        (["active", "scaling", "removing"], "scaling"),
        (["removing"], "updating"),
        (["deleting"], "updating"),
    ],
)
def test_a_cluster_shows_what_its_pools_do(pools, phase):
    assert running_phase(pools) == phase


def external(*cidrs):
    return ExternalCluster.model_validate({"kubeconfigSecretRef": {"name": "s"}, "allowedCidrs": list(cidrs)})


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443", "https://127.0.0.1", "https://[::1]:6443"])
def test_an_allowed_address_may_be_dialled(server):
    assert forbidden_server(server, external("127.0.0.0/8", "::1/128")) is None


@pytest.mark.parametrize(
    ("server", "cidrs", "words"),
    [
        ("https://10.0.0.1:6443", ["127.0.0.0/8"], ["10.0.0.1", "127.0.0.0/8"]),
        ("https://127.0.0.1:6443", [], ["allowedCidrs (none)"]),
        ("https://localhost:6443", ["127.0.0.0/8"], ["localhost must be an IP address"]),
        ("https://127.0.0.1@evil.example:6443", ["127.0.0.0/8"], ["evil.example"]),
        ("https://2130706433/", ["127.0.0.0/8"], ["must be an IP address"]),
        ("https://", ["127.0.0.0/8"], ["must be an IP address"]),
        ("https://127.0.0.1", ["what"], ["what is not a CIDR block"]),
        ("https://169.254.169.254/", ["127.0.0.0/8"], ["169.254.169.254 is outside"]),
    ],
)
def test_any_other_address_is_refused_by_name(server, cidrs, words):
    refusal = forbidden_server(server, external(*cidrs))
    assert refusal is not None
    assert all(word in refusal for word in words), refusal


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'{"gitVersion": 1}', b"<html>", b"\xff"])
def test_what_is_no_api_server_has_no_version(body):
    assert version_of(body) is None


def test_a_version_is_read_and_kept_short():
    assert version_of(b'{"gitVersion": "v1.30.2"}') == "v1.30.2"
    assert len(version_of(b'{"gitVersion": "' + b"x" * 1000 + b'"}') or "") == 64
