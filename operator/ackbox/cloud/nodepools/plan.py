"""What a node pool needs next. Pure.

A pool counts its machines by their reservations: one that has no Instance yet is a creation that was cut short and is
made up for; an Instance is never made without one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from ackbox.catalog.instance_types import MIN_MEMORY, MIN_VCPU, InstanceType, instance_types
from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation.addresses import free_addresses, free_blocks
from ackbox.cloud.allocation.ledger import Subnet
from ackbox.cloud.allocation.quota import refusal
from ackbox.resources.instance import InstancePhase
from ackbox.resources.network import Allocation


@dataclass(frozen=True)
class Machine:
    """An Instance as a pool sees it."""

    name: str
    phase: str | None
    created: str
    deleting: bool = False


@dataclass(frozen=True)
class Shortage:
    """Why some machines can't be had now."""

    code: str
    message: str
    missing: int


@dataclass(frozen=True)
class Budget:
    """How many more of something a quota allows."""

    name: QuotaName
    used: int
    limit: int

    def allows(self, more: int) -> bool:
        """Whether so many more fit."""
        return self.used + more <= self.limit


@dataclass(frozen=True)
class Site:
    """Where and within which limits a pool's machines are made.

    Attributes:
        subnets: the pool's vSwitches, in its order.
        balanced: spread over the vSwitches; otherwise the first with room is taken.
        types: the pool's instance types that can be used, in its order of preference.
        held: how many machines the pool has in each vSwitch, by id.
        taken: addresses that are given out in the VPC, as integers.
        pod_network: what pod CIDRs are cut from; None where the network plug-in needs none.
        pod_mask: size of one pod CIDR.
        pod_taken: pod CIDRs given out.
        nodes, vcpus, routes: what quotas leave; `routes` only counts with pod CIDRs, which need a route each.
    """

    cluster: str
    pool: str
    subnets: Sequence[Subnet]
    balanced: bool
    types: Sequence[InstanceType]
    held: Mapping[str, int]
    taken: Collection[int]
    pod_network: IPv4Network | None
    pod_mask: int
    pod_taken: Collection[IPv4Network]
    nodes: Budget
    vcpus: Budget
    routes: Budget


@dataclass(frozen=True)
class PoolPlan:
    """What to do, in this order: forget, reserve, create, delete."""

    forget: tuple[str, ...] = ()
    reserve: tuple[Allocation, ...] = ()
    create: tuple[Allocation, ...] = ()
    delete: tuple[str, ...] = ()
    shortage: Shortage | None = None


def plan(
    desired: int,
    machines: Mapping[str, Machine],
    entries: Sequence[Allocation],
    site: Callable[[], Site],
    new_id: Callable[[], str],
) -> PoolPlan:
    """The steps from what is there to `desired` machines.

    Args:
        desired: how many machines the pool shall have.
        machines: the pool's Instances, those being deleted too.
        entries: the reservations that the pool holds.
        site: where new machines can be had; asked for only when some are needed.
        new_id: makes the id of a new machine.
    """
    live = [machine for machine in machines.values() if not machine.deleting]
    unborn = [entry for entry in entries if entry.owner not in machines]
    surplus = len(live) + len(unborn) - desired
    if surplus >= 0:
        forgotten = unborn[:surplus]
        doomed = sorted(live, key=scale_in_order)[: surplus - len(forgotten)]
        return PoolPlan(
            forget=tuple(entry.owner for entry in forgotten),
            create=tuple(unborn[len(forgotten) :]),
            delete=tuple(machine.name for machine in doomed),
        )
    reserved, shortage = allocate(-surplus, site(), new_id)
    return PoolPlan(reserve=tuple(reserved), create=(*unborn, *reserved), shortage=shortage)


def scale_in_order(machine: Machine) -> tuple[object, ...]:
    """Sort key: machines that don't serve go first, then the newest (ACK, scale-in order of 2019-09-11)."""
    return machine.phase == InstancePhase.RUNNING, _Descending(machine.created), machine.name


@dataclass(frozen=True)
class _Descending:
    value: str

    def __lt__(self, other: "_Descending") -> bool:
        return self.value > other.value


