"""What a virtual server reads from a PROXY protocol header and from a request's query."""

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from ipaddress import IPv4Network

import pytest
import pytest_asyncio

from ackbox.dataplane.model import Address
from ackbox.dataplane.proxy_protocol import CLIENT, HEADER, LEARNS, SIGNATURE, Origin, split
from ackbox.dataplane.responder import GroupNames, Server
from ackbox.dataplane.servers import VirtualGroup, VirtualServers

DEADLINE = 10.0
LOOPBACK = IPv4Network(f"127.{60 + os.getpid() % 30}.0.0/16")
IDENTITY = ("i-a", "10.0.0.1", 80)
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def header(*values: tuple[int, bytes], version: int = 0x21, family: int = 0x11) -> bytes:
    body = socket.inet_aton("203.0.113.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 4321, 443)
    body += b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in values)
    return SIGNATURE + struct.pack("!BBH", version, family, len(body)) + body


def learns(*what: str) -> tuple[int, bytes]:
    return LEARNS, ",".join(what).encode()


def test_a_header_is_taken_off() -> None:
    origin = Origin(("203.0.113.7", 4321), ("198.51.100.1", 443), frozenset({HEADER}), {0xE1: b"\x01vpc-1"})
    assert split(header((0xE1, b"\x01vpc-1")) + b"GET /") == (origin, b"GET /")


def test_a_header_in_pieces_is_waited_for() -> None:
    whole = header()
    assert [split(whole[:length]) for length in range(len(SIGNATURE), len(whole))] == [None] * (len(whole) - 12)


@pytest.mark.parametrize("data", [b"", b"\r\n", b"GET / HTTP/1.1\r\n", SIGNATURE[:11] + b"x"])
def test_what_is_no_header_stays(data: bytes) -> None:
    assert split(data) == (None, data)


@pytest.mark.parametrize("data", [header(version=0x20), header(version=0x11), header(family=0x00)])
def test_a_header_that_speaks_for_nobody_is_dropped(data: bytes) -> None:
    assert split(data + b"x") == (None, b"x")


def test_what_a_server_learns() -> None:
    origin, _ = split(header(learns(CLIENT))) or (None, b"")
    assert origin is not None
    assert origin.fields() == {"clientIp": "203.0.113.7"}
    origin, _ = split(header(learns(CLIENT, HEADER), (0xE1, b"\x01v"))) or (None, b"")
    assert origin is not None
    assert origin.fields() == {
        "clientIp": "203.0.113.7",
        "proxyProtocol": True,
        "proxySource": "203.0.113.7:4321",
        "proxyDestination": "198.51.100.1:443",
        "proxyValues": {"0xe1": "0176"},
    }
    origin, _ = split(header(learns())) or (None, b"")
    assert origin is not None
    assert origin.fields() == {}


@pytest_asyncio.fixture
async def where() -> AsyncIterator[Address]:
    servers = VirtualServers(LOOPBACK, linger=0.0)
    group = VirtualGroup(("ns", "g"), GroupNames("k8s/g", "web"), (Server(IDENTITY, True),))
    yield (await servers.serve(group, "tcp"))[IDENTITY]
    servers.close()


async def send(where: Address, *pieces: bytes, end: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection(*where)
    async with asyncio.timeout(DEADLINE):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write_eof()
        answer = await reader.read()
    writer.close()
    return answer


def body(answer: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


async def test_an_answer_shows_what_the_header_says(where: Address) -> None:
    answer = body(await send(where, header(learns(CLIENT)), REQUEST))
    assert answer["clientIp"] == "203.0.113.7"
    assert "proxyProtocol" not in answer
    assert "clientIp" not in body(await send(where, REQUEST))


async def test_a_header_is_not_echoed(where: Address) -> None:
    assert await send(where, header() + b"hello\n", end=True) == b"i-a 10.0.0.1:80 k8s/g\nhello\n"


async def ask(where: Address, query: str) -> bytes:
    return await send(where, REQUEST.replace(b"/", f"/?{query}".encode(), 1))


async def test_a_request_may_ask_for_more(where: Address) -> None:
    answer = await ask(
        where, "ackbox-status=418&ackbox-bytes=10&ackbox-set-cookie=a%3Db;Path=/&ackbox-set-cookie=c%3Dd"
    )
    assert answer.startswith(b"HTTP/1.1 418")
    assert b"Set-Cookie: a=b;Path=/\r\nSet-Cookie: c=d\r\n" in answer
    assert body(answer)["padding"] == "x" * 10
    begin = asyncio.get_running_loop().time()
    await ask(where, "ackbox-delay=0.2")
    assert asyncio.get_running_loop().time() - begin >= 0.2


@pytest.mark.parametrize(
    "query",
    [
        "ackbox-status=99",
        "ackbox-status=600",
        "ackbox-status=x",
        "ackbox-status=%D9%A1%D9%A1%D9%A1",
        "ackbox-bytes=-1",
        "ackbox-bytes=nan",
        "ackbox-delay=nan",
        "ackbox-delay=soon",
        "ackbox-set-cookie=a%0D%0Ab:c",
    ],
)
async def test_what_makes_no_sense_is_left_out(where: Address, query: str) -> None:
    answer = await ask(where, query)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\nb:c" not in answer
    assert "padding" not in body(answer)
