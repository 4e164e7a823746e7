"""The data plane as it runs in a Pod: bound to every address, at ports that the load balancer's Service names."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from dataplane_world import (
    LOOPBACK,
    NAMESPACE,
    Plane,
    World,
    ask_udp,
    is_ready,
    is_refused,
    reason,
    running_envoy,
    server,
)

from ackbox.kube.settings import Pod, Settings
from ackbox.resources.balancer_service import ADDRESS_OF, Door, owner_name, service_ports

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLUSTER_IP = "10.96.7.7"
POD_IP = "127.0.0.1"
"""Where the Pod's own ports are: the test stands for kube-proxy, which leads a Service's port to a Pod's."""

VERSIONS = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    home = tmp_path_factory.mktemp("home")
    run = home / "run"
    run.mkdir(mode=0o700)
    pod = Pod("ackbox-slb-1", "ackbox-system", "ackbox", "ackbox-slb")
    plane = Plane(Settings(home, None, LOOPBACK, run, pod=pod), World(), lowest_port=1)
    async with running_envoy(run, home):
        plane.start()
        try:
            yield plane
        finally:
            await plane.stop()


@pytest.fixture
def world(plane: Plane) -> World:
    return plane.world


def free_ports(number: int) -> list[int]:
    socks = [socket.socket() for _ in range(number)]
    for sock in socks:
        sock.bind(("", 0))
    found = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return found


async def serve(world: World, balancer: str, targets: dict[Door, int]) -> None:
    """The operator's part: the Service of a load balancer."""
    old = world.caches.services.get("ackbox-system", balancer)
    if old is None:
        # What the cloud side writes once the Service has its address.
        found = world.caches.balancers.get(NAMESPACE, balancer)
        status = {**found["status"], "reachable": CLUSTER_IP}
        await world.put(world.caches.balancers, balancer, found["spec"], status)
    metadata = {
        "namespace": "ackbox-system",
        "name": balancer,
        "uid": f"service-{balancer}",
        "resourceVersion": str(next(VERSIONS)),
        "annotations": {ADDRESS_OF: owner_name(NAMESPACE, balancer)},
    }
    spec = {"clusterIP": CLUSTER_IP, "ports": service_ports([], targets)}
    world.caches.services.upsert({"kind": "Service", "metadata": metadata, "spec": spec})


async def ask(port: int, data: bytes = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n") -> bytes:
    reader, writer = await asyncio.open_connection(POD_IP, port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


def said(answer: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


async def test_a_listener_waits_for_its_port_and_is_then_reached_at_the_services_address(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-1")
    group = await world.group(balancer, [server("i-1")])
    name = await world.listener(balancer, 80, group)
    status = await world.until(world.caches.listeners, name, lambda s: reason(s) == "WaitingForPort")
    assert not is_ready(status)
    (port,) = free_ports(1)
    await serve(world, balancer, {(80, "tcp"): port})
    status = await world.ready(name)
    assert status["reachable"] == f"{CLUSTER_IP}:80"
    assert said(await ask(port))["serverId"] == "i-1"


async def test_the_same_port_of_two_load_balancers(world: World) -> None:
    found = free_ports(2)
    for index, port in enumerate(found):
        balancer = await world.balancer()
        await world.instance(f"i-two-{index}")
        group = await world.group(balancer, [server(f"i-two-{index}")])
        name = await world.listener(balancer, 443, group)
        await serve(world, balancer, {(443, "tcp"): port})
        await world.ready(name)
    assert [said(await ask(port))["serverId"] for port in found] == ["i-two-0", "i-two-1"]


async def test_udp(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-udp")
    group = await world.group(balancer, [server("i-udp", 53)])
    name = await world.listener(balancer, 53, group, "udp")
    (port,) = free_ports(1)
    await serve(world, balancer, {(53, "udp"): port})
    await world.ready(name)
    assert await ask_udp((POD_IP, port), b"x") == f"i-udp 10.0.0.1:53 k8s/{group}\nx".encode()


async def test_servers_learn_the_port_and_the_address_that_the_client_asked_for(world: World) -> None:
    balancer = await world.balancer(loadBalancerType="nlb")
    await world.instance("i-range")
    group = await world.group(balancer, [server("i-range", 0)])
    spec = {"loadBalancerId": balancer, "listenerPort": 0, "startPort": 7000, "endPort": 7001}
    spec |= {"listenerProtocol": "tcp", "vServerGroupId": group, "proxyProtocolEnabled": True}
    name = f"{balancer}-7000-7001-tcp"
    await world.put(world.caches.listeners, name, spec)
    ports = free_ports(2)
    await serve(world, balancer, {(7000, "tcp"): ports[0], (7001, "tcp"): ports[1]})
    status = await world.ready(name)
    assert status["reachable"] == f"{CLUSTER_IP}:7000"
    answers = [said(await ask(port)) for port in ports]
    assert [answer["port"] for answer in answers] == [7000, 7001]
    assert answers[1]["proxyDestination"] == f"{CLUSTER_IP}:7001"


async def test_a_listener_follows_its_port(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-move")
    group = await world.group(balancer, [server("i-move")])
    name = await world.listener(balancer, 80, group)
    before, now = free_ports(2)
    await serve(world, balancer, {(80, "tcp"): before})
    await world.ready(name)
    await serve(world, balancer, {(80, "tcp"): now})
    async with asyncio.timeout(20):
        while await is_refused((POD_IP, now)) or not await is_refused((POD_IP, before)):
            await asyncio.sleep(0.02)
    assert said(await ask(now))["serverId"] == "i-move"


async def test_drain_is_the_listeners_own(world: World) -> None:
    balancer = await world.balancer()
    await world.instance("i-drain")
    group = await world.group(balancer, [server("i-drain")])
    draining = await world.listener(balancer, 80, group, connectionDrain="on", connectionDrainTimeout=60)
    cutting = await world.listener(balancer, 81, group)
    ports = free_ports(2)
    await serve(world, balancer, {(80, "tcp"): ports[0], (81, "tcp"): ports[1]})
    connections = []
    for name, port in zip((draining, cutting), ports, strict=True):
        await world.ready(name)
        reader, writer = await asyncio.open_connection(POD_IP, port)
        writer.write(b"ping\n")
        await reader.readline()
        assert await reader.readline() == b"ping\n"
        connections.append((reader, writer))
    await world.regroup(group, balancer, [])
    async with asyncio.timeout(20):
        assert await connections[1][0].read() == b""
    reader, writer = connections[0]
    writer.write(b"pong\n")
    assert await reader.readline() == b"pong\n"
    writer.close()
