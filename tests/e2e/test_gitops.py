"""GitOps: what tools like Argo CD, Flux and kubectl see of every kind, from the first apply to the prune."""

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
import yaml

from ackbox.resources import RESOURCES
from e2e import objects
from e2e.gitops import IN_FLUX, MANIFESTS, argo_health, documents, drift, flux_health, kustomized, now, versions
from e2e.stack import CORE, Api, Stack, condition, eventually, gone

pytestmark = pytest.mark.e2e

ACCOUNT = "team-a"
"""The namespace that the samples name."""

ARGOCD = MANIFESTS / "gitops" / "argocd"
PLURALS = {resource.KIND.kind: resource.KIND.plural for resource in RESOURCES}


@dataclass(frozen=True)
class Samples:
    """The samples as a GitOps tool has applied them, in an order of chance, and waited for."""

    stack: Stack
    manifests: list[dict[str, Any]]
    since: dict[str, str]

    @property
    def api(self) -> Api:
        return self.stack.api

    def live(self, manifest: dict[str, Any]) -> dict[str, Any]:
        return self.api.object(PLURALS[manifest["kind"]], manifest["metadata"]["name"], ACCOUNT)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """Every version of every object so far."""
        return versions(self.api, ACCOUNT, self.since)


def text_of(manifests: list[dict[str, Any]]) -> str:
    return yaml.safe_dump_all(manifests)


def server_side(api: Api, manifests: list[dict[str, Any]], manager: str, *more: str) -> str:
    return api.kubectl(
        "apply", "--server-side", f"--field-manager={manager}", *more, "-f", "-", stdin=text_of(manifests)
    )


@pytest.fixture(scope="module")
def samples(stack: Stack) -> Iterator[Samples]:
    api = stack.api
    api.kubectl("create", "namespace", ACCOUNT)
    manifests = kustomized(MANIFESTS / "gitops" / "clusters") + kustomized(MANIFESTS / "samples" / "kinds")
    seed = random.randrange(1 << 32)
    print(f"order of chance: seed {seed}")
    random.Random(seed).shuffle(manifests)
    since = eventually(lambda: now(api, ACCOUNT), "every kind served")
    try:
        server_side(api, manifests, "gitops", "-n", ACCOUNT)
        wait = ("wait", "--for=condition=Ready", "--timeout=180s", "-n", ACCOUNT, "-f", "-")
        api.kubectl(*wait, stdin=text_of(manifests))
        yield Samples(stack, manifests, since)
    finally:
        api.kubectl("delete", "namespace", ACCOUNT, "--wait=false")


def test_nothing_drifts_after_a_reconcile(samples: Samples) -> None:
    api, manifests = samples.api, samples.manifests
    before = {each["metadata"]["name"]: samples.live(each)["metadata"]["generation"] for each in manifests}
    for way in (("--server-side", "--field-manager=gitops"), ()):
        command = ("diff", *way, "-n", ACCOUNT, "-f", "-")
        # kubectl reads each object twice: a status that changes in between looks like a difference.
        eventually(lambda c=command: api.kubectl(*c, stdin=text_of(manifests)) == "", "nothing differs", deadline=30)
    assert [found for each in manifests for found in drift(each, samples.live(each))] == []
    server_side(api, manifests, "another-tool", "-n", ACCOUNT)
    assert {each["metadata"]["name"]: samples.live(each)["metadata"]["generation"] for each in manifests} == before


def test_nobody_but_the_tool_writes_the_spec(samples: Samples) -> None:
    for manifest in samples.manifests:
        entries = api_fields(samples.api, manifest)
        writers = {entry["manager"] for entry in entries if "f:spec" in entry["fieldsV1"]}
        assert writers <= {"gitops", "another-tool"}, manifest["kind"]


