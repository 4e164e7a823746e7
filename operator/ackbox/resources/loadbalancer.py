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
    v_switch_id: Annotated[str, Field(min_length=1)]
    private_ipv4_address: Annotated[str | None, Field(alias="privateIPv4Address")] = None
    allocation_id: str | None = None
    """An elastic IP address (`eip-…`) for this zone."""


class Eip(Model):
    """An elastic IP address bound to an intranet CLB."""

    allocation_id: Annotated[str, Field(min_length=1, max_length=64)]


class ServiceLoadBalancerSpec(Model):
    """What its maker wants."""

    load_balancer_type: LoadBalancerType = LoadBalancerType.CLB
    load_balancer_name: Annotated[str, Field(max_length=80)] | None = None
    region_id: str | None = None
    address_type: Literal["internet", "intranet"] = "internet"
    address: str | None = None
    address_ip_version: Annotated[Literal["ipv4", "ipv6", "DualStack"], Field(alias="addressIPVersion")] = "ipv4"
    """ipv6 for CLB, DualStack for NLB and ALB."""
    ipv6_address_type: Literal["internet", "intranet"] | None = None
    network_type: Literal["classic", "vpc"] | None = None
    vpc_id: str | None = None
    v_switch_id: str | None = None
    zone_mappings: Annotated[list[ZoneMapping], keyed("zoneId", max_length=10)] = []
    """NLB and ALB, instead of vSwitchId."""
    master_zone_id: str | None = None
    slave_zone_id: str | None = None
    eips: Annotated[list[Eip], keyed("allocationId", max_length=1)] = []
    load_balancer_spec: str | None = None
    """slb.s1.small and so on, for PayBySpec."""
    instance_charge_type: Literal["PayBySpec", "PayByCLCU"] = "PayByCLCU"
    internet_charge_type: Literal["paybytraffic", "paybybandwidth"] | None = None
    bandwidth: Annotated[int, Field(ge=1, le=5000)] | None = None
    """Mbit/s, for paybybandwidth."""
    bandwidth_package_id: str | None = None
    cross_zone_enabled: bool | None = None
    security_group_ids: Annotated[list[str], Field(max_length=10)] = []
    source_ranges: Annotated[list[str], Field(max_length=200)] = []
    """Clients that may connect (CIDR blocks); empty for all. A Service's loadBalancerSourceRanges, which NLB keeps in a
    security group of its own."""
    resource_group_id: str | None = None
    delete_protection: Literal["on", "off"] = "off"
    modification_protection_status: Literal["ConsoleProtection", "NonProtection"] = "NonProtection"
    modification_protection_reason: str | None = None
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []


class EipStatus(Model):
    """An elastic IP address as the cloud has it."""

    allocation_id: str
    ip_address: str


class ZoneStatus(Model):
    """The addresses of an NLB or ALB in a zone."""

    zone_id: str
    v_switch_id: str
    private_ipv4_address: Annotated[str, Field(alias="privateIPv4Address")]
    public_ipv4_address: Annotated[str | None, Field(alias="publicIPv4Address")] = None
    allocation_id: str | None = None
    """The elastic IP address that publicIPv4Address belongs to."""


class ServiceLoadBalancerStatus(Status):
    """What ackbox made of it."""

    load_balancer_id: str | None = None
    address: str | None = None
    """The cloud's address: from the vSwitch, or a public one; that of the first zone for NLB and ALB."""
    reachable: str | None = None
    """Where this load balancer's listeners can be dialled."""
    dns_name: str | None = None
    """NLB and ALB: the name that the cloud gives."""
    address_ipv6: Annotated[str | None, Field(alias="addressIPv6")] = None
    eips: Annotated[list[EipStatus], keyed("allocationId", max_length=10)] = []
    zone_mappings: Annotated[list[ZoneStatus], keyed("zoneId", max_length=10)] = []
    source_range_security_group_id: str | None = None


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
