"""What admission is told of load balancers and instances that have reached their quota."""

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.quotas.plan import full, replacement

BALANCERS = [{"metadata": {"name": name}, "status": {"loadBalancerId": f"lb-{name}"}} for name in ("a", "b", "c")]


def listener(balancer):
    return {"spec": {"loadBalancerId": balancer}}


def group(balancer, *instances, kind="ecs"):
    servers = [{"serverId": name, "serverIp": "192.168.0.1", "port": 80, "type": kind} for name in instances]
    return {"spec": {"loadBalancerId": balancer, "backendServers": servers}}


def told(listeners=(), groups=(), limit=2):
    hard = {QuotaName.LISTENERS: limit, QuotaName.ATTACHMENTS: limit}
    counted = dict.fromkeys(hard, limit)
    return full(hard, counted, load_balancers=BALANCERS, listeners=list(listeners), server_groups=list(groups))


def test_a_load_balancer_with_all_its_listeners_is_told_by_name_and_id():
    figures = told(listeners=[listener("a"), listener("lb-a"), listener("b")])
    assert figures["fullLoadBalancers"] == {"a": 2, "lb-a": 2}


def test_an_instance_behind_all_its_load_balancers_is_told_and_those_go_on_using_it():
    groups = [group("a", "i-1", "i-2"), group("lb-a", "i-1"), group("b", "i-1"), group("c", "i-2", "i-3")]
    figures = told(groups=[*groups, group("c", "pod", kind="eni"), group("b", "pod", kind="eni")])
    assert figures["fullInstances"] == {"i-1": 2, "i-2": 2}
    assert figures["servingLoadBalancers"] == {"a": 2, "lb-a": 2, "b": 1, "lb-b": 1, "c": 1, "lb-c": 1}


def test_nothing_is_told_below_the_quotas():
    hard = {QuotaName.LISTENERS: 2, QuotaName.ATTACHMENTS: 2}
    figures = full(hard, dict.fromkeys(hard, 1), load_balancers=BALANCERS, listeners=[listener("a")], server_groups=[])
    assert figures == {"fullLoadBalancers": {}, "fullInstances": {}, "servingLoadBalancers": {}}


def test_a_map_is_replaced_whole():
    assert replacement({"a": 1, "b": 2}, {"b": 3, "c": 4}) == {"a": None, "b": 3, "c": 4}
