"""Load balancers as the cloud has them: their kinds, addresses and quotas, and what the cloud refuses."""

import pytest

from e2e import objects
from e2e.stack import Api, condition, eventually, is_ready

pytestmark = pytest.mark.e2e

HERE = {"zoneId": "cn-hangzhou-h", "vSwitchId": "net-h"}
THERE = {"zoneId": "cn-hangzhou-i", "vSwitchId": "net-i", "privateIPv4Address": "192.168.16.9", "allocationId": "eip-1"}
INTRANET = {"addressType": "intranet", "vSwitchId": "net-h"}
BY_SPEC = {"instanceChargeType": "PayBySpec"}
BY_BANDWIDTH = {"internetChargeType": "paybybandwidth"}

REFUSED = {
    "an unknown specification": (
        BY_SPEC | {"loadBalancerSpec": "slb.s9"},
        ["loadBalancerSpec", "slb.s9", "slb.s1.small"],
    ),
    "bandwidth paid by use": (BY_BANDWIDTH, ["internetChargeType", "PayByCLCU", "paybytraffic"]),
    "bandwidth of an intranet": (INTRANET | BY_SPEC | BY_BANDWIDTH, ["internetChargeType", "intranet"]),
    "an NLB without zones": ({"loadBalancerType": "nlb"}, ["zoneMappings", "nlb", "1"]),
    "an ALB in one zone": ({"loadBalancerType": "alb", "zoneMappings": [HERE]}, ["zoneMappings", "alb", "2"]),
    "an NLB in a vSwitch": (
        {"loadBalancerType": "nlb", "zoneMappings": [HERE], "vSwitchId": "net-h"},
        ["vSwitchId", "clb", "nlb"],
    ),
    "a CLB in zones": ({"zoneMappings": [HERE]}, ["zoneMappings", "nlb and alb", "clb"]),
    "another region's zone": (
        {"loadBalancerType": "nlb", "zoneMappings": [HERE], "regionId": "cn-beijing"},
        ["zoneMappings", "cn-hangzhou-h", "cn-beijing-a"],
    ),
    "an NLB of IPv6 alone": (
        {"loadBalancerType": "nlb", "zoneMappings": [HERE], "addressIPVersion": "ipv6"},
        ["addressIPVersion", "ipv6", "DualStack"],
    ),
    "an intranet CLB of IPv6": (INTRANET | {"addressIPVersion": "ipv6"}, ["addressIPVersion", "internet"]),
    "an EIP on the Internet": ({"eips": [{"allocationId": "eip-1"}]}, ["eips", "intranet"]),
    "an EIP's address": (INTRANET | {"eips": [{"allocationId": "1.2.3.4"}]}, ["allocationId", "1.2.3.4", "eip-"]),
    "a CLB's security group": ({"securityGroupIds": ["sg-1"]}, ["securityGroupIds", "nlb", "clb"]),
    "an address as a range": ({"sourceRanges": ["10.0.0.1"]}, ["sourceRanges", "10.0.0.1", "10.0.0.0/8"]),
    "one zone twice": (
        {"masterZoneId": "cn-hangzhou-h", "slaveZoneId": "cn-hangzhou-h"},
        ["slaveZoneId", "masterZoneId"],
    ),
    "too many tags": ({"tags": [{"key": f"k{n}"} for n in range(21)]}, ["tags", "20"]),
}


def balancer(name: str, namespace: str, **spec: object) -> dict:
    return objects.custom("ServiceLoadBalancer", name, dict(spec), namespace)


def status(api: Api, name: str, namespace: str) -> dict:
    return api.object("serviceloadbalancers", name, namespace).get("status", {})


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_cloud_would_refuse_is_refused_at_once(stack, case):
    spec, told = REFUSED[case]
    text = stack.api.refused(balancer("wrong", "default", **spec))
    for word in told:
        assert word in text


def test_an_access_control_list_has_an_id_and_entries_of_its_version(stack, namespace):
    api = stack.api
    wrong = objects.custom("AccessControlList", "office", {"aclEntries": [{"entry": "2001:db8::/32"}]}, namespace)
    assert "2001:db8::/32 is no ipv4" in api.refused(wrong)
    right = objects.custom("AccessControlList", "office", {"aclEntries": [{"entry": "10.0.0.0/8"}]}, namespace)
    api.apply(right)
    acl = eventually(
        lambda: (
            is_ready(api.object("accesscontrollists", "office", namespace))
            and api.object("accesscontrollists", "office", namespace)
        ),
        "the list Ready",
    )
    assert acl["status"]["aclId"].startswith("acl-")


def test_an_nlb_has_addresses_in_its_zones_and_gives_them_back(stack, namespace):
    api = stack.api
    spec = {"loadBalancerType": "nlb", "sourceRanges": ["10.0.0.0/8"]}
    api.apply(objects.vpc(namespace=namespace), balancer("nlb", namespace, **spec, zoneMappings=[HERE, THERE]))
    shown = eventually(
        lambda: len(status(api, "nlb", namespace)["zoneMappings"]) == 2 and status(api, "nlb", namespace), "its zones"
    )
    first, second = shown["zoneMappings"]
    assert shown["dnsName"] == f"{shown['loadBalancerId']}.cn-hangzhou.nlb.aliyuncs.com"
    assert shown["address"] == first["publicIPv4Address"]
    assert (second["privateIPv4Address"], second["allocationId"]) == ("192.168.16.9", "eip-1")
    assert shown["sourceRangeSecurityGroupId"].startswith("sg-")

    other_address = {**THERE, "privateIPv4Address": "192.168.16.10"}
    text = api.refused(balancer("nlb", namespace, **spec, zoneMappings=[HERE, other_address]))
    assert "cannot be changed" in text

    api.apply(balancer("nlb", namespace, **spec, addressType="intranet", zoneMappings=[HERE]))
    eventually(lambda: status(api, "nlb", namespace)["address"] == first["privateIPv4Address"], "its private address")
    shown = status(api, "nlb", namespace)
    assert [zone["zoneId"] for zone in shown["zoneMappings"]] == ["cn-hangzhou-h"]
    assert "eips" not in shown
    owners = {entry["owner"] for entry in status_of_vpc(api, namespace)["allocations"]}
    assert owners == {"slb/nlb/cn-hangzhou-h"}
    api.kubectl("delete", "slb", "nlb", "-n", namespace)
    assert status_of_vpc(api, namespace)["allocations"] == []


