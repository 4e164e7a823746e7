"""The Helm chart and the plain manifests: Helm reads them, a real API server takes every object of them."""

import json
import secrets
from collections.abc import Iterator

import pytest
import yaml

from ackbox.chart.install import plain
from ackbox.chart.pages import walk
from ackbox.chart.values import Values
from ackbox.cloud.allocation import listener_ports
from ackbox.cloud.allocation.exposure import exposure_from
from ackbox.controlplane.images import Images, PodOptions, from_environment
from ackbox.controlplane.incluster_ccm import objects as agent
from ackbox.controlplane.incluster_manifests import DEPLOYMENT
from ackbox.kube.serving import POD_PORT
from ackbox.resources import RESOURCES, ManagedCluster
from e2e import objects
from e2e.chart import (
    DEFAULTS,
    EVERYTHING,
    LITTLE,
    NAMESPACE,
    UNKNOWN_TO_THE_SERVER,
    Helm,
    Strict,
    name_of,
    named,
    pod_templates,
    said,
)
from e2e.gitops import drift
from e2e.stack import ROOT, Stack

pytestmark = pytest.mark.e2e

WITH_KEYS = {"Deployment", "Job"}
"""What holds Pods: their lists are merged by the names in them."""


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture
def restricted(stack: Stack) -> Iterator[str]:
    """A namespace that takes no Pod below `restricted`."""
    name = f"t-{secrets.token_hex(4)}"
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    stack.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    stack.api.kubectl("delete", "namespace", name, "--wait=false")


def test_these_tests_know_every_value():
    for value in walk(Values()):
        if value.default is not None:
            assert any(said(values, value.path) not in (None, value.default) for values in (EVERYTHING, LITTLE)), value


@pytest.mark.parametrize("values", [DEFAULTS, EVERYTHING, LITTLE], ids=["defaults", "everything", "little"])
def test_helm_finds_no_fault(helm: Helm, values):
    assert "0 chart(s) failed" in helm.run("lint", "--strict", values=values)


@pytest.mark.parametrize("values", [DEFAULTS, EVERYTHING], ids=["defaults", "everything"])
def test_an_api_server_takes_every_object_as_it_is(stack: Stack, helm: Helm, values):
    known = [] if values == DEFAULTS else helm.objects(DEFAULTS)
    # Pods ask for their ServiceAccount at once; they are looked at below.
    left_out = UNKNOWN_TO_THE_SERVER | {"Pod"}
    objects = [each for each in helm.objects(values) if each["kind"] not in left_out and each not in known]
    flags = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--output=json")
    told = stack.api.kubectl("apply", *flags, "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))
    taken = {(each["kind"], name_of(each)): each for each in json.loads(told)["items"]}
    assert len(taken) == len(objects)
    # Lists without keys have one owner: completed by the server, they would be a conflict for the next tool.
    assert [
        found
        for each in objects
        if each["kind"] not in WITH_KEYS
        for found in drift(each, taken[each["kind"], name_of(each)], f"{each['kind']} {name_of(each)}: ")
    ] == []


@pytest.mark.parametrize("values", [DEFAULTS, EVERYTHING], ids=["defaults", "everything"])
def test_every_pod_is_restricted_and_has_limits(stack: Stack, helm: Helm, restricted: str, values):
    templates = pod_templates(helm.objects(values))
    assert set(templates) == {"ackbox-operator", "ackbox-slb", "ackbox-uninstall", "ackbox-test"}
    for name, template in templates.items():
        spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["resources"]["limits"]
        spec.pop("priorityClassName", None)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": restricted}, "spec": spec}
        stack.api.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))


