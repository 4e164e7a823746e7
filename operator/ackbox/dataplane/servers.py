"""The virtual servers of all server groups: their loopback addresses and their open ports."""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Literal, TypeAlias

from ackbox.dataplane.model import Address, Identity, Passage
from ackbox.dataplane.responder import Budget, GroupNames, Port, Server, TcpPort
from ackbox.dataplane.responder_udp import UdpPort
from ackbox.kube.cache import Key

Transport: TypeAlias = Literal["tcp", "udp"]
Machine: TypeAlias = tuple[str, str, str]
"""Namespace, server id and server IP: what has a loopback address of its own."""

FIRST_PORT, LAST_PORT = 61_000, 65_535
"""Above the ephemeral ports and NodePorts, where listeners are rare."""


LINGER = 1.0
"""Seconds that a server which left its group still answers: Envoy may be sending to it for another moment."""


class Exhausted(Exception):
    """There is no loopback address left for another virtual server."""


class AddressPool:
    """Gives each machine a loopback address for as long as somebody holds it; a free one rests as long as possible."""

    def __init__(self, network: IPv4Network) -> None:
        self._free = dict.fromkeys(str(address) for address in network.hosts())
        self._addresses: dict[Machine, str] = {}
        self._holders: dict[Machine, int] = {}

    def take(self, machine: Machine) -> str:
        """Hold the address of a machine once more.

        Raises:
            Exhausted: every address is taken.
        """
        address = self._addresses.get(machine)
        if address is None:
            if not self._free:
                raise Exhausted("no loopback address is left for another virtual server")
            address = self._addresses[machine] = next(iter(self._free))
            del self._free[address]
        self._holders[machine] = self._holders.get(machine, 0) + 1
        return address

    def release(self, machine: Machine) -> None:
        """Hold it once less."""
        self._holders[machine] -= 1
        if not self._holders[machine]:
            del self._holders[machine]
            self._free[self._addresses.pop(machine)] = None


@dataclass(frozen=True)
class VirtualGroup:
    """A server group as the responder needs it."""

    key: Key
    names: GroupNames
    servers: tuple[Server, ...]


@dataclass
class _Served:
    """What is open for a group; `former` are ports, by the servers' port, that only go on with what is connected."""

    group: VirtualGroup | None
    machines: dict[Machine, str]
    ports: dict[int, Port]
    former: list[tuple[int, Port]] = field(default_factory=list)
    trim: asyncio.TimerHandle | None = None


