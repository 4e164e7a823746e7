"""ElasticIPAddress: an EIP of the account. Field names follow the VPC API's AllocateEipAddress."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ackbox.resources.base import (
    AGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    Model,
    Resource,
    Status,
    ackbox_kind,
    immutable,
)

ELASTIC_IP_ADDRESS = ackbox_kind("elasticipaddresses", "ElasticIPAddress")


class ElasticIPAddressSpec(Model):
    """What the user wants."""

    region_id: str
    bandwidth: Annotated[int, Field(ge=1, le=1000)] = 5
    """Mbit/s."""
    internet_charge_type: Literal["PayByTraffic", "PayByBandwidth"] = "PayByTraffic"


class ElasticIPAddressStatus(Status):
    """What ackbox made of it."""

    allocation_id: str | None = None
    ip_address: str | None = None
    instance_id: str | None = None
    """What it is bound to."""


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
    RULES: ClassVar = (immutable("regionId"),)

    spec: ElasticIPAddressSpec
    status: ElasticIPAddressStatus = ElasticIPAddressStatus()
