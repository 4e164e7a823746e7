"""Operating systems that nodes can have (`operating_systems.yaml`)."""

from dataclasses import dataclass
from functools import cache

from ackbox.catalog.data import read_yaml


@dataclass(frozen=True)
class OperatingSystem:
    """What an `imageType` stands for.

    Attributes:
        os: the Node's `kubernetes.io/os`.
        refused: why no node can have it; None when it can.
        default: whether nodes have it when nobody names one.
    """

    image_type: str
    name: str
    os: str
    refused: str | None
    default: bool


@cache
def operating_systems() -> dict[str, OperatingSystem]:
    """Every operating system, by image type."""
    raw = read_yaml("operating_systems.yaml")
    return {
        image_type: OperatingSystem(
            image_type, row["name"], row["os"], row.get("refused"), default=image_type == raw["default"]
        )
        for image_type, row in raw["image_types"].items()
    }


def operating_system(image: str | None) -> OperatingSystem:
    """The operating system of an image; an image of somebody's own, or none named, has ACK's default."""
    known = operating_systems()
    return known.get(image or "") or next(each for each in known.values() if each.default)
