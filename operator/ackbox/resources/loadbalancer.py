"""ServiceLoadBalancer: a CLB, NLB or ALB instance. Field names follow CreateLoadBalancer of the SLB and NLB APIs."""

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
    Tag,
    ackbox_kind,
    immutable,
    keyed,
)

SERVICE_LOAD_BALANCER = ackbox_kind("serviceloadbalancers", "ServiceLoadBalancer")


class LoadBalancerPhase(StrEnum):
    """SLB's own LoadBalancerStatus words."""

    INACTIVE = "inactive"
    ACTIVE = "active"


class LoadBalancerType(StrEnum):
    """Classic, network or application load balancer."""

    CLB = "clb"
    NLB = "nlb"
    ALB = "alb"


class ZoneMapping(Model):
    """A zone that an NLB or ALB stands in."""

    zone_id: Annotated[str, Field(min_length=1)]
    """Zone, such as `cn-hangzhou-h`."""
    v_switch_id: Annotated[str, Field(min_length=1)]
    """Name or id of a vSwitch in that zone, which the private address comes from."""
    private_ipv4_address: Annotated[str | None, Field(alias="privateIPv4Address")] = None
    """A certain address of that vSwitch; any free one when left out."""
    allocation_id: str | None = None
    """Name of an ElasticIPAddress, or id `eip-…`, for this zone of a public load balancer; the cloud gives one when
    left out."""


class Eip(Model):
    """An elastic IP address bound to an intranet CLB."""

    allocation_id: Annotated[str, Field(min_length=1, max_length=64)]
    """Name of an ElasticIPAddress, of the same namespace, or id `eip-…`; an id that no object has counts as bought
    elsewhere."""


class ServiceLoadBalancerSpec(Model):
    """What its maker wants."""

    load_balancer_type: LoadBalancerType = LoadBalancerType.CLB
    """Classic (CLB), network (NLB) or application load balancer (ALB)."""
    load_balancer_name: Annotated[str, Field(max_length=80)] | None = None
    """Name in the cloud; the object's own name may be another."""
    region_id: str | None = None
    """Region, such as `cn-hangzhou`; the zones that are named must be its."""
    address_type: Literal["internet", "intranet"] = "internet"
    """Public or private address; a private one comes from vSwitchId or zoneMappings."""
    address: str | None = None
    """CLB with addressType `intranet`: a certain address of vSwitchId; any free one when left out."""
    address_ip_version: Annotated[Literal["ipv4", "ipv6", "DualStack"], Field(alias="addressIPVersion")] = "ipv4"
    """Version of IP of the address: `ipv6` for CLB, `DualStack` for NLB and ALB; IPv6 addresses are shown, and dialled
    by IPv4."""
    ipv6_address_type: Literal["internet", "intranet"] | None = None
    """With DualStack: public or private IPv6 address; kept and shown."""
    network_type: Literal["classic", "vpc"] | None = None
    """CLB: classic network or VPC, kept and shown; a private load balancer can't be in the classic one."""
    vpc_id: str | None = None
    """Name or id of the VPC of the vSwitches, of the same namespace; when left out it is the one that has them."""
    v_switch_id: str | None = None
    """CLB with addressType `intranet`, which needs it: name or id of the vSwitch that the address comes from."""
    zone_mappings: Annotated[list[ZoneMapping], keyed("zoneId", max_length=10)] = []
    """NLB and ALB, instead of vSwitchId: the zones that it stands in; ALB needs two."""
    master_zone_id: str | None = None
    """CLB: primary zone, kept and shown."""
    slave_zone_id: str | None = None
    """CLB: secondary zone, another one than the primary; kept and shown."""
    eips: Annotated[list[Eip], keyed("allocationId", max_length=1)] = []
    """An elastic IP address that is bound to it; for CLB with addressType `intranet`."""
    load_balancer_spec: str | None = None
    """CLB with PayBySpec: `slb.s1.small`, also when left out, and so on; connections, new connections and requests
    beyond it are turned away."""
    instance_charge_type: Literal["PayBySpec", "PayByCLCU"] = "PayByCLCU"
    """CLB: paid by loadBalancerSpec, or by what is used, which has the limits of the largest one."""
    internet_charge_type: Literal["paybytraffic", "paybybandwidth"] | None = None
    """How Internet traffic is paid for; `paybybandwidth` is for CLB with PayBySpec and a public address."""
    bandwidth: Annotated[int, Field(ge=1, le=5000)] | None = None
    """With paybybandwidth: Mbit/s that it takes at most; 1 when left out. Otherwise a CLB has 5,000."""
    bandwidth_package_id: str | None = None
    """NLB, ALB: Internet bandwidth package (`cbwp-…`); with one, public addresses have no limit of their own."""
    cross_zone_enabled: bool | None = None
    """NLB: whether a zone sends to servers of other zones; kept and shown."""
    security_group_ids: Annotated[list[str], Field(max_length=10)] = []
    """NLB, ALB: ids of the security groups that it joins; kept and shown."""
    source_ranges: Annotated[list[str], Field(max_length=200)] = []
    """Clients that may connect (CIDR blocks); empty for all. A Service's loadBalancerSourceRanges, which NLB keeps in a
    security group of its own."""
    resource_group_id: str | None = None
    """Resource group (`rg-…`), kept and shown."""
    delete_protection: Literal["on", "off"] = "off"
    """Whether deleting it is refused."""
    modification_protection_status: Literal["ConsoleProtection", "NonProtection"] = "NonProtection"
    """`ConsoleProtection` refuses changes by `kubectl edit`; programs and files may change it."""
    modification_protection_reason: str | None = None
    """Why it is protected, kept and shown."""
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []
    """Tags in the cloud; by them a cluster knows the load balancers that it made."""


