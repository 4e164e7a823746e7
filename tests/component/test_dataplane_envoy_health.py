"""Every setting of a health check, felt: a real server that is well or not by what the check asks, of CLB and of NLB."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from dataplane_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

IP = "127.0.7.20"
QUICK = {"healthCheckInterval": 1, "healthyThreshold": 2, "unhealthyThreshold": 2}
Answer = Callable[[web.BaseRequest], int]


class RealServer:
    """A real HTTP server whose answers the test decides; it remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: 200
        self.asked: list[int] = []
        self.port = 0
        self._runner = web.ServerRunner(web.Server(self._handle))

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, IP, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(self.answer(request))
        return web.Response(status=self.asked[-1])


@pytest_asyncio.fixture(loop_scope="module")
async def real() -> AsyncIterator[RealServer]:
    server = RealServer()
    await server.start()
    yield server
    await server.stop()


async def checked(world: World, port: int, kind: str, **check: Any) -> str:
    """A listener before the real server, checked as a CLB listener or an NLB group says it."""
    external = {"kubeconfigSecretRef": {"name": "x"}, "allowedCidrs": ["127.0.7.0/24"]}
    spec = {"clusterType": "ExternalKubernetes", "regionId": "cn-hangzhou", "externalCluster": external}
    await world.put(world.caches.clusters, "registered", spec)
    balancer = await world.balancer(loadBalancerType=kind)
    check = {**QUICK, **check}
    ours = [{"serverId": "i-real", "serverIp": IP, "port": port, "weight": 100}]
    if kind == "clb":
        group = await world.group(balancer, ours, clusterId="registered")
        return await world.listener(balancer, 8080, group, **check)
    config = {"healthCheckEnabled": True, **{NLB.get(name, name): value for name, value in check.items()}}
    if "healthCheckType" in config:
        config["healthCheckType"] = config["healthCheckType"].upper()
    if "healthCheckHttpCode" in config:
        config["healthCheckHttpCode"] = config["healthCheckHttpCode"].split(",")
    group = await world.group(balancer, ours, clusterId="registered", protocol="TCP", healthCheckConfig=config)
    return await world.listener(balancer, 8080, group)


NLB = {"healthCheckURI": "healthCheckUrl", "healthCheckMethod": "httpCheckMethod"}
"""How the NLB API calls it."""


async def becomes(world: World, listener: str, healthy: int) -> None:
    await world.until(
        world.caches.listeners, listener, lambda status: status.get("backends") == {"total": 1, "healthy": healthy}
    )


HTTP = {"healthCheckType": "http"}
kinds = pytest.mark.parametrize("kind", ["clb", "nlb"])


@kinds
@pytest.mark.parametrize(
    ("answer", "well", "unwell"),
    [
        pytest.param(lambda _: 500, {"healthCheckType": "tcp"}, HTTP, id="type"),
        pytest.param(
            lambda r: 200 if r.path == "/a" else 404,
            {**HTTP, "healthCheckURI": "/a"},
            {**HTTP, "healthCheckURI": "/b"},
            id="uri",
        ),
        pytest.param(
            lambda r: 200 if r.host.startswith("a.example.com") else 404,
            {**HTTP, "healthCheckDomain": "a.example.com"},
            {**HTTP, "healthCheckDomain": "b.example.com"},
            id="domain",
        ),
        pytest.param(
            lambda _: 302,
            {**HTTP, "healthCheckHttpCode": "http_2xx,http_3xx"},
            {**HTTP, "healthCheckHttpCode": "http_2xx"},
            id="httpcode",
        ),
    ],
)
async def test_what_is_asked(
    world: World, real: RealServer, kind: str, answer: Answer, well: dict[str, Any], unwell: dict[str, Any]
) -> None:
    real.answer = answer
    good, bad = await checked(world, real.port, kind, **well), await checked(world, real.port, kind, **unwell)
    await becomes(world, bad, 0)
    await becomes(world, good, 1)


async def test_method(world: World, real: RealServer) -> None:
    real.answer = lambda request: 200 if request.method == "GET" else 405
    # A CLB listener that speaks TCP always asks by HEAD.
    get = await checked(world, real.port, "nlb", **HTTP, healthCheckMethod="GET")
    head = await checked(world, real.port, "nlb", **HTTP, healthCheckMethod="HEAD")
    await becomes(world, head, 0)
    await becomes(world, get, 1)
    balancer = await world.balancer()
    ours = [{"serverId": "i-real", "serverIp": IP, "port": real.port, "weight": 100}]
    group = await world.group(balancer, ours, clusterId="registered")
    for port, (method, healthy) in enumerate((("get", 1), ("head", 0)), 8081):
        http = {"protocol": "http", "healthCheck": "on", "healthCheckMethod": method}
        await becomes(world, await world.listener(balancer, port, group, **http, **QUICK), healthy)


@kinds
async def test_port(world: World, real: RealServer, kind: str) -> None:
    nobody = await checked(world, 1, kind)
    elsewhere = await checked(world, 1, kind, healthCheckConnectPort=real.port)
    await becomes(world, nobody, 0)
    await becomes(world, elsewhere, 1)


@kinds
async def test_thresholds(world: World, real: RealServer, kind: str) -> None:
    listener = await checked(world, real.port, kind, **HTTP, unhealthyThreshold=4, healthyThreshold=5)
    await becomes(world, listener, 1)
    real.answer, real.asked = lambda _: 500, []
    await becomes(world, listener, 0)
    assert real.asked.count(500) >= 4
    real.answer, real.asked = lambda _: 200, []
    await becomes(world, listener, 1)
    assert real.asked.count(200) >= 5


@pytest_asyncio.fixture(loop_scope="module")
async def slow() -> AsyncIterator[int]:
    """The port of a real server that takes 1.5 s for an answer."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, IP, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@kinds
async def test_time_out(world: World, slow: int, kind: str) -> None:
    short = await checked(world, slow, kind, **HTTP, healthCheckConnectTimeout=1)
    long = await checked(world, slow, kind, **HTTP, healthCheckConnectTimeout=5)
    await becomes(world, short, 0)
    await becomes(world, long, 1)


async def test_time_out_of_requests(world: World, slow: int) -> None:
    http = {"protocol": "http", "healthCheck": "on"}
    short = await checked(world, slow, "clb", **http, healthCheckTimeout=1)
    long = await checked(world, slow, "clb", **http, healthCheckTimeout=5)
    await becomes(world, short, 0)
    await becomes(world, long, 1)


@kinds
async def test_switched_off(world: World, kind: str) -> None:
    off = {"healthCheckSwitch": "off"} if kind == "clb" else {"healthCheckEnabled": False}
    unchecked, on = await checked(world, 1, kind, **off), await checked(world, 1, kind)
    await becomes(world, on, 0)
    await becomes(world, unchecked, 1)
