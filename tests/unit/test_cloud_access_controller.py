"""The life of a ClusterUser: granted, revoked, ended, and never at the cost of another Secret."""

import base64
import copy
from datetime import UTC, datetime, timedelta

import pytest
from small_cluster import ApiServer

from ackbox.cloud.access import controller
from ackbox.cloud.access.controller import ClusterUsers
from ackbox.cloud.reconciling import Cloud
from ackbox.cloud.world import World
from ackbox.kube.connection import Connection
from ackbox.resources import CLUSTER_USER, MANAGED_CLUSTER, ManagedCluster
from ackbox.resources.base import RESOURCE_FINALIZER
from ackbox.runtime.certificates import new_authority

CA = new_authority("one")
WAY = Connection("https://127.5.1.2:6443", CA.certificate)


class Workload(ApiServer):
    """A workload cluster with ACK's roles."""

    def __init__(self):
        role = {"kind": "ClusterRole", "metadata": {"name": "cs:ns:dev"}}
        super().__init__(role)
        self.connection = WAY

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def list(self, kind, namespace=None, label_selector=None):
        key, _, value = label_selector.partition("=")
        found = [obj for (name, *_), obj in self.objects.items() if name == kind.kind]
        return [obj for obj in copy.deepcopy(found) if obj["metadata"].get("labels", {}).get(key) == value], "1"

    @property
    def bound(self):
        return [name for kind, _, name in self.objects if kind.endswith("Binding")]


class Events:
    async def warning(self, obj, reason, message):
        pass