class EipStatus(Model):
    """An elastic IP address as the cloud has it."""

    allocation_id: str
    """Id in the cloud: `eip-…`."""
    ip_address: str
    """The address."""


class ZoneStatus(Model):
    """The addresses of an NLB or ALB in a zone."""

    zone_id: str
    """Zone, as in the spec."""
    v_switch_id: str
    """Id of the vSwitch."""
    private_ipv4_address: Annotated[str, Field(alias="privateIPv4Address")]
    """Its address of that vSwitch."""
    public_ipv4_address: Annotated[str | None, Field(alias="publicIPv4Address")] = None
    """Its Internet address, with addressType `internet`."""
    allocation_id: str | None = None
    """The elastic IP address that publicIPv4Address belongs to."""


class ServiceLoadBalancerStatus(Status):
    """What ackbox made of it."""

    phase: str | None = None
    """SLB's own word: `inactive` until it has its addresses, then `active`."""
    load_balancer_id: str | None = None
    """Id in the cloud: `lb-…`, `nlb-…` or `alb-…`."""
    address: str | None = None
    """The cloud's address: from the vSwitch, or a public one; that of the first zone for NLB and ALB."""
    reachable: str | None = None
    """The address that its listeners are dialled at, really."""
    dns_name: str | None = None
    """NLB and ALB: the name that the cloud gives."""
    address_ipv6: Annotated[str | None, Field(alias="addressIPv6")] = None
    """Its IPv6 address, of the block for documentation; nothing answers there."""
    eips: Annotated[list[EipStatus], keyed("allocationId", max_length=10)] = []
    """The elastic IP addresses that it has."""
    zone_mappings: Annotated[list[ZoneStatus], keyed("zoneId", max_length=10)] = []
    """NLB and ALB: its addresses by zone; none for CLB."""
    source_range_security_group_id: str | None = None
    """Id of the security group that stands for sourceRanges; none without them."""


class ServiceLoadBalancer(Resource):
    """A load balancer instance."""

    KIND: ClassVar = SERVICE_LOAD_BALANCER
    SHORT_NAMES: ClassVar = ("slb",)
    COLUMNS: ClassVar = (
        Column("Name", ".spec.loadBalancerName", priority=1),
        Column("LB-ID", ".status.loadBalancerId"),
        Column("State", ".status.phase"),
        READY_COLUMN,
        Column("Kind", ".spec.loadBalancerType"),
        Column("Type", ".spec.addressType"),
        Column("Address", ".status.address"),
        Column("Reachable", ".status.reachable"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        immutable("loadBalancerType"),
        Rule(
            "self.loadBalancerType != 'clb' || self.addressType == oldSelf.addressType",
            "addressType cannot be changed after creation",
            "addressType",
        ),
        immutable("networkType"),
        immutable("masterZoneId"),
        immutable("slaveZoneId"),
        immutable("vpcId"),
        immutable("address"),
        immutable("addressIPVersion"),
        immutable("resourceGroupId"),
    )

    spec: ServiceLoadBalancerSpec = ServiceLoadBalancerSpec()
    status: ServiceLoadBalancerStatus = ServiceLoadBalancerStatus()
