"""Where a load balancer's address comes from, and what is wrong with what was asked for. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from ackbox.catalog.network import network_rules
from ackbox.cloud.allocation.addresses import free_addresses, usable
from ackbox.cloud.allocation.ledger import Subnet, find_subnet
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.resources import ServiceLoadBalancer, Vpc
from ackbox.resources.network import Allocation

OWNER_PREFIX = "slb/"


@dataclass(frozen=True)
class Place:
    """The vSwitch that an intranet load balancer takes its address from."""

    vpc: Vpc
    subnet: Subnet


def public_address(reachable: IPv4Address) -> str:
    """The Internet address of a load balancer: it follows from its loopback address, so it is as unique."""
    network = network_rules().public_addresses
    return str(IPv4Address(int(network.network_address) + (int(reachable) & 0xFFFF)))


def place(balancer: ServiceLoadBalancer, vpcs: Sequence[Vpc]) -> Place | State | None:
    """Where the address comes from; None for an Internet address; a state when something is missing or wrong.

    Args:
        vpcs: those of the load balancer's namespace.
    """
    spec = balancer.spec
    if spec.address_ip_version == "ipv6":
        return stalled("InvalidParameter", "spec.addressIPVersion: ipv6 is not supported; allowed: ipv4")
    if spec.address_type == "internet":
        if spec.address:
            message = f"spec.address: {spec.address} can only be chosen with spec.addressType intranet"
            return stalled("InvalidParameter", message)
        return None
    if not spec.v_switch_id:
        return stalled("InvalidParameter", "spec.vSwitchId is required for spec.addressType intranet")
    candidates = [vpc for vpc in vpcs if spec.vpc_id in (None, vpc.metadata.name, vpc.status.vpc_id)]
    if not candidates:
        return progressing("WaitingForVPC", f"spec.vpcId: {spec.vpc_id}: no such VPC in this namespace yet")
    for vpc in candidates:
        subnet = find_subnet(vpc, spec.v_switch_id)
        if subnet is not None:
            return Place(vpc, subnet)
    return progressing("WaitingForVSwitch", f"spec.vSwitchId: {spec.v_switch_id}: no such vSwitch in the VPC yet")


def owner_of(name: str) -> str:
    """How the reservations of a VPC name a load balancer."""
    return f"{OWNER_PREFIX}{name}"


def choose(
    balancer: ServiceLoadBalancer, subnet: Subnet, entries: dict[str, Allocation], taken: Collection[int]
) -> Allocation | State:
    """The reservation of a load balancer: the one it has, else the address it asks for, else a free one.

    Args:
        entries: the VPC's reservations by owner.
        taken: addresses that are given out, as integers.
    """
    owner = owner_of(balancer.metadata.name)
    if owner in entries:
        return entries[owner]
    wanted = balancer.spec.address
    if wanted is None:
        address = next(free_addresses(subnet.cidr, taken), None)
        if address is None:
            message = f"spec.vSwitchId: no free address is left in vSwitch {subnet.name} ({subnet.cidr})"
            return progressing("VSwitchAvailableIpNotExist", message)
        return Allocation(owner=owner, v_switch_id=subnet.id, address=str(IPv4Address(address)))
    return _wanted(owner, wanted, subnet, taken)


def _wanted(owner: str, wanted: str, subnet: Subnet, taken: Collection[int]) -> Allocation | State:
    try:
        address = IPv4Address(wanted)
    except ValueError:
        return stalled("InvalidParameter", f"spec.address: {wanted} is not an IPv4 address")
    room = usable(subnet.cidr)
    if int(address) not in room:
        span = f"{IPv4Address(room.start)} to {IPv4Address(room.stop - 1)}"
        message = f"spec.address: {wanted} is outside vSwitch {subnet.name}; allowed: {span}"
        return stalled("InvalidParameter", message)
    if int(address) in taken:
        return stalled("ObtainIpFail", f"spec.address: {wanted} is taken in vSwitch {subnet.name}")
    return Allocation(owner=owner, v_switch_id=subnet.id, address=wanted)
