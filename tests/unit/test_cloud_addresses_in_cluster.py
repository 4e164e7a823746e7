"""Addresses in a cluster: a Service for each owner, and a port of the data plane for each port of a listener."""

import asyncio
import copy
from ipaddress import IPv4Network
from itertools import count

import pytest

from ackbox.cloud.allocation.addresses_in_cluster import ServiceAddresses, labels, service_name, service_namespace
from ackbox.cloud.allocation.exposure import Exposure, exposure_from
from ackbox.cloud.allocation.listener_ports import FIRST, LAST, ListenerPorts, candidates
from ackbox.cloud.allocation.loopback import AddressesExhausted
from ackbox.cloud.loadbalancers.services import BalancerServices
from ackbox.cloud.reconciling import Cloud
from ackbox.cloud.world import World
from ackbox.kube.cache import Cache
from ackbox.kube.client import SERVICE
from ackbox.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from ackbox.kube.queue import Retry
from ackbox.resources import LISTENER, SERVICE_LOAD_BALANCER
from ackbox.resources.balancer_service import PLACEHOLDER, owner_name, service_ports, target_ports
from ackbox.runtime.loopback import AddressUse

API_SERVER, ETCD, KUBELET = "apiserver/team-a/demo/apiserver1", "etcd/team-a/demo/etcd1", "kubelet/team-a/demo/kwok"
BALANCER = owner_name("team-a", "web")
USE = AddressUse.API_SERVER
CLUSTER = {"metadata": {"name": "demo", "namespace": "team-a", "uid": "c-1"}}


class Server:
    """An API server that gives Services a ClusterIP."""

    def __init__(self):
        self.objects, self.writes, self._numbers = {}, [], count(10)
        self.not_given_back = 0

    async def get(self, kind, name, namespace):
        try:
            return copy.deepcopy(self.objects[kind.kind, namespace, name])
        except KeyError:
            raise NotFound(404, "NotFound", name) from None

    async def list(self, kind, namespace, label_selector):
        wanted = dict(pair.split("=") for pair in label_selector.split(","))
        found = [obj for (one, where, _), obj in self.objects.items() if (one, where) == (kind.kind, namespace)]
        return [copy.deepcopy(obj) for obj in found if wanted.items() <= obj["metadata"].get("labels", {}).items()], "1"

    async def create(self, kind, body, namespace):
        key = kind.kind, namespace, body["metadata"]["name"]
        if key in self.objects:
            raise AlreadyExists(409, "AlreadyExists", key[2])
        obj = copy.deepcopy(body)
        if kind == SERVICE:
            taken = {each["spec"]["clusterIP"] for each in self.objects.values() if "spec" in each}
            address = obj["spec"].setdefault("clusterIP", f"10.96.0.{next(self._numbers)}")
            if body["spec"].get("clusterIP") and self.not_given_back:
                self.not_given_back -= 1
                taken.add(address)
            if address in taken or not address.startswith("10.96."):
                raise Invalid(422, "Invalid", "spec.clusterIPs: provided IP is already allocated")
        obj["metadata"] |= {"namespace": namespace, "uid": f"u{len(self.writes)}", "resourceVersion": "1"}
        self.objects[key] = obj
        self.writes.append(("create", key[2]))
        return copy.deepcopy(obj)

    async def patch(self, kind, name, namespace, patch):
        if (kind.kind, namespace, name) not in self.objects:
            raise NotFound(404, "NotFound", name)
        obj = self.objects[kind.kind, namespace, name]
        version = obj["metadata"]["resourceVersion"]
        if patch.get("metadata", {}).get("resourceVersion", version) != version:
            raise Conflict(409, "Conflict", name)
        _merge(obj, copy.deepcopy(patch))
        obj["metadata"]["resourceVersion"] = str(int(version) + 1)
        self.writes.append(("patch", name))
        return copy.deepcopy(obj)

    async def delete(self, kind, name, namespace, uid=None):
        del self.objects[kind.kind, namespace, name]
        self.writes.append(("delete", name))

    def service(self, owner):
        return self.objects.get(("Service", service_namespace(owner), service_name(owner)))


def _merge(old, new):
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            _merge(old[key], value)
        elif value is None:
            old.pop(key, None)
        else:
            old[key] = value


@pytest.fixture
def server():
    return Server()


INSIDE = Exposure()


