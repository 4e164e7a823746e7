"""Virtual servers on real loopback sockets."""

import asyncio
import json
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from ipaddress import IPv4Network

import pytest
import pytest_asyncio

from ackbox.dataplane.model import Address, Passage
from ackbox.dataplane.proxy_protocol import FIXED, PROXY_V2, SIGNATURE
from ackbox.dataplane.responder import Budget, GroupNames, Server, TcpPort
from ackbox.dataplane.servers import AddressPool, Exhausted, VirtualGroup, VirtualServers

DEADLINE = 10.0
LOOPBACK = IPv4Network(f"127.{150 + os.getpid() % 40}.0.0/16")
A, B, C = ("i-a", "10.0.0.1", 80), ("i-b", "10.0.0.2", 80), ("i-a", "10.0.0.1", 81)


@pytest_asyncio.fixture
async def servers() -> AsyncIterator[VirtualServers]:
    servers = VirtualServers(LOOPBACK, linger=0.0)
    yield servers
    servers.close()


def group(*identities: tuple[str, str, int], name: str = "g", down: tuple[str, ...] = ()) -> VirtualGroup:
    found = tuple(Server(identity, identity[0] not in down) for identity in identities)
    return VirtualGroup(("ns", name), GroupNames(f"k8s/{name}", "web"), found)


async def line(where: Address) -> str:
    """What a server says of itself, or nothing where it cuts the connection."""
    async with asyncio.timeout(DEADLINE):
        try:
            reader, writer = await asyncio.open_connection(*where)
            writer.write(b"x")
            answer = await reader.readline()
            writer.close()
            return answer.decode().strip()
        except ConnectionError:
            return ""


async def cut(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(DEADLINE):
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            return


def ask(where: Address, data: bytes) -> tuple[bytes, Address]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE)
        sock.sendto(data, where)
        return sock.recvfrom(65535)


async def test_the_destination_tells_the_server(servers: VirtualServers) -> None:
    found = await servers.serve(group(A, B, C), "tcp")
    assert found[A][1] == found[B][1] != found[C][1]
    assert found[A][0] == found[C][0] != found[B][0]
    assert await line(found[A]) == "i-a 10.0.0.1:80 k8s/g"
    assert await line(found[B]) == "i-b 10.0.0.2:80 k8s/g"
    assert await line(found[C]) == "i-a 10.0.0.1:81 k8s/g"
    assert not await line((str(LOOPBACK[-3]), found[A][1]))


async def test_addresses_are_in_the_upper_half(servers: VirtualServers) -> None:
    found = await servers.serve(group(A), "tcp")
    assert found[A][0] == str(LOOPBACK.network_address + 128 * 256 + 1)


async def test_groups_have_sockets_of_their_own(servers: VirtualServers) -> None:
    one = await servers.serve(group(A), "tcp")
    other = await servers.serve(group(A, name="h"), "tcp")
    assert one[A][0] == other[A][0]
    assert await line(other[A]) == "i-a 10.0.0.1:80 k8s/h"
    servers.release(("ns", "h"), "tcp")
    assert await line(one[A]) == "i-a 10.0.0.1:80 k8s/g"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*other[A])


async def test_udp_answers_from_the_address_that_was_asked(servers: VirtualServers) -> None:
    found = await servers.serve(group(A, B), "udp")
    answer, source = await asyncio.to_thread(ask, found[B], b"hello")
    assert answer == b"i-b 10.0.0.2:80 k8s/g\nhello"
    assert source == found[B]


async def test_http_keeps_the_connection(servers: VirtualServers) -> None:
    found = await servers.serve(group(A), "tcp")
    reader, writer = await asyncio.open_connection(*found[A])
    for path in (b"/one", b"/two"):
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n")
        async with asyncio.timeout(DEADLINE):
            head = await reader.readuntil(b"\r\n\r\n")
            answer = json.loads(await reader.readline())
        assert head.startswith(b"HTTP/1.1 200")
        assert answer == {
            "serverId": "i-a",
            "serverIp": "10.0.0.1",
            "port": 80,
            "vServerGroupName": "k8s/g",
            "loadBalancerId": "web",
            "method": "GET",
            "path": path.decode(),
            "xForwardedFor": "198.51.100.1",
            "headers": {"host": "x", "x-forwarded-for": "198.51.100.1"},
        }
    writer.close()


async def test_server_that_goes_down_is_cut_and_others_stay(servers: VirtualServers) -> None:
    found = await servers.serve(group(A, B), "tcp")
    connections = [await asyncio.open_connection(*found[identity]) for identity in (A, B)]
    for reader, writer in connections:
        writer.write(b"x\n")
        await reader.readline()
        await reader.readline()
    assert await servers.serve(group(A, B, down=("i-a",)), "tcp") == found
    await cut(connections[0][0])
    reader, writer = connections[1]
    writer.write(b"still\n")
    assert await reader.readline() == b"still\n"
    assert not await line(found[A])
    assert await servers.serve(group(A, B), "tcp") == found
    assert await line(found[A])
    writer.close()


