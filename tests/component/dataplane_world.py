"""The data plane with a real Envoy over real sockets; the API server is a set of caches filled by hand."""

import asyncio
import json
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from ackbox.dataplane import ports
from ackbox.dataplane.caches import Caches
from ackbox.dataplane.main import DataPlane
from ackbox.kube.cache import Cache
from ackbox.kube.conditions import State, conditions, merge_difference
from ackbox.kube.settings import Settings
from ackbox.resources import Kind
from ackbox.runtime import envoy, tools

DEADLINE = 20.0
LOOPBACK = IPv4Network(f"127.{200 + os.getpid() % 50}.0.0/16")
NAMESPACE = "default"
CHECK = {"healthCheckInterval": 1, "healthyThreshold": 2, "unhealthyThreshold": 2}


class World:
    """Stands in for the management cluster: objects go into the caches, statuses come back into them."""

    def __init__(self) -> None:
        self.caches = Caches()
        self.changed = asyncio.Condition()
        self.writes: Counter[str] = Counter()
        self._versions = count(1)
        self._octets = count(1)
        self._names = count(1)

    async def put(
        self, cache: Cache, name: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **metadata: Any
    ) -> None:
        old = cache.get(NAMESPACE, name)
        generation = old["metadata"]["generation"] + (old["spec"] != spec) if old else 1
        uid = old["metadata"]["uid"] if old else f"uid-{next(self._versions)}"
        kept = status if status is not None else (old or {}).get("status", {})
        await self._store(
            cache,
            {
                "apiVersion": cache.kind.api_version,
                "kind": cache.kind.kind,
                "metadata": {
                    "namespace": NAMESPACE,
                    "name": name,
                    "uid": uid,
                    "generation": generation,
                    "resourceVersion": str(next(self._versions)),
                    **metadata,
                },
                "spec": spec,
                "status": kept,
            },
        )

    async def put_secret(self, name: str, labels: dict[str, str], data: dict[str, str]) -> None:
        metadata = {"namespace": NAMESPACE, "name": name, "uid": f"uid-{name}", "labels": labels}
        metadata["resourceVersion"] = str(next(self._versions))
        await self._store(self.caches.secrets, {"kind": "Secret", "metadata": metadata, "data": data})

    async def _store(self, cache: Cache, obj: dict[str, Any]) -> None:
        async with self.changed:
            cache.upsert(obj)
            self.changed.notify_all()

    async def delete(self, cache: Cache, name: str) -> None:
        obj = cache.get(NAMESPACE, name)
        assert obj is not None
        cache.remove(obj)

    async def write(self, kind: Kind, obj: dict[str, Any], fields: dict[str, Any], state: State) -> None:
        wanted = {**fields, "observedGeneration": obj["metadata"]["generation"], "conditions": conditions(obj, state)}
        if merge_difference(obj.get("status"), wanted):
            self.writes[kind.kind] += 1
            cache = next(cache for cache in self.caches.all() if cache.kind == kind)
            status = {key: value for key, value in {**obj["status"], **wanted}.items() if value is not None}
            metadata = {**obj["metadata"], "resourceVersion": str(next(self._versions))}
            await self._store(cache, {**obj, "metadata": metadata, "status": status})

    async def until(self, cache: Cache, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for an object's status."""

        def matches() -> bool:
            obj = cache.get(NAMESPACE, name)
            return obj is not None and wanted(obj.get("status") or {})

        try:
            async with asyncio.timeout(DEADLINE), self.changed:
                await self.changed.wait_for(matches)
        except TimeoutError:
            raise AssertionError(f"{name}: {cache.get(NAMESPACE, name)}") from None
        obj = cache.get(NAMESPACE, name)
        assert obj is not None
        return obj["status"]

    async def ready(self, listener: str) -> dict[str, Any]:
        generation = self.caches.listeners.get(NAMESPACE, listener)["metadata"]["generation"]
        return await self.until(
            self.caches.listeners,
            listener,
            lambda s: is_ready(s) and s["observedGeneration"] == generation,
        )

    async def balancer(self, **spec: Any) -> str:
        name = f"slb{next(self._names)}"
        ip = str(LOOPBACK.network_address + 16 * 256 + next(self._octets))
        await self.put(self.caches.balancers, name, spec, {"loadBalancerId": f"lb-{name}", "reachable": ip})
        return name

    async def instance(self, name: str, phase: str = "Running") -> None:
        spec = {
            "regionId": "cn-hangzhou",
            "zoneId": "cn-hangzhou-h",
            "instanceType": "ecs.g7.large",
            "cpu": 2,
            "memory": 8,
            "vpcAttributes": {"vpcId": "vpc-1", "vSwitchId": "vsw-1", "privateIpAddress": "10.0.0.1"},
        }
        await self.put(self.caches.instances, name, spec, {"phase": phase})

    async def group(self, balancer: str, servers: list[dict[str, Any]], **spec: Any) -> str:
        name = f"rsp-{next(self._names)}"
        await self.regroup(name, balancer, servers, **spec)
        return name

    async def regroup(self, name: str, balancer: str, servers: list[dict[str, Any]], **spec: Any) -> None:
        wanted = {"loadBalancerId": balancer, "vServerGroupName": f"k8s/{name}", "backendServers": servers, **spec}
        await self.put(self.caches.groups, name, wanted)

    async def listener(self, balancer: str, port: int, group: str, protocol: str = "tcp", **spec: Any) -> str:
        name = f"{balancer}-{port}-{'udp' if protocol == 'udp' else 'tcp'}"
        wanted = {
            "loadBalancerId": balancer,
            "listenerPort": port,
            "listenerProtocol": protocol,
            "vServerGroupId": group,
            "scheduler": "rr",
            **spec,
        }
        await self.put(self.caches.listeners, name, wanted)
        return name


def is_ready(status: dict[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ()))


def reason(status: dict[str, Any]) -> str:
    return next((one["reason"] for one in status.get("conditions", ()) if one["type"] == "Ready"), "")


def server(name: str, port: int = 30080, weight: int = 100, ip: str = "10.0.0.1") -> dict[str, Any]:
    return {"serverId": name, "serverIp": ip, "port": port, "weight": weight}


@dataclass
class Plane:
    """The data plane of one home; it can be stopped and started again."""

    settings: Settings
    world: World
    lowest_port: int = field(default_factory=ports.first_bindable)
    task: asyncio.Task[None] | None = None
    planes: list[DataPlane] = field(default_factory=list)

    def start(self) -> None:
        # New caches' subscribers each time would double the work: a restarted process starts with new caches.
        plane = DataPlane(self.settings, self.world.caches, self.world.write, self.lowest_port)
        self.planes.append(plane)
        self.task = asyncio.create_task(plane.run())

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        for cache in self.world.caches.all():
            cache._subscribers.clear()


@asynccontextmanager
async def running_envoy(run: Path, home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    config = home / "envoy.json"
    config.write_text(envoy.bootstrap(run))
    log = (home / "envoy.log").open("w")
    process = await asyncio.create_subprocess_exec(*envoy.command(tools.envoy(), config), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


def address(status: dict[str, Any]) -> tuple[str, int]:
    host, port = status["reachable"].split(":")
    return host, int(port)


async def get(status: dict[str, Any], path: str = "/", source: str = "127.0.0.1", **headers: str) -> dict[str, Any]:
    connector = aiohttp.TCPConnector(local_addr=(source, 0), force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://{status['reachable']}{path}", headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        return json.loads(await response.text())


async def spread(status: dict[str, Any], requests: int, source: str = "127.0.0.1") -> Counter[str]:
    return Counter([(await get(status, source=source))["serverId"] for _ in range(requests)])


async def ask_udp(where: tuple[str, int], data: bytes, source: str = "127.0.0.1") -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind((source, 0))
        sock.connect(where)
        await loop.sock_sendall(sock, data)
        async with asyncio.timeout(DEADLINE):
            return await loop.sock_recv(sock, 65536)


async def is_cut(where: tuple[str, int]) -> bool:
    """Whether a connection is taken and then dropped without an answer."""
    reader, writer = await asyncio.open_connection(*where)
    try:
        writer.write(b"x")
        async with asyncio.timeout(DEADLINE):
            return await reader.read() == b""
    except ConnectionResetError:
        return True
    finally:
        writer.close()


async def is_refused(where: tuple[str, int]) -> bool:
    try:
        _, writer = await asyncio.open_connection(*where)
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # Taken by the kernel in the moment in which the socket was closed.
        return False
    writer.close()
    return False
