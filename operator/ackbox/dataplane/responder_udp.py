"""What a virtual server answers over UDP: its name and an echo.

One socket holds one port of one server group; the destination address of a datagram says which server was meant.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ackbox.dataplane.responder import GroupNames, Server

BATCH = 64
"""Datagrams answered before other work has its turn."""

MAX_DATAGRAM = 65_507
"""Bytes of payload that a UDP datagram can hold."""

IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
PACKET_INFO = struct.Struct("@I4s4s")


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

    @property
    def busy(self) -> bool:
        """Nothing is connected to a UDP port."""
        return False

    def stop(self) -> None:
        """Stop answering: there are no connections that could go on."""
        if self.sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.sock)
            self.sock.close()

    def close(self) -> None:
        """Stop answering."""
        self.stop()

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
