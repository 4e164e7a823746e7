"""What a node pool needs next. Pure.

A pool counts its machines by their reservations: one that has no Instance yet is a creation that was cut short and is
made up for; an Instance is never made without one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from ackbox.catalog.instance_types import MIN_MEMORY, MIN_VCPU, InstanceType, instance_types
from ackbox.catalog.network import network_rules
from ackbox.cloud.allocation.addresses import free_addresses, free_blocks
from ackbox.cloud.allocation.ledger import Subnet
from ackbox.cloud.allocation.quota import Budget
from ackbox.cloud.allocation.security_groups import Room
from ackbox.cloud.nodepools.interfaces import PodBlocks
from ackbox.resources.instance import OUT_OF_SERVICE, Harm, InstancePhase
from ackbox.resources.network import Allocation

MAX_PODS = 256
"""Pods a node at most: ACK Product Introduction of 2022-07-08, quotas."""


@dataclass(frozen=True)
class Machine:
    """An Instance as a pool sees it."""

    name: str
    phase: str | None
    created: str
    deleting: bool = False
    harms: frozenset[Harm] = frozenset()

    @property
    def offline(self) -> bool:
        """Whether it is on and serves as no node all the same."""
        return self.phase == InstancePhase.RUNNING and bool(self.harms & {*OUT_OF_SERVICE, Harm.NODE_COUNT_DIFFERS})


@dataclass(frozen=True)
class Shortage:
    """Why some machines can't be had now."""

    code: str
    message: str
    missing: int


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
        budgets: what quotas leave.
        charge: how the machines are paid for, when not as pay-as-you-go.
        rooms: the security groups that the machines join.
        pod_subnets: vSwitches for the network interfaces of pods; None where the network plug-in needs none.
        refused: why the account can't have any machine; None when it can.
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
    budgets: Sequence[Budget] = ()
    charge: Literal["Spot", "PrePaid"] | None = None
    rooms: Sequence[Room] = ()
    pod_subnets: Sequence[Subnet] | None = None
    refused: tuple[str, str] | None = None


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
    taken = set(site.taken)
    supplies = [
        _Supply(subnet, free_addresses(subnet.cidr, taken), site.held.get(subnet.id, 0)) for subnet in site.subnets
    ]
    pods = PodBlocks(site.pod_subnets, taken) if site.pod_subnets is not None else None
    blocks = free_blocks(site.pod_network, site.pod_mask, site.pod_taken) if site.pod_network else None
    reserved: list[Allocation] = []
    spent = [0] * len(site.budgets)
    weight = 0
    while len(reserved) < need:
        kind = next((each for each in site.types if _short(site.budgets, spent, each) is None), None)
        supply, interfaces = _placed(site, supplies, pods, kind)
        stop = _refused(site, spent, kind, supply, pods) or _crowded(site, kind, weight)
        block = next(blocks, None) if blocks is not None and stop is None else None
        if stop is None and blocks is not None and block is None:
            stop = (
                "InvalidCIDR.PodCidrNotEnough",
                f"the cluster's containerCidr {site.pod_network} has no free /{site.pod_mask}",
            )
        if stop is not None or kind is None or supply is None:
            code, message = stop or ("", "")
            return reserved, Shortage(code, message, need - len(reserved))
        spent = [count + budget.cost(kind) for budget, count in zip(site.budgets, spent, strict=True)]
        weight += 1 + (_secondary_enis(site, kind) or 0)
        reserved.append(_entry(site, new_id(), kind, supply, block).model_copy(update=interfaces))
    return reserved, None


def _placed(
    site: Site, supplies: Sequence[_Supply], pods: PodBlocks | None, kind: InstanceType | None
) -> tuple[_Supply | None, dict[str, str]]:
    """The vSwitch of the next machine, and where its pods have their addresses."""
    while (supply := _choose(supplies, site.balanced)) is not None:
        if pods is None or kind is None:
            return supply, {}
        spared = [each.next_address for each in supplies if each.next_address is not None]
        found = pods.take(supply.subnet.zone, min(MAX_PODS, kind.terway_pods or 1), spared)
        if found is not None:
            return supply, {"pod_v_switch_id": found[0].id, "pod_block": str(found[1])}
        supply.next_address = None  # A machine there would have no pods.
    return None, {}


def _short(budgets: Sequence[Budget], spent: Sequence[int], *kinds: InstanceType) -> tuple[str, str] | None:
    """What refuses every one of the instance types; None when no quota does."""
    rows = zip(budgets, spent, strict=True)
    found = (budget.refusal(count) for budget, count in rows if not any(budget.allows(kind, count) for kind in kinds))
    return next(found, None)


def _refused(
    site: Site, spent: Sequence[int], kind: InstanceType | None, supply: _Supply | None, pods: PodBlocks | None
) -> tuple[str, str] | None:
    if site.refused is not None:
        return site.refused
    if kind is None:
        # One quota may refuse the first type and another one the second.
        return _short(site.budgets, spent, *site.types) or _short(site.budgets, spent, site.types[0])
    if supply is None:
        names, lacking = ", ".join(subnet.name for subnet in site.subnets), ", ".join(pods.exhausted if pods else ())
        message = f"no free address is left in spec.scalingGroup.vswitchIds {names}"
        if lacking:
            message = f"no free block for the pods of a node is left in the cluster's spec.podVswitchIds: {lacking}"
        return "InvalidVSwitchId.IpNotEnough", message
    return None


def _crowded(site: Site, kind: InstanceType | None, weight: int) -> tuple[str, str] | None:
    more = weight + 1 + ((_secondary_enis(site, kind) or 0) if kind else 0)
    return next((told for told in (room.refusal(more) for room in site.rooms) if told is not None), None)


def _secondary_enis(site: Site, kind: InstanceType) -> int | None:
    return kind.enis - 1 if site.pod_subnets is not None else None


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
        secondary_enis=_secondary_enis(site, kind),
        charge=site.charge,
    )


def usable_types(names: Sequence[str], terway: bool = False) -> tuple[list[InstanceType], str | None]:
    """The instance types that can be nodes, with Terway if asked for, and what is wrong with the others."""
    field, least = "spec.scalingGroup.instanceTypes", network_rules().terway_more_pods_than
    known = [instance_types().get(name) for name in names]
    large = [kind for kind in known if kind is not None and kind.fits_node]
    good = [kind for kind in large if not terway or (kind.terway_pods or 0) > least]
    unknown = [name for name, kind in zip(names, known, strict=True) if kind is None]
    small = [kind.name for kind in known if kind is not None and not kind.fits_node]
    narrow = [f"{kind.name} ({kind.terway_pods or 'no figure known'})" for kind in large if kind not in good]
    problems = []
    if unknown:
        problems.append(f"{field}: {', '.join(unknown)}: no such instance type")
    if small:
        problems.append(f"{field}: {', '.join(small)}: a node needs at least {MIN_VCPU} vCPUs and {MIN_MEMORY} GiB")
    if narrow:
        problems.append(
            f"{field}: {', '.join(narrow)}: with Terway a node needs network interfaces for more than {least} pods,"
            " (ENIs - 1) x addresses of an ENI"
        )
    return good, "; ".join(problems) or None