def pool(server, exposure=INSIDE):
    return ServiceAddresses(server, lambda *_: CLUSTER, IPv4Network("127.16.0.0/16"), exposure)


async def test_an_api_server_is_dialled_at_the_address_of_its_service(server):
    address = await pool(server).reserve(API_SERVER, USE)
    service = server.service(API_SERVER)
    assert service["metadata"]["name"] == "demo-apiserver1"
    assert address == service["spec"]["clusterIP"]
    assert service["spec"]["ports"] == [{"name": "https", "port": 6443, "protocol": "TCP", "targetPort": 6443}]
    assert service["spec"]["selector"] == labels(API_SERVER) == service["metadata"]["labels"]
    assert [owner["uid"] for owner in service["metadata"]["ownerReferences"]] == ["c-1"]


async def test_the_members_of_an_etcd_find_each_other_before_they_are_ready(server):
    await pool(server).reserve(ETCD, USE)
    await pool(server).reserve(API_SERVER, USE)
    assert server.service(ETCD)["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in server.service(API_SERVER)["spec"]


async def test_the_kubelets_ports_lead_to_whichever_pod_names_them(server):
    await pool(server).reserve(KUBELET, USE)
    ports = {port["port"]: port["targetPort"] for port in server.service(KUBELET)["spec"]["ports"]}
    assert ports == {10247: "kubelet", 4443: "metrics-api"}


async def test_asking_again_writes_nothing_and_a_new_process_finds_the_same(server):
    address = await pool(server).reserve(API_SERVER, USE)
    assert await pool(server).reserve(API_SERVER, USE) == address
    assert server.writes == [("create", "demo-apiserver1")]


async def test_a_service_that_was_deleted_by_hand_comes_back_at_the_same_address(server):
    addresses = pool(server)
    address = await addresses.reserve(API_SERVER, USE)
    await server.delete(SERVICE, "demo-apiserver1", "team-a")
    assert await addresses.reserve(API_SERVER, USE) == address
    await server.delete(SERVICE, "demo-apiserver1", "team-a")
    assert await pool(server).reserve(API_SERVER, USE, before=address) == address


async def test_an_address_that_is_given_back_a_moment_later_is_waited_for(server):
    addresses = pool(server)
    address = await addresses.reserve(API_SERVER, USE)
    await server.delete(SERVICE, "demo-apiserver1", "team-a")
    server.not_given_back = 2
    assert await addresses.reserve(API_SERVER, USE) == address


@pytest.mark.parametrize("before", ["10.96.0.10", "127.1.2.3"], ids=["taken", "of no range of the cluster"])
async def test_an_address_that_cannot_be_had_again_is_replaced(server, before):
    await pool(server).reserve(ETCD, USE)
    address = await pool(server).reserve(API_SERVER, USE, before=before)
    assert address == server.service(API_SERVER)["spec"]["clusterIP"] != before


async def test_a_service_that_was_changed_by_hand_is_mended(server):
    addresses = pool(server)
    await addresses.reserve(API_SERVER, USE)
    server.service(API_SERVER)["spec"]["selector"]["ackbox.dev/member"] = "other"
    server.service(API_SERVER)["spec"]["ports"] = []
    await addresses.reserve(API_SERVER, USE)
    assert server.service(API_SERVER)["spec"]["selector"] == labels(API_SERVER)
    assert server.service(API_SERVER)["spec"]["ports"][0]["port"] == 6443


async def test_a_service_goes_with_its_cluster_and_with_no_other(server):
    addresses, apart = pool(server), ServiceAddresses(server, lambda *_: None, IPv4Network("127.16.0.0/16"), INSIDE)
    with pytest.raises(NotFound):
        await apart.reserve(API_SERVER, USE)
    assert server.objects == {}
    await addresses.reserve(API_SERVER, USE)
    del server.service(API_SERVER)["metadata"]["ownerReferences"]
    await addresses.reserve(API_SERVER, USE)
    references = server.service(API_SERVER)["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in references] == ["c-1"]
    references[0]["uid"] = "c-0"
    with pytest.raises(AddressesExhausted, match="Service team-a/demo-apiserver1 is being deleted"):
        await addresses.reserve(API_SERVER, USE)


async def test_somebody_elses_service_is_left_alone_and_named(server):
    body = {"metadata": {"name": "demo-apiserver1"}, "spec": {"selector": {"app": "theirs"}}}
    await server.create(SERVICE, body, "team-a")
    with pytest.raises(AddressesExhausted, match="Service team-a/demo-apiserver1 isn't ackbox's own"):
        await pool(server).reserve(API_SERVER, USE)
    await pool(server).release(API_SERVER)
    assert server.service(API_SERVER)["spec"]["selector"] == {"app": "theirs"}


async def test_what_is_not_kept_goes_and_nothing_else(server):
    addresses = pool(server)
    for owner in (API_SERVER, "apiserver/team-a/demo/apiserver2", "apiserver/team-a/other/apiserver1", ETCD):
        await addresses.reserve(owner, USE)
    by_hand = {"metadata": {"name": "demo-etcd", "labels": labels(API_SERVER)}, "spec": {}}
    await server.create(SERVICE, by_hand, "team-a")
    await addresses.release_others("apiserver/team-a/demo/", {API_SERVER})
    names = {name for _, _, name in server.objects}
    assert names == {"demo-apiserver1", "other-apiserver1", "demo-etcd1", "demo-etcd"}


async def test_a_load_balancers_service_stands_beside_the_data_plane_and_has_no_owner(server):
    await pool(server).reserve(BALANCER, AddressUse.LOAD_BALANCER)
    service = server.service(BALANCER)
    assert service["metadata"]["namespace"] == "ackbox-system"
    assert service["metadata"]["name"].startswith("slb-team-a-web-")
    assert service["spec"]["selector"] == {"app.kubernetes.io/component": "slb"}
    assert service["spec"]["ports"] == [PLACEHOLDER]
    assert "ownerReferences" not in service["metadata"]
    await pool(server).release(BALANCER)
    assert server.service(BALANCER) is None


def test_names_are_told_apart_and_fit():
    alike = {service_name(owner_name("a-b", "c")), service_name(owner_name("a", "b-c"))}
    assert len(alike) == 2
    long = [service_name(owner_name("n" * 63, f"{'x' * 240}{end}")) for end in "ab"]
    assert len(set(long)) == 2
    assert all(len(name) <= 63 for name in long)


async def test_the_ports_of_a_load_balancers_service_are_not_undone(server):
    addresses = pool(server)
    await addresses.reserve(BALANCER, AddressUse.LOAD_BALANCER)
    server.service(BALANCER)["spec"]["ports"] = [{"name": "tcp-80", "port": 80, "targetPort": 20_001}]
    await addresses.reserve(BALANCER, AddressUse.LOAD_BALANCER)
    assert server.service(BALANCER)["spec"]["ports"][0]["port"] == 80


async def test_of_type_load_balancer_it_is_dialled_at_the_address_that_was_given(server):
    addresses = pool(server, Exposure("LoadBalancer", "metal"))
    with pytest.raises(AddressesExhausted, match="has no address yet"):
        await addresses.reserve(BALANCER, AddressUse.LOAD_BALANCER)
    service = server.service(BALANCER)
    assert (service["spec"]["type"], service["spec"]["loadBalancerClass"]) == ("LoadBalancer", "metal")
    service["status"] = {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}
    with pytest.raises(AddressesExhausted, match="a host name"):
        await addresses.reserve(BALANCER, AddressUse.LOAD_BALANCER)
    service["status"]["loadBalancer"]["ingress"].append({"ip": "192.0.2.7"})
    assert await addresses.reserve(BALANCER, AddressUse.LOAD_BALANCER) == "192.0.2.7"
    await addresses.reserve(API_SERVER, USE)
    assert server.service(API_SERVER)["spec"]["type"] == "ClusterIP"


async def test_another_type_comes_with_its_implementation(server):
    await pool(server).reserve(BALANCER, AddressUse.LOAD_BALANCER)
    with pytest.raises(AddressesExhausted, match="has no address yet"):
        await pool(server, Exposure("LoadBalancer", "metal")).reserve(BALANCER, AddressUse.LOAD_BALANCER)
    service = server.service(BALANCER)
    assert (service["spec"]["type"], service["spec"]["loadBalancerClass"]) == ("LoadBalancer", "metal")
    # Later nobody may choose another one.
    service["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    await pool(server, Exposure("LoadBalancer", "other")).reserve(BALANCER, AddressUse.LOAD_BALANCER)
    assert service["spec"]["loadBalancerClass"] == "metal"


def test_a_type_that_services_do_not_have_is_refused():
    assert exposure_from({}) == Exposure()
    assert exposure_from({"ACKBOX_SLB_SERVICE_TYPE": "NodePort", "ACKBOX_SLB_LOAD_BALANCER_CLASS": ""}) == Exposure(
        "NodePort"
    )
    with pytest.raises(ValueError, match="ACKBOX_SLB_SERVICE_TYPE: ExternalName"):
        exposure_from({"ACKBOX_SLB_SERVICE_TYPE": "ExternalName"})


async def test_every_load_balancer_has_a_number_of_its_own_and_keeps_it(server):
    numbers = [await pool(server).number(owner_name("n", name)) for name in "abcab"]
    assert len(set(numbers)) == 3
    assert numbers[:2] == numbers[3:]


async def test_a_port_of_the_data_plane_is_one_listeners_only_and_stays_it(server):
    ports = ListenerPorts(server)
    first = await ports.assign(("n", "a"), [(80, "tcp"), (80, "udp")])
    second = await ports.assign(("n", "b"), [(80, "tcp")])
    assert len({*first.values(), *second.values()}) == 3
    assert all(FIRST <= port <= LAST for port in first.values())
    assert await ListenerPorts(server).assign(("n", "a"), [(80, "tcp"), (80, "udp")]) == first
    await ports.release_others(("n", "a"), [(80, "udp")])
    held = server.objects["ConfigMap", "ackbox-system", "listener-ports"]["data"].values()
    assert sorted(held) == ["n/a/80/udp", "n/b/80/tcp"]


async def test_what_was_given_out_stays_so_though_the_config_map_was_deleted(server):
    ports, key = ListenerPorts(server), ("ConfigMap", "ackbox-system", "listener-ports")
    first = await ports.assign(("n", "a"), [(80, "tcp")])
    del server.objects[key]
    second = await ports.assign(("n", "b"), [(80, "tcp")])
    assert server.objects[key]["data"] == {
        str(first[80, "tcp"]): "n/a/80/tcp",
        str(second[80, "tcp"]): "n/b/80/tcp",
    }
    # The next operator learns from the Services what it was.
    del server.objects[key]
    assert await ListenerPorts(server).assign(("n", "c"), [(81, "tcp")], {(81, "tcp"): 20_077}) == {(81, "tcp"): 20_077}


async def test_two_that_would_begin_at_the_same_port_get_two(server, monkeypatch):
    monkeypatch.setattr("ackbox.cloud.allocation.listener_ports.candidates", lambda _: iter((20_000, 20_001)))
    ports = ListenerPorts(server)
    found = await ports.assign(("n", "a"), [(80, "tcp"), (81, "tcp")])
    assert sorted(found.values()) == [20_000, 20_001]
    assert await ports.assign(("n", "b"), [(80, "tcp")]) == {}
    await ports.release_others(("n", "a"), [])
    assert await ports.assign(("n", "b"), [(80, "tcp")])


def test_every_port_is_a_candidate_once():
    assert sorted(candidates("n/a/80/tcp")) == list(range(FIRST, LAST + 1))


def test_a_port_keeps_what_the_api_server_gave_it():
    before = [{"name": "tcp-80", "port": 80, "protocol": "TCP", "targetPort": 1, "nodePort": 30_080}]
    ports = service_ports(before, {(80, "tcp"): 20_001, (80, "udp"): 20_002})
    assert [port.get("nodePort") for port in ports] == [30_080, None]
    assert target_ports({"spec": {"ports": ports}}) == {(80, "tcp"): 20_001, (80, "udp"): 20_002}
    assert service_ports(ports, {}) == [PLACEHOLDER]
    assert target_ports({"spec": {"ports": [PLACEHOLDER]}}) == {}


class Events:
    def __init__(self):
        self.warnings = []

    async def warning(self, _obj, reason, text):
        self.warnings.append((reason, text))


class Rig:
    """The controller of load balancers' Services, with caches that follow the API server."""

    def __init__(self, server):
        self.server, self.world, self.services, self.events = server, World(), Cache(SERVICE), Events()
        self.cloud = Cloud(server, self.world, self.events, None, None, pool(server), self.services)
        self.controller = BalancerServices(self.cloud, self.services, ListenerPorts(server))
        self._versions = count(100)

    def put(self, cache, kind, name, **fields):
        old = cache.get("n", name)
        metadata = {"name": name, "namespace": "n", "uid": f"{kind.kind}-{name}", "generation": next(self._versions)}
        metadata["resourceVersion"] = str(metadata["generation"])
        if old is not None:
            cache.remove(old)
            metadata["uid"] += str(metadata["generation"])
        cache.upsert({"kind": kind.kind, "metadata": metadata, **fields})

    def listen(self, port, protocol="tcp", **spec):
        transport = "udp" if protocol == "udp" else "tcp"
        spec = {"loadBalancerId": "a", "listenerPort": port, "listenerProtocol": protocol, **spec}
        self.put(self.world.listeners, LISTENER, f"a-{port}-{transport}", spec=spec)

    async def settle(self):
        owner = owner_name("n", "a")
        await self.cloud.addresses.reserve(owner, AddressUse.LOAD_BALANCER)
        self.services.upsert(copy.deepcopy(self.server.service(owner)))
        await self.controller.reconcile(("n", "a"))
        return self.server.service(owner)["spec"]["ports"]


@pytest.fixture
def rig(server):
    rig = Rig(server)
    rig.put(rig.world.load_balancers, SERVICE_LOAD_BALANCER, "a", spec={})
    return rig


async def test_a_service_has_the_ports_of_its_load_balancers_listeners(rig):
    assert await rig.settle() == [PLACEHOLDER]
    rig.listen(80, "http")
    rig.listen(53, "udp")
    ports = {(port["port"], port["protocol"]) for port in await rig.settle()}
    assert ports == {(80, "TCP"), (53, "UDP")}
    writes = len(rig.server.writes)
    await rig.settle()
    assert len(rig.server.writes) == writes


async def test_a_port_is_free_only_when_no_service_leads_to_it(rig):
    rig.listen(80)
    (port,) = await rig.settle()
    rig.world.listeners.remove(rig.world.listeners.get("n", "a-80-tcp"))
    patch, held = rig.server.patch, rig.server.objects["ConfigMap", "ackbox-system", "listener-ports"]

    async def dies(kind, *call):
        if kind == SERVICE:
            raise Conflict(409, "Conflict", "the operator ends here")
        return await patch(kind, *call)

    rig.server.patch = dies
    with pytest.raises(Conflict):
        await rig.settle()
    assert held["data"] == {str(port["targetPort"]): "n/a/80/tcp"}
    rig.server.patch = patch
    assert await rig.settle() == [PLACEHOLDER]
    assert held["data"] == {}


async def test_of_a_range_the_first_hundred_ports_are_open(rig):
    rig.listen(0, "tcp", startPort=1000, endPort=1999)
    ports = [port["port"] for port in await rig.settle()]
    assert (len(ports), ports[0], ports[-1]) == (100, 1000, 1099)


async def test_the_ports_of_a_load_balancer_that_is_gone_are_free_again(rig):
    rig.listen(80)
    await rig.settle()
    rig.world.load_balancers.remove(rig.world.load_balancers.get("n", "a"))
    await rig.controller.reconcile(("n", "a"))
    assert not rig.server.objects["ConfigMap", "ackbox-system", "listener-ports"]["data"]


async def test_a_load_balancer_whose_finalizer_was_taken_off_leaves_no_service(rig):
    rig.listen(80)
    await rig.settle()
    rig.world.load_balancers.remove(rig.world.load_balancers.get("n", "a"))
    await rig.controller.reconcile(("n", "a"))
    assert rig.server.service(owner_name("n", "a")) is None


async def test_the_ports_of_one_that_went_while_nobody_looked_are_free_again(rig):
    rig.listen(80)
    await rig.settle()
    rig.world.load_balancers.remove(rig.world.load_balancers.get("n", "a"))
    anew = BalancerServices(rig.cloud, rig.services, ListenerPorts(rig.server))
    task = asyncio.create_task(anew.run())
    async with asyncio.timeout(20):
        while rig.server.objects["ConfigMap", "ackbox-system", "listener-ports"]["data"]:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_listener_for_which_no_port_is_left_is_told_of(rig, monkeypatch):
    monkeypatch.setattr("ackbox.cloud.allocation.listener_ports.candidates", lambda _: iter(()))
    rig.listen(80)
    with pytest.raises(Retry, match="1 of 1 ports wait"):
        await rig.settle()
    assert [reason for reason, _ in rig.events.warnings] == ["ListenerPortsExhausted"]
