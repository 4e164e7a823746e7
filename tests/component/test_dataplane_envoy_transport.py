"""What a TCP or UDP listener does with connections: time-outs, drain, limits, headers, ranges of ports, choice."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import pytest
from dataplane_world import DEADLINE, Plane, World, address, ask_udp, get, is_refused, server, spread

from ackbox.catalog.loadbalancers import Limits
from ackbox.dataplane import limits, proxy_protocol
from ackbox.dataplane.xds_store import ResourceType

pytestmark = pytest.mark.asyncio(loop_scope="module")

NLB = {"loadBalancerType": "nlb"}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Line:
    """A connection to a virtual server, which answers its name and then an echo."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.server = ""

    async def echo(self, text: bytes) -> bool:
        """Whether the server at the other end still answers."""
        try:
            self.writer.write(text + b"\n")
            async with asyncio.timeout(DEADLINE):
                if not self.server:
                    self.server = (await self.reader.readline()).decode().partition(" ")[0]
                return await self.reader.readline() == text + b"\n"
        except ConnectionError:
            return False

    async def ended(self) -> bool:
        """Whether the other end closes; waits until it does."""
        try:
            async with asyncio.timeout(DEADLINE):
                return await self.reader.read() == b""
        except ConnectionResetError:
            return True


@asynccontextmanager
async def line(
    status: dict[str, Any], port: int | None = None, source: tuple[str, int] | None = None
) -> AsyncIterator[Line]:
    host, own = address(status)
    reader, writer = await asyncio.open_connection(host, port or own, local_addr=source)
    found = Line(reader, writer)
    try:
        yield found
    finally:
        writer.transport.abort()


async def behind(world: World, *names: str, balancer: dict[str, Any] | None = None, **group: Any) -> tuple[str, str]:
    """A load balancer with a server group."""
    own = await world.balancer(**(balancer or {}))
    for name in names:
        await world.instance(name)
    return own, await world.group(own, [server(name) for name in names], **group)


async def register(world: World) -> None:
    """A cluster of real servers."""
    external = {"kubeconfigSecretRef": {"name": "x"}, "allowedCidrs": ["127.0.7.0/24"]}
    spec = {"clusterType": "ExternalKubernetes", "regionId": "cn-hangzhou", "externalCluster": external}
    await world.put(world.caches.clusters, "registered", spec)


async def before_real_server(world: World, handle: Handler) -> tuple[str, str, asyncio.Server]:
    """A load balancer with a server group whose only server is a real one."""
    listening = await asyncio.start_server(handle, "127.0.7.9", 0)
    own = await world.balancer()
    real = {"serverId": "i-real", "serverIp": "127.0.7.9", "port": listening.sockets[0].getsockname()[1]}
    return own, await world.group(own, [real], clusterId="registered"), listening


async def test_connection_lives_through_1000_changes_of_endpoints(world: World, plane: Plane) -> None:
    own, group = await behind(world, "i-stays")
    await world.instance("i-goes")
    status = await world.ready(await world.listener(own, 8080, group))
    neighbour, other = await behind(world, "i-stays")
    await world.ready(await world.listener(neighbour, 8080, other))
    changes: Counter[ResourceType] = Counter()
    stop = plane.planes[-1].store.watch(lambda kind, _: changes.update([kind]))
    async with line(status) as long:
        assert await long.echo(b"first")
        for number in range(500):
            await world.regroup(
                group, own, [server("i-stays"), server("i-goes")] if number % 2 else [server("i-stays")]
            )
            await world.regroup(other, neighbour, [server("i-stays", 30081 + number % 50)])
            async with asyncio.timeout(DEADLINE):
                while changes[ResourceType.ENDPOINTS] < 2 * number:
                    await asyncio.sleep(0)
            if number % 50 == 0:
                assert await long.echo(b"between")
        stop()
        assert changes.keys() == {ResourceType.ENDPOINTS}
        async with asyncio.timeout(DEADLINE):
            while (await spread(status, 4))["i-goes"] == 0:
                pass
        assert await long.echo(b"last")
        assert long.server == "i-stays"


