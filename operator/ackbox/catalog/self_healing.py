"""When self-healing works on a machine (`self_healing.yaml`)."""

from dataclasses import dataclass
from functools import cache

from ackbox.catalog.data import read_yaml


@dataclass(frozen=True)
class SelfHealing:
    """Seconds that a node is out of service before something is done.

    Attributes:
        restart_after: its machine is restarted.
        replace_after: its machine gets a new system disk.
    """

    restart_after: float
    replace_after: float


@cache
def self_healing() -> SelfHealing:
    """The rules."""
    rules = read_yaml("self_healing.yaml")
    return SelfHealing(rules["restartAfterSeconds"], rules["replaceSystemDiskAfterSeconds"])
