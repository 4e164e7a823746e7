"""The README's first five minutes."""

import shutil
import subprocess

import pytest
import yaml

from e2e.stack import ACKBOX, CORE, ROOT, Stack, condition, eventually, gone, http, is_ready

pytestmark = pytest.mark.e2e

SAMPLES = ROOT / "manifests" / "samples"


@pytest.fixture(scope="module")
def quickstart(stack: Stack):
    """The samples applied as the README says; what they leave behind is removed."""
    api = stack.api
    api.kubectl("apply", "-f", str(SAMPLES / "quickstart.yaml"))
    api.kubectl("wait", "--for=condition=Ready", "--timeout=180s", "managedcluster/demo", "nodepool/demo", "vpc/demo")
    workload = stack.workload("demo")
    workload.kubectl("apply", "-f", str(SAMPLES / "nginx.yaml"))
    workload.kubectl("rollout", "status", "deployment/nginx", "--timeout=180s")
    yield workload
    api.kubectl("delete", "-f", str(SAMPLES / "quickstart.yaml"), "--wait=false")
    for plural in ("managedclusters", "nodepools", "vpcs"):
        eventually(lambda plural=plural: gone(api, f"{ACKBOX}/namespaces/default/{plural}/demo"), f"{plural} gone")


def listener(stack: Stack):
    return next(lsn for lsn in stack.api.objects("listeners") if "/nginx/default/" in lsn["spec"]["description"])


def answer(stack: Stack):
    return http(listener(stack)["status"]["reachable"])


def test_a_curl_through_the_listener_names_the_server_that_was_reached(stack, quickstart):
    reply = eventually(lambda: answer(stack), "an answer through the listener")
    instances = {instance["metadata"]["name"]: instance for instance in stack.api.objects("instances")}
    reached = instances[reply["serverId"]]
    assert reply["serverIp"] == reached["spec"]["vpcAttributes"]["privateIpAddress"]


def test_the_service_shows_where_it_can_be_reached(stack, quickstart):
    ingress = eventually(
        lambda: quickstart.core("services", "nginx")["status"]["loadBalancer"].get("ingress"), "an address"
    )
    assert ingress[0]["ipMode"] == "Proxy"
    assert listener(stack)["status"]["reachable"].startswith(ingress[0]["ip"] + ":")
    events = eventually(
        lambda: [e for e in quickstart.events("default", "nginx") if e[1] == "EnsuredLoadBalancer"], "the event"
    )
    assert events[0][2].startswith("Ensured load balancer [lb-")


def test_nodes_are_ready_untainted_routed_and_labelled_as_in_the_cloud(stack, quickstart):
    nodes = quickstart.nodes()
    assert len(nodes) == 3
    table = stack.api.object("routetables", "demo")
    routes = {entry["destinationCidrBlock"]: entry["nextHopId"] for entry in table["spec"]["routeEntries"]}
    for node in nodes:
        assert condition(node)["status"] == "True"
        assert condition(node, "NetworkUnavailable")["status"] == "False"
        assert not node["spec"].get("taints")
        region, instance = node["spec"]["providerID"].split(".")
        assert region == "cn-hangzhou"
        assert routes[node["spec"]["podCIDR"]] == instance
        labels = node["metadata"]["labels"]
        assert labels["node.kubernetes.io/instance-type"] == "ecs.g6.xlarge"
        assert labels["topology.kubernetes.io/zone"] in {"cn-hangzhou-h", "cn-hangzhou-i"}
        internal = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
        assert node["metadata"]["name"] == f"cn-hangzhou.{internal[0]}"


def test_applying_the_same_manifest_again_changes_nothing(stack, quickstart):
    api = stack.api
    assert api.kubectl("diff", "-f", str(SAMPLES / "quickstart.yaml")) == ""
    output = api.kubectl("apply", "-f", str(SAMPLES / "quickstart.yaml"))
    assert {line.rsplit(" ", 1)[1] for line in output.splitlines()} == {"unchanged"}
    assert quickstart.kubectl("diff", "-f", str(SAMPLES / "nginx.yaml")) == ""


@pytest.mark.parametrize(
    ("kinds", "columns"),
    [
        ("mc", ["STATE", "READY", "VERSION", "REGION", "NODES"]),
        ("np", ["CLUSTER", "STATE", "READY", "DESIRED", "TOTAL", "SERVING"]),
        ("ecs", ["STATE", "TYPE", "ZONE", "IP", "NODEPOOL"]),
        ("slb", ["LB-ID", "STATE", "ADDRESS", "REACHABLE"]),
        ("lsn", ["PROTOCOL", "PORT", "STATE", "REACHABLE", "HEALTHY"]),
        ("sg", ["GROUP", "HEALTHY", "SERVERS"]),
    ],
)
def test_kubectl_get_answers_in_columns(stack, quickstart, kinds, columns):
    eventually(lambda: answer(stack), "an answer through the listener")
    header, *rows = stack.api.kubectl("get", kinds).splitlines()
    assert set(columns) <= set(header.split())
    assert rows
    assert "<none>" not in "".join(rows)


def test_logs_of_an_emulated_pod_say_that_it_is_emulated_and_exec_fails_at_once(quickstart):
    pod = quickstart.items(f"{CORE}/namespaces/default/pods")[0]["metadata"]["name"]
    assert "emulated" in eventually(lambda: quickstart.kubectl("logs", pod), "logs")
    error = quickstart.kubectl("exec", pod, "--request-timeout=20s", "--", "true", check=False)
    assert "rror" in error


def test_the_kubeconfig_secret_is_what_flux_and_cluster_api_read(stack, quickstart):
    secret = stack.api.core("secrets", "demo-kubeconfig")
    assert "value" in secret["data"]
    config = yaml.safe_load(stack.ackbox("kubeconfig", "demo"))
    assert (
        config["clusters"][0]["cluster"]["server"] == stack.api.object("managedclusters", "demo")["status"]["endpoint"]
    )


def test_anonymous_requests_are_refused(stack, quickstart):
    if not shutil.which("curl"):
        pytest.skip("no curl")
    endpoint = stack.api.object("managedclusters", "demo")["status"]["endpoint"]
    done = subprocess.run(
        ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"{endpoint}/api/v1/nodes"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "401"


def test_quotas_show_what_is_used(stack, quickstart):
    def used():
        quota = stack.api.object("cloudquotas", "default")
        assert quota["status"]["used"]["clusters"] == 1
        assert quota["status"]["used"]["nodes"] == 3
        assert quota["status"]["used"]["vcpus"] == 12
        assert is_ready(quota)
        return True

    eventually(used, "the quota's use")
