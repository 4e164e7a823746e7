"""Regions, their zones and the ACK editions they offer (`regions.yaml`)."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from ackbox.catalog.data import read_yaml


class Edition(StrEnum):
    """The forms of ACK that ackbox plays and a region may lack."""

    PRO = "pro"
    STANDARD = "standard"
    REGISTERED = "registered"


@dataclass(frozen=True)
class Region:
    """A region; its id is what `regionId` takes."""

    id: str
    name: str
    editions: frozenset[Edition]
    zones: tuple[str, ...]


@cache
def regions() -> dict[str, Region]:
    """Every region, by id."""
    return {
        region_id: Region(
            region_id,
            row["name"],
            frozenset(Edition(name) for name in row["editions"]),
            tuple(_zone_id(region_id, letter) for letter in row["zones"]),
        )
        for region_id, row in read_yaml("regions.yaml")["regions"].items()
    }


def edition(cluster_type: str, cluster_spec: str) -> Edition:
    """The edition that a ManagedCluster's `clusterType` and `clusterSpec` ask for."""
    if cluster_type == "ExternalKubernetes":
        return Edition.REGISTERED
    return Edition.PRO if cluster_spec == "ack.pro.small" else Edition.STANDARD


def _zone_id(region_id: str, letter: str) -> str:
    return f"{region_id}{letter}" if region_id[-1].isdigit() else f"{region_id}-{letter}"
