"""Cloud config, route tables, nodes of other makes and metrics, on a whole stack."""

import json
import re
import ssl
import urllib.request
from collections.abc import Iterator

import pytest

from ackbox.ccm.config import KEY
from ackbox.kube.serving import CCM_PORT, SLB_PORT
from ackbox.runtime.home import load
from e2e import objects
from e2e.conftest import SHARED, Workload
from e2e.stack import CORE, Stack, condition, eventually, http, is_ready

pytestmark = pytest.mark.e2e

UNINITIALIZED = {"key": "node.cloudprovider.kubernetes.io/uninitialized", "effect": "NoSchedule"}


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> Iterator[Workload]:
    """A cluster of two nodes with two route tables of its own."""
    with stack.namespace() as namespace:
        api = stack.api
        api.apply(objects.vpc(namespace=namespace), objects.cluster(namespace=namespace))
        api.apply(objects.pool(size=2, namespace=namespace))
        eventually(lambda: is_ready(api.object("nodepools", "pool", namespace)), "the pool Ready")
        workload = stack.workload("one", namespace)
        eventually(lambda: len(workload.nodes()) == 2, "its nodes, with routes in the VPC's own table")
        api.apply(objects.custom("RouteTable", "second", {"vpcId": "net"}, namespace))
        yield Workload(stack, workload, namespace, namespace)


@pytest.fixture
def own(cluster: Workload) -> Workload:
    """That cluster, two nodes in it, and a cloud config that says nothing."""
    config(cluster)  # seen within a few seconds: a test that counts on it comes first
    cluster.management.kubectl("scale", "nodepool", "pool", "-n", cluster.account, "--replicas=2")
    eventually(lambda: len(cluster.api.nodes()) == 2, "two nodes")
    return cluster


def config(own: Workload, **values: object) -> None:
    body = {"data": {KEY: json.dumps({"Global": values})}}
    own.api.kubectl("patch", "configmap", "cloud-config", "-n", "kube-system", "--type=merge", "-p", json.dumps(body))


def entries(own: Workload, table: str) -> dict[str, str]:
    spec = own.management.object("routetables", table, own.account)["spec"]
    return {entry["destinationCidrBlock"]: entry["nextHopId"] for entry in spec.get("routeEntries") or []}


def add(own: Workload, table: str, *added: tuple[str, str]) -> None:
    """Put entries into a table by hand, in the place of those with the same block."""
    wanted = {**entries(own, table), **dict(added)}
    rows = [{"destinationCidrBlock": cidr, "nextHopId": hop} for cidr, hop in wanted.items()]
    patch = json.dumps({"spec": {"routeEntries": rows}})
    own.management.kubectl("patch", "routetable", table, "-n", own.account, "--type=merge", "-p", patch)


def node(name: str, provider_id: str | None = None, ready: str = "False", **labels: str) -> dict:
    """A Node as a kubelet registers it."""
    spec = {"taints": [UNINITIALIZED]} | ({"providerID": provider_id} if provider_id else {})
    status = {"conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady", "message": ""}]}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": status}


def test_every_managed_cluster_begins_with_its_cloud_config(workload: Workload):
    text = workload.api.core("configmaps", "cloud-config", "kube-system")["data"][KEY]
    cluster = workload.management.object("managedclusters", "one", SHARED)
    vpc = workload.management.object("vpcs", "net", SHARED)
    vswitch = next(each for each in vpc["status"]["vswitches"] if each["vSwitchName"] == "net-h")
    assert json.loads(text)["Global"] == {
        "clusterID": cluster["status"]["clusterId"],
        "region": "cn-hangzhou",
        "vpcid": vpc["status"]["vpcId"],
        "vswitchid": f"cn-hangzhou-h:{vswitch['vSwitchId']}",
    }


def test_several_tables_and_none_chosen_leave_new_nodes_without_a_route_until_one_is(own: Workload):
    old = {each["metadata"]["name"] for each in own.api.nodes()}
    own.management.kubectl("scale", "nodepool", "pool", "-n", own.account, "--replicas=3")

    def networks() -> dict[bool, set[str]]:
        found: dict[bool, set[str]] = {True: set(), False: set()}
        for each in own.api.nodes():
            found[each["metadata"]["name"] in old].add(condition(each, "NetworkUnavailable").get("status", ""))
        return found

    eventually(lambda: networks() == {True: {"False"}, False: {"True"}}, "the new node without a route")
    said = [text for _, reason, text in own.api.events("default", "route-controller") if reason == "SyncRouteFailed"]
    assert any("multiple route tables found by vpc id" in text for text in said)
    config(own, routeTableIDs="net")
    eventually(lambda: networks() == {True: {"False"}, False: {"False"}}, "every node routed")


