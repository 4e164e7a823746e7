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
    """Name, unique in the VPC."""
    zone_id: str
    """Zone of the VPC's region, such as `cn-hangzhou-h`."""
    cidr_block: Annotated[str, Field(max_length=43)]
    """Addresses of the vSwitch: a CIDR block inside the VPC's, apart from those of its other vSwitches."""


class SecurityGroupType(StrEnum):
    """ECS's own words: a basic and an advanced security group."""

    NORMAL = "normal"
    ENTERPRISE = "enterprise"


class Permission(Model):
    """A rule of a security group. The peer is the source of what comes in, and the destination of what goes out."""

    direction: Literal["ingress", "egress"] = "ingress"
    """Whether it speaks of what comes in or goes out; `ingress` when left out."""
    ip_protocol: Literal["TCP", "UDP", "ICMP", "GRE", "ALL"] = "ALL"
    """Protocol that it speaks of; `ALL` when left out."""
    port_range: Annotated[str, Field(pattern=r"^(-1/-1|[0-9]{1,5}/[0-9]{1,5})$")] = "-1/-1"
    """First and last port, such as `53/53`; `-1/-1`, which is all, when left out."""
    cidr_ip: Annotated[str, Field(max_length=18)]
    """The peer: a CIDR block."""
    policy: Literal["accept", "drop"] = "accept"
    """What becomes of it; `accept` when left out."""
    priority: Annotated[int, Field(ge=1, le=100)] = 1
    """The smallest number decides, of equal ones `drop` does; 1 when left out."""


class SecurityGroup(Model):
    """A virtual firewall; referred to by its name or its id."""

    security_group_name: Annotated[str, Field(min_length=2, max_length=128)]
    """Name, unique in the VPC."""
    security_group_type: SecurityGroupType = SecurityGroupType.NORMAL
    """`normal`, a basic group, or `enterprise`, an advanced one, which holds more machines and which Terway needs;
    `normal` when left out."""
    permissions: Annotated[list[Permission], Field(max_length=200)] = []
    """Its rules. Nothing is filtered by them: their one effect is that a node whose groups close its pods' way to the
    cluster's DNS says so."""


class VpcSpec(Model):
    """What the user wants."""

    region_id: str
    """Region, such as `cn-hangzhou`."""
    cidr_block: Annotated[str, Field(max_length=43)]
    """Addresses of the VPC: an IPv4 CIDR block, such as `192.168.0.0/16`."""
    vswitches: Annotated[list[VSwitch], keyed("vSwitchName", max_length=60)] = []
    """Its vSwitches; taking one away that is in use is told of."""
    security_groups: Annotated[list[SecurityGroup], keyed("securityGroupName", max_length=100)] = []
    """Security groups of the user's; ACK makes one for each cluster that names none."""


class VSwitchStatus(Model):
    """A vSwitch as the cloud has it."""

    v_switch_name: str
    """Name, as in the spec."""
    v_switch_id: str
    """Id in the cloud: `vsw-…`."""
    available_ip_address_count: int
    """How many of its addresses are free."""


class SecurityGroupStatus(Model):
    """A security group as the cloud has it."""

    security_group_id: str
    """Id in the cloud: `sg-…`."""
    security_group_name: str
    """Name, as in the spec or as ACK chose it."""
    security_group_type: str
    """`normal` or `enterprise`."""
    cluster: str | None = None
    """The ManagedCluster that ACK made it for; none for one of the user's."""
    permissions: Annotated[list[Permission], Field(max_length=200)] = []
    """Its rules."""


class SnatEntry(Model):
    """Lets the machines of a vSwitch reach the Internet under an elastic IP address."""

    snat_entry_id: str
    """Id in the cloud: `snat-…`."""
    source_v_switch_id: str
    """Id of the vSwitch."""
    snat_ip: str
    """The address that the Internet sees."""


class NatGatewayStatus(Model):
    """The NAT gateway that ACK made for the clusters that ask for SNAT."""

    nat_gateway_id: str
    """Id in the cloud: `ngw-…`."""
    v_switch_id: str
    """Id of the vSwitch that it is in."""
    private_ip_address: str
    """Its address there."""
    allocation_id: str | None = None
    """Id of its elastic IP address, once it has one."""
    ip_address: str | None = None
    """That address."""
    snat_entries: Annotated[list[SnatEntry], Field(max_length=60)] = []
    """Whom it lets out: one entry for each vSwitch of clusters with `snatEntry`."""


class Allocation(Model):
    """A reservation: an address (and a pod CIDR) that belongs to one owner until the owner is gone."""

    owner: str
    """An instance id, `slb/<name>` or `nat/<VPC>`."""
    v_switch_id: str
    """Id of the vSwitch of the address."""
    address: str
    """The private address."""
    pod_cidr: str | None = None
    """With Flannel: the block of a machine's pods, out of its cluster's containerCidr."""
    cluster: str | None = None
    """Name of the ManagedCluster that a machine is a node of."""
    node_pool: str | None = None
    """Name of the NodePool that wants the machine; of a master `<cluster>/<API server>`."""
    instance_type: str | None = None
    """Instance type of the machine."""
    secondary_enis: int | None = None
    """Network interfaces beside the machine's own one, which Terway gives its pods."""
    pod_block: str | None = None
    """Addresses of a vSwitch for these interfaces."""
    pod_v_switch_id: str | None = None
    """Id of that vSwitch."""
    charge: Literal["Spot", "PrePaid"] | None = None
    """How a machine is paid for that isn't pay-as-you-go."""


class VpcStatus(Status):
    """What ackbox made of it."""

    phase: str | None = None
    """`Pending` while the account has no place for it, then `Available`; `Deleting` while it waits for what uses it."""
    vpc_id: str | None = None
    """Id in the cloud: `vpc-…`."""
    route_table_id: str | None = None
    """Id of the route table that comes with it, the RouteTable of the same name."""
    quota_revision: int = 0
    """How often the account's reservation for this VPC was lowered."""
    vswitches: Annotated[list[VSwitchStatus], keyed("vSwitchName", max_length=60)] = []
    """Ids and free addresses of the vSwitches."""
    security_groups: Annotated[list[SecurityGroupStatus], keyed("securityGroupId", max_length=200)] = []
    """The user's security groups, and those that ACK made for clusters."""
    nat_gateways: Annotated[list[NatGatewayStatus], keyed("natGatewayId", max_length=1)] = []
    """The NAT gateway, while a cluster asks for `snatEntry`."""
    # Not keyed: the operator alone writes it, and a thousand keyed entries more than double the object's managedFields.
    allocations: Annotated[
        list[Allocation], Field(max_length=6000, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = []
    """Addresses, and what else is reserved with them."""


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
    """Where the packets go to: a CIDR block, such as the pods of a node."""
    next_hop_type: Literal["Instance"] = "Instance"
    """What they are handed to; `Instance` when left out."""
    next_hop_id: str
    """Id of the Instance."""


class RouteTableSpec(Model):
    """Whose it is and what it holds."""

    vpc_id: str
    """Name or id of the VPC, of the same namespace."""
    route_entries: Annotated[list[RouteEntry], keyed("destinationCidrBlock", max_length=1000)] = []
    """Custom routes; with Flannel the cloud controller manager keeps one for each node here."""


class RouteTableStatus(Status):
    """What ackbox made of it."""

    route_table_id: str | None = None
    """Id in the cloud: `vtb-…`."""
    entries: int | None = None
    """How many custom routes it holds."""


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
