"""The Helm chart and the plain manifests: Helm reads them, a real API server takes every object of them."""

import asyncio
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ackbox.chart.install import plain
from ackbox.resources import RESOURCES
from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.progress import Silent
from e2e.stack import ROOT, Stack

pytestmark = pytest.mark.e2e

CHART = ROOT / "charts" / "ackbox"
NAMESPACE = "ackbox-system"
DEFAULTS: dict[str, Any] = {}
EVERYTHING = {
    "image": {"digest": f"sha256:{'0' * 64}", "pullPolicy": "Always", "pullSecrets": ["one"]},
    "controlPlanes": {"etcdStorage": {"size": "1Gi", "storageClassName": "fast"}, "priorityClassName": "high"},
    "operator": {
        "replicas": 1,
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "podAnnotations": {"c": "d"},
    },
    "slb": {
        "serviceType": "LoadBalancer",
        "loadBalancerClass": "example.com/metal",
        "resources": {"limits": {"cpu": 1}},
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "podLabels": {"team": "cloud"},
    "purge": True,
    "global": {"anything": 1},
}
UNKNOWN_TO_THE_SERVER = {"ServiceMonitor"}


class Helm:
    """Helm with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = asyncio.run(locate(tools.helm(), Silent()))["helm"]

    def run(
        self, *arguments: str, values: dict[str, Any] | None = None, check: bool = True, namespace: str = NAMESPACE
    ) -> str:
        """What a command writes; with `check` off, its errors."""
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        own = {f"HELM_{name}_HOME": str(self.folder) for name in ("CACHE", "CONFIG", "DATA")}
        command = [self.program, *arguments, CHART, "--namespace", namespace, "--values", file]
        done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False, timeout=120)
        if check:
            assert done.returncode == 0, done.stderr
        return done.stderr if done.returncode else done.stdout

    def objects(self, values: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
        """The rendered objects."""
        rendered = self.run("template", *arguments, "ackbox", values=values)
        return [each for each in yaml.safe_load_all(rendered) if each]


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


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))


def pod_templates(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every Pod that the chart's objects become."""
    found = {}
    for each in objects:
        template = each if each["kind"] == "Pod" else each.get("spec", {}).get("template")
        if template:
            found[each["metadata"]["name"]] = template
    return found


@pytest.mark.parametrize("values", [DEFAULTS, EVERYTHING], ids=["defaults", "everything"])
def test_helm_finds_no_fault(helm: Helm, values):
    assert "0 chart(s) failed" in helm.run("lint", "--strict", values=values)


@pytest.mark.parametrize("values", [DEFAULTS, EVERYTHING], ids=["defaults", "everything"])
def test_an_api_server_takes_every_object(stack: Stack, helm: Helm, values):
    # Pods ask for their ServiceAccount at once; they are looked at below.
    objects = [each for each in helm.objects(values) if each["kind"] not in UNKNOWN_TO_THE_SERVER | {"Pod"}]
    flags = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    told = stack.api.kubectl("apply", *flags, "-f", "-", stdin=yaml.safe_dump_all(objects))
    assert told.count("serverside-applied") == len(objects)


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
    found = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(told)}
    expected = yaml.safe_load_all(plain(yaml.safe_dump_all(helm.objects(DEFAULTS, "--no-hooks"))))
    wanted = {(each["kind"], each["metadata"]["name"]): each for each in expected}
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
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, values, told):
    assert told in helm.run("template", "ackbox", values=values, check=False)


def test_another_namespace_is_refused(helm: Helm):
    assert "--namespace ackbox-system" in helm.run("template", "ackbox", namespace="default", check=False)


def test_custom_resources_stay_unless_everything_is_to_go(helm: Helm):
    for values, kept in (({}, {"helm.sh/resource-policy": "keep"}), ({"purge": True}, None)):
        definitions = [each for each in helm.objects(values) if each["kind"] == "CustomResourceDefinition"]
        assert len(definitions) == len(RESOURCES)
        assert all(each["metadata"].get("annotations") == kept for each in definitions)


def test_removal_may_delete_only_when_everything_is_to_go(helm: Helm):
    kinds = sorted(each.KIND.plural for each in RESOURCES)
    careful = named(helm.objects({}), "ClusterRole", "ackbox:uninstall")
    assert careful["rules"] == [{"apiGroups": ["ackbox.dev"], "resources": kinds, "verbs": ["list"]}]
    objects = helm.objects({"purge": True, "purgeTimeoutSeconds": 7})
    own, definitions = named(objects, "ClusterRole", "ackbox:uninstall")["rules"]
    assert (sorted(own["resources"]), own["verbs"]) == (kinds, ["list", "patch", "delete"])
    assert sorted(definitions["resourceNames"]) == [f"{kind}.ackbox.dev" for kind in kinds]
    job = named(objects, "Job", "ackbox-uninstall")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["uninstall", "--purge", "--timeout=7"]


def test_nothing_in_the_chart_may_do_everything(helm: Helm):
    for each in helm.objects(EVERYTHING):
        for rule in each.get("rules") or ():
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], each["metadata"]["name"]


def test_values_reach_the_pods(helm: Helm):
    objects = helm.objects(EVERYTHING)
    operator, slb = (named(objects, "Deployment", f"ackbox-{name}")["spec"]["template"] for name in ("operator", "slb"))
    images = {container["image"] for template in (operator, slb) for container in template["spec"]["containers"]}
    assert images == {f"ghcr.io/ackbox/ackbox@sha256:{'0' * 64}"}
    told = {each["name"]: each.get("value") for each in operator["spec"]["containers"][0]["env"]}
    assert told["ACKBOX_IMAGE"] in images
    assert (told["ACKBOX_SLB_SERVICE_TYPE"], told["ACKBOX_SLB_LOAD_BALANCER_CLASS"]) == (
        "LoadBalancer",
        "example.com/metal",
    )
    assert (told["ACKBOX_ETCD_STORAGE"], told["ACKBOX_ETCD_STORAGE_CLASS"]) == ("1Gi", "fast")
    assert told["ACKBOX_PRIORITY_CLASS"] == "high"
    for template in (operator, slb):
        assert template["metadata"]["labels"]["team"] == "cloud"
        assert template["spec"]["imagePullSecrets"] == [{"name": "one"}]


def test_ackbox_is_not_removed_from_a_cluster_that_needs_it(stack: Stack, shared_cluster):
    with pytest.raises(AssertionError, match="still needed by ManagedCluster"):
        stack.ackbox("uninstall", "--kubeconfig", str(stack.home / "kubeconfig"))
