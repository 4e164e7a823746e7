"""What ACK runs for a cluster, and how it throttles requests (`control_planes.yaml`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ackbox.catalog.data import read_yaml
from ackbox.catalog.regions import Edition


@dataclass(frozen=True)
class RequestLimits:
    """How an API server throttles.

    Attributes:
        reading: requests served at once that read.
        mutating: those that write.
        user_shares: shares of all of them that users may take, beside those of the API server's own priority levels.
        waiting: whether what goes beyond waits for a while before it is refused.
    """

    reading: int
    mutating: int
    user_shares: int
    waiting: bool


@dataclass(frozen=True)
class ControlPlanes:
    """How control planes are made up.

    Attributes:
        api_servers: of a highly available cluster that ACK manages.
        etcd_members: the same.
        master_instance_types: of dedicated clusters that name none.
        limits: of each API server, by edition.
    """

    api_servers: int
    etcd_members: int
    master_instance_types: tuple[str, ...]
    limits: Mapping[Edition, RequestLimits]


@cache
def control_planes() -> ControlPlanes:
    """The table."""
    table = read_yaml("control_planes.yaml")
    limits = {
        Edition(name): RequestLimits(row["reading"], row["mutating"], row["userShares"], row["waiting"])
        for name, row in table["limits"].items()
    }
    types = tuple(table["masterInstanceTypes"])
    return ControlPlanes(table["apiServers"], table["etcdMembers"], types, limits)
