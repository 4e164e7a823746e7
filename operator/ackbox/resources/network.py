"""VPC with its vSwitches and security groups, and RouteTable with its entries. Field names follow the VPC and ECS APIs."""

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
    keyed,
)

VPC = ackbox_kind("vpcs", "VPC")
ROUTE_TABLE = ackbox_kind("routetables", "RouteTable")


class VSwitch(Model):
    """A subnet in one zone; referred to by its name or its id."""

    v_switch_name: Annotated[str, Field(min_length=1, max_length=128)]
    zone_id: str
    cidr_block: Annotated[str, Field(max_length=43)]


class SecurityGroupType(StrEnum):
    """ECS's own words: a basic and an advanced security group."""

    NORMAL = "normal"
    ENTERPRISE = "enterprise"


class Permission(Model):
    """A rule of a security group. The peer is the source of what comes in, and the destination of what goes out."""

    direction: Literal["ingress", "egress"] = "ingress"
    ip_protocol: Literal["TCP", "UDP", "ICMP", "GRE", "ALL"] = "ALL"
    port_range: Annotated[str, Field(pattern=r"^(-1/-1|[0-9]{1,5}/[0-9]{1,5})$")] = "-1/-1"
    """First and last port, such as `53/53`; `-1/-1` for all."""
    cidr_ip: Annotated[str, Field(max_length=18)]
    """The peer: a CIDR block."""
    policy: Literal["accept", "drop"] = "accept"
    priority: Annotated[int, Field(ge=1, le=100)] = 1
    """The smallest number decides; of equal ones `drop` does."""


class SecurityGroup(Model):
    """A virtual firewall; referred to by its name or its id."""

    security_group_name: Annotated[str, Field(min_length=2, max_length=128)]
    security_group_type: SecurityGroupType = SecurityGroupType.NORMAL
    permissions: Annotated[list[Permission], Field(max_length=200)] = []


class VpcSpec(Model):
    """What the user wants."""

    region_id: str
    cidr_block: Annotated[str, Field(max_length=43)]
    vswitches: Annotated[list[VSwitch], keyed("vSwitchName", max_length=60)] = []
    security_groups: Annotated[list[SecurityGroup], keyed("securityGroupName", max_length=100)] = []


class VSwitchStatus(Model):
    """A vSwitch as the cloud has it."""

    v_switch_name: str
    v_switch_id: str
    available_ip_address_count: int


class SecurityGroupStatus(Model):
    """A security group as the cloud has it."""

    security_group_id: str
    security_group_name: str
    security_group_type: str
    cluster: str | None = None
    """The ManagedCluster that ACK made it for; none for one of the user's."""
    permissions: Annotated[list[Permission], Field(max_length=200)] = []


class SnatEntry(Model):
    """Lets the machines of a vSwitch reach the Internet under an elastic IP address."""

    snat_entry_id: str
    source_v_switch_id: str
    snat_ip: str


class NatGatewayStatus(Model):
    """The NAT gateway that ACK made for the clusters that ask for SNAT."""

    nat_gateway_id: str
    v_switch_id: str
    private_ip_address: str
    allocation_id: str | None = None
    ip_address: str | None = None
    snat_entries: Annotated[list[SnatEntry], Field(max_length=60)] = []


class Allocation(Model):
    """A reservation: an address (and a pod CIDR) that belongs to one owner until the owner is gone."""

    owner: str
    """An instance id, `slb/<name>` or `nat/<VPC>`."""
    v_switch_id: str
    address: str
    pod_cidr: str | None = None
    cluster: str | None = None
    node_pool: str | None = None
    instance_type: str | None = None
    secondary_enis: int | None = None
    """Network interfaces beside the machine's own one, which Terway gives its pods."""
    pod_block: str | None = None
    """Addresses of a vSwitch for these interfaces."""
    pod_v_switch_id: str | None = None
    """That vSwitch."""
    charge: Literal["Spot", "PrePaid"] | None = None
    """How a machine is paid for that isn't pay-as-you-go."""


class VpcStatus(Status):
    """What ackbox made of it."""

    vpc_id: str | None = None
    route_table_id: str | None = None
    quota_revision: int = 0
    """How often the account's reservation for this VPC was lowered."""
    vswitches: Annotated[list[VSwitchStatus], keyed("vSwitchName", max_length=60)] = []
    security_groups: Annotated[list[SecurityGroupStatus], keyed("securityGroupId", max_length=200)] = []
    nat_gateways: Annotated[list[NatGatewayStatus], keyed("natGatewayId", max_length=1)] = []
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
