"""Which port a listener really takes: its own, or a high one where its own is privileged and ackbox is not."""

from pathlib import Path

SHIFT = 10_000
"""Added to a privileged port that can't be bound."""

CAP_NET_BIND_SERVICE = 10
"""Bit of the capability in /proc/self/status."""


def first_bindable(
    start: Path = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start"), status: Path = Path("/proc/self/status")
) -> int:
    """The lowest port that this process, and so its Envoy, may bind."""
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:") and int(line.split()[1], 16) >> CAP_NET_BIND_SERVICE & 1:
            return 1
    return int(start.read_text())


def dialled(port: int, lowest: int) -> int:
    """The port to bind and to dial for a listener's port."""
    return port if port >= lowest else port + SHIFT


def stands_in_for(port: int, lowest: int) -> int | None:
    """The privileged port whose stand-in a port is, if there can be one."""
    original = port - SHIFT
    return original if 0 < original < lowest else None
