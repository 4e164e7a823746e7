"""Addons in a workload cluster: installed, configured, upgraded and taken away, and refused where they can't be had."""

import pytest

from e2e import objects
from e2e.conftest import SHARED
from e2e.stack import condition, eventually

pytestmark = pytest.mark.e2e

OLD, NEW = "v1.8.5.0-aliyun", "v1.8.6.0-aliyun"
SYSTEM = "kube-system"


def addon(management, name, of="one"):
    """An addon in the status of the shared cluster."""
    return next(
        each for each in management.object("managedclusters", of, SHARED)["status"]["addons"] if each["name"] == name
    )


def image(api, kind, name):
    return api.kubectl("get", kind, name, "-n", SYSTEM, "-o", "jsonpath={.spec.template.spec.containers[0].image}")


@pytest.fixture
def shared(workload):
    """Applies the shared cluster with other addons; without any afterwards."""

    def apply(*addons):
        workload.management.apply(objects.cluster(namespace=SHARED, addons=list(addons)))

    yield apply
    apply()


def test_an_addon_is_installed_configured_upgraded_and_uninstalled(workload, shared):
    management, api = workload.management, workload.api
    wanted = {"name": "logtail-ds", "version": OLD, "config": '{"sls_project_name":"mine"}'}
    shared(wanted)
    eventually(lambda: addon(management, "logtail-ds")["state"] == "active", "installed")
    assert image(api, "daemonset", "logtail-ds").endswith(f":{OLD}")
    assert "running" not in addon(management, "logtail-ds")  # nothing proves that it works
    assert api.core("configmaps", "logtail-ds-config", SYSTEM)["data"] == {"sls_project_name": "mine"}
    eventually(lambda: len(_pods(api, "logtail-ds")) == len(api.nodes()), "a pod of it on every node")

    shared({**wanted, "version": NEW, "config": '{"sls_project_name":"mine","CpuRequest":"10m"}'})

    def upgraded():
        found = addon(management, "logtail-ds")
        return found["version"] == NEW and found["state"] == "active"

    eventually(upgraded, "upgraded")
    (container,) = _pods(api, "logtail-ds")[0]["spec"]["containers"]
    assert container["image"].endswith(f":{NEW}")
    assert container["resources"]["requests"]["cpu"] == "10m"

    before = addon(management, "coredns")
    refused = management.refused(objects.cluster(namespace=SHARED, addons=[{**wanted, "version": OLD}]))
    assert f"logtail-ds {OLD} is older than {NEW}, which is installed" in refused

    shared()
    eventually(lambda: "logtail" not in api.kubectl("get", "all,configmaps", "-n", SYSTEM), "uninstalled")
    names = lambda: [each["name"] for each in management.object("managedclusters", "one", SHARED)["status"]["addons"]]  # noqa: E731
    eventually(lambda: "logtail-ds" not in names(), "gone from the status")
    assert addon(management, "coredns") == before


def _pods(api, name):
    return [
        pod
        for pod in api.items(f"/api/v1/namespaces/{SYSTEM}/pods?labelSelector=k8s-app%3D{name}")
        if pod["status"]["phase"] == "Running"
    ]


def test_metrics_server_runs_when_the_metrics_api_tells_what_pods_use(workload):
    management, api = workload.management, workload.api
    eventually(lambda: addon(management, "metrics-server").get("running"), "metrics-server is running")
    body = objects.deployment("busy", workload.namespace, replicas=1)
    usage = {"kwok.x-k8s.io/usage-cpu": "250m", "kwok.x-k8s.io/usage-memory": "64Mi"}
    body["spec"]["template"]["metadata"]["annotations"] = usage
    api.apply(body)

    def told():
        (line,) = api.kubectl("top", "pods", "-n", workload.namespace, "--no-headers").splitlines()
        return line.split()[1:] == ["250m", "64Mi"]

    eventually(told, "kubectl top shows what the pod uses")
    assert len(api.kubectl("top", "nodes", "--no-headers").splitlines()) == len(api.nodes())


def test_a_setting_that_an_addon_does_not_have_is_told_and_the_cluster_goes_on(workload, shared):
    shared({"name": "storage-operator", "config": '{"Colour":"red"}'})

    def told():
        found = condition(workload.management.object("managedclusters", "one", SHARED), "AddonsReady")
        return found["status"] == "False" and "spec.addons[storage-operator]: config: Colour" in found["message"]

    eventually(told, "the condition names the setting")
    assert condition(workload.management.object("managedclusters", "one", SHARED))["status"] == "True"


@pytest.mark.parametrize(
    ("addons", "words"),
    [
        ([{"name": "nope"}], "spec.addons: nope not found (AddonNotFound)"),
        ([{"name": "coredns", "version": "9"}], "coredns has no version 9; it has: 1.6.7"),
        (
            [{"name": "ack-node-local-dns"}, {"name": "coredns", "disabled": True}],
            "ack-node-local-dns requires coredns",
        ),
        ([{"name": "flannel", "disabled": True}], "flannel can not be disabled"),
        ([{"name": "coredns", "config": "{"}], "coredns: config is not a JSON object (InvalidParameter.Format)"),
    ],
)
def test_an_addon_that_can_not_be_had_is_refused(stack, namespace, addons, words):
    assert words in stack.api.refused(objects.cluster(namespace=namespace, addons=addons))


def test_a_manifest_that_breaks_several_rules_says_all_of_them(stack, namespace):
    text = stack.api.refused(
        objects.cluster(
            namespace=namespace,
            addons=[{"name": "nope"}, {"name": "coredns", "version": "9"}, {"name": "csi-plugin", "config": "no"}],
        )
    )
    for words in ("nope not found", "coredns has no version 9", "csi-plugin: config is not a JSON object"):
        assert words in text
