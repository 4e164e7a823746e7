"""What an HTTP listener does with requests, felt through a real Envoy."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from http_plane import DEADLINE, DOWN, PORT, HttpPlane, ask, http_plane, served_by

from ackbox.dataplane.model import Credentials, KeyPair, TlsSettings
from ackbox.runtime.certificates import Request, Usage, issue, new_authority

pytestmark = pytest.mark.asyncio(loop_scope="module")

THREE = {"main": ["i-1", "i-2", "i-3"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HttpPlane]:
    async with http_plane(tmp_path_factory.mktemp("home")) as plane:
        yield plane


def cookie(headers: dict[str, str]) -> str:
    return headers["set-cookie"].split(";")[0]


async def test_forwarded_headers_are_as_the_listener_says(plane: HttpPlane) -> None:
    told = await plane.listen(xForwardedForProto="on", xForwardedForSlbPort="on", xForwardedForClientSrcPort="on")
    silent = await plane.listen()
    lies = {"x_forwarded_proto": "gopher", "x_forwarded_port": "1"}
    _, _, answer = await ask(told, **lies)
    headers = answer["headers"]
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == str(PORT)
    assert 1024 <= int(headers["x-forwarded-client-srcport"]) <= 65535
    assert headers["x-forwarded-for"] == "127.0.0.1"
    _, _, answer = await ask(silent)
    assert not {"x-forwarded-proto", "x-forwarded-port", "x-forwarded-client-srcport"} & answer["headers"].keys()
    assert not [name for name in answer["headers"] if name.startswith("x-envoy")]


async def test_forward_sends_clients_to_https(plane: HttpPlane) -> None:
    listener = await plane.listen({}, listenerForward="on", forwardPort=8443)
    status, headers, _ = await ask(listener, "/a/b?c=d")
    assert (status, headers["location"]) == (301, f"https://{listener[0]}:8443/a/b?c=d")


async def test_inserted_cookie_ties_a_client_to_its_server(plane: HttpPlane) -> None:
    listener = await plane.listen(
        THREE, stickySession="on", stickySessionType="insert", cookieTimeout=100, scheduler="rr"
    )
    assert set(await served_by(listener, 9)) == {"i-1", "i-2", "i-3"}
    _, headers, answer = await ask(listener)
    assert cookie(headers).startswith("SERVERID=")
    assert "Max-Age=100" in headers["set-cookie"]
    assert set(await served_by(listener, 9, cookie=cookie(headers))) == {answer["serverId"]}
    assert set(await served_by(listener, 9, cookie="SERVERID=nonsense")) == {"i-1", "i-2", "i-3"}


async def test_inserted_cookie_ends_with_its_time_out(plane: HttpPlane) -> None:
    listener = await plane.listen(THREE, stickySession="on", stickySessionType="insert", cookieTimeout=1)
    _, headers, _ = await ask(listener)
    async with asyncio.timeout(10):
        while len(set(await served_by(listener, 3, cookie=cookie(headers)))) == 1:
            pass


async def test_servers_own_cookie_ties_a_client_to_it(plane: HttpPlane) -> None:
    listener = await plane.listen(THREE, stickySession="on", stickySessionType="server", cookie="session")
    _, headers, _ = await ask(listener)
    assert "set-cookie" not in headers
    _, headers, answer = await ask(listener, "/?ackbox-set-cookie=session%3Dmine;%20Path%3D/;%20HttpOnly")
    assert headers["set-cookie"].endswith("; Path=/; HttpOnly")
    assert "mine" not in headers["set-cookie"]
    assert "x-ackbox-server" not in headers
    assert set(await served_by(listener, 9, cookie=f"a=b; {cookie(headers)}; c=d")) == {answer["serverId"]}
    assert set(await served_by(listener, 9, cookie="session=mine")) == {"i-1", "i-2", "i-3"}
    assert set(await served_by(listener, 9, cookie="session=abcd")) == {"i-1", "i-2", "i-3"}
    _, headers, _ = await ask(listener, "/?ackbox-set-cookie=other%3Dmine")
    assert headers["set-cookie"] == "other=mine"


@pytest.mark.parametrize("kind", ["insert", "server"])
async def test_a_client_moves_when_its_server_is_gone(plane: HttpPlane, kind: str) -> None:
    spec = {"stickySession": "on", "stickySessionType": kind, "cookie": "SERVERID", "cookieTimeout": 100}
    listener = await plane.listen(THREE, **spec)
    _, headers, answer = await ask(listener, "/?ackbox-set-cookie=SERVERID%3Dx")
    left = [server for server in THREE["main"] if server != answer["serverId"]]
    await plane.change(listener, {"main": left}, **spec)
    async with asyncio.timeout(10):
        while answer["serverId"] in await served_by(listener, 4):
            pass
    assert set(await served_by(listener, 6, cookie=cookie(headers))) <= set(left)


async def test_a_slow_answer_is_504(plane: HttpPlane) -> None:
    listener = await plane.listen(requestTimeout=1)
    assert (await ask(listener, "/?ackbox-delay=0.1"))[0] == 200
    # Envoy's own time-out is 15 seconds.
    async with asyncio.timeout(10):
        assert (await ask(listener, "/?ackbox-delay=30"))[0] == 504


async def test_whose_fault_it_is(plane: HttpPlane) -> None:
    broken, nobody = await plane.listen({"main": [DOWN]}), await plane.listen({"main": []})
    assert (await ask(broken))[0] == 502
    assert (await ask(nobody))[0] == 503
    working = await plane.listen()
    assert (await ask(working, "/?ackbox-status=503"))[0] == 503


async def echo(request: web.BaseRequest) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def test_websockets_outlive_the_time_outs(plane: HttpPlane) -> None:
    listener = await plane.listen(requestTimeout=1, idleTimeout=1)
    server = await asyncio.get_running_loop().create_server(web.Server(echo), "127.0.0.1", 0)
    await plane.send_to(listener, server.sockets[0].getsockname())
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://{listener[0]}:{listener[1]}/") as socket:
        await socket.send_str("before")
        assert (await socket.receive(DEADLINE)).data == "before"
        with pytest.raises(TimeoutError):
            await socket.receive(2.0)
        await socket.send_str("after")
        assert (await socket.receive(DEADLINE)).data == "after"
    server.close()


async def test_a_connection_without_requests_is_closed(plane: HttpPlane) -> None:
    short, long = await plane.listen(idleTimeout=1), await plane.listen(idleTimeout=60)
    connections = [await asyncio.open_connection(*where) for where in (short, long)]
    for reader, writer in connections:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    async with asyncio.timeout(5):
        assert await connections[0][0].read() == b""
    reader, writer = connections[1]
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    for _, writer in connections:
        writer.close()


async def passed(session: aiohttp.ClientSession, *urls: str) -> tuple[int, float]:
    """How many requests pass until some don't, and in how many seconds."""
    loop, statuses = asyncio.get_running_loop(), Counter[int]()
    begin = loop.time()

    async def one(url: str) -> None:
        async with session.head(url) as response:
            statuses[response.status] += 1

    async with asyncio.timeout(DEADLINE):
        while statuses[503] < 10:
            await asyncio.gather(*(one(url) for url in urls))
    assert statuses.keys() == {200, 503}
    return statuses[200], loop.time() - begin


