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
    bandwidth: Annotated[int, Field(ge=1, le=500)] = 5
    """Mbit/s."""
    internet_charge_type: Literal["PayByTraffic", "PayByBandwidth"] = "PayByTraffic"


class ElasticIPAddressStatus(Status):
    """What ackbox made of it."""

    allocation_id: str | None = None
    ip_address: str | None = None
    instance_id: str | None = None
    """What it is bound to."""
    instance_type: str | None = None
    """What kind of thing that is, in the VPC API's words."""


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