def test_route_tables_are_chosen_by_the_cloud_config_and_mended(own: Workload):
    config(own, routeTableIDs="second,net", featureGates="Turbo=true")
    eventually(lambda: len(entries(own, "second")) == 2, "both routes in the second table")
    eventually(lambda: entries(own, "second") == entries(own, "net"), "both routes in both tables")

    def said() -> bool:
        found = own.api.events("kube-system", "cloud-config")
        return any(reason == "InvalidCloudConfig" and "Turbo" in message for _, reason, message in found)

    eventually(said, "the unknown gate said")
    before = entries(own, "net")
    cidr, hop = next(iter(before.items()))
    inside, other = cidr.replace("/26", "/28"), next(each for each in before.values() if each != hop)
    add(own, "net", (cidr, other), (inside, other), ("172.16.0.0/16", other))
    eventually(lambda: entries(own, "net") == {**before, "172.16.0.0/16": other}, "the node's own block mended")
    name = next(n["metadata"]["name"] for n in own.api.nodes() if n["spec"]["providerID"].endswith(hop))
    found = eventually(
        lambda: [text for _, reason, text in own.api.events("default", name) if reason == "CreatedRoute"], "the event"
    )
    assert any(f"with {name} -> {cidr} successfully" in text for text in found)


def test_nodes_that_no_instance_stands_behind(own: Workload):
    lingjun = {"alibabacloud.com/lingjun-worker": "true"}
    own.api.post(f"{CORE}/nodes", node("nobody"))
    own.api.post(f"{CORE}/nodes", node("beijing", "cn-beijing.i-1", ready="Unknown"))
    own.api.post(f"{CORE}/nodes", node("lingjun", "e01-1", **lingjun))

    def taints() -> dict[str, list[str]]:
        return {n["metadata"]["name"]: [t["key"] for t in n["spec"].get("taints", [])] for n in own.api.nodes()}

    eventually(lambda: "beijing" not in taints(), "the node of another region gone, as nothing is heard of it")
    eventually(lambda: UNINITIALIZED["key"] not in taints()["lingjun"], "the Lingjun node initialised")

    def explained() -> bool:
        return any("--provider-id=" in text for _, _, text in own.api.events("default", "nobody"))

    eventually(explained, "what is missing said")
    assert UNINITIALIZED["key"] in taints()["nobody"]
    own.api.kubectl("delete", "node", "nobody", "lingjun")


def test_metrics_are_served_to_clients_of_the_home(stack: Stack, workload: Workload):
    home = load(stack.home)
    folder = home.pki / "management"
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "metrics.crt", folder / "metrics.key")
    workload.api.apply(objects.deployment("web", workload.namespace), objects.service("web", workload.namespace, "web"))
    mark = f"/web/{workload.namespace}/"

    def listener() -> dict:
        found = workload.management.objects("listeners", SHARED)
        return next(each for each in found if mark in each["spec"].get("description", ""))

    reachable = eventually(lambda: is_ready(listener()) and listener()["status"]["reachable"], "the listener Ready")
    eventually(lambda: http(reachable), "an answer")

    def scraped(port: int) -> str:
        with urllib.request.urlopen(f"https://{home.management_address}:{port}/metrics", context=context) as answer:
            return str(answer.read().decode())

    ccm = (
        'ccm_node_latencies_duration_milliseconds_count{verb="reconcile"}',
        'ccm_route_latencies_duration_milliseconds_count{verb="create"}',
        'ccm_slb_latencies_duration_milliseconds_count{type="CLBType",verb="Creation"}',
        'ccm_slb_operation_result{status="Success",type="CLBType",verb="Creation"}',
    )
    eventually(lambda: all(each in scraped(CCM_PORT) for each in ccm), "the metrics of the CCM")
    name = reachable.replace(":", "_")
    connections = re.compile(rf'envoy_listener_downstream_cx_total{{[^}}]*"{re.escape(name)}"}} ([1-9])')
    eventually(lambda: connections.search(scraped(SLB_PORT)), "the listener's connections")
    stranger = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    for port in (CCM_PORT, SLB_PORT):
        with pytest.raises(OSError, match=r"certificate required|reset|EOF|closed"):
            urllib.request.urlopen(f"https://{home.management_address}:{port}/metrics", context=stranger, timeout=10)
