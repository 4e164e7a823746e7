"""Reservations, loopback addresses and quota places: written once, checked, batched."""

import asyncio
import copy
from ipaddress import IPv4Network

import pytest

from ackbox.cloud.allocation.book import Book
from ackbox.cloud.allocation.ledger import Draft, Ledgers, find_subnet, subnets
from ackbox.cloud.allocation.loopback import AddressesExhausted, AddressUse, LoopbackAddresses
from ackbox.cloud.allocation.quota import Quotas
from ackbox.kube.cache import Cache
from ackbox.kube.errors import AlreadyExists, Conflict, NotFound
from ackbox.resources import CLOUD_QUOTA, VPC, Vpc
from ackbox.resources.network import Allocation


class Server:
    """An API server of one object a kind and name, with merge patches and resourceVersions."""

    def __init__(self, *objects):
        self.objects = {(obj["kind"], obj["metadata"]["name"]): copy.deepcopy(obj) for obj in objects}
        self.written = []
        self.before_write = None
        self.caches = {}

    @property
    def writes(self):
        return len(self.written)

    async def get(self, kind, name, namespace=None):
        await asyncio.sleep(0)
        try:
            return copy.deepcopy(self.objects[kind.kind, name])
        except KeyError:
            raise NotFound(404, "NotFound", name) from None

    async def create(self, kind, body, namespace=None):
        await asyncio.sleep(0)
        key = kind.kind, body["metadata"]["name"]
        if key in self.objects:
            raise AlreadyExists(409, "AlreadyExists", key[1])
        self.objects[key] = {"kind": kind.kind, **copy.deepcopy(body)}
        self.objects[key]["metadata"] |= {
            "namespace": namespace,
            "uid": f"{kind.kind}-{self.writes}",
            "resourceVersion": "1",
        }
        return self._wrote(key)

    async def patch(self, kind, name, namespace, patch, subresource=None):
        await asyncio.sleep(0)
        if self.before_write is not None and kind != CLOUD_QUOTA:
            change, self.before_write = self.before_write, None
            change()
        obj = self.objects.get((kind.kind, name))
        if obj is None:
            raise NotFound(404, "NotFound", name)
        version = patch.get("metadata", {}).get("resourceVersion")
        if version is not None and version != obj["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", name)
        patch = copy.deepcopy(patch)
        patch.get("metadata", {}).pop("resourceVersion", None)
        _merge(obj, patch)
        self.touch(kind.kind, name)
        return self._wrote((kind.kind, name))

    def _wrote(self, key):
        """Answers what was written, which is in the caches by then, as with the operator's own client."""
        self.written.append(key[0])
        obj = copy.deepcopy(self.objects[key])
        if key[0] in self.caches:
            self.caches[key[0]].upsert(obj)
        return obj

    def touch(self, kind, name):
        metadata = self.objects[kind, name]["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)


def _merge(target, patch):
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


def vpc(*entries):
    switch = {"vSwitchName": "h", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/24"}
    return {
        "apiVersion": "ackbox.dev/v1alpha1",
        "kind": "VPC",
        "metadata": {"name": "v", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "spec": {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [switch]},
        "status": {"allocations": list(entries)},
    }


def switch_id():
    return subnets(Vpc.model_validate(vpc()))[0].id


def allocation(owner, address, pool="p"):
    return Allocation(owner=owner, v_switch_id=switch_id(), address=address, node_pool=pool, cluster="c")


def wire(owner, address):
    return allocation(owner, address).model_dump(by_alias=True, exclude_none=True)


@pytest.fixture
def ledger():
    quota = {
        "kind": "CloudQuota",
        "metadata": {"name": "default", "namespace": "n", "uid": "q", "resourceVersion": "1"},
    }
    server = Server(vpc(wire("i-0", "192.168.0.1")), quota)
    cache = Cache(VPC)
    cache.upsert(vpc(wire("i-0", "192.168.0.1")))
    limits = Cache(CLOUD_QUOTA)
    limits.upsert(quota)
    server.caches = {"VPC": cache, "CloudQuota": limits}
    ledgers = Ledgers(server, cache, Quotas(Book(server, limits), limits, cache))
    return server, cache, ledgers


def owners(server):
    return [entry["owner"] for entry in server.objects["VPC", "v"]["status"]["allocations"]]


def test_vswitches_are_found_by_name_and_id():
    found = Vpc.model_validate(vpc())
    assert find_subnet(found, "h") == find_subnet(found, switch_id()) == subnets(found)[0]
    assert find_subnet(found, "x") is None


def test_a_draft_counts_the_addresses_that_are_left():
    draft = Draft(vpc(wire("i-0", "192.168.0.1")))
    draft.reserve([allocation("i-1", "192.168.0.2")])
    assert draft.difference()["vswitches"][0]["availableIpAddressCount"] == 250
    draft.free(["i-0", "i-1", "i-unknown"])
    assert draft.difference()["vswitches"][0]["availableIpAddressCount"] == 252
    assert draft.difference()["allocations"] == []


def test_a_retired_machine_belongs_to_no_pool_but_keeps_its_address():
    draft = Draft(vpc(wire("i-0", "192.168.0.1")))
    draft.retire(["i-0", "i-unknown"])
    (entry,) = draft.difference()["allocations"]
    assert "nodePool" not in entry
    assert (entry["address"], entry["cluster"]) == ("192.168.0.1", "c")


async def test_a_change_that_changes_nothing_writes_nothing(ledger):
    server, _, ledgers = ledger
    await ledgers.update(("n", "v"), lambda draft: draft.free(["i-0"]))
    before = server.writes
    await ledgers.update(("n", "v"), lambda draft: draft.free(["i-0"]))
    assert server.writes == before


async def test_changes_that_wait_share_a_write(ledger):
    server, _, ledgers = ledger

    def reserve(number):
        return lambda draft: draft.reserve([allocation(f"i-{number}", f"192.168.0.{number + 1}")])

    await asyncio.gather(*(ledgers.update(("n", "v"), reserve(number)) for number in range(1, 30)))
    assert owners(server) == [f"i-{number}" for number in range(30)]
    assert server.written.count("VPC") <= 2, "one of the first, one of all that came meanwhile"
    assert server.written.count("CloudQuota") <= 2, "written before each of them"


async def test_a_stale_cache_is_read_anew_and_the_change_made_again(ledger):
    server, cache, ledgers = ledger

    def elsewhere():
        server.objects["VPC", "v"]["status"]["allocations"].append(wire("i-other", "192.168.0.2"))
        server.touch("VPC", "v")

    server.before_write = elsewhere
    seen = []

    def change(draft):
        seen.append(sorted(draft.entries))
        draft.reserve([allocation("i-1", "192.168.0.3")])

    await ledgers.update(("n", "v"), change)
    assert seen == [["i-0"], ["i-0", "i-other"]]
    assert owners(server) == ["i-0", "i-other", "i-1"]
    assert cache.get("n", "v") is not None


async def test_what_is_reserved_without_a_cloud_quota_makes_one_and_what_is_freed_does_not(ledger):
    """A namespace that is being deleted loses its CloudQuota first, and takes no new one."""
    server, _, ledgers = ledger
    gone = server.objects.pop(("CloudQuota", "default"))
    server.caches["CloudQuota"].remove(gone)
    await ledgers.update(("n", "v"), lambda draft: draft.free(["i-0"]))
    assert ("CloudQuota", "default") not in server.objects
    await ledgers.update(("n", "v"), lambda draft: draft.reserve([allocation("i-1", "192.168.0.3")]))
    assert server.objects["CloudQuota", "default"]["status"]["reserved"]["u"]["used"] == {"disks": 1}


async def test_a_failed_write_fails_everybody_who_waited_for_it(ledger):
    server, _, ledgers = ledger
    del server.objects["VPC", "v"]
    results = await asyncio.gather(
        *(ledgers.update(("n", "v"), lambda draft: draft.free(["i-0"])) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [NotFound] * 3


async def test_a_missing_vpc_is_said_to_be_missing(ledger):
    _, _, ledgers = ledger
    with pytest.raises(NotFound):
        await ledgers.update(("n", "other"), lambda draft: draft.free([]))


def loopback(server):
    return LoopbackAddresses(server, IPv4Network("127.42.0.0/16"))


def reserved(server):
    return server.objects["ConfigMap", "loopback-addresses"].get("data", {})


async def test_addresses_are_reserved_once_and_survive_a_restart():
    server = Server()
    first = await loopback(server).reserve("ManagedCluster/n/a", AddressUse.API_SERVER)
    second = loopback(server)
    assert await second.reserve("ManagedCluster/n/a", AddressUse.API_SERVER) == first == "127.42.1.1"
    assert await second.reserve("ManagedCluster/n/b", AddressUse.API_SERVER) == "127.42.1.2"
    assert await second.reserve("ServiceLoadBalancer/n/a", AddressUse.LOAD_BALANCER) == "127.42.16.1"
    assert reserved(server)["127-42-1-1"] == "ManagedCluster/n/a"


async def test_a_released_address_is_free_again():
    server = Server()
    addresses = loopback(server)
    await addresses.reserve("a", AddressUse.API_SERVER)
    await addresses.release("a")
    await addresses.release("never-reserved")
    assert reserved(server) == {}
    assert await addresses.reserve("b", AddressUse.API_SERVER) == "127.42.1.1"


async def test_many_at_once_share_a_write():
    server = Server()
    addresses = loopback(server)
    await addresses.reserve("first", AddressUse.LOAD_BALANCER)
    writes = server.writes
    found = await asyncio.gather(*(addresses.reserve(f"o{n}", AddressUse.LOAD_BALANCER) for n in range(300)))
    assert len(set(found)) == 300
    assert server.writes <= writes + 2


async def test_somebody_elses_change_is_seen():
    server = Server()
    addresses = loopback(server)
    await addresses.reserve("a", AddressUse.API_SERVER)

    def elsewhere():
        reserved(server)["127-42-1-2"] = "other"
        server.touch("ConfigMap", "loopback-addresses")

    server.before_write = elsewhere
    assert await addresses.reserve("b", AddressUse.API_SERVER) == "127.42.1.3"


async def test_a_lost_config_map_is_made_again_and_the_address_before_is_kept():
    server = Server()
    await loopback(server).reserve("a", AddressUse.API_SERVER)
    del server.objects["ConfigMap", "loopback-addresses"]
    assert await loopback(server).reserve("b", AddressUse.API_SERVER, before="127.42.3.7") == "127.42.3.7"
    assert await loopback(server).reserve("c", AddressUse.API_SERVER, before="127.42.3.7") == "127.42.1.1"


async def test_one_who_gets_none_does_not_hold_up_the_others():
    server = Server()
    addresses = loopback(server)
    await addresses.reserve("a", AddressUse.API_SERVER)
    data = reserved(server)
    for third in range(1, 16):
        for fourth in range(1, 255):
            data[f"127-42-{third}-{fourth}"] = f"{third}/{fourth}"
    addresses = loopback(server)
    with pytest.raises(AddressesExhausted):
        await addresses.reserve("late", AddressUse.API_SERVER)
    assert await addresses.reserve("slb", AddressUse.LOAD_BALANCER) == "127.42.16.1"
