"""Access logs of listeners: one JSON line a request, connection or UDP session."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from http_plane import DEADLINE, PORT, HttpPlane, ask, http_plane

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HttpPlane]:
    async with http_plane(tmp_path_factory.mktemp("home")) as plane:
        yield plane


async def test_requests(plane: HttpPlane) -> None:
    listener = await plane.listen(accessLog="on", requestTimeout=1)
    await ask(listener, '/a?b="c"', source="127.0.0.7", User_Agent="test", Host="www.example.com")
    await ask(listener, "/?ackbox-delay=30", method="PUT")
    first, second = await plane.lines(listener, 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert isinstance(first.pop("client_port"), int)
    assert first.pop("request_time_ms") >= 0
    assert first.pop("upstream_response_time_ms") >= 0
    assert first.pop("request_length") > 50
    assert first.pop("body_bytes_sent") > 100
    assert first == {
        "slbid": "web",
        "slb_vport": PORT,
        "scheme": "http",
        "client_ip": "127.0.0.7",
        "request_method": "GET",
        "request_uri": "/a?b=%22c%22",
        "server_protocol": "HTTP/1.1",
        "host": "www.example.com",
        "http_host": "www.example.com",
        "http_user_agent": "test",
        "http_referer": None,
        "http_x_forwarded_for": "127.0.0.7",
        "status": 200,
        "upstream_addr": "i-1/10.0.0.1:30080",
        "reason": "-",
    }
    assert (second["request_method"], second["status"], second["reason"]) == ("PUT", 504, "UT")


async def test_connections(plane: HttpPlane) -> None:
    listener = await plane.listen(accessLog="on", listenerProtocol="tcp")
    reader, writer = await asyncio.open_connection(*listener)
    writer.write(b"12345")
    async with asyncio.timeout(DEADLINE):
        greeting = await reader.readline()
        await reader.readexactly(5)
    writer.close()
    (line,) = await plane.lines(listener, 1)
    assert (line["scheme"], line["client_ip"], line["slb_vport"]) == ("tcp", "127.0.0.1", PORT)
    assert (line["bytes_received"], line["bytes_sent"]) == (5, len(greeting) + 5)
    assert line["upstream_addr"] == "i-1/10.0.0.1:30080"


async def test_udp_sessions(plane: HttpPlane) -> None:
    listener = await plane.listen(accessLog="on", listenerProtocol="udp", idleTimeout=1)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(listener)
        await loop.sock_sendall(sock, b"12345")
        async with asyncio.timeout(DEADLINE):
            answer = await loop.sock_recv(sock, 65536)
    (line,) = await plane.lines(listener, 1)
    assert (line["scheme"], line["client_ip"], line["datagrams_received"]) == ("udp", "127.0.0.1", 1)
    assert (line["bytes_received"], line["bytes_sent"]) == (5, len(answer))
    assert line["upstream_addr"] == "i-1/10.0.0.1:30080"


async def test_none_unless_asked_for(plane: HttpPlane) -> None:
    quiet, loud = await plane.listen(), await plane.listen(accessLog="on")
    for listener in (quiet, loud):
        await ask(listener)
    await plane.lines(loud, 1)
    assert not list(plane.logs.glob(f"default_web{quiet[0].rpartition('.')[2]}-*"))
