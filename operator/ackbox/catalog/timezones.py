"""IANA time zones that a cluster can have (`timezones.yaml`)."""

from dataclasses import dataclass
from functools import cache

from ackbox.catalog.data import read_yaml


@dataclass(frozen=True)
class TimeZones:
    """Names of time zones.

    Attributes:
        names: every name that may be given.
        misspelled: names that are seen in print and don't exist, with those that were meant.
    """

    names: tuple[str, ...]
    misspelled: dict[str, str]


@cache
def time_zones() -> TimeZones:
    """The time zones of the catalog."""
    raw = read_yaml("timezones.yaml")
    names = [f"{area}/{place}" if area else place for area, places in raw["areas"].items() for place in places]
    return TimeZones((*names, *raw["since_2020"]), raw["misspelled"])