def test_kubectl_installs_the_same_without_helm(stack: Stack, helm: Helm):
    told = stack.api.kubectl("kustomize", str(ROOT / "manifests" / "install"))
    found = {(each["kind"], name_of(each)): each for each in yaml.load_all(told, Strict)}
    wanted = {(each["kind"], name_of(each)): each for each in plain(helm.objects(DEFAULTS, "--no-hooks"))}
    assert set(found) == set(wanted) | {("Namespace", NAMESPACE)}
    for key, each in wanted.items():
        for section in ("spec", "data", "rules", "subjects"):
            assert found[key].get(section) == each.get(section), key


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"slb": {"replicas": -1}}, "slb/replicas"),
        ({"slb": {"serviceType": "Ingress"}}, "slb/serviceType"),
        ({"operator": {"replica": 1}}, "'replica' not allowed"),
        ({"image": {"digest": "latest"}}, "image/digest"),
        ({"controlPlanes": {"images": {"kwok": "mirror/kwok:v1"}}}, "controlPlanes/images/kwok"),
        ({"slb": {"loadBalancerClass": "example.com/metal"}}, "slb.serviceType is ClusterIP"),
        ({"slb": {"replicas": None}}, "missing property 'replicas'"),
        ({"image": {"repository": "ghcr.io/ackbox/ackbox:v1"}}, "image/repository"),
        ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels: the chart itself sets the label"),
        ({"serviceMonitor": {"labels": {"helm.sh/chart": "x"}}}, "serviceMonitor.labels: the chart itself sets"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, values, told):
    assert told in helm.run("template", "ackbox", values=values, check=False)


def test_another_namespace_is_refused(helm: Helm):
    assert "--namespace ackbox-system" in helm.run("template", "ackbox", namespace="default", check=False)


def test_custom_resources_stay_unless_everything_is_to_go(helm: Helm):
    for values, kept in ((DEFAULTS, {"helm.sh/resource-policy": "keep"}), (EVERYTHING, None)):
        definitions = [each for each in helm.objects(values) if each["kind"] == "CustomResourceDefinition"]
        assert len(definitions) == len(RESOURCES)
        assert all(each["metadata"].get("annotations") == kept for each in definitions)


def test_removal_may_delete_only_when_everything_is_to_go(helm: Helm):
    kinds = sorted(each.KIND.plural for each in RESOURCES)
    careful = named(helm.objects(DEFAULTS), "ClusterRole", "ackbox:uninstall")
    assert careful["rules"] == [{"apiGroups": ["ackbox.dev"], "resources": kinds, "verbs": ["list"]}]
    assert ("Role", "ackbox-uninstall") not in [(each["kind"], name_of(each)) for each in helm.objects(DEFAULTS)]
    objects = helm.objects(EVERYTHING)
    own, definitions = named(objects, "ClusterRole", "ackbox:uninstall")["rules"]
    assert (sorted(own["resources"]), own["verbs"]) == (kinds, ["list", "patch", "delete"])
    assert sorted(definitions["resourceNames"]) == [f"{kind}.ackbox.dev" for kind in kinds]
    (services,) = named(objects, "Role", "ackbox-uninstall")["rules"]
    assert (services["resources"], services["verbs"]) == (["services"], ["list", "delete"])
    job = named(objects, "Job", "ackbox-uninstall")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["uninstall", "--purge", "--timeout=7"]


def test_nothing_in_the_chart_may_do_everything(helm: Helm):
    for each in helm.objects(EVERYTHING):
        for rule in each.get("rules") or ():
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], each["metadata"]["name"]


