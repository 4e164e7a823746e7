"""Listeners on a real Envoy from their specs alone, before virtual servers: no API server, no controller."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from ackbox.dataplane import access_log, envoy_config
from ackbox.dataplane.ads import AdsServer
from ackbox.dataplane.http_settings import http_settings, with_group_cookies
from ackbox.dataplane.model import (
    Address,
    Branch,
    Credentials,
    Endpoint,
    Frontend,
    Serving,
    Stickiness,
    TlsSettings,
    Upstream,
)
from ackbox.dataplane.outcome import resources
from ackbox.dataplane.responder import GroupNames, Server
from ackbox.dataplane.rules import cluster_name
from ackbox.dataplane.servers import VirtualGroup, VirtualServers
from ackbox.dataplane.xds_store import ResourceStore, ResourceType
from ackbox.dataplane.xds_stream import Answer
from ackbox.resources import Listener
from ackbox.resources.listener import LAYER7, ListenerSpec, Protocol, Scheduler
from ackbox.resources.loadbalancer import ServiceLoadBalancerSpec
from ackbox.resources.servergroup import StickySessionConfig
from ackbox.runtime import envoy, tools

DEADLINE = 20.0
LOOPBACK = IPv4Network(f"127.{100 + os.getpid() % 50}.0.0/16")
PORT = 8080
DOWN = "i-down"
"""A server that cuts every connection."""


class HttpPlane:
    """An Envoy and the virtual servers behind it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.logs = access_log.prepare(home)
        self.store = ResourceStore()
        self.ads = AdsServer(self.store, self._answered)
        self.servers = VirtualServers(LOOPBACK)
        self._changed = asyncio.Event()
        self._octets = count(1)

    def _answered(self, _answer: Answer) -> None:
        self._changed.set()

    async def listen(
        self,
        groups: Mapping[str, list[str]] | None = None,
        balancer: dict[str, Any] | None = None,
        cookies: Mapping[str, dict[str, Any]] | None = None,
        tls: tuple[TlsSettings, Credentials] | None = None,
        limits: dict[str, int] | None = None,
        **fields: Any,
    ) -> Address:
        """Serve a listener on an address of its own; where it can be dialled.

        Args:
            groups: names of servers by group; `main` is the listener's own, if it is there.
            balancer: fields of the load balancer's spec, for its limits.
            cookies: StickySessionConfig by group.
            tls: how TLS is ended, and what is needed for it.
            limits: fields of HttpSettings that no load balancer has as low.
            fields: of the listener's spec.
        """
        number = next(self._octets)
        address = (str(LOOPBACK.network_address + 16 * 256 + number), PORT)
        await self.change(address, groups, balancer, cookies, tls, limits, **fields)
        return address

    async def change(
        self,
        address: Address,
        groups: Mapping[str, list[str]] | None = None,
        balancer: dict[str, Any] | None = None,
        cookies: Mapping[str, dict[str, Any]] | None = None,
        tls: tuple[TlsSettings, Credentials] | None = None,
        limits: dict[str, int] | None = None,
        **fields: Any,
    ) -> None:
        """Serve something else on an address."""
        groups = {"main": ["i-1"]} if groups is None else groups
        own = {"vServerGroupId": "main"} if "main" in groups else {}
        spec = ListenerSpec.model_validate(
            {"loadBalancerId": "web", "listenerPort": PORT, "listenerProtocol": "http", **own, **fields}
        )
        name = f"default/web{address[0].rpartition('.')[2]}-{PORT}-{spec.transport}"
        frontend = Frontend(address, spec.listener_protocol, Stickiness.NONE, idle=spec.idle_timeout)
        if spec.listener_protocol in LAYER7:
            configs = {group: StickySessionConfig.model_validate(config) for group, config in (cookies or {}).items()}
            http = http_settings(spec, ServiceLoadBalancerSpec.model_validate(balancer or {}))
            frontend = replace(frontend, http=replace(with_group_cookies(http, configs), **limits or {}))
        listener = Listener.model_validate({"metadata": {"namespace": "default", "name": name[8:]}, "spec": spec})
        frontend = replace(frontend, access_log=access_log.access_log(listener, self.logs), tls=tls[0] if tls else None)
        await self._put(name, spec, groups, frontend, tls[1] if tls else None)

    async def _put(
        self,
        name: str,
        spec: ListenerSpec,
        groups: Mapping[str, list[str]],
        frontend: Frontend,
        credentials: Credentials | None,
    ) -> None:
        branches = {name: Branch(Upstream(Scheduler.RR, Stickiness.NONE, spec.listener_protocol), ())}
        for group, members in groups.items():
            upstream = Upstream(Scheduler.RR, Stickiness.NONE, spec.listener_protocol)
            endpoints = await self._endpoints(f"{name}-{group}", group, members, spec)
            branches[cluster_name(name, spec.v_server_group_id, group)] = Branch(upstream, endpoints)
        for wanted in resources(name, Serving(frontend, branches, credentials)):
            self.store.put(*wanted)
        for wanted in resources(name, Serving(frontend, branches, credentials)):
            await self.running(wanted.kind, wanted.name)

    async def send_to(self, address: Address, server: Address) -> None:
        """Let a server of the test's own answer for a listener."""
        name = f"default/web{address[0].rpartition('.')[2]}-{PORT}-tcp"
        upstream = Upstream(Scheduler.RR, Stickiness.NONE, Protocol.HTTP)
        branch = Branch(upstream, (Endpoint(("i-own", *server), server, 100),))
        self.store.put(ResourceType.ENDPOINTS, name, envoy_config.endpoints(name, branch))
        await self.running(ResourceType.ENDPOINTS, name)

    async def _endpoints(self, key: str, group: str, members: list[str], spec: ListenerSpec) -> tuple[Endpoint, ...]:
        servers = tuple(Server((member, "10.0.0.1", 30080), member != DOWN) for member in members)
        virtual = VirtualGroup(("default", key), GroupNames(group, "web"), servers)
        found = await self.servers.serve(virtual, spec.transport)
        return tuple(Endpoint(identity, address, 100) for identity, address in found.items())

    async def running(self, kind: ResourceType, name: str) -> None:
        """Wait until Envoy runs a resource.

        Raises:
            AssertionError: it was refused.
        """
        async with asyncio.timeout(DEADLINE):
            while not self.ads.runs(kind, name):
                rejection = self.ads.rejection(kind, name)
                assert rejection is None, rejection
                self._changed.clear()
                await self._changed.wait()

    async def lines(self, address: Address, wanted: int) -> list[dict[str, Any]]:
        """The lines of a listener's access log, once there are so many."""
        number = int(address[0].rpartition(".")[2])
        async with asyncio.timeout(DEADLINE):
            while True:
                text = "".join(path.read_text() for path in self.logs.glob(f"default_web{number}-*.log"))
                lines = text.splitlines()
                if len(lines) >= wanted and text.endswith("\n"):
                    return [json.loads(line) for line in lines]
                await asyncio.sleep(0.05)