def api_fields(api: Api, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    name, plural = manifest["metadata"]["name"], PLURALS[manifest["kind"]]
    return api.object(plural, name, ACCOUNT)["metadata"]["managedFields"]


def test_argo_kstatus_and_flux_agree_on_every_version_of_every_kind(samples: Samples) -> None:
    api = samples.api
    # One that nothing can help, and one that waits.
    stuck = objects.custom("Account", "second", {}, ACCOUNT)
    waiting = objects.custom("RouteTable", "early", {"vpcId": "not-there"}, ACCOUNT)
    server_side(api, [stuck, waiting], "gitops")
    for plural, name in (("accounts", "second"), ("routetables", "early")):
        eventually(lambda p=plural, n=name: condition(api.object(p, n, ACCOUNT)), f"{name} looked at")

    history = samples.history
    assert {obj["kind"] for obj in history} == set(PLURALS)
    flux = flux_health(history)
    seen: dict[tuple[str, str], list[str]] = {}
    for obj, found in zip(history, flux, strict=True):
        name = (obj["kind"], obj["metadata"]["name"])
        argo, message = argo_health(obj)
        words = (IN_FLUX[argo], found.kstatus, found.expressions)
        assert len(set(words)) == 1, (name, words, obj.get("status"))
        assert message
        seen.setdefault(name, []).append(found.kstatus)
    # Nothing is taken for finished before ackbox has looked at it, or for failed while it waits for another object.
    assert {states[0] for states in seen.values()} == {"InProgress"}
    assert [name for name, states in seen.items() if "Failed" in states] == [("Account", "second")]
    assert {name: states[-1] for name, states in seen.items() if states[-1] != "Current"} == {
        ("Account", "second"): "Failed",
        ("RouteTable", "early"): "InProgress",
    }
    api.kubectl("delete", "account/second", "routetable/early", "-n", ACCOUNT)


def test_a_change_is_in_progress_until_it_is_done_and_a_paused_object_is_suspended(samples: Samples) -> None:
    api = samples.api
    api.kubectl("annotate", "nodepool", "demo", "-n", ACCOUNT, "ackbox.dev/paused=true")
    api.kubectl("scale", "nodepool", "demo", "-n", ACCOUNT, "--replicas=3")
    paused = api.object("nodepools", "demo", ACCOUNT)
    assert argo_health(paused)[0] == "Suspended"
    assert [found.kstatus for found in flux_health([paused])] == ["InProgress"]
    server_side(
        api,
        [each for each in samples.manifests if each["kind"] == "NodePool"],
        "gitops",
        "-n",
        ACCOUNT,
        "--force-conflicts",
    )
    api.kubectl("annotate", "nodepool", "demo", "-n", ACCOUNT, "ackbox.dev/paused-")
    api.kubectl("wait", "--for=condition=Ready", "nodepool/demo", "-n", ACCOUNT, "--timeout=180s")
    assert argo_health(api.object("nodepools", "demo", ACCOUNT))[0] == "Healthy"


def deployed(workload: Api, tool: str) -> None:
    """Apply what the cluster itself gets, as a tool does, and wait as it waits."""
    manifests = [
        each if each["kind"] == "Namespace" else each | {"metadata": each["metadata"] | {"namespace": "web"}}
        for each in kustomized(MANIFESTS / "gitops" / "workloads")
    ]
    server_side(workload, manifests, tool)
    workload.kubectl("wait", "--for=condition=Available", "deployment/web", "-n", "web", "--timeout=120s")
    ingress = "--for=jsonpath={.status.loadBalancer.ingress}"
    workload.kubectl("wait", ingress, "service/web", "-n", "web", "--timeout=120s")
    assert {found.kstatus for found in flux_health(live(workload, manifests))} == {"Current"}
    command = ("diff", "--server-side", f"--field-manager={tool}", "-f", "-")
    eventually(lambda: workload.kubectl(*command, stdin=text_of(manifests)) == "", "nothing differs", deadline=30)


def live(workload: Api, manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = yaml.safe_load(workload.kubectl("get", "-o", "json", "-f", "-", stdin=text_of(manifests)))
    return found["items"]


def test_flux_deploys_into_the_cluster_by_its_kubeconfig_secret(samples: Samples) -> None:
    (kustomization,) = documents(MANIFESTS / "gitops" / "flux" / "workloads.yaml")
    reference = kustomization["spec"]["kubeConfig"]["secretRef"]
    # Flux reads Secrets of the Kustomization's own namespace only.
    secret = samples.api.core("secrets", reference["name"], kustomization["metadata"]["namespace"])
    path = samples.stack.home / "flux.kubeconfig"
    path.write_text(base64.b64decode(secret["data"][reference["key"]]).decode())
    deployed(Api(path), "kustomize-controller")


@pytest.fixture
def argo(samples: Samples) -> Iterator[Stack]:
    """A stack whose command line is the ServiceAccount of Argo CD's hooks, with no more rights than it has."""
    stack, api = samples.stack, samples.api
    api.kubectl("create", "namespace", "argocd")
    try:
        server_side(api, documents(ARGOCD / "setup" / "access.yaml"), "ackbox")
        config = yaml.safe_load(api.kubeconfig.read_text())
        token = api.kubectl("create", "token", "ackbox-clusters", "-n", "argocd").strip()
        for user in config["users"]:
            user["user"] = {"token": token}
        path = stack.home / "argocd.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        stack.environment["ACKBOX_KUBECONFIG"] = str(path)
        yield stack
    finally:
        stack.environment.pop("ACKBOX_KUBECONFIG", None)
        api.kubectl("delete", "namespace", "argocd", "--wait=false")


def hook(name: str) -> list[str]:
    """The arguments of a hook's container."""
    (job,) = documents(ARGOCD / "cluster-secret" / f"{name}.yaml")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return container["args"]


def test_argo_deploys_into_the_cluster_that_its_hook_tells_it_of(samples: Samples, argo: Stack) -> None:
    api = samples.api
    for _ in range(2):
        argo.ackbox(*hook("add"))
    (generator,) = documents(ARGOCD / "workloads.yaml")[0]["spec"]["generators"]
    labels = generator["clusters"]["selector"]["matchLabels"] | {"argocd.argoproj.io/secret-type": "cluster"}
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    (secret,) = api.items(f"{CORE}/namespaces/argocd/secrets?labelSelector={selector}")
    data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    tls = json.loads(data["config"])["tlsClientConfig"]
    user = {"client-certificate-data": tls["certData"], "client-key-data": tls["keyData"]}
    path = samples.stack.home / "argo-cluster.kubeconfig"
    cluster = {"server": data["server"], "certificate-authority-data": tls["caData"]}
    path.write_text(kubeconfig(cluster, user))
    deployed(Api(path), "argocd-controller")

    argo.ackbox(*hook("remove"))
    assert gone(api, f"{CORE}/namespaces/argocd/secrets/{secret['metadata']['name']}")


def kubeconfig(cluster: dict[str, str], user: dict[str, str]) -> str:
    config = {
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config})


@pytest.mark.parametrize("made", ["whole", "half"])
def test_a_prune_in_any_order_converges(samples: Samples, made: str) -> None:
    api, everything = samples.api, list(samples.manifests)
    if made == "half":
        server_side(api, everything, "gitops", "-n", ACCOUNT, "--force-conflicts")
    random.shuffle(everything)
    order = [each["kind"] for each in everything]
    uids = [samples.live(each)["metadata"]["uid"] for each in everything]
    for each in everything:
        kind, name = f"{PLURALS[each['kind']]}.ackbox.dev", each["metadata"]["name"]
        api.kubectl("delete", kind, name, "-n", ACCOUNT, "--wait=false", "--ignore-not-found")

    def pruned(manifest: dict[str, Any], uid: str) -> bool:
        # While an account has objects, ackbox gives it a CloudQuota again, with the cloud's own limits.
        try:
            return samples.live(manifest)["metadata"]["uid"] != uid
        except KeyError:
            return True

    for each, uid in zip(everything, uids, strict=True):
        eventually(lambda e=each, u=uid: pruned(e, u), f"{each['kind']} gone, deleted in the order {order}")
    # What ackbox made for them goes with them: machines, listeners, the VPC's own route table.
    others = [plural for plural in PLURALS.values() if plural != "cloudquotas"]
    eventually(lambda: not any(api.objects(plural, ACCOUNT) for plural in others), f"nothing left, order {order}")
