"""Where a load balancer's addresses come from, and what is wrong with what was asked for. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from ackbox.cloud.allocation.addresses import free_addresses, usable
from ackbox.cloud.allocation.ledger import Subnet, find_subnet
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.resources import ServiceLoadBalancer, Vpc
from ackbox.resources.loadbalancer import LoadBalancerType, ZoneMapping
from ackbox.resources.network import Allocation

OWNER_PREFIX = "slb/"

WHOLE = ""
"""Stands for the zone of a CLB, which has one address for all."""


@dataclass(frozen=True)
class Place:
    """A vSwitch that a load balancer takes an address from.

    Attributes:
        zone: the zone of an NLB or ALB that the address is for.
        owner: how the VPC's reservations name it.
        wanted: the address that it must be.
        field: what of the spec names that address.
    """

    zone: str
    subnet: Subnet
    owner: str
    wanted: str | None
    field: str

    def fits(self, entry: Allocation) -> bool:
        """Whether a reservation is still the right one. A CLB keeps its address for good."""
        return self.zone == WHOLE or entry.v_switch_id == self.subnet.id


@dataclass(frozen=True)
class Places:
    """Where all addresses of a load balancer come from."""

    vpc: Vpc
    each: tuple[Place, ...]


def owner_of(name: str, zone: str = WHOLE) -> str:
    """How the reservations of a VPC name a load balancer, or one of its zones."""
    return f"{OWNER_PREFIX}{name}/{zone}" if zone else f"{OWNER_PREFIX}{name}"


def owned(name: str, owners: Iterable[str]) -> list[str]:
    """Those owners that are a load balancer or one of its zones."""
    own = owner_of(name)
    return [owner for owner in owners if owner == own or owner.startswith(f"{own}/")]


def places(balancer: ServiceLoadBalancer, vpcs: Sequence[Vpc]) -> Places | State | None:
    """Where the addresses come from; None when no vSwitch is needed; a state when something is missing or wrong.

    Args:
        balancer: the load balancer.
        vpcs: those of its namespace.
    """
    spec = balancer.spec
    if spec.load_balancer_type is not LoadBalancerType.CLB:
        return _zonal(balancer, vpcs)
    if spec.address_type == "internet":
        if spec.address:
            message = f"spec.address: {spec.address} can only be chosen with spec.addressType intranet"
            return stalled("InvalidParameter", message)
        return None
    if spec.network_type == "classic":
        message = "spec.networkType: intranet load balancers in the classic network are not sold any more; allowed: vpc"
        return stalled("InvalidParameter", message)
    if not spec.v_switch_id:
        return stalled("InvalidParameter", "spec.vSwitchId is required for spec.addressType intranet")
    found = _find(spec.vpc_id, spec.v_switch_id, "spec.vSwitchId", vpcs)
    if isinstance(found, State):
        return found
    vpc, subnet = found
    owner = owner_of(balancer.metadata.name)
    return Places(vpc, (Place(WHOLE, subnet, owner, spec.address, "spec.address"),))


def _zonal(balancer: ServiceLoadBalancer, vpcs: Sequence[Vpc]) -> Places | State:
    spec, vpc = balancer.spec, None
    if not spec.zone_mappings:
        return stalled("ParameterMissing", "spec.zoneMappings: zone mappings are required: at least one zone")
    each = []
    for mapping in spec.zone_mappings:
        field = f"spec.zoneMappings[{mapping.zone_id}]"
        wanted_vpc = vpc.metadata.name if vpc else spec.vpc_id
        found = _find(wanted_vpc, mapping.v_switch_id, f"{field}.vSwitchId", vpcs)
        if isinstance(found, State):
            return found
        vpc, subnet = found
        if subnet.zone != mapping.zone_id:
            message = f"{field}.vSwitchId: vSwitch {subnet.name} is in zone {subnet.zone}, not in {mapping.zone_id}"
            return stalled("InvalidParameter", message)
        each.append(_zone_place(balancer.metadata.name, mapping, subnet, field))
    assert vpc is not None
    return Places(vpc, tuple(each))


def _zone_place(name: str, mapping: ZoneMapping, subnet: Subnet, field: str) -> Place:
    owner, wanted = owner_of(name, mapping.zone_id), mapping.private_ipv4_address
    return Place(mapping.zone_id, subnet, owner, wanted, f"{field}.privateIPv4Address")


def _find(vpc_id: str | None, v_switch_id: str, field: str, vpcs: Sequence[Vpc]) -> tuple[Vpc, Subnet] | State:
    candidates = [vpc for vpc in vpcs if vpc_id in (None, vpc.metadata.name, vpc.status.vpc_id)]
    if not candidates:
        return progressing("WaitingForVPC", f"spec.vpcId: {vpc_id or 'none'}: no such VPC in this namespace yet")
    for vpc in candidates:
        subnet = find_subnet(vpc, v_switch_id)
        if subnet is not None:
            return vpc, subnet
    within = f"VPC {vpc_id}" if vpc_id else "any VPC of this namespace"
    return progressing("WaitingForVSwitch", f"{field}: {v_switch_id}: no such vSwitch in {within} yet")


def assign(
    wanted: Iterable[Place], entries: Mapping[str, Allocation], taken: Collection[int]
) -> list[Allocation] | State:
    """The reservations of a load balancer, one a place; a state, and none, when one can't be had.

    Args:
        wanted: the places.
        entries: the VPC's reservations by owner.
        taken: addresses that are given out, as integers.
    """
    given: list[Allocation] = []
    used = set(taken)
    for place in wanted:
        held = entries.get(place.owner)
        chosen = held if held is not None and place.fits(held) else _choose(place, used)
        if isinstance(chosen, State):
            return chosen
        used.add(int(IPv4Address(chosen.address)))
        given.append(chosen)
    return given


def _choose(place: Place, taken: Collection[int]) -> Allocation | State:
    subnet = place.subnet
    if place.wanted is not None:
        return _asked_for(place, place.wanted, taken)
    address = next(free_addresses(subnet.cidr, taken), None)
    if address is None:
        message = f"no free address is left in vSwitch {subnet.name} ({subnet.cidr})"
        return progressing("VSwitchAvailableIpNotExist", message)
    return Allocation(owner=place.owner, v_switch_id=subnet.id, address=str(IPv4Address(address)))


def _asked_for(place: Place, wanted: str, taken: Collection[int]) -> Allocation | State:
    subnet = place.subnet
    try:
        address = IPv4Address(wanted)
    except ValueError:
        return stalled("InvalidParameter", f"{place.field}: {wanted} is not an IPv4 address")
    room = usable(subnet.cidr)
    if int(address) not in room:
        span = f"{IPv4Address(room.start)} to {IPv4Address(room.stop - 1)}"
        message = f"{place.field}: {wanted} is outside vSwitch {subnet.name}; allowed: {span}"
        return stalled("InvalidParameter", message)
    if int(address) in taken:
        return stalled("ObtainIpFail", f"{place.field}: {wanted} is taken in vSwitch {subnet.name}")
    return Allocation(owner=place.owner, v_switch_id=subnet.id, address=wanted)
