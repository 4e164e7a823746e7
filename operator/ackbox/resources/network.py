"""VPC with its vSwitches, and RouteTable with its route entries. Field names follow the VPC API."""

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
    keyed,
)

VPC = ackbox_kind("vpcs", "VPC")
ROUTE_TABLE = ackbox_kind("routetables", "RouteTable")


class VSwitch(Model):
    """A subnet in one zone; referred to by its name or its id."""

    v_switch_name: Annotated[str, Field(min_length=1, max_length=128)]
    zone_id: str
    cidr_block: Annotated[str, Field(max_length=43)]


class VpcSpec(Model):
    """What the user wants."""

    region_id: str
    cidr_block: Annotated[str, Field(max_length=43)]
    vswitches: Annotated[list[VSwitch], keyed("vSwitchName", max_length=24)] = []


class VSwitchStatus(Model):
    """A vSwitch as the cloud has it."""

    v_switch_name: str
    v_switch_id: str
    available_ip_address_count: int


class Allocation(Model):
    """A reservation: an address (and a pod CIDR) that belongs to one owner until the owner is gone."""

    owner: str
    """An instance id, or `slb/<name>`."""
    v_switch_id: str
    address: str
    pod_cidr: str | None = None
    cluster: str | None = None
    node_pool: str | None = None
    instance_type: str | None = None


class VpcStatus(Status):
    """What ackbox made of it."""

    vpc_id: str | None = None
    route_table_id: str | None = None
    vswitches: Annotated[list[VSwitchStatus], keyed("vSwitchName", max_length=24)] = []
    # Not keyed: the operator alone writes it, and a thousand keyed entries more than double the object's managedFields.
    allocations: Annotated[
        list[Allocation], Field(max_length=6000, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = []


class Vpc(Resource):
    """A virtual private cloud."""

    KIND: ClassVar = VPC
    SHORT_NAMES: ClassVar = ("vpc",)
    COLUMNS: ClassVar = (
        Column("VPC-ID", ".status.vpcId"),
        READY_COLUMN,
        Column("Region", ".spec.regionId"),
        Column("CIDR", ".spec.cidrBlock"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        immutable("regionId"),
        immutable("cidrBlock"),
        Rule("isCIDR(self.cidrBlock)", "cidrBlock is not a CIDR block, such as 192.168.0.0/16", "cidrBlock"),
        Rule(
            "!isCIDR(self.cidrBlock) || !has(self.vswitches) || self.vswitches.all(v, "
            "isCIDR(v.cidrBlock) && cidr(self.cidrBlock).containsCIDR(v.cidrBlock))",
            "every vSwitch's cidrBlock must be a CIDR block inside the VPC's cidrBlock",
            "vswitches",
        ),
        Rule(
            "!has(self.vswitches) || !self.vswitches.all(v, isCIDR(v.cidrBlock)) || self.vswitches.all(v, "
            "self.vswitches.all(w, v.vSwitchName == w.vSwitchName || !cidr(v.cidrBlock).containsCIDR(w.cidrBlock)))",
            "the cidrBlocks of two vSwitches overlap",
            "vswitches",
        ),
    )

    spec: VpcSpec
    status: VpcStatus = VpcStatus()


class RouteEntry(Model):
    """A custom route to an instance."""

    destination_cidr_block: Annotated[str, Field(max_length=43)]
    next_hop_type: Literal["Instance"] = "Instance"
    next_hop_id: str


class RouteTableSpec(Model):
    """Whose it is and what it holds."""

    vpc_id: str
    route_entries: Annotated[list[RouteEntry], keyed("destinationCidrBlock", max_length=1000)] = []


class RouteTableStatus(Status):
    """What ackbox made of it."""

    route_table_id: str | None = None
    entries: int | None = None


class RouteTable(Resource):
    """A route table of a VPC."""

    KIND: ClassVar = ROUTE_TABLE
    SHORT_NAMES: ClassVar = ("vtb",)
    COLUMNS: ClassVar = (
        Column("Route-Table-ID", ".status.routeTableId"),
        Column("VPC", ".spec.vpcId"),
        READY_COLUMN,
        Column("Entries", ".status.entries", "integer"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (immutable("vpcId"),)

    spec: RouteTableSpec
    status: RouteTableStatus = RouteTableStatus()
