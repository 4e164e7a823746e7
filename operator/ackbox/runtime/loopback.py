"""Which /16 of 127/8 belongs to which home: homes on one machine never share an address.

The claims of a user are files `<cache>/homes/<X>` that hold the path of the home using 127.X.0.0/16. Where the search
begins is derived from the path, so homes of different users are unlikely to meet; a busy port is looked for as well.
"""

import errno
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from ackbox.runtime.cache import cache_folder
from ackbox.runtime.errors import HomeProblem
from ackbox.runtime.files import locked, private_folder

# 127.0 is the machine's own, and the next few are those people use by hand.
FIRST, LAST = 16, 250
API_PORT = 6443


RESERVATIONS = "loopback-addresses"
"""ConfigMap of the management cluster that says who has which address: `127-16-1-1: apiserver/team-a/demo/…`."""


class AddressUse(Enum):
    """What an address of a home is for: the first and the last value of its third byte."""

    API_SERVER = (1, 15)
    """API servers of clusters, and the members of their etcds."""
    LOAD_BALANCER = (16, 127)

    def holds(self, home: IPv4Network, address: IPv4Address) -> bool:
        """Whether an address of this home is for this use."""
        first, last = self.value
        return address in home and first <= address.packed[2] <= last


def candidates(home: IPv4Network, use: AddressUse) -> Iterator[IPv4Address]:
    """The addresses for a use, the lowest first. The last byte is never 0 or 255."""
    first, last = use.value
    base = int(home.network_address)
    return (IPv4Address(base + third * 256 + fourth) for third in range(first, last + 1) for fourth in range(1, 255))


def claim(home: Path, preferred: IPv4Network | None = None) -> IPv4Network:
    """Take a free range for a home; the preferred one, if it is free.

    Raises:
        HomeProblem: none is free.
    """
    count = LAST - FIRST + 1
    start = int.from_bytes(hashlib.sha256(os.fsencode(home)).digest()[:4]) % count
    networks = [_network(FIRST + (start + step) % count) for step in range(count)]
    with locked(_claims() / ".lock"):
        for network in ([preferred] if preferred else []) + networks:
            if _owner(network) in (None, home) and not _busy(network):
                _write(network, home)
                return network
    raise HomeProblem(f"all {count} loopback ranges are taken; `ackbox clean` frees that of a home no longer needed")


def confirm(home: Path, network: IPv4Network) -> None:
    """Make sure that the claim of a home still stands, taking it again if its file is gone.

    Raises:
        HomeProblem: another home has taken the range meanwhile.
    """
    with locked(_claims() / ".lock"):
        owner = _owner(network)
        if owner not in (None, home):
            raise HomeProblem(f"{network} is used by the home {owner} too; run `ackbox clean` for one of the two")
        if owner is None:
            _write(network, home)


def release(home: Path, network: IPv4Network) -> None:
    """Give the range back."""
    with locked(_claims() / ".lock"):
        claim_file = _file(network)
        if claim_file.exists() and Path(claim_file.read_text().strip()) == home:
            claim_file.unlink()


def is_range(network: IPv4Network) -> bool:
    """Whether a home can have a network for itself."""
    return network.prefixlen == 16 and network.is_loopback


def holder(network: IPv4Network) -> Path | None:
    """The home that has a range, if one of this user's has."""
    return _owner(network)


def _claims() -> Path:
    return private_folder(cache_folder() / "homes")


def _network(number: int) -> IPv4Network:
    return IPv4Network(f"127.{number}.0.0/16")


def _file(network: IPv4Network) -> Path:
    return _claims() / str(network.network_address.packed[1])


def _owner(network: IPv4Network) -> Path | None:
    """The home that holds a claim; a claim whose home is gone, or uses another range, is nobody's."""
    try:
        home = Path(_file(network).read_text().strip())
    except FileNotFoundError:
        return None
    if not home.is_dir():
        return None
    try:
        state = json.loads((home / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return home  # being set up at this moment, or damaged
    return home if state.get("loopback") == str(network) else None


def _write(network: IPv4Network, home: Path) -> None:
    claim_file = _file(network)
    claim_file.unlink(missing_ok=True)
    with claim_file.open("x") as file:
        file.write(f"{home}\n")


def _busy(network: IPv4Network) -> bool:
    """Whether somebody, maybe another user's ackbox, listens on the address of the management plane."""
    with socket.socket() as probe:
        try:
            probe.bind((str(network[1]), API_PORT))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