@asynccontextmanager
async def http_plane(home: Path) -> AsyncIterator[HttpPlane]:
    """An Envoy with nothing to do yet."""
    run = home / "run"
    run.mkdir(mode=0o700)
    plane = HttpPlane(home)
    config = home / "envoy.json"
    config.write_text(envoy.bootstrap(run))
    log = (home / "envoy.log").open("w")
    await plane.ads.start(run / envoy.ADS_SOCKET)
    process = await asyncio.create_subprocess_exec(*envoy.command(tools.envoy(), config), stdout=log, stderr=log)
    try:
        yield plane
    finally:
        process.terminate()
        await process.wait()
        await plane.ads.stop()
        plane.servers.close()


async def ask(
    address: Address, path: str = "/", *, method: str = "GET", source: str = "127.0.0.1", **headers: str
) -> tuple[int, dict[str, str], Any]:
    """One request on a connection of its own: status, headers in lower case, and the body, read as JSON where it is."""
    connector = aiohttp.TCPConnector(local_addr=(source, 0), force_close=True)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        asyncio.timeout(DEADLINE),
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(
            method, f"http://{address[0]}:{address[1]}{path}", headers=names, allow_redirects=False
        ) as response,
    ):
        text = await response.text()
        body = json.loads(text) if response.content_type == "application/json" and text else text
        return response.status, {name.lower(): value for name, value in response.headers.items()}, body


async def served_by(address: Address, requests: int = 1, **options: Any) -> list[str]:
    """The servers that answer so many requests."""
    return [(await ask(address, **options))[2]["serverId"] for _ in range(requests)]