@dataclass
class _Supply:
    """The addresses of one vSwitch, as they are used up."""

    subnet: Subnet
    addresses: Iterator[int]
    used: int
    next_address: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.next_address = next(self.addresses, None)

    def take(self) -> int:
        address = self.next_address
        assert address is not None, "an empty vSwitch was chosen"
        self.next_address = next(self.addresses, None)
        self.used += 1
        return address


def allocate(need: int, site: Site, new_id: Callable[[], str]) -> tuple[list[Allocation], Shortage | None]:
    """Reserve up to `need` machines; what stops it short, if anything."""
    supplies = [
        _Supply(subnet, free_addresses(subnet.cidr, site.taken), site.held.get(subnet.id, 0)) for subnet in site.subnets
    ]
    blocks = free_blocks(site.pod_network, site.pod_mask, site.pod_taken) if site.pod_network else None
    reserved: list[Allocation] = []
    vcpus = 0
    while len(reserved) < need:
        kind = next((each for each in site.types if site.vcpus.allows(vcpus + each.vcpu)), None)
        supply = _choose(supplies, site.balanced)
        stop = _refused(site, len(reserved), kind, vcpus, supply)
        block = next(blocks, None) if blocks is not None and stop is None else None
        if stop is None and blocks is not None and block is None:
            stop = (
                "InvalidCIDR.PodCidrNotEnough",
                f"the cluster's containerCidr {site.pod_network} has no free /{site.pod_mask}",
            )
        if stop is not None or kind is None or supply is None:
            code, message = stop or ("", "")
            return reserved, Shortage(code, message, need - len(reserved))
        vcpus += kind.vcpu
        reserved.append(_entry(site, new_id(), kind, supply, block))
    return reserved, None


def _refused(
    site: Site, count: int, kind: InstanceType | None, vcpus: int, supply: _Supply | None
) -> tuple[str, str] | None:
    if not site.nodes.allows(count + 1):
        return refusal(site.nodes.name, site.nodes.used + count, site.nodes.limit)
    if site.pod_network is not None and not site.routes.allows(count + 1):
        return refusal(site.routes.name, site.routes.used + count, site.routes.limit)
    if kind is None:
        return refusal(site.vcpus.name, site.vcpus.used + vcpus, site.vcpus.limit)
    if supply is None:
        names = ", ".join(subnet.name for subnet in site.subnets)
        return "InvalidVSwitchId.IpNotEnough", f"no free address is left in spec.scalingGroup.vswitchIds {names}"
    return None


def _choose(supplies: Sequence[_Supply], balanced: bool) -> _Supply | None:
    with_room = [supply for supply in supplies if supply.next_address is not None]
    if not with_room:
        return None
    return min(with_room, key=lambda supply: supply.used) if balanced else with_room[0]


def _entry(site: Site, owner: str, kind: InstanceType, supply: _Supply, block: IPv4Network | None) -> Allocation:
    return Allocation(
        owner=owner,
        v_switch_id=supply.subnet.id,
        address=str(IPv4Address(supply.take())),
        pod_cidr=str(block) if block else None,
        cluster=site.cluster,
        node_pool=site.pool,
        instance_type=kind.name,
    )


def usable_types(names: Sequence[str]) -> tuple[list[InstanceType], str | None]:
    """The instance types that can be nodes, and what is wrong with the others."""
    known = [instance_types().get(name) for name in names]
    good = [kind for kind in known if kind is not None and kind.fits_node]
    unknown = [name for name, kind in zip(names, known, strict=True) if kind is None]
    small = [kind.name for kind in known if kind is not None and not kind.fits_node]
    problems = []
    if unknown:
        problems.append(f"spec.scalingGroup.instanceTypes: {', '.join(unknown)}: no such instance type")
    if small:
        problems.append(
            f"spec.scalingGroup.instanceTypes: {', '.join(small)}: a node needs at least {MIN_VCPU} vCPUs"
            f" and {MIN_MEMORY} GiB"
        )
    return good, "; ".join(problems) or None
