"""Sub-accounts: whom a kubeconfig names, how long it is good for, and what is bound and revoked."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from ackbox.cloud.access.bindings import bind
from ackbox.cloud.access.kubeconfig import Issuer
from ackbox.cloud.access.plan import USER_LABEL, Grant, bindings, changes, grant
from ackbox.controlplane import local
from ackbox.kube.connection import parse_kubeconfig
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.resources import ClusterUser
from ackbox.resources.clusteruser import CLUSTER_ROLES
from ackbox.runtime.certificates import new_authority
from ackbox.runtime.management import USER_ROLES
from ackbox.runtime.manifests import documents

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOON = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
SERVER = "https://127.5.1.2:6443"


def user(status=None, uid="1", **spec):
    wanted = {"clusterId": "c", "uid": "alice", "permissions": [{"roleName": "dev"}], **spec}
    metadata = {"name": "alice", "namespace": "n", "uid": uid}
    return ClusterUser.model_validate({"metadata": metadata, "spec": wanted, "status": status or {}})


def given(**spec):
    """A user whose grant was written down at NOW."""
    first = grant(user(**spec), NOW)
    return user({"userName": first.user_name, "expiration": first.expiration}, **spec), first


def test_the_name_in_a_certificate_is_the_sub_account_and_a_number():
    name, _, serial = grant(user(), NOW).user_name.rpartition("-")
    assert name == "alice"
    assert serial.isdigit()


@pytest.mark.parametrize("other", [{"kubeconfigRevision": 2}, {"uid": "2"}])
def test_another_revision_and_another_object_have_another_name(other):
    uid = other.pop("uid", "1")
    assert grant(user(uid=uid, **other), NOW).user_name != grant(user(), NOW).user_name


def test_a_kubeconfig_lasts_three_years_and_is_renewed_before_it_ends():
    known, first = given()
    assert first.until == NOW + timedelta(days=1095)
    assert grant(known, NOW + timedelta(days=1000)) == first
    renewed = grant(known, NOW + timedelta(days=1050))
    assert (renewed.user_name, renewed.until) == (first.user_name, NOW + timedelta(days=2145))


def test_a_temporary_kubeconfig_ends_when_it_was_to_end_however_often_it_is_looked_at():
    known, first = given(temporaryDurationMinutes=15)
    assert first.until == NOW + timedelta(minutes=15)
    for minutes in (1, 14, 16, 10_000):
        assert grant(known, NOW + timedelta(minutes=minutes)) == first


def test_a_new_revision_begins_its_time_anew():
    known, first = given(temporaryDurationMinutes=15)
    raised = known.model_copy(update={"spec": known.spec.model_copy(update={"kubeconfig_revision": 2})})
    later = NOW + timedelta(hours=2)
    again = grant(raised, later)
    assert again.user_name != first.user_name
    assert again.until == later + timedelta(minutes=15)


def test_a_permission_becomes_a_binding_of_the_certificates_name():
    permissions = [
        {"roleName": "ops"},
        {"roleType": "namespace", "namespace": "shop", "roleName": "dev"},
        {"roleType": "namespace", "namespace": "shop", "roleName": "mine", "isCustom": True},
        {"roleName": "ops"},
    ]
    made = bindings(user(permissions=permissions), "alice-1")
    assert [(each["kind"], each["metadata"].get("namespace"), each["roleRef"]["name"]) for each in made] == [
        ("ClusterRoleBinding", None, "cs:ops"),
        ("RoleBinding", "shop", "cs:ns:dev"),
        ("RoleBinding", "shop", "mine"),
    ]
    assert all(each["subjects"][0]["name"] == "alice-1" for each in made)
    assert all(each["metadata"]["labels"] == {USER_LABEL: "1"} for each in made)


def test_what_is_bound_to_an_old_name_or_was_edited_goes_and_the_rest_stays():
    old, new = bindings(user(), "alice-1"), bindings(user(), "alice-2")
    plan = changes(old, new)
    assert (plan.delete, plan.create) == (tuple(old), tuple(new))
    assert changes(new, new) == changes([], [])
    edited = [{**new[0], "subjects": [{"kind": "User", "name": "mallory"}]}]
    assert changes(edited, new).delete == tuple(edited)
    assert changes(edited, new).create == tuple(new)


class Workload:
    """Bindings, roles and namespaces of a workload cluster."""

    def __init__(self, *names):
        self.names = set(names)
        self.bindings = {}

    async def list(self, kind, label_selector):
        key, _, value = label_selector.partition("=")
        found = [each for each in self.bindings.values() if each["kind"] == kind.kind]
        return [each for each in found if each["metadata"]["labels"].get(key) == value], "1"

    async def get(self, kind, name):
        if name not in self.names:
            raise NotFound(404, "NotFound", name)

    async def create(self, kind, body, namespace):
        if body["metadata"]["name"] in self.bindings:
            raise AlreadyExists(409, "AlreadyExists", "")
        self.bindings[body["metadata"]["name"]] = body

    async def delete(self, kind, name, namespace=None):
        del self.bindings[name]


async def test_raising_the_revision_and_revoking_take_the_old_bindings_away():
    workload = Workload("cs:ns:dev")
    assert await bind(workload, "1", bindings(user(), "alice-1")) == []
    assert await bind(workload, "1", bindings(user(), "alice-2")) == []
    assert list(workload.bindings) == ["alice-2:cs:ns:dev"]
    await bind(workload, "other", ())
    assert workload.bindings
    await bind(workload, "1", ())
    assert not workload.bindings


async def test_a_binding_without_its_label_is_taken_back():
    workload = Workload("cs:ns:dev")
    await bind(workload, "1", bindings(user(), "alice-1"))
    workload.bindings["alice-1:cs:ns:dev"]["metadata"]["labels"] = {}
    await bind(workload, "1", bindings(user(), "alice-1"))
    assert workload.bindings["alice-1:cs:ns:dev"]["metadata"]["labels"] == {USER_LABEL: "1"}


async def test_nothing_is_bound_to_what_is_not_there():
    permissions = [
        {"roleName": "later", "isCustom": True},
        {"roleType": "namespace", "namespace": "shop", "roleName": "dev"},
    ]
    workload = Workload("cs:ns:dev")
    wanted = bindings(user(permissions=permissions), "alice-1")
    assert await bind(workload, "1", wanted) == ["ClusterRole later", "Namespace shop"]
    assert not workload.bindings


@pytest.fixture(scope="module")
def issuer():
    return Issuer("one", SERVER, new_authority("one"))


def test_a_kubeconfig_names_nobody_but_the_sub_account_and_ends_with_the_grant(issuer):
    wanted = Grant("alice-1", SOON)
    text = issuer.kubeconfig(wanted)
    connection = parse_kubeconfig(text)
    certificate = x509.load_pem_x509_certificate((connection.certificate or "").encode())
    assert [each.value for each in certificate.subject] == [
        "alice-1"
    ]  # no organization: no group, such as system:masters
    assert certificate.not_valid_after_utc == wanted.until
    assert connection.server == SERVER
    assert issuer.issued(text, wanted)


def test_a_kubeconfig_that_says_something_else_is_made_anew(issuer):
    wanted = Grant("alice-1", SOON)
    text = issuer.kubeconfig(wanted)
    assert not issuer.issued(text, Grant("alice-2", SOON))
    assert not issuer.issued(text, Grant("alice-1", SOON + timedelta(seconds=1)))
    assert not issuer.issued("", wanted)
    assert not issuer.issued(text.replace(SERVER, "https://127.5.1.3:6443"), wanted)
    assert not Issuer("one", SERVER, new_authority("one")).issued(text, wanted)


def roles(path):
    return {each["metadata"]["name"]: each["rules"] for each in documents([path]) if each["kind"] == "ClusterRole"}


def test_every_role_of_a_sub_account_is_made_in_each_cluster():
    assert set(CLUSTER_ROLES.values()) <= set(roles(local.RBAC))


@pytest.mark.parametrize("role", ["cs:admin-view", "cs:ns:restricted"])
def test_who_only_looks_writes_nothing(role):
    assert {verb for rule in roles(local.RBAC)[role] for verb in rule["verbs"]} <= {"get", "list", "watch"}


@pytest.mark.parametrize("role", ["cs:ops", "cs:ns:dev", "cs:ns:restricted"])
def test_nobody_but_the_administrator_gives_rights(role):
    groups = {group for rule in roles(local.RBAC)[role] for group in rule["apiGroups"]}
    assert not groups & {"*", "rbac.authorization.k8s.io", "certificates.k8s.io"}


def test_people_write_no_status_and_only_administrators_write_quotas_accounts_and_users():
    rules = roles(USER_ROLES)
    written = {
        name: {resource for rule in each for resource in rule["resources"] if "create" in rule["verbs"]}
        for name, each in rules.items()
    }
    assert written["ackbox-view"] == set()
    assert written["ackbox-admin"] == {"accounts", "cloudquotas", "clusterusers"}
    assert not written["ackbox-edit"] & written["ackbox-admin"]
    resources = {resource for each in rules.values() for rule in each for resource in rule["resources"]}
    assert not {each for each in resources if each.endswith("/status") or each == "*"}