def status_of_vpc(api: Api, namespace: str) -> dict:
    return api.object("vpcs", "net", namespace)["status"]


def test_a_wrong_change_is_told_and_the_load_balancer_goes_on(stack, namespace):
    api = stack.api
    mappings = {"loadBalancerType": "nlb", "zoneMappings": [HERE]}
    api.apply(objects.vpc(namespace=namespace), balancer("nlb", namespace, **mappings))
    eventually(lambda: is_ready(api.object("serviceloadbalancers", "nlb", namespace)), "it Ready")
    before = status(api, "nlb", namespace)
    mappings["zoneMappings"] = [{**HERE, "vSwitchId": "net-i"}]
    api.apply(balancer("nlb", namespace, **mappings))
    eventually(
        lambda: "not in cn-hangzhou-h" in condition(api.object("serviceloadbalancers", "nlb", namespace))["message"],
        "the zone is told",
    )
    after = status(api, "nlb", namespace)
    assert (after["phase"], after["zoneMappings"]) == ("active", before["zoneMappings"])


def test_an_elastic_address_is_bound_to_one_load_balancer_at_a_time(stack, namespace):
    api = stack.api
    eips = {"eips": [{"allocationId": "eip-office"}]}
    api.apply(
        objects.vpc(namespace=namespace),
        balancer("a", namespace, **INTRANET, **eips),
        balancer("b", namespace, **INTRANET, **eips),
    )
    bound = eventually(lambda: status(api, "a", namespace)["eips"], "the first has it")
    eventually(
        lambda: condition(api.object("serviceloadbalancers", "b", namespace))["reason"] == "IncorrectEipStatus",
        "the second says who has it",
    )
    assert "eips" not in status(api, "b", namespace)
    api.apply(balancer("a", namespace, **INTRANET))
    eventually(lambda: status(api, "b", namespace).get("eips") == bound, "the second has the same address")
    assert "eips" not in status(api, "a", namespace)


def test_console_protection_keeps_editors_out_and_programs_in(stack, namespace):
    api = stack.api
    protected = balancer("kept", namespace, modificationProtectionStatus="ConsoleProtection")
    api.apply(protected)

    def patch(manager: str, body: str) -> str:
        arguments = ("--type=merge", f"--field-manager={manager}", "-p", body)
        return api.kubectl("patch", "slb", "kept", "-n", namespace, *arguments, check=False)

    text = patch("kubectl-edit", '{"spec":{"loadBalancerName":"typed"}}')
    assert "spec.modificationProtectionStatus" in text
    assert "patched" in patch("kubectl-client-side-apply", '{"spec":{"loadBalancerName":"applied"}}')
    assert "patched" in patch("kubectl-edit", '{"spec":{"modificationProtectionStatus":"NonProtection"}}')
    assert "patched" in patch("kubectl-edit", '{"spec":{"loadBalancerName":"typed"}}')


def listener(balancer_name: str, port: int, namespace: str) -> dict:
    spec = {"loadBalancerId": balancer_name, "listenerPort": port, "listenerProtocol": "tcp"}
    return objects.custom("Listener", f"{balancer_name}-{port}-tcp", spec, namespace)


def group(name: str, balancer_name: str, namespace: str, *ports: int) -> dict:
    servers = [{"serverId": "i-1", "serverIp": "192.168.0.9", "port": port} for port in ports]
    spec = {"loadBalancerId": balancer_name, "vServerGroupName": name, "backendServers": servers}
    return objects.custom("ServerGroup", name, spec, namespace)


def test_a_full_load_balancer_takes_no_further_listener_and_a_busy_instance_no_further_load_balancer(stack, namespace):
    api = stack.api
    quota = objects.custom("CloudQuota", "default", {"hard": {"listeners": 2, "attachments": 2}}, namespace)
    api.apply(quota, *(balancer(name, namespace) for name in "abc"))
    api.apply(listener("a", 81, namespace), listener("a", 82, namespace), listener("b", 81, namespace))
    api.apply(group("g-a", "a", namespace, 80), group("g-b", "b", namespace, 80))

    def told() -> dict:
        return api.object("cloudquotas", "default", namespace)["status"]

    eventually(lambda: "a" in told()["fullLoadBalancers"] and "i-1" in told()["fullInstances"], "both are counted")
    text = eventually(lambda: api.refused(listener("a", 83, namespace)), "the third listener is refused")
    assert "ListenerNumberOverLimit" in text
    text = eventually(lambda: api.refused(group("g-c", "c", namespace, 80)), "the third load balancer is refused")
    assert "BackendServerAttachmentOverLimit" in text
    api.apply(listener("b", 82, namespace), group("g-a", "a", namespace, 80, 81))

    quota["spec"]["hard"] = {"listeners": 3}
    api.apply(quota)
    eventually(lambda: "created" in api.apply(listener("a", 83, namespace)), "a raised quota lets it in")
    eventually(lambda: "created" in api.apply(group("g-c", "c", namespace, 80)), "and the instance")
