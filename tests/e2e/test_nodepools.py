"""Node pools: scale, stop, release, and what can't be had."""

import pytest

from e2e import objects
from e2e.conftest import SHARED, Workload
from e2e.stack import ACKBOX, condition, eventually, gone, http, is_ready

pytestmark = pytest.mark.e2e


def of_pool(items, name):
    return [item for item in items if item["metadata"]["labels"].get("ackbox.dev/nodepool") == name]


@pytest.fixture
def own_pool(workload: Workload):
    """A pool of this test in the shared cluster, marked by a label so that its nodes can be told apart."""
    name = f"pool-{workload.namespace}"
    manifest = objects.pool(name, size=0, namespace=SHARED)
    manifest["spec"]["kubernetesConfig"] = {"labels": [{"key": "test", "value": name}]}
    workload.management.apply(manifest)
    yield name
    workload.management.kubectl("delete", "nodepool", name, "-n", SHARED, "--wait=false")
    eventually(lambda: gone(workload.management, f"{ACKBOX}/namespaces/{SHARED}/nodepools/{name}"), "the pool gone")
    eventually(lambda: not nodes_of(workload, name), "its nodes gone")


def nodes_of(workload: Workload, pool: str):
    return [node for node in workload.api.nodes() if node["metadata"]["labels"].get("test") == pool]


def scaled(workload: Workload, pool: str, size: int) -> bool:
    found = workload.management.object("nodepools", pool, SHARED)
    status = found["status"]
    assert (status.get("totalNodes"), status.get("servingNodes"), status["phase"]) == (size, size, "active")
    assert is_ready(found)
    nodes = nodes_of(workload, pool)
    assert len(nodes) == size
    assert all(condition(node)["status"] == "True" for node in nodes)
    return True


def addresses(workload: Workload) -> list[str]:
    return [a["address"] for a in workload.management.object("vpcs", "net", SHARED)["status"]["allocations"]]


def test_a_pool_scales_out_and_in(workload, own_pool):
    before = len(addresses(workload))
    scale(workload, own_pool, 20)
    eventually(lambda: scaled(workload, own_pool, 20), "20 nodes")
    taken = addresses(workload)
    assert len(taken) == len(set(taken)) == before + 20
    cidrs = [node["spec"]["podCIDR"] for node in workload.api.nodes()]
    assert len(cidrs) == len(set(cidrs))
    scale(workload, own_pool, 3)
    eventually(lambda: scaled(workload, own_pool, 3), "3 nodes")
    eventually(lambda: len(addresses(workload)) == before + 3, "addresses given back")
    routes = workload.management.object("routetables", "net", SHARED)["spec"]["routeEntries"]
    assert len(routes) == len(workload.api.nodes())


def scale(workload: Workload, pool: str, size: int) -> None:
    workload.management.kubectl("scale", "nodepool", pool, "-n", SHARED, f"--replicas={size}")


def test_a_stopped_instance_makes_its_node_not_ready_and_gets_no_traffic(workload, own_pool):
    scale(workload, own_pool, 2)
    eventually(lambda: scaled(workload, own_pool, 2), "2 nodes")
    workload.api.apply(
        objects.deployment("web", workload.namespace, replicas=2),
        objects.service("web", workload.namespace, "web", annotations={"backend-label": f"test={own_pool}"}),
    )
    reachable = eventually(lambda: reachable_with(workload, 2), "a listener with 2 healthy backends")
    names = {node["metadata"]["name"]: node for node in nodes_of(workload, own_pool)}
    stopped_node = sorted(names)[0]
    stopped = names[stopped_node]["spec"]["providerID"].split(".")[1]
    power(workload, stopped, "Stopped")
    eventually(lambda: instance(workload, stopped)["status"]["phase"] == "Stopped", "the instance stopped")
    eventually(lambda: stopped not in reached(reachable), "no traffic for the stopped instance")
    eventually(
        lambda: condition(workload.api.get(f"/api/v1/nodes/{stopped_node}"))["status"] != "True", "its node not ready"
    )
    power(workload, stopped, "Running")
    eventually(lambda: condition(workload.api.get(f"/api/v1/nodes/{stopped_node}"))["status"] == "True", "ready again")
    eventually(lambda: stopped in reached(reachable), "traffic again")


def power(workload: Workload, name: str, state: str) -> None:
    patch = f'{{"spec":{{"status":"{state}"}}}}'
    workload.management.kubectl("patch", "ecs", name, "-n", SHARED, "--type=merge", "-p", patch)


def instance(workload: Workload, name: str):
    return workload.management.object("instances", name, SHARED)


def reachable_with(workload: Workload, healthy: int) -> str:
    for lsn in workload.management.objects("listeners", SHARED):
        if f"/{workload.namespace}/" in lsn["spec"]["description"]:
            assert lsn["status"]["backends"]["healthy"] == healthy
            return lsn["status"]["reachable"]
    raise LookupError("no listener yet")


def reached(address: str) -> set[str]:
    return {http(address)["serverId"] for _ in range(12)}


def test_a_released_instance_takes_its_node_along_and_the_pool_refills(workload, own_pool):
    scale(workload, own_pool, 2)
    eventually(lambda: scaled(workload, own_pool, 2), "2 nodes")
    victim = of_pool(workload.management.objects("instances", SHARED), own_pool)[0]["metadata"]["name"]
    workload.management.kubectl("delete", "ecs", victim, "-n", SHARED, "--wait=false")
    eventually(lambda: gone(workload.management, f"{ACKBOX}/namespaces/{SHARED}/instances/{victim}"), "released")
    eventually(lambda: scaled(workload, own_pool, 2), "2 nodes again")
    assert victim not in {node["spec"]["providerID"].split(".")[1] for node in nodes_of(workload, own_pool)}


def test_what_cannot_be_had_is_said_and_the_rest_comes_up(workload, own_pool):
    api = workload.management
    quota = api.object("cloudquotas", "default", SHARED)
    limit = sum(int(i["spec"]["cpu"]) for i in api.objects("instances", SHARED)) + 8
    before = quota["status"]["hard"]["vcpus"]
    assert before > limit
    pause = ("annotate", "nodepool", own_pool, "-n", SHARED, "--overwrite")
    api.kubectl(*pause, "ackbox.dev/paused=true")
    scale(workload, own_pool, 5)
    # What is beyond the quota is refused at once, so the quota shrinks between the request and the machines.
    patch_quota(api, limit)
    try:
        # The API server's admission learns of another limit a moment later.
        more = ("scale", "nodepool", own_pool, "-n", SHARED, "--replicas=6", "--dry-run=server")
        eventually(lambda: "QuotaExceed.ElasticQuota" in api.kubectl(*more, check=False), "no more machines")
        api.kubectl(*pause, "ackbox.dev/paused-")

        def short():
            found = api.object("nodepools", own_pool, SHARED)
            assert found["status"]["totalNodes"] == 2
            assert found["spec"]["scalingGroup"]["desiredSize"] == 5
            assert "QuotaExceed" in condition(found)["message"] + condition(found)["reason"]
            return True

        eventually(short, "2 of 5 nodes and the reason")
    finally:
        patch_quota(api, before)
        api.kubectl(*pause, "ackbox.dev/paused-")
    eventually(lambda: scaled(workload, own_pool, 5), "the rest once the quota is raised")


def patch_quota(api, limit: int) -> None:
    patch = f'{{"spec":{{"hard":{{"vcpus":{limit}}}}}}}'
    api.kubectl("patch", "cloudquota", "default", "-n", SHARED, "--type=merge", "-p", patch)
