"""ServiceLoadBalancer: a CLB instance. Field names follow the SLB API's CreateLoadBalancer."""

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


class ServiceLoadBalancerSpec(Model):
    """What its maker wants."""

    load_balancer_name: Annotated[str, Field(max_length=80)] | None = None
    region_id: str | None = None
    address_type: Literal["internet", "intranet"] = "internet"
    address: str | None = None
    address_ip_version: Annotated[Literal["ipv4", "ipv6"], Field(alias="addressIPVersion")] = "ipv4"
    vpc_id: str | None = None
    v_switch_id: str | None = None
    load_balancer_spec: str | None = None
    instance_charge_type: Literal["PayBySpec", "PayByCLCU"] = "PayByCLCU"
    resource_group_id: str | None = None
    delete_protection: Literal["on", "off"] = "off"
    modification_protection_status: Literal["ConsoleProtection", "NonProtection"] = "NonProtection"
    modification_protection_reason: str | None = None
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []


class ServiceLoadBalancerStatus(Status):
    """What ackbox made of it."""

    load_balancer_id: str | None = None
    address: str | None = None
    """The cloud's address: from the vSwitch, or a public one."""
    reachable: str | None = None
    """Where this load balancer's listeners can be dialled."""


class ServiceLoadBalancer(Resource):
    """A load balancer instance."""

    KIND: ClassVar = SERVICE_LOAD_BALANCER
    SHORT_NAMES: ClassVar = ("slb",)
    COLUMNS: ClassVar = (
        Column("Name", ".spec.loadBalancerName", priority=1),
        Column("LB-ID", ".status.loadBalancerId"),
        Column("State", ".status.phase"),
        READY_COLUMN,
        Column("Type", ".spec.addressType"),
        Column("Address", ".status.address"),
        Column("Reachable", ".status.reachable"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        immutable("addressType"),
        immutable("vpcId"),
        immutable("address"),
        immutable("addressIPVersion"),
        immutable("resourceGroupId"),
    )

    spec: ServiceLoadBalancerSpec = ServiceLoadBalancerSpec()
    status: ServiceLoadBalancerStatus = ServiceLoadBalancerStatus()
