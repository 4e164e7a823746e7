"""What an account must be to get resources (`accounts.yaml`)."""

from dataclasses import dataclass
from functools import cache

from ackbox.catalog.data import read_yaml


@dataclass(frozen=True)
class Refusal:
    """The cloud's code, and what it says."""

    code: str
    message: str


@dataclass(frozen=True)
class AccountRules:
    """The rules that an account is held to.

    Attributes:
        minimum_balance: CNY that pay-as-you-go resources ask for.
        denied_by_ack: a refusal by RAM of one of ACK's own actions; the action follows the message.
        denied: that of another product's action.
        actions: what making an object of a kind calls.
    """

    minimum_balance: int
    unverified: Refusal
    arrears: Refusal
    low_balance: Refusal
    denied_by_ack: Refusal
    denied: Refusal
    actions: dict[str, str]


@cache
def account_rules() -> AccountRules:
    """The rules of the catalog."""
    raw = read_yaml("accounts.yaml")
    refusals = {name: Refusal(**row) for name, row in raw.items() if isinstance(row, dict) and "code" in row}
    return AccountRules(minimum_balance=raw["minimum_balance"], actions=raw["actions"], **refusals)
