"""Control planes: reached through their load balancer, alive while any one process dies, and what masters are for."""

import base64
import os
import signal
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3
from cryptography import x509

from e2e import objects
from e2e.clients import client_at_work, connections
from e2e.stack import Api, Stack, condition, eventually, gone, is_ready

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

AT_ONCE = 90
"""Requests of a client that doesn't hold back: three times what users of a standard cluster may have under way."""

ONE_OF_EACH_KIND = (
    "{id}-apiserver1-kube-apiserver",
    "{id}-etcd-etcd1",
    "{id}-apiserver1-kube-controller-manager",
    "{id}-apiserver1-kube-scheduler",
    "{id}-kwok",
    "envoy",
)


@pytest.fixture(scope="module")
def account(stack: Stack) -> Iterator[str]:
    with stack.namespace() as name:
        stack.api.apply(
            objects.vpc(namespace=name),
            objects.cluster(
                "ha", name, clusterSpec="ack.pro.small", emulation={"footprint": "ha"}, extraSans=["k8s.test"]
            ),
            objects.cluster("std", name, containerCidr="10.34.0.0/16"),
            objects.cluster(
                "own",
                name,
                clusterType="Kubernetes",
                vswitchIds=["net-h", "net-i"],
                containerCidr="10.33.0.0/16",
                controlPlaneConfig={"size": 3},
            ),
        )
        yield name


