"""Two operators on one API server, each with caches that may be old, each held up or killed between any two calls.

However their calls interleave, the account never has more than its quotas allow, and no address, pod CIDR or id is given
out twice.
"""

import asyncio
import copy
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from small_cluster import ApiServer

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation.book import Book
from ackbox.cloud.allocation.ledger import Ledgers
from ackbox.cloud.allocation.quota import Quotas, account_use, allocations
from ackbox.cloud.nodepools import scaling
from ackbox.cloud.reconciling import Cloud
from ackbox.cloud.world import World
from ackbox.kube.errors import ApiError, Unavailable
from ackbox.resources import CLOUD_QUOTA, VPC, ManagedCluster, NodePool

VCPUS, NODES, CLUSTERS = 40, 7, 2
MACHINE = 4
"""vCPUs of a machine."""


def custom(kind, name, spec, **status):
    return {
        "apiVersion": "ackbox.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "team", "uid": f"{kind}-{name}"},
        "spec": spec,
        "status": status,
    }


def vpc(name, third):
    switch = {"vSwitchName": "h", "zoneId": "cn-hangzhou-h", "cidrBlock": f"192.168.{third}.0/28"}
    return custom(
        "VPC",
        name,
        {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [switch]},
        vpcId=f"vpc-{name}",
    )


def cluster(name, network):
    spec = {"regionId": "cn-hangzhou", "vpcId": network, "containerCidr": "10.0.0.0/20"}
    return custom("ManagedCluster", name, spec, clusterId=f"c-{name}")


