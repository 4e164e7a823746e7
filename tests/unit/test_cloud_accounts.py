"""What an account must be to get resources: real name, bills, balance, permissions."""

import pytest

from ackbox.cloud.accounts.plan import account_state
from ackbox.cloud.allocation.account import account_problem, create_load_balancer, forbidden
from ackbox.kube.conditions import progressing


def account(name="default", **spec):
    return {"metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"realNameVerified": False}, "RealNameAuthenticationError", "spec.realNameVerified"),
        ({"arrears": True}, "Account.Arrearage", "spec.arrears"),
        (
            {"balance": 99},
            "InvalidAccountStatus.NotEnoughBalance",
            "ask for 100 CNY, and there are 99: spec.balance of the Account default.",
        ),
        ({"deniedActions": ["ecs:RunInstances"]}, "Forbidden.RAM", "ecs:RunInstances"),
        ({"deniedActions": ["ecs:Run*"]}, "Forbidden.RAM", "spec.deniedActions"),
        ({"deniedActions": ["*"]}, "Forbidden.RAM", "spec.deniedActions"),
    ],
)
def test_what_keeps_an_account_from_buying_machines(spec, code, words):
    found = account_problem(account(**spec), "ecs:RunInstances")
    assert found is not None
    assert found[0] == code
    assert words in found[1]
    assert forbidden(progressing(*found))


@pytest.mark.parametrize("spec", [{}, {"balance": 100}, {"deniedActions": ["slb:*", "ecs:StopInstance", "ec"]}])
def test_an_account_in_order_buys(spec):
    assert account_problem(account(**spec), "ecs:RunInstances") is None
    assert account_problem(None, "ecs:RunInstances") is None


def test_a_subscription_asks_for_no_balance_but_for_paid_bills():
    assert account_problem(account(balance=0), "ecs:RunInstances", pay_as_you_go=False) is None
    assert account_problem(account(arrears=True), "ecs:RunInstances", pay_as_you_go=False) is not None


def test_ack_names_its_own_actions_in_its_own_way():
    found = account_problem(account(deniedActions=["cs:CreateCluster"]), "cs:CreateCluster")
    assert found is not None
    assert found[0] == "StatusForbidden"
    assert found[1].startswith("RAM policy Forbidden for action cs:CreateCluster")


def test_each_kind_of_load_balancer_is_a_product():
    assert [create_load_balancer(kind) for kind in ("clb", "nlb", "alb")] == [
        "slb:CreateLoadBalancer",
        "nlb:CreateLoadBalancer",
        "alb:CreateLoadBalancer",
    ]


def test_an_account_says_what_it_can_not_do():
    assert account_state(account()).ready == "True"
    assert account_state(account(balance=5)).reason == "InvalidAccountStatus.NotEnoughBalance"
    lost = account_state(account(deniedActions=["slb:*"]))
    assert (lost.reason, lost.stalled) == ("Forbidden.RAM", True)
    assert "slb:*" in lost.message
    assert account_state(account("other", balance=5)).reason == "Unused"
