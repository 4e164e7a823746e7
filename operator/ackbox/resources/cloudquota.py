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
    """Raised or lowered limits, by quota name, or by `<edition>/<name>` and `<region>/<name>` for one of them only."""

    hard: Annotated[dict[str, Count], Field(max_length=200)] = {}
    """Limits by quota name, `<edition>/<name>` or `<region>/<name>` for one of them only; the others have the cloud's
    default."""


class Reserved(Model):
    """What of the account's quotas the machines of a VPC may use at most."""

    vpc: str
    """Name of the VPC."""
    region_id: str
    """Region of the VPC."""
    used: dict[str, int]
    """How much, by quota name."""


class ClusterUse(Model):
    """What admission has to know of a cluster."""

    edition: str
    """Form of the cluster, such as `ack_pro`: limits differ by it."""
    region_id: str
    """Region of the cluster."""
    node_pools: int
    """How many node pools it has, of those that have an id."""
    nodes: int
    """Masters, and the desired sizes of all its node pools."""


class PoolUse(Model):
    """What admission has to know of a node pool, as a request for another scale names nothing but its name."""

    cluster: str
    """Name of the ManagedCluster."""
    vcpus: int
    """VCPUs of one machine, the smallest that it may have."""
    quota: str
    """Name of the quota that they count against; empty for subscription."""


ATOMIC = {"x-kubernetes-map-type": "atomic"}
"""The operator alone writes it; a thousand keys of their own would double the object's managedFields."""


class CloudQuotaStatus(Status):
    """Limits in force and what counts against them."""

    hard: dict[str, int] = {}
    """Limits in force, by key."""
    used: dict[str, int] = {}
    """What counts against them, by the same keys; where a limit holds for each of many, what the fullest has."""
    # Who has a place, and what is reserved: written before it is used, always with the object's resourceVersion.
    claims: Annotated[dict[str, dict[str, str]], Field(json_schema_extra=ATOMIC)] = {}
    """Holders of places under a quota: names by uid, by `<name>` or `<name>/<what one figure covers>`."""
    reserved: Annotated[dict[str, Reserved], Field(json_schema_extra=ATOMIC)] = {}
    """Reservations of machines, by the uid of their VPC."""
    revision: int = 0
    """How many reservations were made, so that each is a change of this object."""
    # What admission goes by where a quota holds for each of many. An API server can't count other objects itself.
    clusters: dict[str, ClusterUse] = {}
    """Clusters, by name and by id."""
    node_pools: dict[str, PoolUse] = {}
    """Node pools, by name."""
    asked: dict[str, int] = {}
    """VCPUs by region and quota: those that are used, and those of machines that node pools still wait for."""
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
