"""Regions, their zones and the forms of ACK they offer (`regions.yaml`)."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from ackbox.catalog.data import read_yaml
from ackbox.resources.managedcluster import ManagedClusterSpec


class Edition(StrEnum):
    """The forms of ACK that a region may lack and that quotas go by: the columns of ACK's table of regions."""

    ACK_PRO = "ack_pro"
    ACK_STANDARD = "ack_standard"
    ACK_DEDICATED = "ack_dedicated"
    ASK_PRO = "ask_pro"
    ASK_STANDARD = "ask_standard"
    EDGE_PRO = "edge_pro"
    EDGE_STANDARD = "edge_standard"
    REGISTERED = "registered"


@dataclass(frozen=True)
class Region:
    """A region; its id is what `regionId` takes.

    Attributes:
        editions: what can be created there.
        pending: what is to be opened there.
    """

    id: str
    name: str
    kind: str
    editions: frozenset[Edition]
    pending: frozenset[Edition]
    zones: tuple[str, ...]


@cache
def regions() -> dict[str, Region]:
    """Every region, by id."""
    return {
        region_id: Region(
            region_id,
            row["name"],
            row["kind"],
            frozenset(map(Edition, row["editions"])),
            frozenset(map(Edition, row.get("pending", ()))),
            tuple(_zone_id(region_id, letter) for letter in row["zones"]),
        )
        for region_id, row in read_yaml("regions.yaml")["regions"].items()
    }


def edition(spec: ManagedClusterSpec) -> Edition:
    """The form of ACK that a cluster is, by its `clusterType`, `profile` and `clusterSpec`."""
    if spec.cluster_type == "ExternalKubernetes":
        return Edition.REGISTERED
    if spec.cluster_type == "Kubernetes":
        return Edition.ACK_DEDICATED
    family = {"Default": "ack", "Serverless": "ask", "Edge": "edge"}[spec.profile]
    return Edition(f"{family}_{'pro' if spec.pro else 'standard'}")


def _zone_id(region_id: str, letter: str) -> str:
    return f"{region_id}{letter}" if region_id[-1].isdigit() else f"{region_id}-{letter}"