class VirtualServers:
    """Keeps the ports of the virtual servers open.

    Args:
        network: the home's /16; the upper half is ours.
        linger: seconds that a server which left still answers.
    """

    def __init__(self, network: IPv4Network, linger: float = LINGER) -> None:
        self.home = network
        self._linger = linger
        self._pool = AddressPool(list(network.subnets(prefixlen_diff=1))[1])
        self._claimed: Counter[int] = Counter()
        self._claims: dict[Key, frozenset[int]] = {}
        self._passages: dict[Address, Passage] = {}
        self._served: dict[tuple[Key, Transport], _Served] = {}
        self._open_ports: Counter[int] = Counter()
        self._budget = Budget()
        self._next = FIRST_PORT

    async def serve(self, group: VirtualGroup, transport: Transport) -> dict[Identity, Address]:
        """Answer for a group's servers from now on; where each can be dialled.

        Raises:
            Exhausted: more servers than addresses.
            OSError: no socket could be opened.
        """
        served = self._served.setdefault((group.key, transport), _Served(None, {}, {}))
        if served.group != group:
            for server in group.servers:
                machine = _machine(group, server)
                if machine not in served.machines:
                    served.machines[machine] = self._pool.take(machine)
            await self._open(served, group, transport)
            served.group = group
            if served.trim is not None:
                served.trim.cancel()
            served.trim = asyncio.get_running_loop().call_later(self._linger, self._trim, served)
        return _addresses(served, group)

    def release(self, key: Key, transport: Transport) -> None:
        """Stop answering for a group."""
        served = self._served.pop((key, transport), None)
        if served is not None:
            if served.trim is not None:
                served.trim.cancel()
            for number in list(served.ports):
                self._stop(served, number)
            for _, port in served.former:
                port.close()
            for machine in served.machines:
                self._pool.release(machine)

    def claim(self, listener: Key, numbers: frozenset[int]) -> list[Key]:
        """Keep off the ports that a listener binds, on whatever address; the groups to serve again.

        Args:
            listener: who binds them; its former claim ends.
            numbers: the ports; none when the listener is gone.
        """
        before = self._claims.pop(listener, frozenset())
        if numbers:
            self._claims[listener] = numbers
        self._claimed.update(numbers - before)
        self._claimed.subtract(before - numbers)
        taken = {number for number in numbers - before if self._open_ports[number]}
        if not taken:
            return []
        keys: list[Key] = []
        for (key, _), served in self._served.items():
            for wanted, port in list(served.ports.items()):
                if port.number in taken:
                    self._stop(served, wanted)
                    # No longer what it was served as, so the next look opens the port anew.
                    served.group = None
                    keys.append(key)
        return keys

    def treat(self, before: tuple[Address, ...], now: Mapping[Address, Passage]) -> None:
        """Treat the connections that come by way of these listening addresses like this."""
        for address in before:
            self._passages.pop(address, None)
        self._passages.update({address: passage for address, passage in now.items() if passage != Passage()})

    def close(self) -> None:
        """Stop answering for every group."""
        for key, transport in list(self._served):
            self.release(key, transport)

    async def _open(self, served: _Served, group: VirtualGroup, transport: Transport) -> None:
        by_port = _by_port(served, group)
        for number in sorted(by_port.keys() - served.ports.keys()):
            sock = self._bind(transport)
            port: Port = self._port(sock, group.names, transport)
            served.ports[number] = port
            self._open_ports[port.number] += 1
            await port.open()
        for number, port in (*served.ports.items(), *served.former):
            port.names = group.names
            port.assign({**port.servers, **by_port.get(number, {})})

    def _port(self, sock: socket.socket, names: GroupNames, transport: Transport) -> Port:
        return (
            TcpPort(sock, names, self._budget, passages=self._passages) if transport == "tcp" else UdpPort(sock, names)
        )

    def _trim(self, served: _Served) -> None:
        """Let go of what is no longer in a group."""
        group, served.trim = served.group, None
        if group is None:
            return
        by_port = _by_port(served, group)
        for number in served.ports.keys() - by_port.keys():
            self._stop(served, number)
        for number, port in (*served.ports.items(), *served.former):
            port.assign(by_port.get(number, {}))
        served.former = [(number, port) for number, port in served.former if port.busy]
        wanted = {_machine(group, server) for server in group.servers}
        for machine in [machine for machine in served.machines if machine not in wanted]:
            self._pool.release(machine)
            del served.machines[machine]

    def _stop(self, served: _Served, number: int) -> None:
        port = served.ports.pop(number)
        self._open_ports[port.number] -= 1
        port.stop()
        served.former.append((number, port))

    def _bind(self, transport: Transport) -> socket.socket:
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        try:
            # Only what comes over the loopback interface reaches it, though it is bound to every address.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            for _ in range(FIRST_PORT, LAST_PORT + 1):
                number, self._next = self._next, self._next + 1 if self._next < LAST_PORT else FIRST_PORT
                if not self._claimed[number] and _bound(sock, number):
                    return sock
            sock.bind(("0.0.0.0", 0))  # noqa: S104 - see above
        except OSError:
            sock.close()
            raise
        return sock


def _bound(sock: socket.socket, number: int) -> bool:
    try:
        sock.bind(("0.0.0.0", number))  # noqa: S104 - bound to the loopback interface before
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def _by_port(served: _Served, group: VirtualGroup) -> dict[int, dict[str, Server]]:
    found: dict[int, dict[str, Server]] = {}
    for server in group.servers:
        found.setdefault(server.identity[2], {})[served.machines[_machine(group, server)]] = server
    return found


def _machine(group: VirtualGroup, server: Server) -> Machine:
    server_id, server_ip, _ = server.identity
    return group.key[0], server_id, server_ip


def _addresses(served: _Served, group: VirtualGroup) -> dict[Identity, Address]:
    return {
        server.identity: (served.machines[_machine(group, server)], served.ports[server.identity[2]].number)
        for server in group.servers
    }
