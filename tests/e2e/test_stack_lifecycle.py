"""Deletes, protection and pause."""

import pytest

from e2e import objects
from e2e.stack import ACKBOX, Stack, eventually, gone, http, is_ready

pytestmark = pytest.mark.e2e


def small_cluster(stack: Stack, namespace: str, **spec):
    api = stack.api
    manifests = objects.vpc(namespace=namespace), objects.cluster(namespace=namespace, **spec)
    api.apply(*manifests, objects.pool(namespace=namespace))
    eventually(lambda: is_ready(api.object("nodepools", "pool", namespace)), "the pool Ready")
    return stack.workload("one", namespace)


def with_service(workload, name="web"):
    workload.apply(objects.deployment(name, "default", replicas=1), objects.service(name, "default", name))


def reachable(stack: Stack, namespace: str) -> str:
    lsn = next(each for each in stack.api.objects("listeners", namespace) if "/web/" in each["spec"]["description"])
    assert is_ready(lsn)
    http(lsn["status"]["reachable"])
    return lsn["status"]["reachable"]


def test_a_deleted_namespace_takes_everything_along(stack):
    with stack.namespace(wait=True) as namespace:
        workload = small_cluster(stack, namespace)
        with_service(workload)
        address = eventually(lambda: reachable(stack, namespace), "the Service answers")
        cluster_id = stack.api.object("managedclusters", "one", namespace)["status"]["clusterId"]
    for plural in ("managedclusters", "instances", "serviceloadbalancers", "listeners", "servergroups"):
        assert not stack.api.objects(plural, namespace)
    assert not [status.name for status in stack.statuses() if cluster_id in status.name]
    assert not (stack.home / "clusters" / cluster_id).exists()
    with pytest.raises(OSError, match=r"refused|reset|timed out"):
        http(address)
    used = stack.api.core("configmaps", "loopback-addresses", "ackbox-system").get("data") or {}
    assert not [owner for owner in used.values() if f"/{namespace}/" in owner]


def is_left_alone_while_it_is_paused(api, namespace):
    api.kubectl("annotate", "nodepool", "pool", "-n", namespace, "ackbox.dev/paused=true")
    api.kubectl("scale", "nodepool", "pool", "-n", namespace, "--replicas=3")
    # A second pool passes the paused one: when it is done, the paused one would have been done too.
    api.apply(objects.pool("other", namespace=namespace))
    eventually(lambda: is_ready(api.object("nodepools", "other", namespace)), "the other pool Ready")
    assert len(api.objects("instances", namespace)) == 2
    api.kubectl("annotate", "nodepool", "pool", "-n", namespace, "ackbox.dev/paused-")
    eventually(lambda: len(api.objects("instances", namespace)) == 4, "3 + 1 instances once it goes on")


def test_a_paused_pool_is_left_alone_and_objects_deleted_in_any_order_converge(stack, namespace):
    small_cluster(stack, namespace)
    is_left_alone_while_it_is_paused(stack.api, namespace)
    api = stack.api
    api.kubectl("delete", "vpc", "net", "-n", namespace, "--wait=false")
    api.kubectl("delete", "managedcluster", "one", "-n", namespace, "--wait=false")
    # They go with their cluster, so they may be gone already.
    api.kubectl("delete", "nodepool", "pool", "-n", namespace, "--wait=false", "--ignore-not-found")
    for plural, name in (("managedclusters", "one"), ("nodepools", "pool"), ("nodepools", "other"), ("vpcs", "net")):
        path = f"{ACKBOX}/namespaces/{namespace}/{plural}/{name}"
        eventually(lambda path=path: gone(api, path), f"{name} gone")
    assert not api.objects("instances", namespace)


def test_a_protected_cluster_is_not_deleted(stack, namespace):
    api = stack.api
    api.apply(objects.cluster(namespace=namespace, deletionProtection=True))
    text = api.kubectl("delete", "managedcluster", "one", "-n", namespace, check=False)
    assert "deletionProtection" in text
    assert not gone(api, f"{ACKBOX}/namespaces/{namespace}/managedclusters/one")
    api.kubectl("patch", "mc", "one", "-n", namespace, "--type=merge", "-p", '{"spec":{"deletionProtection":false}}')
    api.kubectl("delete", "managedcluster", "one", "-n", namespace, "--timeout=120s")