async def test_server_that_leaves_lingers() -> None:
    servers = VirtualServers(LOOPBACK, linger=0.3)
    found = await servers.serve(group(A, B, C), "tcp")
    reader, _ = await asyncio.open_connection(*found[B])
    await servers.serve(group(A), "tcp")
    assert await line(found[B]) == "i-b 10.0.0.2:80 k8s/g"
    assert await line(found[C]) == "i-a 10.0.0.1:81 k8s/g"
    await cut(reader)
    assert not await line(found[B])
    assert not await line(found[C])
    assert await line(found[A])
    servers.close()


async def test_claimed_port_is_given_up(servers: VirtualServers) -> None:
    found = await servers.serve(group(A), "tcp")
    reader, writer = await by_way_of(LISTENER, found[A])
    assert servers.claim(("ns", "web"), frozenset({found[A][1]})) == [("ns", "g")]
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", found[A][1]))
    moved = await servers.serve(group(A), "tcp")
    assert moved[A][1] != found[A][1]
    assert await line(moved[A])
    assert servers.claim(("ns", "other"), frozenset({8080})) == []
    # What was connected goes on, for as long as its server is there.
    assert await echoes(reader, writer)
    await servers.serve(group(B), "tcp")
    await cut(reader)
    writer.close()


async def test_connections_are_limited() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = TcpPort(sock, GroupNames("g", "web"), Budget(limit=1))
    await port.open()
    port.assign({"127.0.0.1": Server(A, True)})
    where = ("127.0.0.1", port.number)
    reader, writer = await asyncio.open_connection(*where)
    writer.write(b"x\n")
    assert await reader.readline()
    assert not await line(where)
    writer.close()
    port.close()


LISTENER, OTHER = ("127.42.16.1", 8080), ("127.42.16.1", 8081)


async def by_way_of(listener: Address, where: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection as Envoy makes one for a listener, which the server has greeted."""
    reader, writer = await asyncio.open_connection(*where)
    body = socket.inet_aton("127.0.0.1") + socket.inet_aton(listener[0]) + struct.pack("!HH", 40_000, listener[1])
    writer.write(FIXED.pack(SIGNATURE, PROXY_V2, 0x11, len(body)) + body)
    assert await echoes(reader, writer, greeted=False)
    return reader, writer


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greeted: bool = True) -> bool:
    writer.write(b"ping\n")
    async with asyncio.timeout(DEADLINE):
        if not greeted:
            await reader.readline()
        return await reader.readline() == b"ping\n"


@pytest.mark.parametrize("left", [C, B], ids=["port goes", "port stays"])
async def test_connections_drain_by_their_listener(servers: VirtualServers, left: tuple[str, str, int]) -> None:
    servers.treat((), {LISTENER: Passage(drain=60)})
    found = await servers.serve(group(A, left), "tcp")
    draining, other = await by_way_of(LISTENER, found[left]), await by_way_of(OTHER, found[left])
    await servers.serve(group(A), "tcp")
    await cut(other[0])
    assert await echoes(*draining)
    draining[1].close()


async def test_drain_ends(servers: VirtualServers) -> None:
    servers.treat((), {LISTENER: Passage(drain=0.2)})
    found = await servers.serve(group(A, B), "tcp")
    reader, writer = await by_way_of(LISTENER, found[B])
    await servers.serve(group(A), "tcp")
    await cut(reader)
    writer.close()


async def test_stopped_machine_drains_nothing(servers: VirtualServers) -> None:
    servers.treat((), {LISTENER: Passage(drain=60)})
    found = await servers.serve(group(A), "tcp")
    reader, writer = await by_way_of(LISTENER, found[A])
    await servers.serve(group(A, down=("i-a",)), "tcp")
    await cut(reader)
    writer.close()


async def test_connection_is_sent_no_more_than_its_listener_allows(servers: VirtualServers) -> None:
    servers.treat((), {LISTENER: Passage(bytes_per_second=1_000_000)})
    found = await servers.serve(group(A), "tcp")
    spent = []
    for listener in (LISTENER, OTHER):
        reader, writer = await by_way_of(listener, found[A])
        begin = time.monotonic()
        writer.write(b"x" * 2_000_000)
        async with asyncio.timeout(DEADLINE):
            await reader.readexactly(2_000_000)
        spent.append(time.monotonic() - begin)
        writer.close()
    assert spent[0] > 1
    assert spent[1] < spent[0]


def test_pool_gives_a_machine_one_address_and_reuses_the_oldest() -> None:
    pool = AddressPool(IPv4Network("127.1.128.0/30"))
    one, other, third = (("ns", name, "10.0.0.1") for name in "abc")
    first = pool.take(one)
    assert pool.take(one) == first
    second = pool.take(other)
    with pytest.raises(Exhausted):
        pool.take(third)
    pool.release(one)
    with pytest.raises(Exhausted):
        pool.take(third)
    pool.release(one)
    assert pool.take(third) == first != second
