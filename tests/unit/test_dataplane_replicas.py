"""Every replica of the data plane serves; only the one that leads writes status."""

import asyncio
import os
from ipaddress import IPv4Network

from ackbox.dataplane.caches import Caches
from ackbox.dataplane.main import DataPlane
from ackbox.kube.settings import Settings

LOOPBACK = IPv4Network(f"127.{141 + os.getpid() % 40}.0.0/16")
DEADLINE = 30


class Replica:
    """A data plane without Envoy whose turn to lead is given and taken by hand."""

    def __init__(self, folder):
        self.caches = Caches()
        self.written: list[str] = []
        self.changed, self.turn, self.waits = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.leading: asyncio.Task | None = None
        settings = Settings(folder, None, LOOPBACK, folder)
        self.plane = DataPlane(settings, self.caches, self._write, 1, self._lead)

    async def _lead(self, work):
        while True:
            self.waits.set()
            await self.turn.wait()
            self.turn.clear()
            self.leading = asyncio.create_task(work())
            await asyncio.wait([self.leading])

    async def _write(self, kind, obj, fields, state):
        self.written.append(obj["metadata"]["name"])
        self.changed.set()

    def listener(self, port):
        """One that can't be served, so that its status needs no word of Envoy's."""
        spec = {"loadBalancerId": "none", "listenerPort": port, "listenerProtocol": "tcp", "vServerGroupId": "none"}
        kind, metadata = self.caches.listeners.kind, {"namespace": "ns", "name": f"web-{port}-tcp"}
        metadata |= {"uid": str(port), "generation": 1, "resourceVersion": str(port)}
        self.caches.listeners.upsert(
            {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec, "status": {}, "metadata": metadata}
        )

    async def until_written(self, *names):
        async with asyncio.timeout(DEADLINE):
            while not set(names) <= set(self.written):
                self.changed.clear()
                await self.changed.wait()

    async def until_planned(self, name):
        planned = asyncio.Event()
        self.plane.controller.subscribe(lambda key: planned.set())
        async with asyncio.timeout(DEADLINE):
            while ("ns", name) not in self.plane.controller.outcomes:
                planned.clear()
                await planned.wait()

    async def until_waiting(self):
        async with asyncio.timeout(DEADLINE):
            await self.waits.wait()

    async def stop_leading(self):
        self.waits.clear()
        self.leading.cancel()
        await self.until_waiting()


async def test_a_replica_that_does_not_lead_plans_and_writes_nothing_and_a_leader_writes_everything(tmp_path):
    replica = Replica(tmp_path)
    replica.listener(80)
    running = asyncio.create_task(replica.plane.run())
    try:
        await replica.until_waiting()
        replica.listener(81)
        await replica.until_planned("web-81-tcp")
        assert replica.written == []
        replica.turn.set()
        await replica.until_written("web-80-tcp", "web-81-tcp")
        await replica.stop_leading()
        replica.written.clear()
        replica.listener(82)
        await replica.until_planned("web-82-tcp")
        assert replica.written == []
        replica.turn.set()
        # What another leader may have written since is looked at again.
        await replica.until_written("web-80-tcp", "web-81-tcp", "web-82-tcp")
    finally:
        running.cancel()
        await asyncio.wait([running])
