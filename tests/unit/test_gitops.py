"""What the GitOps manifests promise, as far as no API server is needed to see it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

import ackbox
from ackbox.cli.argocd import cluster_secret
from ackbox.kube.conditions import State, conditions, progressing, ready, stalled
from ackbox.kube.connection import Connection
from ackbox.resources import RESOURCES
from ackbox.resources.crd import custom_resource_definition
from ackbox.runtime import binaries, tools
from ackbox.runtime.progress import Silent, Step
from e2e.gitops import MANIFESTS, argo_health, documents, drift, kustomized

GITOPS = MANIFESTS / "gitops"
KINDS = {resource.KIND.kind for resource in RESOURCES}


def told(state: State | None, **more: Any) -> dict[str, Any]:
    """An object in a state, as the API server gives it out."""
    metadata = {"name": "one", "generation": 2, **more.pop("metadata", {})}
    obj = {"apiVersion": "ackbox.dev/v1alpha1", "kind": "NodePool", "metadata": metadata}
    status: dict[str, Any] = {"observedGeneration": -1}
    if state is not None:
        status = {"observedGeneration": 2, "conditions": conditions(obj, state)}
    return {**obj, "status": {**status, **more}}


@pytest.mark.parametrize(
    ("obj", "status", "message"),
    [
        (told(ready("Active", "2 of 2 instances")), "Healthy", "Active: 2 of 2 instances"),
        (told(ready("Running")), "Healthy", "Running"),
        (told(progressing("ScalingOut", "1 of 2 instances")), "Progressing", "ScalingOut: 1 of 2 instances"),
        (told(stalled("InvalidParameter", "wrong")), "Degraded", "InvalidParameter: wrong"),
        (told(State("Unknown", "Unreachable", "no answer")), "Progressing", "Unreachable: no answer"),
        (told(None), "Progressing", "waits for ackbox"),
        (told(ready("Active"), observedGeneration=1), "Progressing", "waits for ackbox"),
        (told(stalled("InvalidParameter", "wrong"), observedGeneration=1), "Progressing", "waits for ackbox"),
        # Suspended would hold up every sync of its Application until somebody wakes it.
        (told(ready("Hibernated"), phase="hibernated"), "Healthy", "Hibernated"),
        (
            told(ready("Active"), metadata={"annotations": {"ackbox.dev/paused": "true"}}),
            "Suspended",
            "ackbox.dev/paused is set: ackbox leaves it alone",
        ),
    ],
)
def test_argo_reads_a_state_from_the_conditions(obj: dict[str, Any], status: str, message: str) -> None:
    assert argo_health(obj) == (status, message)


def test_an_object_without_a_status_is_no_mistake_for_argo() -> None:
    obj = told(None)
    del obj["status"]
    assert argo_health(obj)[0] == "Progressing"


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.KIND.kind)
def test_an_object_that_nobody_has_looked_at_says_so(resource: Any) -> None:
    (version,) = custom_resource_definition(resource)["spec"]["versions"]
    assert version["schema"]["openAPIV3Schema"]["properties"]["status"]["default"] == {"observedGeneration": -1}


def test_argo_and_flux_are_told_how_to_read_every_kind() -> None:
    (generator,) = documents(GITOPS / "argocd" / "setup" / "kustomization.yaml")[0]["configMapGenerator"]
    wanted = {f"resource.customizations.health.ackbox.dev_{kind}=health.lua" for kind in KINDS}
    assert set(generator["files"]) == wanted
    (kustomization,) = documents(GITOPS / "flux" / "clusters.yaml")
    assert {each["kind"] for each in kustomization["spec"]["healthCheckExprs"]} == KINDS


def test_there_is_a_sample_of_every_kind_that_people_write() -> None:
    samples = kustomized(GITOPS / "clusters") + kustomized(MANIFESTS / "samples" / "kinds")
    assert {each["kind"] for each in samples} == KINDS - {"Instance"}


def sources() -> list[str]:
    applications = documents(GITOPS / "argocd" / "clusters.yaml")[0]["spec"]["sources"]
    applications.append(documents(GITOPS / "argocd" / "workloads.yaml")[0]["spec"]["template"]["spec"]["source"])
    flux = [documents(GITOPS / "flux" / f"{name}.yaml")[0]["spec"]["path"] for name in ("clusters", "workloads")]
    return [each["path"] for each in applications] + flux


@pytest.mark.parametrize("path", sources())
def test_what_the_samples_deploy_is_in_this_repository(path: str) -> None:
    assert (MANIFESTS.parent / path / "kustomization.yaml").is_file()


def a_connection(**more: Any) -> Connection:
    return Connection("https://127.16.0.9:6443", "ca", **more)


def test_argo_knows_a_cluster_by_a_secret_of_its_own_form() -> None:
    secret = cluster_secret("team-a", "demo", a_connection(certificate="crt", key="key"))
    assert secret["metadata"]["name"] == "cluster-team-a-demo"
    assert secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] == "cluster"
    data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert (data["name"], data["server"]) == ("team-a-demo", "https://127.16.0.9:6443")
    encoded = {key: base64.b64encode(text).decode() for key, text in (("caData", b"ca"), ("certData", b"crt"))}
    assert json.loads(data["config"]) == {"tlsClientConfig": {**encoded, "keyData": "a2V5"}}


def test_a_token_is_told_to_argo_in_place_of_a_certificate() -> None:
    secret = cluster_secret("team-a", "demo", a_connection(token="t"))
    config = json.loads(base64.b64decode(secret["data"]["config"]))
    assert config == {"tlsClientConfig": {"caData": "Y2E="}, "bearerToken": "t"}


def test_argos_hooks_run_this_ackbox_with_rights_to_their_secrets_alone() -> None:
    access = documents(GITOPS / "argocd" / "setup" / "access.yaml")
    named = {
        (role["metadata"]["namespace"], name)
        for role in access
        if role["kind"] == "Role"
        for rule in role["rules"]
        for name in rule.get("resourceNames", ())
    }
    written = cluster_secret("team-a", "demo", a_connection())["metadata"]["name"]
    assert named == {("team-a", "demo-kubeconfig"), ("argocd", written)}
    for job in kustomized(GITOPS / "argocd" / "cluster-secret"):
        pod = job["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] in {each["metadata"]["name"] for each in access}
        assert pod["containers"][0]["image"].rpartition(":")[2] == ackbox.__version__


async def test_a_program_without_a_release_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def build(tool: tools.Tool, target: Path, step: Step) -> None:
        (target / tool.programs[0]).touch(mode=0o755)

    monkeypatch.setattr(binaries, "build", build)
    monkeypatch.setattr(binaries, "cache_folder", lambda: tmp_path)
    (tmp_path / "kstatus" / tools.kstatus().version).mkdir(parents=True)
    for variable in binaries.FOLDERS:
        monkeypatch.delenv(variable, raising=False)
    found = await binaries.locate(tools.kstatus(), Silent())
    assert found["kstatus"].is_file()


def test_a_list_that_the_server_completes_is_drift_for_argo() -> None:
    live = {"spec": {"addons": [{"name": "flannel", "disabled": False}], "size": 2}}
    assert drift({"spec": {"size": 2}}, live) == []
    assert drift({"spec": {"addons": [{"name": "flannel"}]}}, live) != []
