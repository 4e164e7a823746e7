"""A release of the chart: used, upgraded with traffic flowing, refused to go, and gone without a trace."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e import objects
from e2e.stack import Api, eventually, gone, http, is_ready
from node.stack import CHART, NAMESPACE, RELEASE, VALUES, ClusterStack

IN_SYSTEM = f"--namespace={NAMESPACE}"
SPACE = "chart"
LEFT = (
    "deployments,statefulsets,pods,services,leases,poddisruptionbudgets,networkpolicies,rolebindings,roles,jobs,"
    "persistentvolumeclaims"
)


class Traffic:
    """Requests to an address, one after the other, for as long as the block lasts."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.answered = 0
        self.failed: list[str] = []

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._over.wait(0.02):
            try:
                http(self._where)
                self.answered += 1
            except OSError as error:
                self.failed.append(str(error))


@pytest.fixture(scope="module")
def api(ackbox: ClusterStack) -> Iterator[Api]:
    """The management cluster; other suites find ackbox installed again afterwards."""
    yield ackbox.api
    ackbox.node.helm("uninstall", RELEASE, IN_SYSTEM, "--no-hooks", "--ignore-not-found")
    ackbox.up()


@pytest.fixture(scope="module")
def address(api: Api, ackbox: ClusterStack) -> str:
    """Where a Service of a cluster answers."""
    api.kubectl("create", "namespace", SPACE)
    api.apply(objects.vpc(namespace=SPACE), objects.pool(namespace=SPACE))
    api.apply(objects.cluster(namespace=SPACE, deletionProtection=True, emulation={"ephemeral": True}))
    eventually(lambda: is_ready(api.object("nodepools", "pool", SPACE)), "the pool Ready")
    workload = ackbox.workload("one", SPACE)
    workload.apply(objects.deployment("web", "default", replicas=1), objects.service("web", "default", "web"))

    def answers() -> str:
        found = workload.core("services", "web")["status"]["loadBalancer"]["ingress"][0]["ip"]
        assert http(f"{found}:80")
        return f"{found}:80"

    return eventually(answers, "the Service answers")


def older(folder: Path) -> Path:
    """The chart as it might have been before: an older version, in which a custom resource lacked a field."""
    chart = folder / "ackbox"
    shutil.copytree(CHART, chart)
    edit(chart / "Chart.yaml", lambda found: found | {"version": "0.0.9"})
    edit(chart / "files" / "crds" / "accounts.yaml", without_arrears)
    return chart


def edit(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text(yaml.safe_dump(change(yaml.safe_load(path.read_text()))))


def without_arrears(definition: dict[str, Any]) -> dict[str, Any]:
    del spec_fields(definition)["arrears"]
    return definition


def spec_fields(definition: dict[str, Any]) -> dict[str, Any]:
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: dict[str, Any] = schema["properties"]["spec"]["properties"]
    return found


def definition(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/accounts.ackbox.dev")
    return found


def control_planes(api: Api) -> dict[str, str]:
    """The Pods of the cluster, and which they are."""
    found = api.items(f"/api/v1/namespaces/{SPACE}/pods")
    return {
        each["metadata"]["name"]: each["metadata"]["uid"] for each in found if "-ccm-" not in each["metadata"]["name"]
    }


def test_a_load_balancer_answers_after_the_installation(api: Api, ackbox: ClusterStack):
    assert "Succeeded" in ackbox.node.helm("test", RELEASE, IN_SYSTEM)
    eventually(lambda: not api.objects("serviceloadbalancers", NAMESPACE), "it is taken away again")


def test_an_upgrade_changes_custom_resources_and_nothing_is_interrupted(
    api: Api, ackbox: ClusterStack, address: str, tmp_path: Path
):
    release = ("--wait", "--timeout=180s", IN_SYSTEM)
    ackbox.node.helm("upgrade", RELEASE, str(older(tmp_path)), *release, *VALUES, "--set=podLabels.release=older")
    assert "arrears" not in spec_fields(definition(api))
    before = control_planes(api)
    with Traffic(address) as traffic:
        ackbox.node.helm("upgrade", RELEASE, str(CHART), *release, *VALUES)
        eventually(lambda: is_ready(api.object("managedclusters", "one", SPACE)), "the cluster Ready")
    assert "arrears" in spec_fields(definition(api))
    assert control_planes(api) == before
    assert traffic.answered > 20
    assert not traffic.failed


def test_policies_hold_for_the_service_accounts_of_ackbox_and_for_no_other(api: Api, address: str):
    change = ("--type=merge", "-p", '{"spec":{"deletionProtection":false}}', as_account(NAMESPACE, "ackbox-operator"))
    told = api.kubectl("patch", "managedcluster", "one", "-n", SPACE, *change, check=False)
    assert "may change the finalizers of managedclusters, not their spec" in told
    label = ("label", "--overwrite", "secret", "one-kubeconfig", "-n", SPACE, "seen=yes")
    told = api.kubectl(*label, as_account(SPACE, "one-ccm"), check=False)
    assert "Secret one-kubeconfig is not a certificate" in told
    # Another cloud's controller, of a name that looks like ours.
    api.kubectl("create", "role", "others", "-n", SPACE, "--verb=get,patch", "--resource=secrets")
    api.kubectl("create", "rolebinding", "others", "-n", SPACE, "--role=others", f"--serviceaccount={SPACE}:other-ccm")
    eventually(lambda: "labeled" in api.kubectl(*label, as_account(SPACE, "other-ccm"), check=False), "it may")
    api.kubectl("delete", "role,rolebinding", "others", "-n", SPACE)


def as_account(namespace: str, name: str) -> str:
    return f"--as=system:serviceaccount:{namespace}:{name}"


def test_it_is_not_uninstalled_while_a_cluster_lives(api: Api, ackbox: ClusterStack, address: str):
    with pytest.raises(AssertionError, match=f"still needed by ManagedCluster {SPACE}/one"):
        ackbox.node.helm("uninstall", RELEASE, IN_SYSTEM, "--timeout=120s")
    assert http(address)
    newest = yaml.safe_load(ackbox.node.helm("history", RELEASE, IN_SYSTEM, "--output=yaml"))[-1]["revision"]
    ackbox.node.helm("rollback", RELEASE, str(newest), IN_SYSTEM, "--wait", "--timeout=120s")


def test_a_purge_leaves_nothing(api: Api, ackbox: ClusterStack, address: str):
    ackbox.node.helm("upgrade", RELEASE, str(CHART), IN_SYSTEM, "--reuse-values", "--set=purge=true", "--wait")
    ackbox.node.helm("uninstall", RELEASE, IN_SYSTEM, "--wait", "--timeout=300s")
    for namespace in (NAMESPACE, SPACE):
        eventually(lambda of=namespace: not names(api, LEFT, f"--namespace={of}"), f"nothing left in {namespace}")
        assert names(api, "configmaps,secrets", f"--namespace={namespace}") == ["configmap/kube-root-ca.crt"]
    everywhere = (
        "customresourcedefinitions,clusterroles,clusterrolebindings,validatingadmissionpolicies,"
        "validatingadmissionpolicybindings"
    )
    # The administrators' own binding on the test's node is none of the chart's.
    assert not [name for name in names(api, everywhere) if "ackbox" in name and not name.endswith("ackbox:admins")]
    api.kubectl("delete", "namespace", SPACE, "--wait=false")
    eventually(lambda: gone(api, f"/api/v1/namespaces/{SPACE}"), "the namespace gone")


def names(api: Api, kinds: str, *arguments: str) -> list[str]:
    return api.kubectl("get", kinds, *arguments, "--output=name").split()
