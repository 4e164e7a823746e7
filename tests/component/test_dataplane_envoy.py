"""The data plane against a real Envoy over real sockets; the API server is a set of caches filled by hand."""

import asyncio
import json
import socket
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dataplane_world import (
    CHECK,
    DEADLINE,
    LOOPBACK,
    NAMESPACE,
    Plane,
    World,
    address,
    ask_udp,
    get,
    is_cut,
    is_refused,
    reason,
    running_envoy,
    server,
    spread,
)

from ackbox.kube.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_tcp(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-tcp")
    group = await world.group(balancer, [server("i-tcp")])
    status = await world.ready(await world.listener(balancer, 8080, group))
    assert status["phase"] == "running"
    assert status["backends"] == {"total": 1, "healthy": 1}
    reader, writer = await asyncio.open_connection(*address(status))
    writer.write(b"hello\n")
    assert await reader.readline() == f"i-tcp 10.0.0.1:30080 k8s/{group}\n".encode()
    assert await reader.readline() == b"hello\n"
    writer.write(b"again\n")
    assert await reader.readline() == b"again\n"
    writer.close()
    answer = await get(status, "/a?b=c")
    assert (answer["serverId"], answer["path"], answer["port"]) == ("i-tcp", "/a?b=c", 30080)
    assert answer["vServerGroupName"] == f"k8s/{group}"


async def test_udp(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-udp")
    group = await world.group(balancer, [server("i-udp", 53)])
    status = await world.ready(await world.listener(balancer, 5353, group, "udp"))
    assert await ask_udp(address(status), b"x" * 4000) == f"i-udp 10.0.0.1:53 k8s/{group}\n".encode() + b"x" * 4000


async def test_http(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-http")
    group = await world.group(balancer, [server("i-http")])
    status = await world.ready(await world.listener(balancer, 80, group, "http"))
    answer = await get(status, "/", **{"X-Forwarded-For": "203.0.113.7"})
    assert answer["xForwardedFor"] == "203.0.113.7,127.0.0.1"
    async with aiohttp.ClientSession() as session:
        for method, body in (("HEAD", None), ("POST", b"x" * 500_000), ("PURGE", None), ("DELETE", b"{}")):
            async with session.request(method, f"http://{status['reachable']}/p", data=body) as response:
                text = await response.text()
                assert response.status == 200
                assert response.headers["Server"] == "ackbox"
                assert not text if method == "HEAD" else json.loads(text)["method"] == method


async def test_weights(world: World) -> None:
    balancer = await world.balancer()
    for name in ("i-w1", "i-w2", "i-w3"):
        await world.instance(name)
    servers = [server("i-w1", weight=30), server("i-w2", weight=10), server("i-w3", weight=0)]
    group = await world.group(balancer, servers)
    weighted = await world.ready(await world.listener(balancer, 8080, group, "http", scheduler="wrr"))
    even = await world.ready(await world.listener(balancer, 8081, group, "http", scheduler="rr"))
    found = await spread(weighted, 80)
    assert found["i-w3"] == 0
    assert abs(found["i-w1"] - 60) <= 8
    found = await spread(even, 40)
    assert abs(found["i-w1"] - 20) <= 2
    assert found["i-w3"] == 0


async def test_least_connections(world: World) -> None:
    balancer = await world.balancer()
    names = ["i-l1", "i-l2", "i-l3", "i-l4"]
    for name in names:
        await world.instance(name)
    group = await world.group(balancer, [server(name) for name in names])
    status = await world.ready(await world.listener(balancer, 8080, group, scheduler="wlc"))
    reached, writers = Counter(), []
    for _ in range(12):
        reader, writer = await asyncio.open_connection(*address(status))
        writer.write(b"x\n")
        reached[(await reader.readline()).split()[0].decode()] += 1
        writers.append(writer)
    for writer in writers:
        writer.close()
    assert set(reached.values()) == {3}


@pytest.mark.parametrize(
    ("protocol", "extra"),
    [
        ("tcp", {"scheduler": "sch"}),
        ("http", {"scheduler": "sch"}),
        ("tcp", {"persistenceTimeout": 60}),
    ],
)
async def test_source_hash(world: World, protocol: str, extra: dict[str, Any]) -> None:
    balancer = await world.balancer()
    names = [f"i-h{number}" for number in range(4)]
    for name in names:
        await world.instance(name)
    group = await world.group(balancer, [server(name) for name in names])
    status = await world.ready(await world.listener(balancer, 8080, group, protocol, **extra))
    reached = {}
    for octet in range(1, 25):
        found = await spread(status, 3, source=f"127.0.9.{octet}")
        assert len(found) == 1
        reached[octet] = next(iter(found))
    assert len(set(reached.values())) >= 3
    # One server fewer moves only its own clients.
    await world.regroup(group, balancer, [server(name) for name in names[:3]])
    await world.until(world.caches.listeners, f"{balancer}-8080-tcp", lambda s: s["backends"]["total"] == 3)
    moved = 0
    for octet, name in reached.items():
        now = next(iter(await spread(status, 1, source=f"127.0.9.{octet}")))
        moved += now != name and name != names[3]
    assert moved <= 3


async def test_udp_source_hash(world: World) -> None:
    balancer = await world.balancer()
    for number in range(4):
        await world.instance(f"i-u{number}")
    group = await world.group(balancer, [server(f"i-u{number}") for number in range(4)])
    status = await world.ready(await world.listener(balancer, 8053, group, "udp", scheduler="sch"))
    everyone = set()
    for octet in range(1, 17):
        found = {(await ask_udp(address(status), b"x", f"127.0.9.{octet}")).split()[0] for _ in range(3)}
        assert len(found) == 1
        everyone |= found
    assert len(everyone) >= 2


async def test_sticky_cookie(world: World) -> None:
    balancer = await world.balancer()
    for number in range(4):
        await world.instance(f"i-c{number}")
    group = await world.group(balancer, [server(f"i-c{number}") for number in range(4)])
    status = await world.ready(await world.listener(balancer, 8080, group, "http", stickySession="on"))
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        found = set()
        for _ in range(8):
            async with session.get(f"http://{status['reachable']}/") as response:
                found.add(json.loads(await response.text())["serverId"])
        assert [cookie.key for cookie in session.cookie_jar] == ["SERVERID"]
    assert len(found) == 1


async def test_stopped_instance_gets_nothing_after_the_threshold(world: World) -> None:
    balancer = await world.balancer()
    for name in ("i-s1", "i-s2"):
        await world.instance(name)
    group = await world.group(balancer, [server("i-s1"), server("i-s2")])
    name = await world.listener(balancer, 8080, group, **CHECK)
    status = await world.ready(name)
    assert set(await spread(status, 6)) == {"i-s1", "i-s2"}
    await world.instance("i-s1", "Stopped")
    await world.until(world.caches.listeners, name, lambda s: s["backends"] == {"total": 2, "healthy": 1})
    assert set(await spread(status, 8)) == {"i-s2"}
    found = await world.until(world.caches.groups, group, lambda s: s.get("healthy") == 1)
    assert [one["serverHealthStatus"] for one in found["backendServers"]] == ["abnormal", "normal"]
    await world.instance("i-s2", "Stopped")
    await world.until(world.caches.listeners, name, lambda s: s["backends"]["healthy"] == 0)
    assert await is_cut(address(status))
    await world.instance("i-s1")
    await world.until(world.caches.listeners, name, lambda s: s["backends"]["healthy"] == 1)
    assert set(await spread(status, 4)) == {"i-s1"}


async def test_check_switched_off_sends_to_stopped_instances(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-off", "Stopped")
    group = await world.group(balancer, [server("i-off")])
    status = await world.ready(await world.listener(balancer, 8080, group, healthCheckSwitch="off"))
    assert status["backends"]["healthy"] == 1
    assert await is_cut(address(status))


async def test_changes_keep_connections(world: World) -> None:
    balancer = await world.balancer()
    for name in ("i-k1", "i-k2"):
        await world.instance(name)
    group = await world.group(balancer, [server("i-k1")])
    name = await world.listener(balancer, 8080, group)
    status = await world.ready(name)
    reader, writer = await asyncio.open_connection(*address(status))
    writer.write(b"one\n")
    assert (await reader.readline()).startswith(b"i-k1")
    assert await reader.readline() == b"one\n"
    # Another server, other weights, another scheduler, and a neighbour coming and going.
    await world.regroup(group, balancer, [server("i-k1"), server("i-k2", weight=10)])
    await world.until(world.caches.listeners, name, lambda s: s["backends"]["total"] == 2)
    await world.listener(balancer, 8080, group, scheduler="wlc")
    await world.ready(name)
    neighbour = await world.listener(balancer, 8081, group)
    await world.ready(neighbour)
    await world.delete(world.caches.listeners, neighbour)
    writer.write(b"two\n")
    assert await reader.readline() == b"two\n"
    writer.close()
    async with asyncio.timeout(DEADLINE):
        while set(await spread(status, 4)) != {"i-k1", "i-k2"}:
            pass


async def test_deleted_listener_is_gone(world: World, plane: Plane) -> None:
    balancer = await world.balancer()
    await world.instance("i-d")
    group = await world.group(balancer, [server("i-d")])
    name = await world.listener(balancer, 8080, group)
    status = await world.ready(name)
    await world.delete(world.caches.listeners, name)
    async with asyncio.timeout(DEADLINE):
        while not await is_refused(address(status)):
            pass
    assert await world.until(world.caches.groups, group, lambda s: s.get("healthy") == 0)


async def test_refused_listener_is_stalled_alone(world: World) -> None:
    taken, free = await world.balancer(), await world.balancer()
    ip = world.caches.balancers.get(NAMESPACE, taken)["status"]["reachable"]
    await world.instance("i-n")
    with socket.create_server((ip, 8080)):
        groups = [await world.group(taken, [server("i-n")]), await world.group(free, [server("i-n")])]
        refused = await world.listener(taken, 8080, groups[0])
        fine = await world.listener(free, 8080, groups[1])
        await world.ready(fine)
        status = await world.until(world.caches.listeners, refused, lambda s: reason(s) == "Rejected")
        assert status["phase"] == "stopped"
        assert "Address already in use" in str(status["conditions"])
    # The port is free now; a change is tried at once.
    await world.listener(taken, 8080, groups[0], persistenceTimeout=5)
    await world.ready(refused)


async def test_waits_and_stalls(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-x")
    name = await world.listener(balancer, 8080, "rsp-later")
    await world.until(world.caches.listeners, name, lambda s: reason(s) == "ServerGroupNotFound")
    await world.put(
        world.caches.listeners,
        "mine",
        {"loadBalancerId": balancer, "listenerPort": 9090, "listenerProtocol": "tcp", "vServerGroupId": "rsp-later"},
    )
    status = await world.until(world.caches.listeners, "mine", lambda s: reason(s) == "InvalidName")
    assert f"{balancer}-9090-tcp" in str(status["conditions"])
    await world.regroup("rsp-later", balancer, [server("i-x")])
    await world.ready(name)


async def test_port_of_a_virtual_server_gives_way(world: World, plane: Plane) -> None:
    balancer = await world.balancer()
    await world.instance("i-p")
    group = await world.group(balancer, [server("i-p")])
    first = await world.ready(await world.listener(balancer, 8080, group, "http"))
    served = plane.planes[-1]._servers._served[(NAMESPACE, group), "tcp"]
    number = next(iter(served.ports.values())).number
    second = await world.ready(await world.listener(balancer, number, group, "http"))
    assert (await get(second))["serverId"] == "i-p"
    assert (await get(first))["serverId"] == "i-p"


async def real_server(ip: str, answer: bytes, seen: list[str]) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(4096)
        if data:
            seen.append(data.split(b"\r\n")[0].decode())
            writer.write(answer)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, ip, 0)


def http_answer(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


async def test_real_servers(world: World) -> None:
    balancer = await world.balancer()
    await world.put(
        world.caches.clusters,
        "registered",
        {
            "clusterType": "ExternalKubernetes",
            "regionId": "cn-hangzhou",
            "externalCluster": {"kubeconfigSecretRef": {"name": "x"}, "allowedCidrs": ["127.0.7.0/24"]},
        },
    )
    seen: list[str] = []
    good = await real_server("127.0.7.1", http_answer("200 OK", "good"), seen)
    bad = await real_server("127.0.7.2", http_answer("500 Oops", "bad"), [])
    outside = await real_server("127.0.8.1", http_answer("200 OK", "outside"), [])
    servers = [
        {
            "serverId": f"i-r{number}",
            "serverIp": one.sockets[0].getsockname()[0],
            "port": one.sockets[0].getsockname()[1],
            "weight": 100,
        }
        for number, one in enumerate((good, bad, outside))
    ]
    group = await world.group(balancer, servers, clusterId="registered")
    name = await world.listener(balancer, 8080, group, **CHECK, healthCheckType="http", healthCheckURI="/healthz")
    await world.ready(name)
    status = await world.until(world.caches.listeners, name, lambda s: s["backends"] == {"total": 3, "healthy": 1})
    async with aiohttp.ClientSession() as session:
        for _ in range(4):
            async with session.get(f"http://{status['reachable']}/") as response:
                assert await response.text() == "good"
    assert "HEAD /healthz HTTP/1.1" in seen
    found = await world.until(world.caches.groups, group, lambda s: s.get("healthy") == 1)
    assert [one["serverHealthStatus"] for one in found["backendServers"]] == ["normal", "abnormal", "unavailable"]
    assert reason(found) == "AddressNotAllowed"
    assert "127.0.8.1" in str(found["conditions"])
    for one in (good, bad, outside):
        one.close()


async def test_privileged_port_is_shifted(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    world = World()
    world._octets = count(200)
    plane = Plane(Settings(tmp_path, tmp_path / "kubeconfig", LOOPBACK, run), world, lowest_port=1024)
    balancer = await world.balancer()
    await world.instance("i-1")
    group = await world.group(balancer, [server("i-1")])
    name = await world.listener(balancer, 80, group)
    async with running_envoy(run, tmp_path):
        plane.start()
        status = await world.ready(name)
        assert status["reachable"].endswith(":10080")
        holder = await world.listener(balancer, 10080, group)
        await world.ready(holder)
        status = await world.until(world.caches.listeners, name, lambda s: reason(s) == "PortTaken")
        assert holder in str(status["conditions"])
        await world.delete(world.caches.listeners, holder)
        await world.ready(name)
        await plane.stop()


async def test_restart_keeps_traffic(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    world = World()
    world._octets = count(210)
    plane = Plane(Settings(tmp_path, tmp_path / "kubeconfig", LOOPBACK, run), world)
    balancer = await world.balancer()
    await world.put(
        world.caches.clusters,
        "registered",
        {
            "clusterType": "ExternalKubernetes",
            "regionId": "cn-hangzhou",
            "externalCluster": {"kubeconfigSecretRef": {"name": "x"}, "allowedCidrs": ["127.0.7.0/24"]},
        },
    )

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)

    real = await asyncio.start_server(echo, "127.0.7.3", 0)
    ip, port = real.sockets[0].getsockname()
    group = await world.group(balancer, [server("i-1", port, ip=ip)], clusterId="registered")
    name = await world.listener(balancer, 8080, group)
    async with running_envoy(run, tmp_path):
        plane.start()
        status = await world.ready(name)
        await world.until(world.caches.listeners, name, lambda s: s["backends"]["healthy"] == 1)
        reader, writer = await asyncio.open_connection(*address(status))
        await plane.stop()
        await exchange(reader, writer)
        writes = world.writes.copy()
        plane.start()
        await exchange(reader, writer)
        # Something new shows that Envoy is back; what was there has not moved.
        other = await world.listener(balancer, 8081, group)
        await world.ready(other)
        await exchange(reader, writer)
        await exchange(*await asyncio.open_connection(*address(status)))
        assert world.writes["Listener"] - writes["Listener"] <= 3
        await plane.stop()
    real.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"ping\n")
    async with asyncio.timeout(DEADLINE):
        assert await reader.readline() == b"ping\n"