def test_values_reach_the_pods(helm: Helm):
    objects = helm.objects(EVERYTHING)
    image = f"example.com:5000/ackbox@sha256:{'0' * 64}"
    templates = pod_templates(objects)
    for name, template in templates.items():
        values, spec = EVERYTHING["slb" if name == "ackbox-slb" else "operator"], template["spec"]
        for field in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
            assert spec[field] == values[field], (name, field)
        assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
        assert {(each["image"], each["imagePullPolicy"]) for each in spec["containers"]} == {(image, "Always")}
        assert spec["containers"][0]["resources"]["limits"]["cpu"] == values["resources"]["limits"]["cpu"]
        assert template["metadata"]["labels"].items() >= EVERYTHING["podLabels"].items()
    operator, slb = templates["ackbox-operator"], templates["ackbox-slb"]
    assert operator["metadata"]["annotations"] == EVERYTHING["operator"]["podAnnotations"]
    assert slb["metadata"]["annotations"] == {"g": "h", "kubectl.kubernetes.io/default-container": "slb"}
    assert slb["spec"]["containers"][1]["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}
    assert [named(objects, "Deployment", f"ackbox-{name}")["spec"]["replicas"] for name in ("operator", "slb")] == [
        1,
        3,
    ]


def test_prometheus_finds_the_metrics_of_every_process(helm: Helm):
    rendered = helm.objects(EVERYTHING)
    for kind, endpoints, port in (
        ("ServiceMonitor", "endpoints", "status"),
        ("PodMonitor", "podMetricsEndpoints", "metrics"),
    ):
        monitor = named(rendered, kind, "ackbox")
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert monitor["spec"][endpoints] == [{"port": port, "path": "/metrics", "interval": "1m30s"}]
    for name in ("ackbox-operator", "ackbox-slb"):
        (port,) = named(rendered, "Service", name)["spec"]["ports"]
        assert port["name"] == "status"
    # The ccm's own Pods are made by the operator.
    chosen = named(rendered, "PodMonitor", "ackbox")["spec"]["selector"]
    cluster = ManagedCluster.model_validate(objects.cluster())
    template = dict(agent(cluster, f"c{1:032x}", PodOptions(Images("own"))))[DEPLOYMENT]["spec"]["template"]
    assert template["metadata"]["labels"].items() >= chosen["matchLabels"].items()
    assert {each["key"] for each in chosen["matchExpressions"]} <= set(template["metadata"]["labels"])
    assert "metrics" in {port["name"] for port in template["spec"]["containers"][0]["ports"]}


def test_the_operator_is_told_what_control_planes_and_load_balancers_are_made_of(helm: Helm):
    (operator,) = pod_templates(helm.objects(EVERYTHING))["ackbox-operator"]["spec"]["containers"]
    told = {each["name"]: each.get("value") for each in operator["env"]}
    exposure = exposure_from(told)
    assert (exposure.service_type, exposure.load_balancer_class) == ("LoadBalancer", "example.com/metal")
    assert from_environment(told["ACKBOX_IMAGE"], told) == PodOptions(
        Images(
            own=operator["image"],
            kubernetes="example.com/{program}:{version}",
            etcd="example.com/etcd:{version}",
            kwok="example.com/kwok:{version}",
            pull_policy="Always",
        ),
        pull_secrets=("one", "two"),
        priority_class="high",
        etcd_storage="1Gi",
        etcd_storage_class="fast",
    )


def test_no_variable_is_empty(helm: Helm):
    # The server doesn't keep an empty text: another difference for the next tool.
    for pod in pod_templates(helm.objects(DEFAULTS)).values():
        for container in pod["spec"]["containers"]:
            assert all(each.get("value") or each.get("valueFrom") for each in container["env"])


def test_what_is_switched_off_is_not_there(helm: Helm):
    objects = helm.objects(LITTLE, "--no-hooks")
    assert {each["kind"] for each in objects} == {"ServiceAccount", "ConfigMap", "Lease", "Service", "Deployment"}
    images = {each["image"] for template in pod_templates(objects).values() for each in template["spec"]["containers"]}
    assert images == {"ghcr.io/ackbox/ackbox:1.10"}


def test_clients_reach_listeners_and_probes_and_nothing_else(helm: Helm):
    status = {"ports": [{"protocol": "TCP", "port": POD_PORT}]}
    span = {"port": listener_ports.FIRST, "endPort": listener_ports.LAST}
    listeners = {"ports": [{"protocol": protocol, **span} for protocol in ("TCP", "UDP")]}
    objects = helm.objects(DEFAULTS)
    for name, wanted in (("ackbox-operator", [status]), ("ackbox-slb", [status, listeners])):
        policy = named(objects, "NetworkPolicy", name)["spec"]
        assert (policy["policyTypes"], policy["ingress"]) == (["Ingress"], wanted)
        labels = pod_templates(objects)[name]["metadata"]["labels"]
        assert labels.items() >= policy["podSelector"]["matchLabels"].items()
        containers = pod_templates(objects)[name]["spec"]["containers"]
        assert [port["containerPort"] for each in containers for port in each.get("ports", ())] == [POD_PORT]


def test_ackbox_is_not_removed_from_a_cluster_that_needs_it(stack: Stack, shared_cluster):
    with pytest.raises(AssertionError, match="still needed by ManagedCluster"):
        stack.ackbox("uninstall", "--kubeconfig", str(stack.home / "kubeconfig"))
