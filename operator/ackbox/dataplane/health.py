"""The health of virtual servers: what SLB's probes would find, computed from the Instances and the clock.

A server is seen as healthy or not from its first look on; a change counts only after it has lasted for the listener's
threshold × interval, as it would have taken so many probes to notice it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ackbox.dataplane.model import HealthCheck, Identity


@dataclass(frozen=True)
class Health:
    """One server in the eyes of one listener.

    Attributes:
        healthy: what the listener goes by.
        since: when the server was first found to be otherwise, in seconds of a monotonic clock; None when it is not.
    """

    healthy: bool
    since: float | None = None


def observe(before: Health | None, up: bool, check: HealthCheck | None, now: float) -> Health:
    """The health of a server that is up or not at this moment; without a check every server is healthy."""
    if check is None:
        return Health(healthy=True)
    if before is None:
        return Health(healthy=up)
    if before.healthy == up:
        return Health(healthy=up)
    since = now if before.since is None else before.since
    if now - since >= (check.rise if up else check.fall):
        return Health(healthy=up)
    return Health(before.healthy, since)


def observe_all(
    before: Mapping[Identity, Health], up: Mapping[Identity, bool], check: HealthCheck | None, now: float
) -> dict[Identity, Health]:
    """The health of all servers of a listener; servers that left are forgotten."""
    return {identity: observe(before.get(identity), is_up, check, now) for identity, is_up in up.items()}


def next_change(table: Mapping[Identity, Health], check: HealthCheck | None) -> float | None:
    """When some server's health will change if nothing else happens; None when none is on its way."""
    if check is None:
        return None
    due = [h.since + (check.fall if h.healthy else check.rise) for h in table.values() if h.since is not None]
    return min(due, default=None)
