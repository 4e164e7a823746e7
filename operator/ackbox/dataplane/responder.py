"""What a virtual server answers: HTTP with a JSON body that names it, other TCP and UDP with its name and an echo.

One socket holds one port of one server group; the destination address of a connection or datagram says which server
of the group was meant.
"""

import asyncio
import json
import re
import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol as Interface

from aiohttp import web

from ackbox.dataplane.model import Identity

IDLE = 900.0
"""Seconds without a byte from the client after which a connection is closed."""

MAX_CONNECTIONS = 20_000
"""Open connections of all virtual servers together; more are refused. Envoy has the same limit."""

KEEP_ALIVE = 75.0
"""Seconds that an idle HTTP connection is kept: longer than Envoy keeps one, so Envoy never uses a closing one."""

BATCH = 64
"""Datagrams answered before other work has its turn."""

MAX_DATAGRAM = 65_507
"""Bytes of payload that a UDP datagram can hold."""

IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
PACKET_INFO = struct.Struct("@I4s4s")

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

    def body(self, server: Server, request: web.BaseRequest) -> str:
        """The answer to an HTTP request."""
        server_id, ip, port = server.identity
        fields = {
            "serverId": server_id,
            "serverIp": ip,
            "port": port,
            "vServerGroupName": self.group,
            "loadBalancerId": self.balancer,
            "method": request.method,
            "path": request.raw_path,
            "xForwardedFor": request.headers.get("X-Forwarded-For"),
        }
        return json.dumps(fields) + "\n"


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

    def close(self) -> None:
        """Stop, and cut what is connected."""


@dataclass
class TcpPort:
    """A TCP port of a server group, on a listening socket that this object owns."""

    sock: socket.socket
    names: GroupNames
    budget: Budget
    servers: Mapping[str, Server] = field(default_factory=dict)
    connections: dict[str, set["_Connection"]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        self.number: int = self.sock.getsockname()[1]
        self.http = web.Server(self._answer, access_log=None, keepalive_timeout=KEEP_ALIVE)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=self.sock, backlog=1024)

    def assign(self, servers: Mapping[str, Server]) -> None:
        """Which server is meant by which destination address; what others have open is cut."""
        self.servers = servers
        self._cut(address for address in list(self.connections) if self.reached(address) is None)

    def reached(self, address: str) -> Server | None:
        """The server at an address, if it is up."""
        server = self.servers.get(address)
        return server if server is not None and server.up else None

    def close(self) -> None:
        """Stop, and cut what is connected."""
        if self._server is not None:
            self._server.close()
        self.sock.close()
        self._cut(list(self.connections))

    def _cut(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            for connection in list(self.connections[address]):
                connection.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        address = request.transport.get_extra_info("sockname")[0] if request.transport else ""
        server = self.reached(address)
        if server is None:
            raise ConnectionResetError("the server went away")
        return web.Response(
            text=self.names.body(server, request), content_type="application/json", headers={"Server": "ackbox"}
        )


class _Connection(asyncio.Protocol):
    """Looks at the first bytes: a request goes to the HTTP server, anything else is echoed."""

    def __init__(self, port: TcpPort) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._inner: asyncio.Protocol | None = None
        self._address = ""
        self._greeted = False
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

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
        connections = self._port.connections[self._address]
        connections.discard(self)
        if not connections:
            del self._port.connections[self._address]
        if self._timer is not None:
            self._timer.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def abort(self) -> None:
        self._open.abort()

    @property
    def _open(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def _echo(self, data: bytes) -> None:
        server = self._port.reached(self._address)
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


@dataclass
class UdpPort:
    """A UDP port of a server group, on a bound socket that this object owns."""

    sock: socket.socket
    names: GroupNames
    servers: Mapping[str, Server] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.number: int = self.sock.getsockname()[1]

    async def open(self) -> None:
        """Begin to answer."""
        self.sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        asyncio.get_running_loop().add_reader(self.sock, self._readable)

    def assign(self, servers: Mapping[str, Server]) -> None:
        """Which server is meant by which destination address; others get no answer."""
        self.servers = servers

    def close(self) -> None:
        """Stop answering."""
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()

    def _readable(self) -> None:
        for _ in range(BATCH):
            try:
                data, ancillary, _flags, peer = self.sock.recvmsg(MAX_DATAGRAM, socket.CMSG_SPACE(PACKET_INFO.size))
            except (BlockingIOError, ConnectionRefusedError):
                return
            destination = _destination(ancillary)
            server = self.servers.get(socket.inet_ntoa(destination))
            if server is not None and server.up:
                answer = (self.names.line(server) + data)[:MAX_DATAGRAM]
                # The answer leaves from the address that was asked; a full buffer loses it, as UDP may.
                source = [(socket.IPPROTO_IP, IP_PKTINFO, PACKET_INFO.pack(0, destination, b"\0" * 4))]
                with suppress(BlockingIOError, ConnectionRefusedError):
                    self.sock.sendmsg([answer], source, 0, peer)


def _destination(ancillary: list[tuple[int, int, bytes]]) -> bytes:
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            _interface, _local, address = PACKET_INFO.unpack(data[: PACKET_INFO.size])
            return bytes(address)
    return b"\0" * 4
