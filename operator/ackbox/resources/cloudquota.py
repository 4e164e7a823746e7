"""CloudQuota: the account's quotas, one object `default` a namespace; `spec.hard` raises a limit, as a ticket would."""

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

CLOUD_QUOTA = ackbox_kind("cloudquotas", "CloudQuota")

QUOTA_NAME = "default"
"""The one CloudQuota of a namespace."""

Count = Annotated[int, Field(ge=0)]


class CloudQuotaSpec(Model):
    """Raised or lowered limits, by quota name."""

    hard: Annotated[dict[str, Count], Field(max_length=64)] = {}


class CloudQuotaStatus(Status):
    """Limits in force and what counts against them."""

    hard: dict[str, int] = {}
    used: dict[str, int] = {}
    # What admission goes by where a quota holds for each of many. An API server can't count other objects itself.
    full_load_balancers: dict[str, int] = {}
    """Load balancers, by name and by id, that take no further listener, and how many they have."""
    full_instances: dict[str, int] = {}
    """Instances that no further load balancer takes as a backend server, and behind how many they are."""
    serving_load_balancers: dict[str, int] = {}
    """Load balancers, by name and by id, that have such instances already and keep them, and how many."""


class CloudQuota(Resource):
    """The quotas of an account."""

    KIND: ClassVar = CLOUD_QUOTA
    SHORT_NAMES: ClassVar = ("cq",)
    COLUMNS: ClassVar = (
        READY_COLUMN,
        Column("Clusters", ".status.used.clusters", "integer"),
        Column("Nodes", ".status.used.nodes", "integer"),
        Column("vCPU", ".status.used.vcpus", "integer"),
        Column("SLBs", ".status.used.loadbalancers", "integer"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar[tuple[Rule, ...]] = ()

    spec: CloudQuotaSpec = CloudQuotaSpec()
    status: CloudQuotaStatus = CloudQuotaStatus()