class Account:
    """A namespace with a cluster, a sub-account and the controller, whose clock stands still."""

    def __init__(self, monkeypatch, name="alice", **spec):
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.world, self.workload = World(), Workload()
        self.server = ApiServer()
        put = self.server.put
        self.server.put = lambda obj: self._cached(put(obj))
        cloud = Cloud(self.server, self.world, Events(), None, None, None)
        monkeypatch.setattr(controller, "Client", lambda _connection: self.workload)
        self.users = ClusterUsers(cloud, now=lambda: self.now)
        self.users.queue.add = lambda *_args, **_more: None
        data = {"tls.crt": CA.certificate, "tls.key": CA.key}
        self.put(
            "Secret", "one-ca", data={key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        )
        status = {"clusterId": "c1", "endpoint": "https://127.5.16.1:6443", "phase": "running"}
        self.cluster = self.put("ManagedCluster", "one", spec={"regionId": "cn-hangzhou"}, status=status)
        self.name = name
        wanted = {"clusterId": "one", "uid": "alice", "permissions": [{"roleName": "dev"}], **spec}
        self.user = self.put("ClusterUser", name, spec=wanted)

    def put(self, kind, name, **parts):
        metadata = {"name": name, "namespace": "n", "generation": 1, **parts.pop("metadata", {})}
        return self.server.put({"apiVersion": "v1", "kind": kind, "metadata": metadata, **parts})

    def _cached(self, obj):
        caches = {MANAGED_CLUSTER.kind: self.world.clusters, CLUSTER_USER.kind: self.world.cluster_users}
        if obj["kind"] in caches:
            caches[obj["kind"]].upsert(copy.deepcopy(obj))
        return obj

    async def look(self, known=True):
        if known:
            await self.users.ensure(self.cluster, ManagedCluster.model_validate(self.cluster), self.workload)
        await self.users.reconcile(("n", self.name))
        return self.status

    @property
    def status(self):
        return self.server.objects["ClusterUser", "n", self.name].get("status", {})

    @property
    def reason(self):
        return next(each["reason"] for each in self.status["conditions"] if each["type"] == "Ready")

    def secret(self, name="alice-kubeconfig"):
        return self.server.objects.get(("Secret", "n", name))


@pytest.fixture
def account(monkeypatch):
    return Account(monkeypatch, temporaryDurationMinutes=15)


async def test_a_sub_account_gets_its_roles_and_a_kubeconfig(account):
    status = await account.look()
    assert (status["phase"], account.reason) == ("active", "Granted")
    assert account.workload.bound == [f"{status['userName']}:cs:ns:dev"]
    assert account.secret()["metadata"]["ownerReferences"][0]["uid"] == account.user["metadata"]["uid"]
    writes = len(account.server.calls) + len(account.workload.calls)
    await account.look()
    assert len(account.server.calls) + len(account.workload.calls) == writes


async def test_the_end_is_written_down_before_there_is_a_kubeconfig(account):
    await account.look()
    kinds = [(method, kind) for method, kind, _ in account.server.calls]
    assert kinds.index(("patch", "ClusterUser")) < kinds.index(("create", "Secret"))


async def test_a_temporary_kubeconfig_ends_even_if_its_secret_is_made_anew(account):
    first = dict(await account.look())
    account.now += timedelta(minutes=10)
    del account.server.objects["Secret", "n", "alice-kubeconfig"]
    assert (await account.look())["expiration"] == first["expiration"]
    assert account.secret() is not None
    account.now += timedelta(minutes=6)
    assert (await account.look())["phase"] == "expired"
    assert account.reason == "KubeconfigExpired"
    assert account.workload.bound == []


async def test_another_revision_revokes_the_old_name_and_gives_another_kubeconfig(account):
    first, before = dict(await account.look()), copy.deepcopy(account.secret()["data"])
    obj = copy.deepcopy(account.server.objects["ClusterUser", "n", "alice"])
    obj["spec"]["kubeconfigRevision"] = 2
    account.server.put(obj)
    second = await account.look()
    assert second["userName"] != first["userName"]
    assert (second["phase"], account.reason) == ("active", "Granted")
    assert account.workload.bound == [f"{second['userName']}:cs:ns:dev"]
    assert account.secret()["data"] != before


async def test_a_cluster_of_the_same_name_keeps_its_kubeconfig(monkeypatch):
    account = Account(monkeypatch, name="one")
    await account.look()
    assert account.reason == "SecretNameTaken"
    assert account.secret("one-kubeconfig") is None


async def test_a_secret_of_somebody_else_is_left_alone(account):
    account.put("Secret", "alice-kubeconfig", data={"value": "bWluZQ=="})
    await account.look()
    assert account.reason == "SecretNameTaken"
    assert account.secret()["data"] == {"value": "bWluZQ=="}


async def test_nothing_is_issued_by_an_authority_that_is_not_the_clusters(account):
    other = new_authority("other")
    data = {"tls.crt": other.certificate, "tls.key": other.key}
    account.put(
        "Secret", "one-ca", data={key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    )
    await account.look()
    assert account.reason == "CertificateAuthorityMissing"
    assert account.secret() is None


async def test_an_operator_that_has_just_started_leaves_what_is_granted_as_it_is(account):
    await account.look()
    account.users.forget(account.cluster["metadata"]["uid"])
    before = copy.deepcopy(account.status)
    assert await account.look(known=False) == before


async def test_a_cluster_that_does_not_run_yet_is_waited_for(account):
    await account.look(known=False)
    assert account.reason == "WaitingForCluster"


def deleted(account):
    obj = copy.deepcopy(account.server.objects["ClusterUser", "n", "alice"])
    obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    account.server.put(obj)


def let_go(account):
    return RESOURCE_FINALIZER not in account.server.objects["ClusterUser", "n", "alice"]["metadata"]["finalizers"]


async def test_a_deleted_sub_account_is_revoked_before_it_is_let_go(account):
    await account.look()
    deleted(account)
    account.users.forget(account.cluster["metadata"]["uid"])
    await account.look(known=False)
    assert not let_go(account)
    await account.look()
    assert account.workload.bound == []
    assert let_go(account)


async def test_a_deleted_sub_account_does_not_wait_for_a_cluster_that_goes_as_well(account):
    await account.look()
    account.world.clusters.remove(account.cluster)
    deleted(account)
    await account.look(known=False)
    assert let_go(account)


async def test_a_registered_cluster_has_no_sub_accounts(account):
    account.put("ManagedCluster", "one", spec={"regionId": "cn-hangzhou", "clusterType": "ExternalKubernetes"})
    await account.look(known=False)
    assert account.reason == "RegisteredCluster"
