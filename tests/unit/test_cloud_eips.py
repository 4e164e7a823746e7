"""Elastic IP addresses: one address an id, whoever asks and however many operators do; and the NAT gateway that uses one."""

import asyncio
import copy
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given, settings
from hypothesis import strategies as st

from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.eips import ElasticAddresses, candidates
from ackbox.cloud.clusters.network import internet_access
from ackbox.cloud.network import nat
from ackbox.kube.errors import AlreadyExists, Conflict, NotFound
from ackbox.resources import ElasticIPAddress, ManagedCluster, Vpc
from ackbox.resources.network import Allocation

RANGE = IPv4Network("198.19.0.0/16")


class Server:
    """An API server of one ConfigMap."""

    def __init__(self):
        self.config_map = None

    async def get(self, kind, name, namespace=None):
        await asyncio.sleep(0)
        if self.config_map is None:
            raise NotFound(404, "NotFound", name)
        return copy.deepcopy(self.config_map)

    async def create(self, kind, body, namespace=None):
        await asyncio.sleep(0)
        if self.config_map is not None:
            raise AlreadyExists(409, "AlreadyExists", "")
        self.config_map = {"metadata": {**body["metadata"], "resourceVersion": "1"}, "data": {}}
        return copy.deepcopy(self.config_map)

    async def patch(self, kind, name, namespace, patch, subresource=None):
        await asyncio.sleep(0)
        if patch["metadata"]["resourceVersion"] != self.config_map["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", name)
        data = {**self.config_map["data"], **patch["data"]}
        self.config_map["data"] = {key: value for key, value in data.items() if value is not None}
        self.config_map["metadata"]["resourceVersion"] = str(int(patch["metadata"]["resourceVersion"]) + 1)
        return copy.deepcopy(self.config_map)


class Paused:
    """A client whose writes wait until it goes on."""

    def __init__(self, server, goes_on):
        self._server, self._goes_on = server, goes_on

    def __getattr__(self, name):
        return getattr(self._server, name)

    async def patch(self, *arguments):
        await self._goes_on.wait()
        return await self._server.patch(*arguments)


async def test_an_id_has_the_same_address_wherever_it_is_bound():
    server = Server()
    first = await ElasticAddresses(server).reserve("eip-1")
    assert await ElasticAddresses(server).reserve("eip-1") == first
    assert IPv4Address(first) in RANGE
    again = ElasticAddresses(server)
    await again.release("eip-1")
    await again.release("eip-never-reserved")
    assert server.config_map["data"] == {}
    assert await again.reserve("eip-1") == first


async def test_an_address_from_before_is_kept_when_it_is_free():
    addresses = ElasticAddresses(Server())
    assert await addresses.reserve("eip-1", "198.19.7.7") == "198.19.7.7"
    other = await addresses.reserve("eip-2", "198.19.7.7")
    assert other not in (None, "198.19.7.7")


def test_every_address_of_the_range_but_the_first_and_the_last_can_be_had():
    found = list(candidates("eip-1"))
    assert len(found) == len(set(found)) == 65534
    assert RANGE[0] not in found
    assert RANGE[-1] not in found


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("ab"), min_size=2, max_size=12), st.booleans())
def test_two_operators_never_give_one_address_to_two_ids(turns, same_wish):
    """One of them is paused before its write, and goes on after the other one has written."""

    async def race():
        server, goes_on = Server(), asyncio.Event()
        books = {"a": ElasticAddresses(server), "b": ElasticAddresses(Paused(server, goes_on))}
        wish = "198.19.0.9" if same_wish else None
        tasks = [asyncio.create_task(books[turn].reserve(f"eip-{number}", wish)) for number, turn in enumerate(turns)]
        for _ in range(50):
            await asyncio.sleep(0)
        goes_on.set()
        given_out = await asyncio.gather(*tasks)
        assert len(set(given_out)) == len(turns)
        owners = {f"eip-{number}": address.replace(".", "-") for number, address in enumerate(given_out)}
        assert server.config_map["data"] == {key: owner for owner, key in owners.items()}

    asyncio.run(race())


