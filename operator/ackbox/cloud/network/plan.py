"""What is wrong with a VPC or a route table, and what a VPC still carries. Pure."""

from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Network

from ackbox.catalog.network import network_rules
from ackbox.catalog.quotas import QuotaName
from ackbox.catalog.regions import regions
from ackbox.cloud.allocation.ledger import subnets
from ackbox.cloud.allocation.quota import refusal
from ackbox.cloud.allocation.security_groups import own_group, users_groups
from ackbox.kube.conditions import State, progressing, ready, stalled
from ackbox.resources import ManagedCluster, RouteTable, Vpc
from ackbox.resources.network import SecurityGroupStatus

SHOWN = 5
"""How many names a message lists before it says how many more there are."""


def vpc_state(vpc: Vpc, members: Mapping[str, Collection[str]]) -> State:
    """The conditions of a VPC; `members` has the machines by the security groups that they are in."""
    region = regions().get(vpc.spec.region_id)
    if region is None:
        return stalled(
            "InvalidRegionId.NotFound", f"spec.regionId: {vpc.spec.region_id}; allowed: {', '.join(regions())}"
        )
    for switch in vpc.spec.vswitches:
        field = f"spec.vswitches[{switch.v_switch_name}]"
        if switch.zone_id not in region.zones:
            allowed = ", ".join(region.zones)
            message = f"{field}.zoneId: {switch.zone_id} is not a zone of {region.id}; allowed: {allowed}"
            return stalled("InvalidZoneId.NotFound", message)
        shortest, longest = network_rules().v_switch_masks
        if not _is_block(switch.cidr_block, shortest, longest):
            message = f"{field}.cidrBlock: {switch.cidr_block}; allowed: IPv4 with a mask of /{shortest} to /{longest}"
            return stalled("InvalidCidrBlock", message)
    present = {subnet.id for subnet in subnets(vpc)}
    lost = [entry.owner for entry in vpc.status.allocations if entry.v_switch_id not in present]
    if lost:
        return stalled("DependencyViolation", f"a vSwitch was removed from spec.vswitches that is used by {some(lost)}")
    removed = _removed_groups(vpc, members)
    if removed:
        each = "; ".join(f"{group.security_group_name}: {some(members[group.security_group_id])}" for group in removed)
        return stalled(
            "DependencyViolation", f"a security group was removed from spec.securityGroups that is used by {each}"
        )
    return ready("Available")


def security_groups(
    vpc: Vpc, clusters: Sequence[ManagedCluster], members: Mapping[str, Collection[str]]
) -> list[SecurityGroupStatus]:
    """The security groups of a VPC: the user's, then those that ACK makes for clusters that name none.

    One that the user removed stays while machines are in it, as the cloud wouldn't delete it.
    """
    made = [own_group(cluster, vpc) for cluster in clusters]
    return [*users_groups(vpc), *(group for group in made if group is not None), *_removed_groups(vpc, members)]


def _removed_groups(vpc: Vpc, members: Mapping[str, Collection[str]]) -> list[SecurityGroupStatus]:
    wanted = {group.security_group_id for group in users_groups(vpc)}
    return [
        group
        for group in vpc.status.security_groups
        if group.cluster is None and group.security_group_id not in wanted and members.get(group.security_group_id)
    ]


def _is_block(text: str, shortest: int, longest: int) -> bool:
    try:
        return shortest <= IPv4Network(text).prefixlen <= longest
    except ValueError:
        return False


def deletion_state(owners: Sequence[str], clusters: Sequence[str]) -> State | None:
    """What a deleted VPC waits for; None when it can go."""
    if owners:
        return progressing("DependencyViolation", f"addresses are still used by {some(owners)}")
    if clusters:
        return progressing("DependencyViolation", f"still used by ManagedCluster {some(clusters)}")
    return None


def route_table_state(table: RouteTable, vpc: Vpc | None, limit: int) -> State:
    """The conditions of a route table."""
    if vpc is None:
        return progressing("WaitingForVPC", f"spec.vpcId: {table.spec.vpc_id}: no such VPC in this namespace yet")
    count = len(table.spec.route_entries)
    if count > limit:
        return stalled(*refusal(QuotaName.ROUTE_ENTRIES, count, limit))
    return ready("Available")


def some(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(sorted(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
