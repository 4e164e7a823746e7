"""What counts against quotas, and what admission is told of it."""

from ackbox.catalog.quotas import QuotaName, limits
from ackbox.cloud.quotas.admission import admission_fields
from ackbox.cloud.quotas.plan import Account, full, quota_state, used

BALANCERS = [{"metadata": {"name": name}, "status": {"loadBalancerId": f"lb-{name}"}} for name in ("a", "b", "c")]


def cluster(name, edition="ack.standard", **spec):
    spec = {"regionId": "cn-hangzhou", "clusterSpec": edition, **spec}
    return {"metadata": {"name": name, "namespace": "n"}, "spec": spec, "status": {"clusterId": f"c-{name}"}}


def pool(name, of, size=3, **group):
    group = {"instanceTypes": ["ecs.g6.2xlarge", "ecs.g6.xlarge"], "vswitchIds": ["h"], "desiredSize": size, **group}
    return {
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"clusterId": of, "scalingGroup": group},
        "status": {"nodepoolId": f"np-{name}"},
    }


def vpc(name, *allocations, region="cn-hangzhou"):
    return {
        "metadata": {"name": name, "uid": name},
        "spec": {"regionId": region, "vswitches": [{}, {}]},
        "status": {"vpcId": f"vpc-{name}", "allocations": list(allocations)},
    }


def machine(owner, of, pool="p", kind="ecs.g6.xlarge", **fields):
    return {"owner": owner, "cluster": of, "nodePool": pool, "instanceType": kind, "address": owner, **fields}


def listener(balancer):
    return {"spec": {"loadBalancerId": balancer}}


def group(balancer, *instances, kind="ecs", port=80):
    servers = [{"serverId": name, "serverIp": "192.168.0.1", "port": port, "type": kind} for name in instances]
    return {"spec": {"loadBalancerId": balancer, "backendServers": servers}}


def told(listeners=(), groups=(), limit=2):
    hard = {QuotaName.LISTENERS: limit, QuotaName.ATTACHMENTS: limit}
    account = Account(load_balancers=BALANCERS, listeners=list(listeners), server_groups=list(groups))
    return full(hard, dict.fromkeys(hard, limit), account)


def test_clusters_and_what_they_have_count_by_edition():
    counted = used(
        Account(
            clusters=[cluster("a"), cluster("b", "ack.pro.small"), {**cluster("new"), "status": {}}],
            node_pools=[pool("p", "a"), pool("q", "c-a"), pool("r", "b"), {**pool("new", "b"), "status": {}}],
            vpcs=[vpc("v", machine("i-1", "a"), machine("i-2", "b"), machine("i-3", "b"))],
        )
    )
    assert (counted["ack_standard/clusters"], counted["ack_pro/clusters"], counted["clusters"]) == (1, 1, 1)
    assert (counted["ack_standard/nodepools"], counted["ack_pro/nodepools"], counted["nodepools"]) == (2, 1, 2)
    assert (counted["ack_standard/scalinggroups"], counted["scalinggroups"]) == (2, 2)
    assert (counted["ack_standard/nodes"], counted["ack_pro/nodes"], counted["nodes"]) == (1, 2, 2)
    assert counted["registered/clusters"] == 0


def test_machines_count_by_region_and_by_how_they_are_paid_for():
    here = [
        machine("i-1", "a"),
        machine("i-2", "a", kind="ecs.g6.4xlarge", secondaryEnis=7),
        machine("i-3", "a", charge="Spot"),
        machine("i-4", "a", pool="q", charge="PrePaid"),
        {"owner": "slb/x", "address": "192.168.0.9"},
    ]
    counted = used(Account(vpcs=[vpc("v", *here), vpc("w", machine("i-5", "b"), region="cn-beijing"), vpc("x")]))
    assert (counted["cn-hangzhou/vcpus"], counted["cn-beijing/vcpus"], counted["vcpus"]) == (20, 4, 20)
    assert (counted["cn-hangzhou/spotvcpus"], counted["spotvcpus"]) == (4, 4)
    assert counted["secondaryenis"] == 7
    assert counted["disks"] == 4, "a subscription's disk is a subscription"
    assert counted["instancevcpus"] == 16
    assert counted["scalinggroupinstances"] == 4
    assert counted["privateaddresses"] == 5
    assert (counted["cn-hangzhou/vpcs"], counted["vpcs"], counted["vswitches"]) == (2, 2, 2)


