"""What a virtual server answers over TCP: HTTP with a JSON body that names it, anything else with its name and an echo.

One socket holds one port of one server group; the destination address of a connection says which server of the group
was meant. A PROXY protocol header before the data tells whose connection it is; answers to requests show
what a server in the cloud would learn of it.
"""

import asyncio
import re
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol as Interface

from aiohttp import web

from ackbox.dataplane import proxy_protocol
from ackbox.dataplane.answers import answer
from ackbox.dataplane.model import EVERY_ADDRESS, SO_MAX_PACING_RATE, Address, Identity, Passage
from ackbox.dataplane.proxy_protocol import Origin

IDLE = 900.0
"""Seconds without a byte from the client after which a connection is closed."""

MAX_CONNECTIONS = 20_000
"""Open connections of all virtual servers together; more are refused. Envoy has the same limit."""

KEEP_ALIVE = 75.0
"""Seconds that an idle HTTP connection is kept: longer than Envoy keeps one, so Envoy never uses a closing one."""

_REQUEST = re.compile(rb"[A-Z]{3,20} (/|\*|https?://|[\w.-]+:\d)")


@dataclass(frozen=True)
class Server:
    """A virtual backend server. One that is not up answers nothing."""

    identity: Identity
    up: bool


@dataclass(frozen=True)
class GroupNames:
    """How a server group is called in an answer."""

    group: str
    balancer: str

    def line(self, server: Server) -> bytes:
        """The answer to what is not HTTP, in one line."""
        server_id, ip, port = server.identity
        return f"{server_id} {ip}:{port} {self.group}\n".encode()

    def fields(self, server: Server, request: web.BaseRequest, origin: Origin | None) -> dict[str, object]:
        """The answer to an HTTP request; header names are in lower case."""
        server_id, ip, port = server.identity
        return {
            "serverId": server_id,
            "serverIp": ip,
            # A server without a port of its own takes the one that the client asked for.
            "port": port or (origin.destination[1] if origin else 0),
            "vServerGroupName": self.group,
            "loadBalancerId": self.balancer,
            "method": request.method,
            "path": request.raw_path,
            "xForwardedFor": request.headers.get("X-Forwarded-For"),
            "headers": {
                name.lower(): ", ".join(request.headers.getall(name)) for name in dict.fromkeys(request.headers)
            },
            **(origin.fields() if origin else {}),
        }


@dataclass
class Budget:
    """Counts connections, over all ports."""

    limit: int = MAX_CONNECTIONS
    used: int = 0


class Port(Interface):
    """An open port of a server group."""

    number: int
    names: GroupNames
    servers: Mapping[str, Server]

    async def open(self) -> None:
        """Begin to answer."""

    def assign(self, servers: Mapping[str, Server]) -> None:
        """Which server is meant by which destination address; others get no answer."""

    @property
    def busy(self) -> bool:
        """Whether anything is connected."""

    def stop(self) -> None:
        """Take nothing more; what is connected goes on."""

    def close(self) -> None:
        """Stop, and cut what is connected."""


