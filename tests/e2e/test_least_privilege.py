"""What ackbox's own processes may do in the management cluster, asked of its API server: each its own work only."""

import pytest
import yaml
from pykube.exceptions import HTTPError

from e2e import objects
from e2e.stack import CORE, Api, Stack

pytestmark = pytest.mark.e2e

OPERATOR, CCM, SLB = PROCESSES = ("operator", "ccm", "slb")
GROUPS = {
    "": ("configmaps", "events", "namespaces", "nodes", "pods", "secrets", "serviceaccounts"),
    "rbac.authorization.k8s.io": ("clusterroles", "clusterrolebindings", "roles", "rolebindings"),
    "admissionregistration.k8s.io": ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "ackbox.dev": (
        "accesscontrollists",
        "cloudquotas",
        "clusterusers",
        "instances",
        "listeners",
        "managedclusters",
        "nodepools",
        "routetables",
        "servergroups",
        "serviceloadbalancers",
        "vpcs",
    ),
}
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "escalate", "bind")

WRITERS: dict[str, set[str]] = {
    "create instances": {OPERATOR},
    "create cloudquotas": {OPERATOR},
    "create routetables": {OPERATOR},
    "create elasticipaddresses": {OPERATOR},
    "delete elasticipaddresses": {OPERATOR},
    "create serviceloadbalancers": {OPERATOR, CCM},
    "create listeners": {OPERATOR, CCM},
    "create servergroups": {OPERATOR, CCM},
    "patch instances": {OPERATOR, CCM},
    "patch managedclusters": {OPERATOR, CCM},
    "patch routetables": {OPERATOR, CCM},
    "patch clusterusers": {OPERATOR},
    "patch clusterusers/status": {OPERATOR},
    "patch nodepools": {OPERATOR},
    "patch vpcs": {OPERATOR},
    "patch serviceloadbalancers": {OPERATOR, CCM},
    "patch listeners": {CCM},
    "patch servergroups": {OPERATOR, CCM},
    "delete instances": {OPERATOR},
    "delete nodepools": {OPERATOR},
    "delete serviceloadbalancers": {OPERATOR, CCM},
    "delete listeners": {OPERATOR, CCM},
    "delete servergroups": {OPERATOR, CCM},
    "patch accesscontrollists/status": {OPERATOR},
    "patch cloudquotas/status": {OPERATOR},
    "patch instances/status": {OPERATOR},
    "patch managedclusters/status": {OPERATOR},
    "patch nodepools/status": {OPERATOR},
    "patch routetables/status": {OPERATOR},
    "patch serviceloadbalancers/status": {OPERATOR},
    "patch vpcs/status": {OPERATOR},
    "patch listeners/status": {SLB},
    "patch servergroups/status": {SLB},
    "get secrets": {OPERATOR, CCM},
    "list secrets": {CCM, SLB},
    "create secrets": {OPERATOR, CCM},
    "patch secrets": {OPERATOR, CCM},
    "delete secrets": {CCM},
    "get events": {OPERATOR, SLB},
    "create events": {OPERATOR, SLB},
    "patch events": {OPERATOR, SLB},
}
"""Who may do what, besides reading objects of ackbox. What isn't here nobody may."""


def act_as(stack: Stack, process: str) -> Api:
    return Api(stack.home / "pki" / f"{process}.kubeconfig")


def allowed(api: Api, group: str, resource: str, verb: str) -> bool:
    plural, _, subresource = resource.partition("/")
    attributes = {"group": group, "resource": plural, "subresource": subresource, "verb": verb, "namespace": "default"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)["status"]["allowed"]


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_may_write_its_own_and_nothing_else(stack, process):
    api = act_as(stack, process)
    for group, plurals in GROUPS.items():
        for plural in plurals:
            parts = (plural, f"{plural}/status") if group == "ackbox.dev" else (plural,)
            for resource in parts:
                for verb in VERBS:
                    reads = group == "ackbox.dev" and resource == plural and verb in {"get", "list", "watch"}
                    expected = process in WRITERS.get(f"{verb} {resource}", set())
                    assert reads or allowed(api, group, resource, verb) == expected, f"{process}: {verb} {resource}"


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_is_no_administrator(stack, process):
    review = act_as(stack, process).post(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": "ackbox-system"},
        },
    )
    rules = [*review["status"]["resourceRules"], *review["status"]["nonResourceRules"]]
    assert not [rule for rule in rules if "*" in rule["verbs"] or "*" in rule.get("resources", ())]
    named = [rule for rule in rules if "configmaps" in rule.get("resources", ()) and "create" not in rule["verbs"]]
    expected = [["elastic-addresses", "loopback-addresses"]] if process == OPERATOR else []
    assert [rule["resourceNames"] for rule in named] == expected


@pytest.mark.parametrize(
    ("process", "arguments"),
    [
        (OPERATOR, ("get", "configmap", "kube-root-ca.crt", "-n", "ackbox-system")),
        (OPERATOR, ("create", "namespace", "another")),
        (CCM, ("scale", "nodepool", "any", "--replicas=1")),
        (CCM, ("create", "secret", "generic", "any")),
        (CCM, ("get", "nodepools")),
        (SLB, ("get", "secret", "any")),
        (SLB, ("delete", "listener", "any")),
        (SLB, ("get", "vpcs")),
    ],
)
def test_the_api_server_refuses_what_is_not_a_processes_own(stack, process, arguments):
    assert "orbidden" in act_as(stack, process).kubectl(*arguments, check=False)


def test_the_ccm_writes_no_secrets_but_its_copies_of_certificates(stack, namespace):
    api, told = act_as(stack, CCM), "is not a certificate that ackbox:ccm copied"
    stack.api.kubectl("create", "secret", "generic", "theirs", "-n", namespace)
    labels = ("ackbox.dev/certificate-id=a", "ackbox.dev/albconfig=b")
    for name, given in (("own", labels), ("theirs", labels), ("theirs", ())):
        metadata = {"name": name, "namespace": namespace, "labels": dict(label.split("=") for label in given)}
        patch = yaml.safe_dump({"metadata": metadata, "stringData": {"key": "value"}})
        text = api.kubectl("patch", "secret", name, "-n", namespace, "--type=merge", "-p", patch, check=False)
        assert told in text if name == "theirs" else "not found" in text
        text = api.kubectl("delete", "secret", name, "-n", namespace, check=False)
        assert told in text if name == "theirs" else "not found" in text
    own = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "namespace": namespace}}
    path = f"{CORE}/namespaces/{namespace}/secrets"
    with pytest.raises(HTTPError, match=told):
        api.post(path, own)
    own["metadata"]["labels"] = {"ackbox.dev/certificate-id": "a", "ackbox.dev/albconfig": "b"}
    api.post(path, own)
    assert "deleted" in api.kubectl("delete", "secret", "own", "-n", namespace)


@pytest.mark.parametrize("process", [OPERATOR, CCM])
def test_a_process_may_change_finalizers_but_not_what_a_user_asked_for(stack, namespace, process):
    stack.api.apply(objects.cluster(namespace=namespace, deletionProtection=True))
    api = act_as(stack, process)
    patch = ("patch", "managedcluster", "one", "-n", namespace, "--type=merge", "-p")
    text = api.kubectl(*patch, '{"spec":{"deletionProtection":false}}', check=False)
    assert f"ackbox:{process} may change the finalizers of managedclusters, not their spec" in text
    assert "patched" in api.kubectl(*patch, '{"metadata":{"annotations":{"a":"b"}}}')
    stack.api.kubectl(*patch, '{"spec":{"deletionProtection":false}}')
