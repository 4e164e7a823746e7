"""Sub-accounts of a cluster, and what people may do in the management cluster."""

import base64
import time

import pytest

from e2e import objects
from e2e.stack import Api, Stack, condition, eventually, is_ready

pytestmark = pytest.mark.e2e


def user(name, namespace, *permissions, of="one", **spec):
    wanted = {"clusterId": of, "uid": name, "permissions": list(permissions), **spec}
    return objects.custom("ClusterUser", name, wanted, namespace)


def in_namespace(namespace, role="dev", **more):
    return {"roleType": "namespace", "namespace": namespace, "roleName": role, **more}


def granted(workload, name, revision=1) -> Api:
    """The API server as a sub-account sees it, by the kubeconfig that is out."""
    management, account = workload.management, workload.account

    def active():
        found = management.object("clusterusers", name, account)
        return is_ready(found) and found["status"]["phase"] == "active" and found

    status = eventually(active, f"ClusterUser {name} Ready")["status"]
    secret = management.core("secrets", status["secretName"], account)
    path = workload.stack.home / f"user-{name}-{revision}.kubeconfig"
    path.write_text(base64.b64decode(secret["data"]["value"]).decode())
    return Api(path)


def may(api, *question):
    return api.kubectl("auth", "can-i", *question, check=False).startswith("yes")


@pytest.fixture
def users(workload):
    names = [f"{role}-{workload.namespace}" for role in ("ops", "dev", "look")]
    yield names
    workload.management.kubectl(
        "delete", "clusterusers", *names, "-n", workload.account, "--ignore-not-found", "--timeout=60s"
    )


def test_a_sub_account_may_do_what_its_role_says_until_it_is_revoked(workload, users):
    ops, dev, look = users
    management, account, own = workload.management, workload.account, workload.namespace
    management.apply(
        user(ops, account, {"roleName": "ops"}),
        user(dev, account, in_namespace(own)),
        user(look, account, in_namespace(own, "restricted"), temporaryDurationMinutes=15),
    )
    as_ops, as_dev, as_look = (granted(workload, name) for name in users)
    assert [may(as_ops, verb, "nodes") for verb in ("list", "patch", "delete")] == [True, True, False]
    assert may(as_ops, "create", "deployments", "-n", "default")
    assert [may(as_dev, "create", "deployments", "-n", where) for where in (own, "default")] == [True, False]
    assert [may(as_look, verb, "pods", "-n", own) for verb in ("list", "create")] == [True, False]
    assert not may(as_look, "get", "secrets", "-n", own)
    for api in (as_ops, as_dev, as_look):
        assert not may(api, "create", "clusterrolebindings")
    as_dev.apply(objects.deployment("shop", own, replicas=0))

    status = management.object("clusterusers", look, account)["status"]
    ends = time.mktime(time.strptime(status["expiration"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert 13 * 60 < ends - time.time() <= 15 * 60

    patch = '{"spec":{"kubeconfigRevision":2}}'
    management.kubectl("patch", "clusteruser", dev, "-n", account, "--type=merge", "-p", patch)
    eventually(lambda: "orbidden" in as_dev.kubectl("get", "pods", "-n", own, check=False), "the old one is refused")
    again = granted(workload, dev, revision=2)
    assert "shop" in again.kubectl("get", "deployments", "-n", own)
    assert "orbidden" in as_dev.kubectl("get", "pods", "-n", own, check=False)

    management.kubectl("delete", "clusteruser", dev, "-n", account, "--timeout=60s")
    assert "orbidden" in again.kubectl("get", "pods", "-n", own, check=False)
    eventually(lambda: dev not in management.kubectl("get", "secrets", "-n", account), "its Secret gone")


def test_a_role_or_namespace_that_is_missing_is_waited_for_and_the_rest_is_granted(workload, users):
    _, dev, _ = users
    own = workload.namespace
    wanted = user(dev, workload.account, in_namespace(own), in_namespace(own, f"mine-{own}", isCustom=True))
    workload.management.apply(wanted)

    def waits():
        found = condition(workload.management.object("clusterusers", dev, workload.account))
        return found.get("reason") == "WaitingForRole" and f"ClusterRole mine-{own}" in found["message"]

    eventually(waits, "it waits for the role")
    workload.api.kubectl("create", "clusterrole", f"mine-{own}", "--verb=get", "--resource=resourcequotas")
    assert may(granted(workload, dev), "get", "resourcequotas", "-n", own)
    workload.api.kubectl("delete", "clusterrole", f"mine-{own}")


def test_a_sub_account_of_another_namespaces_cluster_gets_nothing(stack: Stack, shared_cluster, namespace):
    stack.api.apply(user("eve", namespace, {"roleName": "admin"}))

    def waits():
        return condition(stack.api.object("clusterusers", "eve", namespace)).get("reason") == "ErrorClusterNotFound"

    eventually(waits, "no such cluster in this namespace")
    assert "eve" not in stack.api.kubectl("get", "secrets", "-n", namespace)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"permissions": [{"roleName": "king"}]}, "roleName is one of admin, admin-view, ops, dev, restricted"),
        ({"permissions": [in_namespace("a", "ops")]}, "one of dev, restricted for roleType namespace"),
        ({"permissions": [{"roleName": "dev", "namespace": "a"}]}, "roleType namespace name a namespace"),
        ({"temporaryDurationMinutes": 14}, "temporaryDurationMinutes"),
        ({"temporaryDurationMinutes": 4321}, "temporaryDurationMinutes"),
        ({"uid": "system:admin"}, "spec.uid"),
    ],
)
def test_what_no_sub_account_can_have_is_refused(stack, namespace, spec, words):
    wanted = user("bad", namespace, {"roleName": "dev"})
    wanted["spec"] |= spec
    assert words in stack.api.refused(wanted)


def test_a_revoked_kubeconfig_never_comes_back(stack, namespace):
    first = user("carl", namespace, {"roleName": "dev"}, kubeconfigRevision=2, temporaryDurationMinutes=15)
    stack.api.apply(first)
    back = {**first, "spec": {**first["spec"], "kubeconfigRevision": 1}}
    assert "a kubeconfig that was revoked stays so" in stack.api.refused(back)
    longer = {**first, "spec": {**first["spec"], "temporaryDurationMinutes": 60}}
    assert "raise kubeconfigRevision" in stack.api.refused(longer)


def test_people_look_at_use_and_administer_an_account_and_no_other(stack, namespace):
    api = stack.api
    for role in ("view", "edit", "admin"):
        api.kubectl("create", "rolebinding", f"a-{role}", f"--clusterrole={role}", f"--user={role}", "-n", namespace)

    def can(who, verb, resource, where=namespace):
        plural, _, subresource = resource.partition("/")
        question = (
            "auth",
            "can-i",
            verb,
            f"{plural}.ackbox.dev",
            f"--subresource={subresource}",
            "-n",
            where,
            f"--as={who}",
        )
        return api.kubectl(*question, check=False).startswith("yes")

    eventually(lambda: can("admin", "create", "clusterusers"), "the roles are aggregated")
    people = ("view", "edit", "admin")
    assert [can(who, "list", "managedclusters") for who in people] == [True, True, True]
    assert [can(who, "create", "managedclusters") for who in people] == [False, True, True]
    for resource in ("accounts", "cloudquotas", "clusterusers"):
        assert [can(who, "patch", resource) for who in people] == [False, False, True], resource
    assert [can(who, "patch", "nodepools/scale") for who in people] == [False, True, True]
    assert not any(can(who, "patch", "managedclusters/status") for who in people)
    assert not any(can(who, "list", "managedclusters", "default") for who in people)