def vpc(**status):
    switches = [
        {"vSwitchName": "tiny", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/29"},
        {"vSwitchName": "wide", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.1.0/24"},
    ]
    spec = {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": switches}
    return Vpc.model_validate({"metadata": {"name": "v", "uid": "u"}, "spec": spec, "status": status})


def cluster(**spec):
    spec = {"regionId": "cn-hangzhou", "vpcId": "v", "vswitchIds": ["tiny"], "snatEntry": True, **spec}
    return ManagedCluster.model_validate({"metadata": {"name": "c"}, "spec": spec})


def eip(**status):
    return ElasticIPAddress.model_validate({"metadata": {"name": "v-nat"}, "spec": {"regionId": "r"}, "status": status})


THERE = {"allocationId": "eip-1", "ipAddress": "198.19.0.1"}


def test_clusters_that_ask_share_one_gateway_for_their_vswitches():
    asking = [cluster(), cluster(podVswitchIds=["wide"]), cluster(vswitchIds=["wide"])]
    found = nat.sources(asking, vpc())
    assert [subnet.name for subnet in found] == ["tiny", "wide"]
    assert nat.sources([cluster(snatEntry=False)], vpc()) == []
    entry = nat.place("v", None, found, set())
    assert entry is not None
    assert (entry.owner, entry.address) == ("nat/v", "192.168.0.1")
    made = nat.gateway(vpc(), entry, eip(**THERE), found)
    assert [(each.source_v_switch_id, each.snat_ip) for each in made.snat_entries] == [
        (ids.v_switch_id("u", "tiny"), "198.19.0.1"),
        (ids.v_switch_id("u", "wide"), "198.19.0.1"),
    ]


def test_a_gateway_keeps_its_place_and_goes_on_to_the_next_vswitch_when_one_is_full():
    tiny, wide = nat.sources([cluster(vswitchIds=["tiny", "wide"])], vpc())
    full = set(range(int(tiny.cidr[0]), int(tiny.cidr[-1]) + 1))
    entry = nat.place("v", None, [tiny, wide], full)
    assert entry is not None
    assert (entry.v_switch_id, entry.address) == (wide.id, "192.168.1.1")
    held = Allocation(owner="nat/v", v_switch_id="other", address="192.168.9.9")
    assert nat.place("v", held, [tiny], full) == held
    assert nat.place("v", None, [tiny], full) is None
    told = nat.aspect(None, eip(), [tiny])
    assert (told.status, told.reason, told.warn) == ("False", "InvalidVSwitchId.IpNotEnough", True)
    assert "tiny" in told.message


def test_a_gateway_without_an_address_says_why_and_translates_nothing():
    sources = nat.sources([cluster()], vpc())
    entry = nat.place("v", None, sources, set())
    assert entry is not None
    condition = {"type": "Ready", "status": "False", "reason": "QuotaExceeded.Eip", "lastTransitionTime": "x"}
    lacking = eip(conditions=[{**condition, "message": "20 used of 20"}])
    made = nat.gateway(vpc(), entry, lacking, sources)
    assert (made.ip_address, made.snat_entries) == (None, [])
    told = nat.aspect(made, lacking, sources)
    assert (told.status, told.reason, told.message) == ("False", "QuotaExceeded.Eip", "20 used of 20")
    assert nat.aspect(made, None, sources).reason == "Allocating"
    assert nat.aspect(nat.gateway(vpc(), entry, eip(**THERE), sources), None, sources).status == "True"
    assert nat.aspect(None, None, []).status is None


def test_a_cluster_tells_of_its_way_to_the_internet():
    sources = nat.sources([cluster()], vpc())
    entry = nat.place("v", None, sources, set())
    assert entry is not None
    gateway = nat.gateway(vpc(), entry, eip(**THERE), sources).wire()
    there = internet_access(cluster(), vpc(natGateways=[gateway]))
    assert (there.status, there.message) == ("True", f"by NAT gateway {ids.nat_gateway_id('u')} under 198.19.0.1")
    assert internet_access(cluster(), vpc()).reason == "Creating"
    assert internet_access(cluster(snatEntry=False), vpc(natGateways=[gateway])).status is None