async def test_removed_server_is_cut_without_drain(world: World) -> None:
    own, group = await behind(world, "i-cut")
    status = await world.ready(await world.listener(own, 8080, group))
    async with line(status) as open_line:
        assert await open_line.echo(b"x")
        await world.regroup(group, own, [])
        assert await open_line.ended()


@pytest.mark.parametrize("kind", ["clb", "nlb"])
async def test_removed_server_drains(world: World, kind: str) -> None:
    listener = {"connectionDrain": "on", "connectionDrainTimeout": 10} if kind == "clb" else {}
    groups = {"connectionDrainEnabled": True, "connectionDrainTimeout": 10} if kind == "nlb" else {}
    own, group = await behind(world, f"i-drain-{kind}", "i-next", balancer={"loadBalancerType": kind}, **groups)
    await world.regroup(group, own, [server(f"i-drain-{kind}")], **groups)
    status = await world.ready(await world.listener(own, 8080, group, **listener))
    async with line(status) as open_line:
        assert await open_line.echo(b"x")
        begin = monotonic()
        await world.regroup(group, own, [server("i-next", 30081)], **groups)
        async with asyncio.timeout(DEADLINE):
            while (await spread(status, 2))["i-next"] < 2:
                pass
        while monotonic() - begin < 5:
            assert await open_line.echo(b"still")
        assert await open_line.ended()
        assert 10 <= monotonic() - begin < 15


@pytest.mark.parametrize(
    ("balancer", "spec"),
    [({}, {"establishedTimeout": 10}), (NLB, {"idleTimeout": 1})],
    ids=["establishedTimeout", "idleTimeout"],
)
async def test_idle_connection_ends(world: World, balancer: dict[str, Any], spec: dict[str, Any]) -> None:
    own, group = await behind(world, "i-idle", balancer=balancer)
    status = await world.ready(await world.listener(own, 8080, group, **spec))
    (seconds,) = spec.values()
    async with line(status) as open_line:
        assert await open_line.echo(b"x")
        begin = monotonic()
        assert await open_line.ended()
        assert seconds - 0.5 <= monotonic() - begin < seconds + 5


async def test_proxy_protocol_tells_the_client(world: World) -> None:
    own, group = await behind(world, "i-proxy")
    plain = await world.ready(await world.listener(own, 8080, group))
    told = await world.ready(await world.listener(own, 8081, group, proxyProtocolV2Enabled=True))
    answer = await get(plain, source="127.0.7.7")
    assert answer["clientIp"] == "127.0.7.7"
    assert "proxyProtocol" not in answer
    answer = await get(told, source="127.0.7.7")
    assert answer["proxyProtocol"] is True
    assert answer["proxySource"].startswith("127.0.7.7:")
    assert answer["proxyDestination"] == told["reachable"]


@pytest.mark.parametrize(("kept", "shown"), [(None, True), (True, True), (False, False)])
async def test_nlb_group_keeps_the_client_address_or_not(world: World, kept: bool | None, shown: bool) -> None:
    extra = {} if kept is None else {"preserveClientIpEnabled": kept}
    own, group = await behind(world, "i-kept", balancer=NLB, **extra)
    answer = await get(await world.ready(await world.listener(own, 8080, group)), source="127.0.7.7")
    assert ("clientIp" in answer) == shown
    assert "proxyProtocol" not in answer


async def test_proxy_protocol_tells_the_vpc(world: World) -> None:
    own, group = await behind(world, "i-vpc", balancer={**NLB, "vpcId": "vpc-1"})
    config = {"ppv2VpcIdEnabled": True}
    listener = await world.listener(own, 8080, group, proxyProtocolEnabled=True, proxyProtocolV2Config=config)
    answer = await get(await world.ready(listener))
    assert answer["proxyValues"] == {"0xe1": (b"\x01vpc-1").hex()}


async def served(status: dict[str, Any]) -> bool:
    async with line(status) as one:
        return await one.echo(b"x")


