"""Quotas of an account: what is shown, what is refused with which code, and that a raise counts at once."""

import pytest

from e2e import objects
from e2e.stack import condition, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def status(api, namespace: str) -> dict:
    return api.object("cloudquotas", "default", namespace)["status"]


def raise_quota(api, namespace: str, **hard: int) -> None:
    api.apply(objects.custom("CloudQuota", "default", {"hard": hard}, namespace))


def registered(name: str, namespace: str) -> dict:
    """A cluster that needs no control plane of ours."""
    spec = {
        "clusterType": "ExternalKubernetes",
        "regionId": objects.REGION,
        "externalCluster": {"kubeconfigSecretRef": {"name": "none"}},
    }
    return objects.custom("ManagedCluster", name, spec, namespace)


def elastic(name: str, namespace: str) -> dict:
    return objects.custom("ElasticIPAddress", name, {"regionId": objects.REGION}, namespace)


def balancer(name: str, namespace: str) -> dict:
    return objects.custom("ServiceLoadBalancer", name, {"regionId": objects.REGION}, namespace)


def test_what_is_beyond_a_quota_is_refused_with_its_code_until_it_is_raised(stack, namespace):
    api = stack.api
    figures = {"vpcs": 1, "clusters": 1, "eips": 1, "loadbalancers": 1, "vswitches": 2, "registered/clusters": 2}
    raise_quota(api, namespace, **figures)
    api.apply(
        objects.vpc("net", namespace),
        registered("a", namespace),
        registered("b", namespace),
        elastic("a", namespace),
        balancer("a", namespace),
    )
    wanted = {"cn-hangzhou/vpcs": 1, "registered/clusters": 2, "eips": 1, "loadbalancers": 1, "vswitches": 2}
    eventually(lambda: wanted.items() <= status(api, namespace)["used"].items(), "what is used is shown")
    hard = status(api, namespace)["hard"]
    assert hard["registered/clusters"] == 2, "the figure of an edition goes before the one for all"
    assert (hard["ack_pro/clusters"], hard["ack_pro/nodes"], hard["vcpus"]) == (1, 1000, 100)

    more = objects.vpc("net", namespace)
    more["spec"]["vswitches"].append(
        {**more["spec"]["vswitches"][0], "vSwitchName": "j", "cidrBlock": "192.168.64.0/20"}
    )
    beyond = {
        "QuotaExceeded.Vpc": objects.vpc("other", namespace),
        "QuotaExceeded.Cluster": registered("c", namespace),
        "QuotaExceeded.Eip": elastic("b", namespace),
        "OverQuota": balancer("b", namespace),
        "QuotaExceeded.VSwitch": more,
    }
    for code, obj in beyond.items():
        text = api.refused(obj)
        assert code in text, text
        assert "of the CloudQuota default to get more" in text
    raise_quota(api, namespace, **dict.fromkeys(figures, 9))
    api.apply(*beyond.values())


def test_a_cloud_quota_sets_what_there_is_and_raises_nothing_that_nobody_raises(stack, namespace):
    hard = {"nodez": 3, "cn-hangzhou/clusters": 3, "ack_pro/vcpus": 3, "podspernode": 512}
    text = stack.api.refused(objects.custom("CloudQuota", "default", {"hard": hard}, namespace))
    for wrong in ("nodez", "cn-hangzhou/clusters", "ack_pro/vcpus", "spec.hard.podspernode: 512", "at most 256"):
        assert wrong in text
    text = stack.api.refused(objects.custom("CloudQuota", "other", {"hard": {"nodes": 3}}, namespace))
    assert "metadata.name: other" in text
    raise_quota(stack.api, namespace, **{"podspernode": 64, "ack_pro/nodes": 2000, "cn-hangzhou/vcpus": 2000})


def test_pools_ask_for_no_more_than_the_account_may_have(stack, namespace):
    api = stack.api
    raise_quota(api, namespace, vcpus=24)
    api.apply(objects.vpc(namespace=namespace), objects.cluster(namespace=namespace))
    api.apply(objects.pool("p", size=2, namespace=namespace))
    eventually(lambda: status(api, namespace)["nodePools"]["p"]["vcpus"] == 4, "the pool is known to admission")
    eventually(lambda: status(api, namespace)["clusters"]["one"]["nodes"] == 2, "and how many nodes are asked for")

    scale = ("scale", "nodepool", "p", "-n", namespace)
    for size, codes in ((7, ["QuotaExceed.ElasticQuota"]), (11, ["QuotaExceed.ElasticQuota", "QuotaExceeded.Node"])):
        text = api.kubectl(*scale, f"--replicas={size}", check=False)
        assert all(code in text for code in codes), text
        text = api.refused(objects.pool("p", size=size, namespace=namespace))
        assert all(code in text for code in codes), text
    text = api.refused(objects.pool("q", size=9, namespace=namespace, instanceTypes=["ecs.g6.8xlarge"]))
    assert "ecs.g6.8xlarge: No additional quota" in text
    assert "instancevcpus: 32 used of 16" in text
    assert "QuotaExceeded.Node" in text, "everything that is wrong is told"
    raise_quota(api, namespace, vcpus=48, nodes=12)
    api.kubectl(*scale, "--replicas=11")
    api.kubectl(*scale, "--replicas=1")


def test_what_slips_through_admission_waits_and_comes_with_a_raise(stack, namespace):
    """Two pools at once: each fits what is left, both do not."""
    api = stack.api
    raise_quota(api, namespace, **{"vcpus": 12, "ack_standard/nodepools": 1, "ack_standard/scalinggroups": 1})
    api.apply(objects.vpc(namespace=namespace), objects.cluster(namespace=namespace))
    api.apply(objects.pool("p", size=3, namespace=namespace), objects.pool("q", size=3, namespace=namespace))

    def waiting():
        found = [api.object("nodepools", name, namespace) for name in "pq"]
        assert sorted(obj["status"].get("totalNodes", 0) for obj in found) == [0, 3]
        return next(obj for obj in found if not obj["status"].get("totalNodes"))

    late = eventually(waiting, "one pool has its machines, the other one waits")
    assert condition(late)["reason"] == "QuotaExceeded.Nodepool"
    raise_quota(api, namespace, **{"vcpus": 12, "ack_standard/nodepools": 5, "ack_standard/scalinggroups": 1})
    assert status(api, namespace)["used"]["nodepools"] == 1
    raise_quota(api, namespace, **{"vcpus": 12, "ack_standard/nodepools": 5, "ack_standard/scalinggroups": 5})

    def short():
        found = api.object("nodepools", late["metadata"]["name"], namespace)
        assert condition(found)["reason"] == "QuotaExceed.ElasticQuota"
        assert "cn-hangzhou/vcpus: 12 used of 12" in condition(found)["message"]
        return True

    eventually(short, "it has its place, and no vCPUs")
    raise_quota(api, namespace, **{"vcpus": 24, "ack_standard/nodepools": 5, "ack_standard/scalinggroups": 5})
    eventually(lambda: status(api, namespace)["used"]["vcpus"] == 24, "the rest with the raise")
