"""Leader election against an API server that keeps one Lease, with resourceVersions."""

import asyncio
import contextlib
import copy
from datetime import UTC, datetime

import pytest

from ackbox.kube.errors import AlreadyExists, Conflict, NotFound, Unavailable
from ackbox.kube.lease import LeaseLost, Timing, lead, may_take, taken
from ackbox.kube.settings import Pod

FAST = Timing(duration=2.0, deadline=1.0, period=0.02)
DEADLINE = 30


def pod(name):
    return Pod(name, "ackbox-system", "image", "account")


class Server:
    """Stands in for `Client`."""

    def __init__(self, lease=None):
        self.lease = lease
        self.version = 1
        self.away: set[str] = set()
        self.changed = asyncio.Event()

    def client(self, name):
        return ServerClient(self, name)

    @property
    def holder(self):
        return ((self.lease or {}).get("spec") or {}).get("holderIdentity")

    def store(self, lease):
        self.version += 1
        lease["metadata"]["resourceVersion"] = str(self.version)
        self.lease = lease
        self.changed.set()

    async def until(self, condition):
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class ServerClient:
    def __init__(self, server, name):
        self.server = server
        self.name = name

    def _reach(self):
        if self.name in self.server.away:
            raise Unavailable(0, "Unreachable", "no way")

    async def get(self, kind, name, namespace):
        self._reach()
        if self.server.lease is None:
            raise NotFound(404, "NotFound", "none")
        return copy.deepcopy(self.server.lease)

    async def create(self, kind, body, namespace):
        self._reach()
        if self.server.lease is not None:
            raise AlreadyExists(409, "AlreadyExists", "there")
        self.server.store(copy.deepcopy(body))
        return copy.deepcopy(self.server.lease)

    async def patch(self, kind, name, namespace, patch):
        self._reach()
        lease = copy.deepcopy(self.server.lease)
        if patch["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "stale")
        spec = {**(lease.get("spec") or {}), **patch["spec"]}
        lease["spec"] = {key: value for key, value in spec.items() if value is not None}
        self.server.store(lease)
        return copy.deepcopy(lease)


class Replica:
    def __init__(self, server, name, workers=None, timing=FAST):
        self.server, self.name = server, name
        self.workers = workers if workers is not None else []
        self.working, self.end = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(lead(server.client(name), "ackbox-operator", pod(name), self._work, timing))

    async def _work(self):
        self.workers.append(self.name)
        assert self.workers == [self.name], "two work at once"
        self.working.set()
        try:
            await self.end.wait()
        finally:
            self.workers.remove(self.name)

    async def works(self):
        async with asyncio.timeout(DEADLINE):
            await self.working.wait()

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


EMPTY = {"metadata": {"name": "ackbox-operator", "resourceVersion": "1"}}


@pytest.mark.parametrize("lease", [None, EMPTY])
async def test_a_lease_that_nobody_holds_is_taken_and_given_back(lease):
    server = Server(copy.deepcopy(lease))
    replica = Replica(server, "a")
    await replica.works()
    assert server.holder == "a"
    replica.end.set()
    await replica.task
    assert server.holder is None


async def test_a_second_replica_waits_and_begins_when_the_first_is_stopped():
    server, workers = Server(), []
    first = Replica(server, "a", workers)
    await first.works()
    second = Replica(server, "b", workers)
    seen = server.version
    await server.until(lambda: server.version > seen + 130)  # longer than the Lease holds unless it is renewed
    assert not second.working.is_set()
    await first.stop()
    await second.works()
    assert server.holder == "b"
    await second.stop()


async def test_a_holder_that_cannot_renew_stops_before_another_begins():
    server, workers = Server(), []
    first = Replica(server, "a", workers)
    await first.works()
    second = Replica(server, "b", workers)
    server.away.add("a")
    with pytest.raises(LeaseLost, match="no way"):
        await asyncio.wait_for(first.task, DEADLINE)
    await second.works()
    await second.stop()


async def test_a_holder_whose_lease_was_taken_stops_at_once():
    server = Server()
    replica = Replica(server, "a", timing=Timing(duration=60, deadline=50, period=0.02))
    await replica.works()
    server.store({**server.lease, "spec": {**server.lease["spec"], "holderIdentity": "b"}})
    with pytest.raises(LeaseLost, match="taken by b"):
        await asyncio.wait_for(replica.task, DEADLINE)
    assert not replica.workers
    assert server.holder == "b"


async def test_somebody_elses_change_of_the_lease_does_not_end_the_work():
    server = Server()
    replica = Replica(server, "a")
    await replica.works()
    server.store({**server.lease, "metadata": {**server.lease["metadata"], "labels": {"seen": "yes"}}})
    seen = server.version
    await server.until(lambda: server.version > seen + 2)
    assert not replica.task.done()
    await replica.stop()


async def test_a_lease_whose_taking_was_answered_late_is_renewed_before_the_work_begins():
    server = Server()
    client, moments = server.client("a"), []
    patch, create = client.patch, client.create

    async def late(*call):
        made = await create(*call)
        await asyncio.sleep(0.3)  # longer than the deadline
        return made

    async def noted(*call):
        moments.append("renewed")
        return await patch(*call)

    client.create, client.patch = late, noted

    async def work():
        moments.append("work")

    await lead(client, "ackbox-operator", pod("a"), work, Timing(duration=0.4, deadline=0.2, period=0.02))
    assert moments[:2] == ["renewed", "work"]


async def test_an_error_of_the_work_comes_through_and_gives_the_lease_back():
    server = Server()

    async def work():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await lead(server.client("a"), "ackbox-operator", pod("a"), work, FAST)
    assert server.holder is None


async def test_a_process_outside_a_pod_asks_nobody():
    done = []

    async def work():
        done.append(True)

    await lead(None, "ackbox-operator", None, work)
    assert done


HELD = {"holderIdentity": "a", "leaseDurationSeconds": 15}


@pytest.mark.parametrize(
    ("spec", "unchanged", "may"),
    [
        ({}, 0, True),
        ({"holderIdentity": ""}, 0, True),
        (HELD, 14.9, False),
        (HELD, 15, True),
        ({"holderIdentity": "a"}, 15, True),
        ({"holderIdentity": "a"}, 14.9, False),
        (HELD | {"leaseDurationSeconds": 60}, 30, False),
        ({"holderIdentity": "b", "leaseDurationSeconds": 15}, 0, True),
    ],
)
def test_who_may_take_a_lease(spec, unchanged, may):
    assert may_take(spec, "b", unchanged, duration=15) is may


def test_a_renewal_keeps_when_it_was_taken_and_a_new_holder_counts():
    now = datetime(2030, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)
    assert taken(HELD | {"leaseTransitions": 4}, "a", now, 15) == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "renewTime": "2030-01-02T03:04:05.006000Z",
    }
    new = taken(HELD | {"leaseTransitions": 4}, "b", now, 15)
    assert (new["leaseTransitions"], new["acquireTime"]) == (5, "2030-01-02T03:04:05.006000Z")
