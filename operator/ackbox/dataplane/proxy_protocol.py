"""PROXY protocol v2 as our Envoy speaks it to the responder: whose connection it is, and how much of that a server in
the cloud would learn.
"""

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = struct.Struct("!12sBBH")
TLV = struct.Struct("!BH")

PROXY_V2 = 0x21
"""Version 2, and a connection that is carried for somebody else."""

LEARNS = 0xEF
"""Type of the value that says what a server in the cloud would learn: CLIENT, HEADER or both, with a comma between.
Without it the server learns the header, and nothing else."""

CLIENT = "client"
"""The connection comes from the client's own address."""

HEADER = "header"
"""The listener puts a PROXY protocol header before the data."""

_FAMILIES = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}
"""TCP over IPv4 and IPv6, with the bytes of an address."""


@dataclass(frozen=True)
class Origin:
    """What a PROXY protocol header says.

    Attributes:
        source: the client's address and port.
        destination: the listener's address and port.
        learns: what a server in the cloud would learn of it: CLIENT, HEADER.
        values: further values by type.
    """

    source: tuple[str, int]
    destination: tuple[str, int]
    learns: frozenset[str] = frozenset({HEADER})
    values: Mapping[int, bytes] = field(default_factory=dict)

    def fields(self) -> dict[str, object]:
        """What a server in the cloud could say of the connection, for an answer."""
        fields: dict[str, object] = {}
        if CLIENT in self.learns:
            fields["clientIp"] = self.source[0]
        if HEADER in self.learns:
            fields["proxyProtocol"] = True
            fields["proxySource"] = "{}:{}".format(*self.source)
            fields["proxyDestination"] = "{}:{}".format(*self.destination)
            fields["proxyValues"] = {f"0x{kind:02x}": value.hex() for kind, value in self.values.items()}
        return fields


def split(data: bytes) -> tuple[Origin | None, bytes] | None:
    """Take the header off the first bytes of a connection.

    Envoy writes a header in one piece, so less than a signature is no header.

    Returns:
        The header, or None where there is none, and what follows it; None when more bytes are needed.
    """
    if not data.startswith(SIGNATURE):
        return None, data
    if len(data) < FIXED.size:
        return None
    _, version, family, length = FIXED.unpack_from(data)
    end = FIXED.size + length
    if len(data) < end:
        return None
    origin = _origin(family, data[FIXED.size : end]) if version == PROXY_V2 else None
    return origin, data[end:]


def _origin(family: int, body: bytes) -> Origin | None:
    if family not in _FAMILIES:
        return None
    kind, size = _FAMILIES[family]
    if len(body) < 2 * size + 4:
        return None
    source, destination = body[:size], body[size : 2 * size]
    source_port, destination_port = struct.unpack_from("!HH", body, 2 * size)
    values = _values(body[2 * size + 4 :])
    learns = values.pop(LEARNS, HEADER.encode()).decode("ascii", "replace")
    return Origin(
        (socket.inet_ntop(kind, source), source_port),
        (socket.inet_ntop(kind, destination), destination_port),
        frozenset(learns.split(",")),
        values,
    )


def _values(data: bytes) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    while len(data) >= TLV.size:
        kind, length = TLV.unpack_from(data)
        values[kind] = data[TLV.size : TLV.size + length]
        data = data[TLV.size + length :]
    return values
