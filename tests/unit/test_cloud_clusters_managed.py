"""A control plane is brought up, moved and stopped in the right order, and what must not happen twice doesn't."""

import base64
from ipaddress import IPv4Network

import pytest
from small_cluster import ApiServer

from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.loopback import LoopbackAddresses
from ackbox.cloud.clusters.controller import Clusters
from ackbox.cloud.clusters.deletion import remove_contents
from ackbox.cloud.clusters.endpoint import GONE
from ackbox.cloud.clusters.managed import ManagedClusters
from ackbox.cloud.clusters.tags import CLUSTER_TAG
from ackbox.cloud.reconciling import Cloud
from ackbox.cloud.world import World
from ackbox.kube.errors import ApiError, Conflict, Forbidden, Invalid, Unavailable
from ackbox.resources import ManagedCluster

pytestmark = pytest.mark.asyncio
VPC = {
    "regionId": "cn-hangzhou",
    "cidrBlock": "192.168.0.0/16",
    "vswitches": [{"vSwitchName": "h", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/24"}],
}


class Planes:
    """A driver whose API servers answer when a test says so."""

    def __init__(self):
        self.specs, self.stopped, self.removed = [], [], []
        self.down = set()

    async def ensure(self, spec):
        self.specs.append(spec)
        return True

    def progress(self, spec):
        return None

    async def ready(self, spec):
        return not self.down and bool(spec.running)

    async def member_ready(self, spec, member):
        return member.name not in self.down

    async def stop(self, cluster_id):
        self.stopped.append(cluster_id)

    async def remove(self, cluster_id):
        self.removed.append(cluster_id)

    def admin_kubeconfig(self, spec):
        return f"server: {spec.endpoint}"

    def ccm_kubeconfig(self, spec):
        return f"ccm: {spec.endpoint}"


class Account:
    """A namespace with a VPC and a cluster; the load balancers' side is played by the test."""

    def __init__(self, **spec):
        self.world, self.server, self.planes = World(), ApiServer(), Planes()
        put = self.server.put
        self.server.put = lambda obj: self._cached(put(obj))
        self.loopback = LoopbackAddresses(self.server, IPv4Network("127.42.0.0/16"))
        self.cloud = Cloud(self.server, self.world, None, None, None, self.loopback)
        self.managed = ManagedClusters(self.cloud, self.planes)
        self.put("VPC", "v", spec=VPC, status={"vpcId": "vpc-1"})
        default = {"regionId": "cn-hangzhou", "vpcId": "v", "containerCidr": "10.32.0.0/16"}
        self.put("ManagedCluster", "c", spec={**default, **spec}, status={"clusterId": "c1"})

    def put(self, kind, name, **parts):
        metadata = {"name": name, "namespace": "n", "generation": 1, **parts.pop("metadata", {})}
        return self.server.put({"apiVersion": "ackbox.dev/v1alpha1", "kind": kind, "metadata": metadata, **parts})

    def _cached(self, obj):
        for cache in self.world.caches():
            if cache.kind.kind == obj["kind"]:
                cache.upsert(obj)
        return obj

    def stored(self, kind, name):
        return self.server.objects[kind, "n", name]

    async def look(self, thorough=True):
        """One look of the operator; what it says is written into the cluster's status."""
        obj = self.stored("ManagedCluster", "c")
        found = await self.managed.ensure(obj, ManagedCluster.model_validate(obj), "c1", thorough)
        now = self.stored("ManagedCluster", "c")
        fields = {key: value for key, value in found.fields.items() if value is not None}
        self.server.put({**now, "status": {**now["status"], **fields}})
        return found

    def serve(self):
        """The data plane has taken everything, and the load balancer has its addresses."""
        slb = self.stored("ServiceLoadBalancer", "c-apiserver")
        balancer_id = ids.load_balancer_id(slb["metadata"]["uid"])
        self.server.put({**slb, "status": {"loadBalancerId": balancer_id, "address": "192.168.0.1"}})
        ready = [{"type": "Ready", "status": "True"}]
        for kind, name in (("Listener", "c-apiserver-6443-tcp"), ("ServerGroup", "c-apiserver")):
            if (kind, "n", name) in self.server.objects:
                found = self.stored(kind, name)
                status = {"conditions": ready, "observedGeneration": found["metadata"].get("generation")}
                self.server.put({**found, "status": status})

    async def up(self):
        for _ in range(4):
            found = await self.look()
            self.serve()
        assert found.state is None
        return found

    @property
    def servers(self):
        return [each["serverIp"] for each in self.stored("ServerGroup", "c-apiserver")["spec"]["backendServers"]]


async def test_the_address_that_users_dial_is_known_before_an_api_server_starts():
    account = Account()
    first = await account.look()
    assert first.state is not None
    assert not account.planes.specs
    account.serve()
    await account.look()
    spec = account.planes.specs[0]
    assert spec.endpoint == "https://127.42.16.1:6443"
    assert {"127.42.16.1", "192.168.0.1"} <= set(spec.settings.hosts)
    # And it is reserved, so that a restart finds the same ones.
    owners = account.server.objects["ConfigMap", "ackbox-system", "loopback-addresses"]["data"]
    assert owners["127-42-16-1"] == "ServiceLoadBalancer/n/c-apiserver"
    assert owners["127-42-1-1"] == "apiserver/n/c/apiserver1"
    assert [each["address"] for each in account.stored("ManagedCluster", "c")["status"]["controlPlane"]] == [
        "127.42.1.1"
    ]


async def test_a_new_cluster_is_only_ready_when_users_are_let_in():
    account = Account()
    await account.look()
    account.serve()
    waiting = await account.look()
    assert waiting.state is not None
    assert "endpoint" not in waiting.fields
    account.serve()
    found = await account.up()
    assert found.fields["endpoint"] == "https://127.42.16.1:6443"
    assert found.fields["internalEndpoint"] == "https://127.42.1.1:6443"


async def test_ackboxs_own_processes_come_by_the_load_balancer_when_there_are_several_api_servers():
    account = Account(emulation={"footprint": "ha"})
    found = await account.up()
    assert found.fields["internalEndpoint"] == found.fields["endpoint"]
    assert account.servers == ["127.42.1.1", "127.42.1.2"]
    assert len(account.planes.specs[-1].etcd) == 3


async def test_an_api_server_that_is_down_for_a_moment_is_told_of_and_the_others_serve():
    account = Account(emulation={"footprint": "ha"})
    await account.up()
    account.planes.down = {"apiserver2"}
    found = await account.look()
    assert found.state is None
    assert not found.settled
    assert [(each.type, each.status) for each in found.aspects if each.status] == [("ControlPlaneDegraded", "True")]
    assert account.servers == ["127.42.1.1", "127.42.1.2"]


async def test_users_are_sent_elsewhere_before_an_api_server_goes():
    account = Account(emulation={"footprint": "ha"})
    await account.up()
    cluster = account.stored("ManagedCluster", "c")
    kept = [each for each in cluster["status"]["controlPlane"] if each["name"] == "apiserver2"]
    account.server.put({**cluster, "status": {**cluster["status"], "controlPlane": kept}})
    group = account.stored("ServerGroup", "c-apiserver")
    account.server.put({**group, "status": {"observedGeneration": 0}})
    started = len(account.planes.specs)
    found = await account.look()
    assert account.servers == ["127.42.1.2"]
    assert found.state is not None
    assert found.state.reason == "MovingEndpoint"
    assert len(account.planes.specs) == started, "nothing is stopped before the data plane has followed"
    account.serve()
    assert (await account.look()).state is None
    assert [each.name for each in account.planes.specs[-1].members] == ["apiserver2"]
    owners = account.server.objects["ConfigMap", "ackbox-system", "loopback-addresses"]["data"].values()
    assert "apiserver/n/c/apiserver1" not in owners


async def test_a_load_balancer_that_was_deleted_is_not_made_again():
    account = Account()
    await account.up()
    account.world.load_balancers.remove(account.stored("ServiceLoadBalancer", "c-apiserver"))
    made = len([call for call in account.server.calls if call[0] == "create"])
    found = await account.look()
    assert found.state is not None
    assert (found.state.reason, found.state.stalled, found.phase) == (GONE, True, "unavailable")
    assert len([call for call in account.server.calls if call[0] == "create"]) == made


async def test_a_listener_that_was_deleted_is_told_of_and_not_made_again():
    account = Account()
    await account.up()
    account.world.listeners.remove(account.stored("Listener", "c-apiserver-6443-tcp"))
    found = await account.look()
    assert found.state is not None
    assert (found.state.reason, found.phase) == ("ApiServerListenerDeleted", "unavailable")


async def test_other_keys_stop_everything_and_the_right_ones_start_it_again():
    account = Account()
    await account.up()
    secret = account.stored("Secret", "c-ca")
    other = {**secret["data"], "tls.crt": base64.b64encode(b"another").decode()}
    account.server.put({**secret, "data": other})
    found = await account.look()
    assert found.state is not None
    assert (found.state.reason, found.phase) == ("CertificatesReplaced", "unavailable")
    assert account.planes.stopped == ["c1"]
    account.server.put(secret)
    assert (await account.look()).state is None


async def test_a_change_to_pro_is_a_migration_until_the_api_server_runs_as_one():
    account = Account()
    await account.up()
    cluster = account.stored("ManagedCluster", "c")
    account.server.put({**cluster, "spec": {**cluster["spec"], "clusterSpec": "ack.pro.small"}})
    account.planes.down = {"apiserver1"}
    found = await account.look()
    assert found.state is not None
    assert (found.state.reason, found.phase, found.fields["edition"]) == ("Migrating", "migrating", "ack_standard")
    account.planes.down = set()
    found = await account.look()
    assert found.state is None
    assert found.fields["edition"] == "ack_pro"


async def test_a_busy_cluster_is_not_looked_at_each_time():
    account = Account()
    await account.up()
    before, calls = len(account.planes.specs), len(account.server.calls)
    assert (await account.look(thorough=False)).settled
    assert (len(account.planes.specs), len(account.server.calls)) == (before, calls)


async def test_everything_is_given_back_at_the_end():
    account = Account(emulation={"footprint": "ha"})
    await account.up()
    obj = account.stored("ManagedCluster", "c")
    await account.managed.remove(ManagedCluster.model_validate(obj), "c1")
    assert account.planes.removed == ["c1"]
    owners = account.server.objects["ConfigMap", "ackbox-system", "loopback-addresses"]["data"].values()
    assert set(owners) == {"ServiceLoadBalancer/n/c-apiserver"}


async def test_a_hibernated_cluster_sends_nobody_to_its_stopped_api_server_and_comes_back_as_it_was():
    account = Account()
    awake = await account.up()
    cluster = account.stored("ManagedCluster", "c")
    account.server.put({**cluster, "spec": {**cluster["spec"], "emulation": {"hibernated": True}}})
    asleep = await account.look()
    assert account.servers == []
    assert account.planes.stopped == ["c1"]
    assert (asleep.state.ready, asleep.state.reason, asleep.phase) == ("True", "Hibernated", "hibernated")
    started = len(account.planes.specs)
    await account.look()
    assert len(account.planes.specs) == started, "nothing starts it again but its spec"

    cluster = account.stored("ManagedCluster", "c")
    account.server.put({**cluster, "spec": {**cluster["spec"], "emulation": {"hibernated": False}}})
    account.planes.down = {"apiserver1"}
    waking = await account.look()
    assert waking.state is not None
    assert waking.phase is None, "it is called hibernated until it answers"
    account.planes.down = set()
    await account.look()
    account.serve()
    found = await account.look()
    assert found.state is None
    assert found.spec == awake.spec
    assert account.servers == ["127.42.1.1"]


async def test_an_api_server_whose_address_was_lost_gets_another_and_is_started_anew():
    account = Account()
    await account.up()
    before = account.servers
    pool = account.loopback

    async def lost(owner, _use, before=None):
        return (
            "127.42.3.3"
            if owner.startswith("apiserver/") and before is not None
            else await reserve(owner, _use, before)
        )

    reserve, pool.reserve = pool.reserve, lost
    assert (await account.look()).state.reason == "StartingControlPlane"
    assert [row["address"] for row in account.stored("ManagedCluster", "c")["status"]["controlPlane"]] == ["127.42.3.3"]
    await account.up()
    assert account.servers == ["127.42.3.3"] != before
    assert str(account.planes.specs[-1].members[0].address) == "127.42.3.3"


class Events:
    def __init__(self):
        self.warnings = []

    async def warning(self, _obj, reason, text):
        self.warnings.append((reason, text))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Forbidden(403, "Forbidden", "exceeded quota: pods"), True),
        (Invalid(422, "Invalid", "spec.template: violates PodSecurity"), True),
        (ApiError(400, "BadRequest", "admission webhook denied the request"), True),
        (Conflict(409, "Conflict", "changed"), False),
        (Unavailable(0, "Unreachable", "no answer"), False),
    ],
    ids=["quota", "policy", "webhook", "conflict", "no answer"],
)
async def test_what_refuses_a_control_plane_is_told_and_what_passes_is_not(error, told, monkeypatch):
    account, events = Account(), Events()
    clusters = Clusters(Cloud(account.server, account.world, events, None, None, account.loopback), account.planes, [])

    async def refused(*_, **__):
        raise error

    monkeypatch.setattr(ManagedClusters, "ensure", refused)
    obj = account.stored("ManagedCluster", "c")
    with pytest.raises(type(error)):
        await clusters._run(obj, ManagedCluster.model_validate(obj))
    said = account.stored("ManagedCluster", "c")["status"].get("conditions") or []
    assert [each["message"] for each in said if each["type"] == "Ready"] == [str(error)] * told
    assert events.warnings == [("ControlPlaneFailed", str(error))] * told


async def test_a_listener_that_the_ccm_puts_back_goes_with_its_cluster_too():
    account = Account(deleteOptions=[{"resourceType": "SLB", "deleteMode": "retain"}])
    account.put("ServiceLoadBalancer", "web", spec={"tags": [{"key": CLUSTER_TAG, "value": "c1"}]})
    account.put("Listener", "web-80-tcp", spec={"loadBalancerId": "web", "vServerGroupId": "gone"})
    left = await remove_contents(account.cloud, account.stored("ManagedCluster", "c"))
    assert left == {"listeners": 1}
    assert ("Listener", "n", "web-80-tcp") not in account.server.objects
    assert ("ServiceLoadBalancer", "n", "web") in account.server.objects
