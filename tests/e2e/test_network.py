"""The VPC of an account: addresses that run out, security groups, network interfaces, NAT and elastic IP addresses."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from e2e import objects
from e2e.stack import CORE, Api, Stack, condition, eventually, is_ready

pytestmark = pytest.mark.e2e

TERWAY = [{"name": "terway-eniip"}]


def says(api: Api, plural: str, name: str, namespace: str, reason: str) -> str:
    """The message of an object once it says why it isn't ready."""

    def told() -> dict[str, str]:
        return condition(api.object(plural, name, namespace))

    eventually(lambda: told()["reason"] == reason, f"{plural}/{name} says {reason}")
    return told()["message"]


def pod_addresses(workload: Api) -> set[str]:
    pods = workload.items(f"{CORE}/namespaces/default/pods")
    return {pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")}


def elastic(name: str, namespace: str, **spec: object) -> dict[str, object]:
    return objects.custom("ElasticIPAddress", name, {"regionId": objects.REGION, **spec}, namespace)


def test_a_vpc_with_much_wrong_is_told_all_of_it(stack: Stack, namespace: str) -> None:
    rules = [
        {"ipProtocol": "TCP", "portRange": "90/80", "cidrIp": "0.0.0.0/0"},
        {"ipProtocol": "ICMP", "portRange": "80/80", "cidrIp": "0.0.0.0/0"},
        {"ipProtocol": "TCP", "portRange": "80/80", "cidrIp": "nope"},
    ]
    groups = [{"securityGroupName": "web", "permissions": rules}]
    switch = {"vSwitchName": "s", "zoneId": "cn-beijing-h", "cidrBlock": "100.64.0.0/30"}
    wrong = objects.vpc(namespace=namespace, cidrBlock="100.0.0.0/7", vswitches=[switch], securityGroups=groups)
    text = stack.api.refused(wrong)
    for words in (
        "cn-beijing-h is not a zone of cn-hangzhou",
        "100.64.0.0/30 has a mask outside /16 to /29",
        "100.0.0.0/7 (InvalidCidrBlock.Malformed); allowed: a mask of /8 to /28",
        "touches 100.64.0.0/10",
        "90/80 is not within 1/65535 (InvalidPortRange.Malformed)",
        "is for ipProtocol TCP and UDP",
        "nope is not a CIDR block (InvalidSourceCidrIp.Malformed)",
    ):
        assert words in text
    assert "InvalidBandwidth.Malformed" in stack.api.refused(elastic("wide", namespace, bandwidth=201))
    assert "mars is not a region" in stack.api.refused(elastic("mars", namespace) | {"spec": {"regionId": "mars"}})


def test_elastic_addresses_are_bought_bound_and_released(stack: Stack, namespace: str) -> None:
    api = stack.api
    bound = {"addressType": "intranet", "vSwitchId": "net-h", "eips": [{"allocationId": "office"}]}
    # Named before it is there: the load balancer waits for it.
    api.apply(
        objects.custom("CloudQuota", "default", {"hard": {"eips": 1}}, namespace),
        objects.vpc(namespace=namespace),
        objects.custom("ServiceLoadBalancer", "front", bound, namespace),
    )
    assert "office" in says(api, "serviceloadbalancers", "front", namespace, "InvalidAllocationId.NotFound")
    api.apply(elastic("office", namespace))
    eventually(lambda: api.object("elasticipaddresses", "office", namespace)["status"]["phase"] == "InUse", "bound")
    front = api.object("serviceloadbalancers", "front", namespace)["status"]
    status = api.object("elasticipaddresses", "office", namespace)["status"]
    assert front["eips"] == [{"allocationId": status["allocationId"], "ipAddress": status["ipAddress"]}]
    assert status["instanceId"] == front["loadBalancerId"]

    used = eventually(lambda: api.object("cloudquotas", "default", namespace)["status"]["used"]["eips"], "counted")
    assert used == 1
    text = api.refused(elastic("second", namespace))
    assert "eips: 1 used of 1 (QuotaExceeded.Eip)" in text
    api.apply(objects.custom("CloudQuota", "default", {"hard": {"eips": 2}}, namespace), elastic("second", namespace))
    eventually(lambda: is_ready(api.object("elasticipaddresses", "second", namespace)), "the second one")

    api.kubectl("delete", "eip", "office", "-n", namespace, "--wait=false")
    assert front["loadBalancerId"] in says(api, "elasticipaddresses", "office", namespace, "IncorrectEipStatus")
    api.kubectl("patch", "slb", "front", "-n", namespace, "--type=merge", "-p", '{"spec": {"eips": []}}')
    api.kubectl("wait", "--for=delete", "eip/office", "-n", namespace, "--timeout=60s")
    eventually(lambda: is_ready(api.object("serviceloadbalancers", "front", namespace)), "the load balancer goes on")


def test_a_terway_cluster_in_its_vpc(stack: Stack, namespace: str) -> None:
    api = stack.api
    tiny = {"vSwitchName": "tiny", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.240.0/29"}
    wide = {"vSwitchName": "wide", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.32.0/20"}
    main = {"vSwitchName": "main", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.64.0/20"}
    groups = [{"securityGroupName": "basic"}, {"securityGroupName": "advanced", "securityGroupType": "enterprise"}]
    terway = {"containerCidr": None, "addons": TERWAY, "snatEntry": True, "vswitchIds": ["main"]}
    terway["podVswitchIds"] = ["wide"]
    api.apply(
        objects.vpc(namespace=namespace, vswitches=[main, tiny, wide], securityGroups=groups),
        objects.cluster(namespace=namespace, securityGroupId="basic", **terway),
    )
    told = says(api, "managedclusters", "one", namespace, "InvalidSecurityGroup.TypeMismatch")
    assert "needs one of securityGroupType enterprise" in told
    api.apply(objects.cluster(namespace=namespace, securityGroupId="advanced", **terway))

    # Five machines are wanted where there is room for four.
    pool = {"instanceTypes": ["ecs.gn6i-c4g1.xlarge", "ecs.g6.xlarge"], "vswitchIds": ["tiny"]}
    api.apply(objects.pool(size=5, namespace=namespace, **pool))
    assert "tiny" in says(api, "nodepools", "pool", namespace, "InvalidVSwitchId.IpNotEnough")
    vpc = api.object("vpcs", "net", namespace)["status"]
    assert {each["vSwitchName"]: each["availableIpAddressCount"] for each in vpc["vswitches"]}["tiny"] == 0
    mine = [each for each in vpc["allocations"] if each.get("nodePool")]
    assert [each["secondaryEnis"] for each in mine] == [2] * 4
    advanced = next(each for each in vpc["securityGroups"] if each["securityGroupName"] == "advanced")
    machines = api.objects("instances", namespace)
    assert [each["spec"]["securityGroupIds"] for each in machines] == [[advanced["securityGroupId"]]] * 4
    workload = stack.workload("one", namespace)
    nodes = eventually(lambda: len(workload.nodes()) == 4 and workload.nodes(), "the nodes")
    assert {node["status"]["capacity"]["pods"] for node in nodes} == {"20"}, "(3 ENIs - 1) x 10 addresses"

    workload.apply(objects.deployment("web", "default", replicas=6))
    eventually(lambda: len(pod_addresses(workload)) == 6, "a different address for each pod")
    assert all(IPv4Address(each) in IPv4Network("192.168.32.0/20") for each in pod_addresses(workload))

    # A vSwitch more, and the rest comes. One of the two instance types has too few network interfaces; the other serves.
    api.apply(objects.pool(size=5, namespace=namespace, **pool | {"vswitchIds": ["tiny", "wide"]}))
    eventually(lambda: len(api.objects("instances", namespace)) == 5, "the fifth machine")
    told = says(api, "nodepools", "pool", namespace, "InvalidInstanceType.ValueNotSupported")
    assert "ecs.gn6i-c4g1.xlarge (10): with Terway a node needs network interfaces for more than 11 pods" in told

    # A security group that machines are in can't go, and the way to the Internet has an elastic IP address.
    gone = objects.vpc(namespace=namespace, vswitches=[main, tiny, wide], securityGroups=groups[:1])
    api.apply(gone)
    assert "advanced" in says(api, "vpcs", "net", namespace, "DependencyViolation")
    cluster = api.object("managedclusters", "one", namespace)
    address = api.object("elasticipaddresses", "net-nat", namespace)["status"]
    internet = condition(cluster, "InternetAccess")
    assert (internet["status"], internet["message"].split()[-1]) == ("True", address["ipAddress"])
    (gateway,) = api.object("vpcs", "net", namespace)["status"]["natGateways"]
    assert address["instanceId"] == gateway["natGatewayId"]
    assert [each["snatIp"] for each in gateway["snatEntries"]] == [address["ipAddress"]] * 2, "main, wide"
