"""What an account can't do. Pure."""

from ackbox.cloud.allocation.account import account_problem
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, ready, stalled
from ackbox.resources.account import ACCOUNT_NAME, Account

ANY_ACTION = "cs:DescribeClusters"
"""Something that no purchase needs: its refusal is that of the account as a whole."""


def account_state(obj: Object) -> State:
    """The conditions of an Account."""
    account = Account.model_validate(obj)
    if account.metadata.name != ACCOUNT_NAME:
        return stalled("Unused", f"metadata.name: only the Account {ACCOUNT_NAME} of a namespace counts")
    found = account_problem({**obj, "spec": {**obj.get("spec", {}), "deniedActions": []}}, ANY_ACTION)
    if found is not None:
        return stalled(*found)
    denied = account.spec.denied_actions
    if denied:
        return stalled("Forbidden.RAM", f"ACK's roles lack {', '.join(denied)} (spec.deniedActions); restore them")
    return ready("Normal")