async def test_proxy_protocol_goes_before_the_data_of_a_real_server(world: World) -> None:
    await register(world)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = b""
        # Header and data may come in pieces; a check of health says nothing at all.
        while chunk := await reader.read(1000):
            heard += chunk
            found = proxy_protocol.split(heard)
            if found is not None and found[1]:
                writer.write(repr(found).encode() + b"\n")
                break
        writer.close()

    own, group, listening = await before_real_server(world, answer)
    told = await world.ready(await world.listener(own, 8080, group, proxyProtocolV2Enabled=True))
    plain = await world.ready(await world.listener(own, 8081, group))
    async with line(told, source=("127.0.7.7", 0)) as one:
        one.writer.write(b"data")
        text = await one.reader.readline()
    assert b"source=('127.0.7.7', " in text
    assert text.endswith(b"b'data')\n")
    async with line(plain) as one:
        one.writer.write(b"data")
        assert await one.reader.readline() == b"(None, b'data')\n"
    listening.close()


async def test_connections_at_a_time_are_limited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "limits", lambda _: Limits(connections=3))
    own, group = await behind(world, "i-many")
    status = await world.ready(await world.listener(own, 8080, group))
    async with line(status) as one, line(status) as two:
        assert await one.echo(b"x")
        assert await two.echo(b"x")
        async with line(status) as three:
            assert await three.echo(b"x")
            assert not await served(status)
        async with asyncio.timeout(DEADLINE):
            while not await served(status):
                pass
        assert await one.echo(b"x")


async def test_new_connections_count_over_all_listeners(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "limits", lambda _: Limits(new_connections=5))
    own, group = await behind(world, "i-rate")
    all_of_them = [await world.ready(await world.listener(own, port, group)) for port in (8080, 8081, 8082, 8083)]
    begin = monotonic()
    count = sum(await asyncio.gather(*(served(status) for status in all_of_them * 10)))
    assert 5 <= count <= 5 * (2 + int(monotonic() - begin))


async def test_new_connections_a_second_are_limited(world: World) -> None:
    own, group = await behind(world, "i-cps", balancer=NLB)
    status = await world.ready(await world.listener(own, 8080, group, cps=5))

    begin = monotonic()
    count = sum(await asyncio.gather(*(served(status) for _ in range(40))))
    assert 5 <= count <= 5 * (2 + int(monotonic() - begin))
    async with asyncio.timeout(DEADLINE):
        while not await served(status):
            pass


async def test_bandwidth_of_a_connection_is_limited(world: World) -> None:
    own, group = await behind(world, "i-slow")
    slow = await world.ready(await world.listener(own, 8080, group, bandwidth=8))
    fast = await world.ready(await world.listener(own, 8081, group))

    async def echoed(status: dict[str, Any], size: int) -> float:
        async with line(status) as one:
            assert await one.echo(b"x")
            begin = monotonic()
            one.writer.write(b"x" * size)
            await one.reader.readexactly(size)
            return monotonic() - begin

    assert await echoed(slow, 3_000_000) > 2
    assert await echoed(fast, 3_000_000) < 1


async def test_bandwidth_to_a_server_is_limited(world: World) -> None:
    await register(world)
    arrived: asyncio.Queue[float] = asyncio.Queue()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begin = monotonic()
        if await reader.read():
            arrived.put_nowait(monotonic() - begin)
        writer.close()

    own, group, listening = await before_real_server(world, swallow)
    slow = await world.ready(await world.listener(own, 8080, group, bandwidth=8))
    fast = await world.ready(await world.listener(own, 8081, group))
    for status in (slow, fast):
        async with line(status) as one:
            one.writer.write(b"x" * 3_000_000)
            one.writer.write_eof()
            async with asyncio.timeout(DEADLINE):
                seconds = await arrived.get()
        assert (seconds > 2) == (status is slow)
    listening.close()


async def ranged(world: World, first: int, last: int, protocol: str) -> dict[str, Any]:
    own, group = await behind(world, "i-range", balancer=NLB)
    await world.regroup(group, own, [server("i-range", 0)], anyPortEnabled=True)
    name = f"{own}-{first}-{last}-{'udp' if protocol == 'udp' else 'tcp'}"
    spec = {"loadBalancerId": own, "listenerPort": 0, "startPort": first, "endPort": last}
    await world.put(world.caches.listeners, name, {**spec, "listenerProtocol": protocol, "vServerGroupId": group})
    return await world.ready(name)