def ready(stack: Stack, account: str, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = stack.api.object("managedclusters", name, account)
        return found if is_ready(found) and found["status"]["phase"] == "running" else None

    return eventually(look, f"cluster {name} runs")


def members(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return cluster["status"]["controlPlane"]


def serving(stack: Stack, account: str, name: str) -> list[str]:
    """The API servers that the load balancer finds healthy."""
    group = stack.api.object("servergroups", f"{name}-apiserver", account)
    servers = group["status"].get("backendServers", [])
    return [each["serverId"] for each in servers if each["serverHealthStatus"] == "normal"]


def test_no_request_fails_whichever_process_of_a_highly_available_cluster_is_killed(stack, account):
    cluster = ready(stack, account, "ha")
    assert len({member["zoneId"] for member in members(cluster)}) == len(members(cluster)) == 2
    names = [name.format(id=cluster["status"]["clusterId"]) for name in ONE_OF_EACH_KIND]
    with client_at_work(stack.workload("ha", account)) as client:
        for name in names:
            before, old = client.done, stack.pid(name)
            os.kill(old, signal.SIGKILL)
            eventually(lambda name=name, old=old: stack.pid(name) != old, f"{name} runs again")
            eventually(lambda: len(serving(stack, account, "ha")) == 2, "both API servers serve")
            eventually(lambda before=before: client.done > before + 5, "the client goes on")
    assert not client.failed


def test_users_reach_an_api_server_by_its_load_balancer_under_every_name_it_has(stack, account):
    cluster = ready(stack, account, "ha")
    status, api = cluster["status"], stack.api
    balancer = api.object("serviceloadbalancers", "ha-apiserver", account)
    assert {"key": "ack.aliyun.com", "value": status["clusterId"]} in balancer["spec"]["tags"]
    assert status["loadBalancerId"] == balancer["status"]["loadBalancerId"]
    assert status["endpoint"] == f"https://{balancer['status']['reachable']}:6443" == status["internalEndpoint"]
    assert not [each for each in members(cluster) if each["address"] in status["endpoint"]]
    api.kubectl(
        "patch", "managedcluster", "ha", "-n", account, "--type=merge", '-p={"spec":{"endpointPublicAccess":true}}'
    )
    public = eventually(
        lambda: api.object("managedclusters", "ha", account)["status"]["publicEndpoint"], "a public endpoint"
    )
    hosts = {"k8s.test", balancer["status"]["reachable"], balancer["status"]["address"], public[8:-5]}
    eventually(lambda: hosts <= named(balancer["status"]["reachable"]), f"a certificate for {hosts}")
    # What is dialled for real is nobody's to choose but ackbox's.
    group = api.object("servergroups", "ha-apiserver", account)
    group["spec"]["backendServers"][0]["serverIp"] = "127.0.0.1"
    assert "only ackbox itself" in api.refused(objects.custom("ServerGroup", "ha-apiserver", group["spec"], account))


def named(host: str) -> set[str]:
    """The names and addresses in the certificate of an API server."""
    found = x509.load_pem_x509_certificate(ssl.get_server_certificate((host, 6443), timeout=5).encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def test_a_master_that_is_off_takes_its_api_server_along_and_two_of_three_lose_the_quorum(stack, account):
    api = stack.api
    cluster = ready(stack, account, "own")
    machines = [member["instanceId"] for member in members(cluster)]
    found = [api.object("instances", name, account) for name in machines]
    assert {each["spec"]["instanceRole"] for each in found} == {"Master"}
    assert {each["spec"]["zoneId"] for each in found} == {"cn-hangzhou-h", "cn-hangzhou-i"}
    workload = stack.workload("own", account)
    nodes = eventually(lambda: (there := workload.nodes()) and len(there) == 3 and there, "the masters' Nodes")
    for node in nodes:
        assert "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
        assert ("node-role.kubernetes.io/control-plane", "NoSchedule") in {
            (taint["key"], taint["effect"]) for taint in node["spec"]["taints"]
        }
    power(api, account, machines[0], "Stopped")
    eventually(lambda: len(serving(stack, account, "own")) == 2, "two API servers")
    now = eventually(
        lambda: (c := told(api, account, "own", "MasterUnavailable")).get("status") == "True" and c, "it told"
    )
    assert machines[0] in now["message"]
    assert workload.nodes(), "the others serve"
    power(api, account, machines[1], "Stopped")
    lost = eventually(lambda: (c := told(api, account, "own"))["reason"] == "EtcdQuorumLost" and c, "the quorum lost")
    assert "1 of 3" in lost["message"]
    assert machines[1] in lost["message"]
    assert api.object("managedclusters", "own", account)["status"]["phase"] == "unavailable"
    power(api, account, machines[1], "Running")
    ready(stack, account, "own")
    eventually(workload.nodes, "the API server answers again")
    # A master that is released is not made again, nor is there another way to have one.
    api.kubectl("delete", "instance", machines[0], "-n", account)
    eventually(lambda: told(api, account, "own", "MasterUnavailable")["reason"] == "MasterReleased", "it told")
    assert is_ready(api.object("managedclusters", "own", account))


def test_a_standard_cluster_refuses_what_a_pro_one_lets_wait_and_can_become_one(stack, account):
    ready(stack, account, "std")
    workload = stack.workload("std", account)
    pool, server = connections(workload, AT_ONCE)
    for number in range(8):
        body = {"metadata": {"name": f"big{number}"}, "data": {"text": "much " * 50_000}}
        workload.post("/api/v1/namespaces/default/configmaps", body)
    path = f"{server}/api/v1/namespaces/default/configmaps"
    eventually(lambda: 429 in statuses(pool, path), "somebody is refused")
    # Whoever reads a little at a time is served.
    assert len(workload.kubectl("get", "configmaps", "--chunk-size=2", "-o", "name").splitlines()) >= 8
    stack.api.apply(objects.cluster("std", account, containerCidr="10.34.0.0/16", clusterSpec="ack.pro.small"))
    eventually(
        lambda: stack.api.object("managedclusters", "std", account)["status"]["phase"] == "migrating", "the migration"
    )
    assert ready(stack, account, "std")["status"]["edition"] == "ack_pro"
    standard = objects.cluster("std", account, containerCidr="10.34.0.0/16", clusterSpec="ack.standard")
    assert "cannot be changed back" in stack.api.refused(standard)
    eventually(lambda: statuses(pool, path) == {200}, "everybody is served in the end")


def statuses(pool: urllib3.PoolManager, url: str) -> set[int]:
    """What so many get who ask at the same time."""

    def ask(_: int) -> int:
        return int(pool.request("GET", url, retries=False, timeout=60).status)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return set(threads.map(ask, range(AT_ONCE)))


def power(api: Api, account: str, machine: str, state: str) -> None:
    api.kubectl("patch", "instance", machine, "-n", account, "--type=merge", f'-p={{"spec":{{"status":"{state}"}}}}')


def told(api: Api, account: str, cluster: str, kind: str = "Ready") -> dict[str, Any]:
    return condition(api.object("managedclusters", cluster, account), kind)


def test_without_its_load_balancer_or_its_certificates_a_cluster_can_not_be_operated(stack, account):
    api = stack.api
    ready(stack, account, "ha")
    own = api.core("secrets", "ha-ca", account)["data"]["tls.crt"]
    replace_certificate(api, account, base64.b64encode(b"another").decode())
    eventually(lambda: told(api, account, "ha")["reason"] == "CertificatesReplaced", "the certificates missed")
    assert api.object("managedclusters", "ha", account)["status"]["phase"] == "unavailable"
    replace_certificate(api, account, own)
    ready(stack, account, "ha")
    api.kubectl("delete", "serviceloadbalancer", "ha-apiserver", "-n", account)
    gone_for_good = eventually(
        lambda: (c := told(api, account, "ha"))["reason"] == "ApiServerLoadBalancerDeleted" and c, "the SLB missed"
    )
    assert "create the cluster again" in gone_for_good["message"]
    assert told(api, account, "ha", "Stalled")["status"] == "True"
    assert gone(api, f"/apis/ackbox.dev/v1alpha1/namespaces/{account}/serviceloadbalancers/ha-apiserver")


def replace_certificate(api: Api, account: str, value: str) -> None:
    """Secrets aren't watched: that the cluster is touched has it looked at soon."""
    api.kubectl("patch", "secret", "ha-ca", "-n", account, "--type=merge", f'-p={{"data":{{"tls.crt":"{value}"}}}}')
    api.kubectl("annotate", "managedcluster", "ha", "-n", account, "--overwrite", f"looked-at={value[:8]}")
