"""What can never become right is refused at once, with the field, the value and what is allowed."""

import pytest

from e2e import objects
from e2e.stack import condition, eventually, is_ready

pytestmark = pytest.mark.e2e

CASES = {
    "unknown region": (objects.vpc(regionId="cn-atlantis"), ["regionId", "cn-atlantis", "cn-hangzhou"]),
    "cluster in an unknown region": (objects.cluster(regionId="cn-atlantis"), ["regionId", "cn-atlantis"]),
    "unknown version": (objects.cluster(kubernetesVersion="1.7.0"), ["kubernetesVersion", "1.7.0", "1.36"]),
    "unknown type": (objects.pool(instanceTypes=["ecs.huge"]), ["instanceTypes", "ecs.huge"]),
    "overlapping CIDRs": (objects.cluster(containerCidr="172.19.0.0/16"), ["containerCidr", "serviceCidr", "overlap"]),
    "not a CIDR": (objects.cluster(serviceCidr="172.19.0.0"), ["serviceCidr", "CIDR"]),
    "two network plug-ins": (
        objects.cluster(addons=[{"name": "flannel"}, {"name": "terway-eniip"}]),
        ["addons", "flannel", "terway-eniip"],
    ),
    "a negative size": (objects.pool(size=-1), ["desiredSize", "-1"]),
    "no vSwitch": (objects.pool(vswitchIds=[]), ["vswitchIds"]),
    "vSwitches that overlap": (
        objects.vpc(
            vswitches=[
                {"vSwitchName": "a", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/20"},
                {"vSwitchName": "b", "zoneId": "cn-hangzhou-i", "cidrBlock": "192.168.1.0/24"},
            ]
        ),
        ["vswitches", "overlap"],
    ),
    "an unknown listener protocol": (
        objects.custom("Listener", "a-1-tcp", {"loadBalancerId": "a", "listenerPort": 1, "listenerProtocol": "gopher"}),
        ["listenerProtocol", "gopher", "http"],
    ),
    "a registered cluster without a kubeconfig": (
        objects.custom("ManagedCluster", "r", {"clusterType": "ExternalKubernetes", "regionId": "cn-hangzhou"}),
        ["externalCluster"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_at_admission(stack, namespace, case):
    manifest, told = CASES[case]
    text = stack.api.refused({**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}})
    for word in told:
        assert word in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clusterType", "ExternalKubernetes"),
        ("regionId", "cn-beijing"),
        ("vpcId", "other"),
        ("containerCidr", "10.64.0.0/16"),
        ("serviceCidr", "10.96.0.0/16"),
        ("addons", [{"name": "terway-eniip"}]),
    ],
)
def test_what_a_cluster_is_born_with_stays(stack, namespace, field, value):
    manifest = objects.cluster(namespace=namespace)
    manifest["metadata"]["annotations"] = {"ackbox.dev/paused": "true"}
    stack.api.apply(manifest)
    manifest["spec"][field] = value
    text = stack.api.refused(manifest)
    assert field in text or "network plug-in" in text
    assert "cannot be changed" in text


def ready_message(stack, plural, name, namespace):
    return condition(stack.api.object(plural, name, namespace)).get("message", "")


def test_objects_applied_in_the_wrong_order_wait_and_say_for_what(stack, namespace):
    api = stack.api
    api.apply(objects.pool(namespace=namespace), objects.cluster(namespace=namespace))
    eventually(lambda: "net" in ready_message(stack, "managedclusters", "one", namespace), "the cluster names its VPC")
    eventually(lambda: "one" in ready_message(stack, "nodepools", "pool", namespace), "the pool names its cluster")
    api.apply(objects.vpc(namespace=namespace))
    eventually(lambda: is_ready(api.object("nodepools", "pool", namespace)), "the pool Ready")


def test_a_pool_does_not_join_another_namespaces_cluster(stack, namespace, shared_cluster):
    api = stack.api
    api.apply(objects.vpc(namespace=namespace), objects.pool(of="one", namespace=namespace))
    eventually(
        lambda: "one" in ready_message(stack, "nodepools", "pool", namespace), "the pool says that it has no cluster"
    )
    assert not api.objects("instances", namespace)


def test_a_missing_vswitch_is_named_and_mending_it_mends_the_pool(stack, namespace):
    api = stack.api
    wrong = objects.pool(namespace=namespace, vswitchIds=["nowhere"])
    api.apply(objects.vpc(namespace=namespace), objects.cluster(namespace=namespace), wrong)
    eventually(lambda: is_ready(api.object("managedclusters", "one", namespace)), "the cluster is not held up")
    eventually(lambda: "nowhere" in ready_message(stack, "nodepools", "pool", namespace), "the pool names the vSwitch")
    api.apply(objects.pool(namespace=namespace))
    eventually(lambda: is_ready(api.object("nodepools", "pool", namespace)), "the pool Ready once mended")
