"""ValidatingAdmissionPolicy of accounts: who may not buy gets nothing new. Pure, as `policy` is.

What is there already stays, and a pool may be told to grow: the cloud too keeps the wish and fails the purchase.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.resources.account import ACCOUNT
from ackbox.resources.eip import ELASTIC_IP_ADDRESS
from ackbox.resources.loadbalancer import SERVICE_LOAD_BALANCER
from ackbox.resources.managedcluster import MANAGED_CLUSTER
from ackbox.resources.nodepool import NODE_POOL
from ackbox.resources.policy import SPEC, Check, policy, text

OPERATOR = "ackbox:operator"
"""What the cloud side makes for a cluster waits in its controller, with a condition, instead of being refused."""

OWNER = " of the Account default"


@dataclass(frozen=True)
class AccountTexts:
    """The catalog's part: codes and messages in one string each."""

    minimum_balance: int
    unverified: str
    arrears: str
    low_balance: str
    denied_by_ack: str
    denied: str
    actions: Mapping[str, str]


def account_policy(texts: AccountTexts) -> list[dict[str, Any]]:
    """An account that isn't verified, owes, has too little or lacks a permission can't create what costs."""
    actions = "{" + ", ".join(f"{text(kind)}: {text(action)}" for kind, action in texts.actions.items()) + "}"
    registered = "object.kind == 'ManagedCluster' && object.spec.clusterType == 'ExternalKubernetes'"
    subscribed = "object.kind == 'NodePool' && object.spec.scalingGroup.instanceChargeType == 'PrePaid'"
    balancer = f"object.kind == 'ServiceLoadBalancer' && {SPEC}.loadBalancerType != 'clb'"
    variables = {
        "own": f"request.userInfo.username == {text(OPERATOR)}",
        "has": "has(params.spec)",
        "unverified": "variables.has && has(params.spec.realNameVerified) && !params.spec.realNameVerified",
        "owing": "variables.has && has(params.spec.arrears) && params.spec.arrears",
        "balance": f"variables.has && has(params.spec.balance) ? params.spec.balance : {texts.minimum_balance}",
        "usual": f"{actions}[object.kind]",
        "action": f"{balancer} ? {SPEC}.loadBalancerType + ':' + variables.usual.split(':')[1] : variables.usual",
        "refused": "variables.has && has(params.spec.deniedActions) && params.spec.deniedActions.exists(a,"
        " a == variables.action || (a.endsWith('*') && variables.action.startsWith(a.substring(0, a.size() - 1))))",
    }
    free = f"variables.own || ({registered})"
    checks = [
        Check("variables.own || !variables.unverified", text(f"{texts.unverified}: spec.realNameVerified{OWNER}")),
        Check(f"{free} || !variables.owing", text(f"{texts.arrears}: spec.arrears{OWNER}")),
        Check(
            f"{free} || ({subscribed}) || variables.balance >= {texts.minimum_balance}",
            f"{text(texts.low_balance)} + ': spec.balance{OWNER} is ' + string(variables.balance) + ' CNY, and"
            f" pay-as-you-go resources ask for at least {texts.minimum_balance}'",
        ),
        Check(
            "variables.own || !variables.refused",
            f"(variables.action.startsWith('cs:') ? {text(texts.denied_by_ack)} : {text(texts.denied)})"
            f" + ' ' + variables.action + ': spec.deniedActions{OWNER}'",
        ),
    ]
    kinds = (MANAGED_CLUSTER, NODE_POOL, SERVICE_LOAD_BALANCER, ELASTIC_IP_ADDRESS)
    forbidden = [Check(each.expression, each.message, "Forbidden") for each in checks]
    return policy("accounts", kinds, forbidden, variables, ("CREATE",), ACCOUNT)