def pool(name, of, size):
    group = {"instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["h"], "desiredSize": size}
    return custom("NodePool", name, {"clusterId": of, "scalingGroup": group}, nodepoolId=f"np-{name}")


CLUSTER_OF = {"a": "a", "b": "b", "c": "b"}
"""The clusters of the pools, each named like its VPC."""

QUOTA = custom("CloudQuota", "default", {"hard": {"vcpus": VCPUS, "nodes": NODES, "clusters": CLUSTERS}})


class Account(ApiServer):
    """The API server with an account of two VPCs; looks at all of it after every write."""

    def __init__(self):
        super().__init__(vpc("a", 0), vpc("b", 1), QUOTA)
        self.ids = set()

    def put(self, obj):
        stored = super().put(obj)
        entries = [entry for vpc in self.vpcs() for entry in allocations(vpc)]
        assert account_use(entries).get("vcpus", 0) <= VCPUS
        assert all(count <= NODES for count in Counter(entry["cluster"] for entry in entries).values())
        for field in ("owner", "address"):
            assert all(count == 1 for count in Counter(entry[field] for entry in entries).values()), field
        for vpc in self.vpcs():
            blocks = [entry["podCidr"] for entry in allocations(vpc)]
            assert len(set(blocks)) == len(blocks)
        return stored

    def vpcs(self):
        return [obj for (kind, _, _), obj in self.objects.items() if kind == "VPC"]

    def quota(self):
        return self.objects["CloudQuota", "team", "default"]


class Operator:
    """One operator: a client that may be held up or die, caches that are as old as their last look."""

    def __init__(self, server, hold_ups, calls):
        self.server, self.hold_ups, self.calls = server, hold_ups, calls
        self.world = World()
        quotas = Quotas(Book(self, self.world.cloud_quotas), self.world.cloud_quotas, self.world.vpcs)
        self.cloud = Cloud(self, self.world, None, Ledgers(self, self.world.vpcs, quotas), quotas, None)
        self.look()

    def look(self):
        """What the watch would bring."""
        caches = {cache.kind.kind: cache for cache in self.world.caches()}
        for obj in self.server.objects.values():
            caches[obj["kind"]].upsert(copy.deepcopy(obj))

    async def _turn(self):
        for _ in range(next(self.hold_ups, 0)):
            await asyncio.sleep(0)
        if self.calls == 0:
            raise Unavailable(0, "Dead", "killed")
        self.calls -= 1

    async def get(self, kind, name, namespace=None):
        await self._turn()
        return self._took(kind, await self.server.get(kind, name, namespace))

    async def patch(self, kind, name, namespace, patch, subresource=None):
        await self._turn()
        return self._took(kind, await self.server.patch(kind, name, namespace, patch, subresource))

    def _took(self, kind, obj):
        next(cache for cache in self.world.caches() if cache.kind == kind).upsert(obj)
        return obj

    async def run(self, steps):
        for step in steps:
            try:
                await self._do(*step)
            except ApiError:
                continue  # As the work queue does: somebody else was faster, or it is dead.

    async def _do(self, what, name, number):
        if what == "look":
            self.look()
        elif what == "scale":
            found = ManagedCluster.model_validate(cluster(CLUSTER_OF[name], CLUSTER_OF[name]))
            context = scaling.prepare(
                self.cloud, NodePool.model_validate(pool(name, found.metadata.name, number)), found
            )
            await scaling.reserve(self.cloud, context, dict)
        elif what == "lower":
            await self.cloud.ledgers.lower(("team", CLUSTER_OF[name]))
        elif what == "take":
            obj = cluster(f"{name}{number}", "a")
            await self.cloud.quotas.take(obj, QuotaName.CLUSTERS, set(), "ack_standard", "ack_standard")
        elif what == "leave":
            await self.cloud.quotas.leave(cluster(f"{name}{number}", "a"))


LOOK = ("look", "", 0)
machines = st.one_of(
    st.just(LOOK),
    st.tuples(st.just("scale"), st.sampled_from(sorted(CLUSTER_OF)), st.integers(0, 8)),
    st.tuples(st.just("lower"), st.sampled_from(sorted(CLUSTER_OF)), st.just(0)),
)
places = st.one_of(
    st.just(LOOK), st.tuples(st.sampled_from(["take", "take", "leave"]), st.sampled_from("xy"), st.integers(0, 2))
)
hold_ups = st.lists(st.sampled_from([0, 0, 1, 2, 3, 5, 40]), max_size=40)
lives = st.one_of(st.none(), st.integers(0, 12))


async def race(server, *operators):
    await asyncio.gather(*(operator.run(steps) for operator, steps in operators))


@settings(max_examples=150, deadline=None)
@given(st.lists(machines, max_size=8), st.lists(machines, max_size=8), hold_ups, hold_ups, lives)
def test_two_operators_reserve_no_more_machines_than_the_quotas_allow(one, other, pauses, others_pauses, life):
    server = Account()
    first = Operator(server, iter(pauses), life if life is not None else -1)
    second = Operator(server, iter(others_pauses), -1)
    asyncio.run(race(server, (first, one), (second, other)))
    reserved = server.quota()["status"].get("reserved", {})
    for vpc in server.vpcs():
        held = reserved.get(vpc["metadata"]["uid"], {}).get("used", {})
        assert all(held.get(name, 0) >= count for name, count in account_use(allocations(vpc)).items())
    # What the dead one wrote and never used doesn't stay.
    asyncio.run(second.run([LOOK, ("lower", "a", 0), ("lower", "b", 0)]))
    left = server.quota()["status"].get("reserved", {})
    for vpc in server.vpcs():
        assert left.get(vpc["metadata"]["uid"], {}).get("used", {}) == account_use(allocations(vpc))


@settings(max_examples=100, deadline=None)
@given(st.lists(places, max_size=8), st.lists(places, max_size=8), hold_ups, hold_ups, lives)
def test_two_operators_give_no_more_places_than_there_are(one, other, pauses, others_pauses, life):
    server = Account()
    most = 0
    put = server.put

    def counted(obj):
        nonlocal most
        stored = put(obj)
        claims = server.quota()["status"].get("claims", {})
        most = max(most, len(claims.get("clusters/ack_standard", {})))
        return stored

    server.put = counted
    first = Operator(server, iter(pauses), life if life is not None else -1)
    second = Operator(server, iter(others_pauses), -1)
    asyncio.run(race(server, (first, one), (second, other)))
    assert most <= CLUSTERS


async def test_a_reservation_is_not_lowered_under_one_who_relies_on_it():
    """A dead operator's reservation is just what another one needs, while a third is about to take it off."""
    server = Account()
    await Operator(server, iter([]), 1).run([("scale", "a", 7)])
    assert server.quota()["status"]["reserved"]["VPC-a"]["used"]["vcpus"] == 28
    lowering = Operator(server, iter([0, 20]), -1)
    task = asyncio.create_task(lowering.run([("lower", "a", 0)]))
    while server.objects["VPC", "team", "a"]["status"].get("quotaRevision") is None:
        await asyncio.sleep(0)
    await Operator(server, iter([]), -1).run([("scale", "a", 7)])
    await task
    assert len(allocations(server.objects["VPC", "team", "a"])) == 7
    assert server.quota()["status"]["reserved"]["VPC-a"]["used"]["vcpus"] == 28


def test_one_that_is_held_up_before_its_write_finds_that_the_other_took_what_was_left():
    """The hardest interleaving: the reservation of the first is lowered while it sleeps, and given to another VPC."""
    server = Account()
    first = Operator(server, iter([0, 400]), -1)
    second = Operator(server, iter([50]), -1)
    steps = [LOOK, ("lower", "a", 0), ("scale", "b", 7), ("scale", "a", 3)]
    asyncio.run(race(server, (first, [("scale", "a", 7)]), (second, steps)))
    entries = [entry for vpc in server.vpcs() for entry in allocations(vpc)]
    assert len(entries) * MACHINE <= VCPUS
    assert VPC.kind in {kind for _, kind, _ in server.calls}
    assert CLOUD_QUOTA.kind in {kind for _, kind, _ in server.calls}