async def test_more_requests_than_the_load_balancer_takes_are_503(plane: HttpPlane) -> None:
    listener = await plane.listen(limits={"requests_per_second": 20})
    async with aiohttp.ClientSession() as session:
        count, seconds = await passed(session, f"http://{listener[0]}:{listener[1]}/")
    assert 20 <= count <= 20 * (1 + seconds) + 1


async def test_requests_count_together_whatever_the_certificate(plane: HttpPlane) -> None:
    authority = new_authority("test")
    pairs = {}
    for name in ("a.test", "b.test"):
        issued = issue(authority, Request(name, Usage.SERVER, hosts=(name,)))
        pairs[name] = KeyPair(issued.certificate, issued.key)
    tls = TlsSettings(("a.test",), (("b.test", "b.test"),))
    listener = await plane.listen(
        tls=(tls, Credentials(pairs)), listenerProtocol="https", limits={"requests_per_second": 20}
    )
    context = ssl.create_default_context(cadata=authority.certificate)
    connector = aiohttp.TCPConnector(ssl=context, resolver=Everywhere(listener[0]))
    async with aiohttp.ClientSession(connector=connector) as session:
        count, seconds = await passed(session, *(f"https://{name}:{listener[1]}/" for name in pairs))
    assert count <= 20 * (1 + seconds) + 1


class Everywhere(AbstractResolver):
    """Every name is at one address."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        found = {"hostname": host, "host": self._address, "port": port, "proto": 0, "flags": 0}
        return [ResolveResult(family=socket.AF_INET, **found)]

    async def close(self) -> None:
        """Nothing is open."""


async def test_bandwidth_of_a_listener(plane: HttpPlane) -> None:
    loop = asyncio.get_running_loop()
    narrow, wide = await plane.listen(bandwidth=4), await plane.listen(bandwidth=-1)
    took = []
    for where in (narrow, wide):
        begin = loop.time()
        status, _, _ = await ask(where, "/?ackbox-bytes=1000000")
        assert status == 200
        took.append(loop.time() - begin)
    # A million bytes at half a million a second, less what may come at once.
    assert took[0] > 1.2
    assert took[1] < took[0] / 2


async def test_bandwidth_of_the_load_balancer(plane: HttpPlane) -> None:
    bought = {"instanceChargeType": "PayBySpec", "internetChargeType": "paybybandwidth", "bandwidth": 4}
    listener = await plane.listen(balancer=bought)
    begin = asyncio.get_running_loop().time()
    await ask(listener, "/?ackbox-bytes=1000000")
    assert asyncio.get_running_loop().time() - begin > 1.2


async def test_no_cookie_without_sticky_session(plane: HttpPlane) -> None:
    listener = await plane.listen(stickySession="off", cookieTimeout=100)
    _, headers, _ = await ask(listener)
    assert "set-cookie" not in headers
