"""What ackbox tells of objects (`reasons.yaml`): reasons of events and conditions, and what to do about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from ackbox.catalog.accounts import account_rules
from ackbox.catalog.data import read_yaml
from ackbox.catalog.high_risk import operations
from ackbox.catalog.quotas import quotas


class Told(StrEnum):
    """How a reason is told."""

    WARNING = "warning"
    """An event that needs somebody's eye; most are the reason of a condition, too."""
    NORMAL = "normal"
    """An event that tells of progress."""
    CONDITION = "condition"
    """No event: it stands in the conditions of the object."""


@dataclass(frozen=True)
class Reason:
    """A row.

    Attributes:
        kinds: the kinds of objects that it is told of.
        means: in words.
        do: what to do about it; empty where nothing has to be done.
    """

    name: str
    kinds: tuple[str, ...]
    told: Told
    means: str
    do: str


@cache
def reasons() -> Mapping[str, Reason]:
    """The rows by their names; a ValueError when two have the same name."""
    found: dict[str, Reason] = {}
    for raw in read_yaml("reasons.yaml")["reasons"]:
        row = Reason(raw["name"], tuple(raw["kinds"]), Told(raw["told"]), raw["means"], raw["do"])
        if row.name in found:
            raise ValueError(f"reasons.yaml: {row.name} stands there twice")
        found[row.name] = row
    return found


def reasons_of_tables() -> frozenset[str]:
    """The reasons that other tables of the catalog explain: codes of quotas and of the account, high-risk operations."""
    rules = account_rules()
    refusals = (rules.unverified, rules.arrears, rules.low_balance, rules.denied_by_ack, rules.denied)
    rows = operations().values()
    harms = {each for row in rows for each in (row.reason, row.event) if each}
    return frozenset({refusal.code for refusal in refusals} | {quota.code for quota in quotas().values()} | harms)