def test_load_balancing_shows_the_fullest():
    counted = used(
        Account(
            load_balancers=[
                {"metadata": {"name": "x"}, "status": {"loadBalancerId": "lb-1"}},
                {"metadata": {"name": "n"}, "spec": {"loadBalancerType": "nlb"}, "status": {"loadBalancerId": "nlb-1"}},
                {},
            ],
            listeners=[listener(name) for name in ("x", "lb-1", "y")],
            server_groups=[
                group("x", "i-1"),
                group("x", "i-1", port=81),
                group("x", "i-2"),
                group("y", "i-1"),
                group("z", "i-1", kind="eni"),
            ],
            route_tables=[{"spec": {"routeEntries": [{}, {}]}}, {"spec": {}}],
            elastic_ip_addresses=[{"status": {"allocationId": "eip-1"}}, {"status": {}}],
        )
    )
    assert (counted["clb/loadbalancers"], counted["nlb/loadbalancers"], counted["loadbalancers"]) == (1, 1, 1)
    assert (counted["listeners"], counted["backends"], counted["attachments"]) == (2, 2, 2)
    assert (counted["routeentries"], counted["eips"]) == (2, 1)


def test_an_empty_account_uses_nothing():
    assert set(used(Account()).values()) == {0}


def test_every_limit_that_is_shown_has_what_is_used_of_it_unless_the_workload_cluster_counts_it():
    counted = used(Account(vpcs=[vpc("v")]))
    uncounted = {name for name in limits({}, ["cn-hangzhou"]) if name not in counted}
    assert uncounted == {"ask_standard/pods", "ask_pro/pods", "podspernode"}


def test_quotas_that_are_used_up_are_named():
    state = quota_state({"vcpus": 12, "vpcs": 10, "podspernode": 256}, {"vcpus": 12, "vpcs": 1})
    assert (state.ready, state.reason, state.message) == ("True", "QuotaUsedUp", "vcpus: 12 of 12")
    assert quota_state({"vcpus": 12}, {"vcpus": 11}).reason == "Available"


def test_admission_is_told_what_clusters_and_pools_ask_for():
    fields = admission_fields(
        Account(
            clusters=[cluster("a"), cluster("d", clusterType="Kubernetes", controlPlaneConfig={"size": 5})],
            node_pools=[
                pool("p", "a"),
                pool("q", "c-a", size=2, spotStrategy="SpotAsPriceGo"),
                pool("s", "d", instanceChargeType="PrePaid"),
                pool("lost", "elsewhere"),
            ],
            vpcs=[vpc("v", machine("i-1", "a"), machine("i-2", "a", pool="gone"))],
        ),
        {"cn-hangzhou/vcpus": 8},
    )
    assert fields["asked"] == {"cn-hangzhou/vcpus": 16, "cn-hangzhou/spotvcpus": 8}
    a = {"edition": "ack_standard", "regionId": "cn-hangzhou", "nodePools": 2, "nodes": 5}
    assert fields["clusters"]["a"] == fields["clusters"]["c-a"] == a
    assert fields["clusters"]["d"]["nodes"] == 8, "masters are nodes"
    assert fields["nodePools"] == {
        "p": {"cluster": "a", "vcpus": 4, "quota": "vcpus"},
        "q": {"cluster": "a", "vcpus": 4, "quota": "spotvcpus"},
        "s": {"cluster": "d", "vcpus": 4, "quota": ""},
    }


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
    account = Account(load_balancers=BALANCERS, listeners=[listener("a")])
    figures = full(hard, dict.fromkeys(hard, 1), account)
    assert figures == {"fullLoadBalancers": {}, "fullInstances": {}, "servingLoadBalancers": {}}
