"""ElasticIPAddress: an EIP of the account. Field names follow the VPC API's AllocateEipAddress."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

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
    immutable,
)

ELASTIC_IP_ADDRESS = ackbox_kind("elasticipaddresses", "ElasticIPAddress")


class ElasticIPAddressPhase(StrEnum):
    """VPC's own state words."""

    ALLOCATING = "Allocating"
    AVAILABLE = "Available"
    IN_USE = "InUse"


class ElasticIPAddressSpec(Model):
    """What the user wants."""

    region_id: str
    """Region, such as `cn-hangzhou`."""
    bandwidth: Annotated[int, Field(ge=1, le=500)] = 5
    """Peak bandwidth in Mbit/s, kept and shown; at most 200 with PayByTraffic."""
    internet_charge_type: Literal["PayByTraffic", "PayByBandwidth"] = "PayByTraffic"
    """Whether traffic or bandwidth is paid for; kept and shown."""


class ElasticIPAddressStatus(Status):
    """What ackbox made of it."""

    phase: str | None = None
    """`Allocating` until it has its address, then `InUse` or `Available`: bound to something or not."""
    allocation_id: str | None = None
    """Id in the cloud: `eip-…`."""
    ip_address: str | None = None
    """The address; nothing outside this machine reaches it."""
    instance_id: str | None = None
    """Id of what it is bound to: a load balancer or a NAT gateway."""
    instance_type: str | None = None
    """What kind of thing that is, in the VPC API's words: `SlbInstance` or `Nat`."""


class ElasticIPAddress(Resource):
    """An elastic IP address."""

    KIND: ClassVar = ELASTIC_IP_ADDRESS
    SHORT_NAMES: ClassVar = ("eip",)
    COLUMNS: ClassVar = (
        Column("Allocation-ID", ".status.allocationId"),
        Column("State", ".status.phase"),
        READY_COLUMN,
        Column("Address", ".status.ipAddress"),
        Column("Bound-To", ".status.instanceId"),
        Column("Region", ".spec.regionId"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        immutable("regionId"),
        # VPC's AllocateEipAddress.
        Rule(
            "self.bandwidth <= (self.internetChargeType == 'PayByTraffic' ? 200 : 500)",
            "bandwidth (InvalidBandwidth.Malformed); allowed: 1 to 200 for PayByTraffic, 1 to 500 for PayByBandwidth",
            "bandwidth",
        ),
    )

    spec: ElasticIPAddressSpec
    status: ElasticIPAddressStatus = ElasticIPAddressStatus()
