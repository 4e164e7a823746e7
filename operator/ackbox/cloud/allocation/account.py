"""Whether an account may buy: real name, bills, balance, permissions. Pure; read by every product that gives something."""

from ackbox.catalog.accounts import Refusal, account_rules
from ackbox.kube.client import Object
from ackbox.kube.conditions import State
from ackbox.resources.account import ACCOUNT_NAME, Account

RUN_INSTANCES = "ecs:RunInstances"
CREATE_CLUSTER = "cs:CreateCluster"


def create_load_balancer(kind: str) -> str:
    """RAM's name of making a load balancer of a kind: clb, nlb or alb."""
    return f"{'slb' if kind == 'clb' else kind}:CreateLoadBalancer"


def account_problem(account: Object | None, action: str, pay_as_you_go: bool = True) -> tuple[str, str] | None:
    """Why an action of the cloud is refused: the cloud's code and a message; None when it isn't.

    Args:
        account: the Account of the namespace; none means that all is well.
        action: RAM's name of what is to be done, such as `ecs:RunInstances`.
        pay_as_you_go: whether it asks for the least balance; subscriptions are paid for when they are made.
    """
    if account is None:
        return None
    spec, rules = Account.model_validate(account).spec, account_rules()
    if not spec.real_name_verified:
        return _told(rules.unverified, "spec.realNameVerified")
    if spec.arrears:
        return _told(rules.arrears, "spec.arrears")
    if pay_as_you_go and spec.balance < rules.minimum_balance:
        least = (
            f"pay-as-you-go resources ask for {rules.minimum_balance} CNY, and there are {spec.balance}: spec.balance"
        )
        return _told(rules.low_balance, least)
    if any(_covers(denied, action) for denied in spec.denied_actions):
        refusal = rules.denied_by_ack if action.startswith("cs:") else rules.denied
        return (
            refusal.code,
            f"{refusal.message} {action}; take it out of spec.deniedActions of the Account {ACCOUNT_NAME}.",
        )
    return None


def forbidden(state: State) -> bool:
    """Whether it is the account that keeps an object from being made."""
    rules = account_rules()
    every = (rules.unverified, rules.arrears, rules.low_balance, rules.denied_by_ack, rules.denied)
    return state.reason in {refusal.code for refusal in every}


def _covers(denied: str, action: str) -> bool:
    return denied == action or (denied.endswith("*") and action.startswith(denied[:-1]))


def _told(refusal: Refusal, field: str) -> tuple[str, str]:
    return refusal.code, f"{refusal.message}: {field} of the Account {ACCOUNT_NAME}."