@dataclass
class TcpPort:
    """A TCP port of a server group, on a listening socket that this object owns.

    Attributes:
        passages: how connections are treated, by the address of the listener that they came by.
        kept: the servers of connections that go on.
    """

    sock: socket.socket
    names: GroupNames
    budget: Budget
    servers: Mapping[str, Server] = field(default_factory=dict)
    connections: dict[str, set["_Connection"]] = field(default_factory=lambda: defaultdict(set))
    passages: Mapping[Address, Passage] = field(default_factory=dict)
    kept: dict[asyncio.BaseTransport, Server] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.number: int = self.sock.getsockname()[1]
        self.origins: dict[asyncio.BaseTransport, Origin] = {}
        self.http = web.Server(self._answer, access_log=None, keepalive_timeout=KEEP_ALIVE)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=self.sock, backlog=1024)

    def assign(self, servers: Mapping[str, Server]) -> None:
        """Which server is meant by which destination address; what others have open is drained or cut."""
        before, self.servers = self.servers, servers
        for address in list(self.connections):
            left = before.get(address) if address not in servers else None
            if left is not None and left.up:
                self._drain(address, left)
            elif address in servers and not servers[address].up:
                self._cut([address])

    def reached(self, address: str) -> Server | None:
        """The server at an address, if it is up."""
        server = self.servers.get(address)
        return server if server is not None and server.up else None

    def answering(self, transport: asyncio.BaseTransport) -> Server | None:
        """The server that a connection reached, if that is up or the connection may go on without it."""
        return self.kept.get(transport) or self.reached(transport.get_extra_info("sockname")[0])

    @property
    def busy(self) -> bool:
        """Whether anything is connected."""
        return bool(self.connections)

    def stop(self) -> None:
        """Take nothing more; what is connected goes on."""
        if self._server is not None:
            self._server.close()
        self.sock.close()

    def close(self) -> None:
        """Stop, and cut what is connected."""
        self.stop()
        self._cut(list(self.connections))

    def _drain(self, address: str, server: Server) -> None:
        for connection in list(self.connections[address]):
            connection.leave(server)

    def _cut(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            for connection in list(self.connections[address]):
                connection.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is None:
            raise ConnectionResetError("the client went away")
        server = self.answering(request.transport)
        if server is None:
            raise ConnectionResetError("the server went away")
        return await answer(request, self.names.fields(server, request, self.origins.get(request.transport)))


class _Connection(asyncio.Protocol):
    """Looks at the first bytes: a request goes to the HTTP server, anything else is echoed."""

    def __init__(self, port: TcpPort) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._inner: asyncio.Protocol | None = None
        self._address = ""
        self._listener: Address | None = None
        self._start: bytes | None = b""
        self._greeted = False
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]
        budget = self._port.budget
        budget.used += 1
        self._port.connections[self._address].add(self)
        if budget.used > budget.limit or self._port.reached(self._address) is None:
            transport.abort()
            return
        self._heard = asyncio.get_running_loop().time()
        self._watch(IDLE)

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        if self._start is not None:
            data = self._introduced(self._start + data)
        if not data:
            return
        if self._inner is not None:
            self._inner.data_received(data)
        elif not self._greeted and _REQUEST.match(data):
            self._inner = self._port.http()
            self._inner.connection_made(self._open)
            self._inner.data_received(data)
        else:
            self._echo(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()
        else:
            self._open.pause_reading()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()
        else:
            self._open.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.budget.used -= 1
        self._port.origins.pop(self._open, None)
        self._port.kept.pop(self._open, None)
        connections = self._port.connections[self._address]
        connections.discard(self)
        if not connections:
            del self._port.connections[self._address]
        for timer in (self._timer, self._end):
            if timer is not None:
                timer.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def abort(self) -> None:
        self._open.abort()

    def leave(self, server: Server) -> None:
        """Its server left the group: go on for as long as its listener says."""
        seconds = self._passage.drain
        if self._end is not None:
            # It drains already: the address has got another server meanwhile.
            return
        if not seconds:
            self.abort()
            return
        self._port.kept[self._open] = server
        self._end = asyncio.get_running_loop().call_later(seconds, self.abort)

    @property
    def _passage(self) -> Passage:
        """How the listener that it came by treats it; that may be bound to every address."""
        if self._listener is None:
            return Passage()
        passages = self._port.passages
        return passages.get(self._listener) or passages.get((EVERY_ADDRESS, self._listener[1])) or Passage()

    @property
    def _open(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def _introduced(self, data: bytes) -> bytes:
        """Note whose connection it is; the bytes that follow."""
        found = proxy_protocol.split(data)
        if found is None:
            self._start = data
            return b""
        self._start = None
        origin, rest = found
        if origin is not None:
            self._listener = origin.destination
            passage = self._passage
            self._port.origins[self._open] = replace(origin, destination=passage.asked or origin.destination)
            if passage.bytes_per_second is not None:
                self._pace(passage.bytes_per_second)
        return rest

    def _pace(self, bytes_per_second: int) -> None:
        sock = self._open.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, bytes_per_second)

    def _echo(self, data: bytes) -> None:
        server = self._port.answering(self._open)
        if server is None:
            self.abort()
            return
        self._open.write(data if self._greeted else self._port.names.line(server) + data)
        self._greeted = True

    def _watch(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._idle)

    def _idle(self) -> None:
        quiet = asyncio.get_running_loop().time() - self._heard
        if quiet >= IDLE:
            self.abort()
        else:
            self._watch(IDLE - quiet)