async def test_range_of_ports(world: World) -> None:
    status = await ranged(world, 20000, 20999, "tcp")
    host, first = address(status)
    assert first == 20000
    for port in (20000, 20500, 20999):
        answer = await get({"reachable": f"{host}:{port}"})
        assert answer["port"] == port
    assert await is_refused((host, 21000))


class Echo(asyncio.DatagramProtocol):
    """A real UDP server."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def test_range_of_ports_before_a_real_server(world: World) -> None:
    await register(world)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(str(writer.get_extra_info("sockname")[1]).encode() + b"\n")
        writer.close()

    ports = (25000, 25050, 25099)
    listening = [await asyncio.start_server(answer, "127.0.7.9", port) for port in ports]
    own = await world.balancer(**NLB)
    real = {"serverId": "i-real", "serverIp": "127.0.7.9", "port": 0}
    group = await world.group(own, [real], clusterId="registered", anyPortEnabled=True)
    for protocol, name in (("tcp", f"{own}-25000-25099-tcp"), ("udp", f"{own}-25000-25099-udp")):
        spec = {"loadBalancerId": own, "listenerPort": 0, "startPort": 25000, "endPort": 25099}
        await world.put(world.caches.listeners, name, {**spec, "listenerProtocol": protocol, "vServerGroupId": group})
    status = await world.ready(f"{own}-25000-25099-tcp")
    for port in ports:
        async with line(status, port) as one:
            one.writer.write(b"x")
            assert await one.reader.readline() == f"{port}\n".encode()
    await world.ready(f"{own}-25000-25099-udp")
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("127.0.7.9", 25050))
    assert await ask_udp((address(status)[0], 25050), b"hello") == b"hello"
    transport.close()
    for each in listening:
        each.close()


async def test_range_of_udp_ports(world: World) -> None:
    status = await ranged(world, 20000, 20099, "udp")
    host, _ = address(status)
    for port in (20000, 20050, 20099):
        assert (await ask_udp((host, port), b"x")).startswith(b"i-range")


async def test_same_addresses_and_ports_meet_the_same_server(world: World) -> None:
    names = [f"i-tch{number}" for number in range(4)]
    own, group = await behind(world, *names)
    status = await world.ready(await world.listener(own, 8080, group, scheduler="tch"))

    async def reached(port: int) -> str:
        with socket.socket() as sock:
            # The port is free at once when the connection is reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.7.7", port))
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, address(status))
            await loop.sock_sendall(sock, b"x")
            async with asyncio.timeout(DEADLINE):
                return (await loop.sock_recv(sock, 1000)).decode().partition(" ")[0]

    first = [await reached(port) for port in range(41000, 41016)]
    assert len(set(first)) > 1
    assert [await reached(port) for port in range(41000, 41016)] == first


async def test_nlb_group_chooses(world: World) -> None:
    own, group = await behind(world, "i-n1", "i-n2", balancer=NLB, scheduler="sch")
    status = await world.ready(await world.listener(own, 8080, group))
    assert len(await spread(status, 8, "127.0.7.7")) == 1
    await world.regroup(group, own, [server("i-n1", weight=90), server("i-n2", weight=10)], scheduler="wrr")
    found: Counter[str] = Counter()
    async with asyncio.timeout(DEADLINE):
        while not found["i-n2"]:
            found = await spread(status, 40, "127.0.7.7")
    assert found["i-n1"] > 2 * found["i-n2"]


async def test_changed_listener_takes_over_its_port(world: World) -> None:
    own, group = await behind(world, "i-change")
    for change in ({}, {"bandwidth": 8}, {"bandwidth": 16}, {}, {"cps": 100}, {"establishedTimeout": 20}):
        status = await world.ready(await world.listener(own, 8080, group, **change))
        async with asyncio.timeout(DEADLINE):
            while not await served(status):
                pass
    status = await world.ready(await world.listener(own, 8080, group, "http"))
    assert (await get(status))["serverId"] == "i-change"
