"""Account: the state of the cloud account that a namespace is; one object `default` a namespace, none means all is well."""

from typing import Annotated, ClassVar

from pydantic import Field

from ackbox.resources.base import (
    AGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    Model,
    Resource,
    Rule,
    Status,
    ackbox_kind,
)

ACCOUNT = ackbox_kind("accounts", "Account")

ACCOUNT_NAME = "default"
"""The one Account of a namespace."""


class AccountSpec(Model):
    """What is so of the account."""

    real_name_verified: bool = True
    """Whether the owner's real name is verified; without that nothing new is sold, clusters and node pools included."""
    balance: Annotated[int, Field(ge=0)] = 10000
    """Balance, vouchers and credit, in CNY; pay-as-you-go resources ask for a least one."""
    arrears: bool = False
    """Whether bills are overdue; nothing new that costs is sold then."""
    denied_actions: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=64)] = []
    """RAM actions that ACK's roles have lost, such as `slb:CreateLoadBalancer` or `ecs:*`."""


class AccountStatus(Status):
    """What ackbox made of it."""

    phase: str | None = None
    """`Normal`, or `Restricted` when there is something that the account can't do."""


class Account(Resource):
    """The state of a cloud account."""

    KIND: ClassVar = ACCOUNT
    SHORT_NAMES: ClassVar = ("acct",)
    COLUMNS: ClassVar = (
        READY_COLUMN,
        Column("Verified", ".spec.realNameVerified", "boolean"),
        Column("Balance", ".spec.balance", "integer"),
        Column("Arrears", ".spec.arrears", "boolean"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar[tuple[Rule, ...]] = ()

    spec: AccountSpec = AccountSpec()
    status: AccountStatus = AccountStatus()
