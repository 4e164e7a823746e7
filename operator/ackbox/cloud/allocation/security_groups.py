"""Security groups: which ones there are, which a machine joins, what they let through and how full they are. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from ackbox.catalog.security_groups import cluster_permissions, group_rules, terway_type
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.ledger import find_subnet
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.resources import ManagedCluster, NodePool, Vpc
from ackbox.resources.network import Permission, SecurityGroupStatus, SecurityGroupType

FLANNEL = "flannel"
OWN_NAME = "alicloud-cs-auto-created-security-group-"
"""What the name of a group that ACK makes begins with; the cluster's id follows."""


def pod_networks(cluster: ManagedCluster, vpc: Vpc) -> list[IPv4Network]:
    """Where the pods of a cluster have their addresses: in its containerCidr, or else in vSwitches."""
    spec = cluster.spec
    if spec.network_plugin == FLANNEL and spec.container_cidr:
        return [IPv4Network(spec.container_cidr)]
    found = [find_subnet(vpc, reference) for reference in spec.pod_vswitch_ids or spec.vswitch_ids]
    return [subnet.cidr for subnet in found if subnet is not None]


def type_for(cluster: ManagedCluster) -> SecurityGroupType:
    """The type of the group that ACK makes for a cluster; with Terway it is always the one that Terway needs."""
    if cluster.spec.network_plugin != FLANNEL:
        return terway_type()
    return SecurityGroupType.ENTERPRISE if cluster.spec.is_enterprise_security_group else SecurityGroupType.NORMAL


def own_group(cluster: ManagedCluster, vpc: Vpc) -> SecurityGroupStatus | None:
    """The group that ACK makes for a cluster; None where the cluster names one."""
    if cluster.spec.security_group_id:
        return None
    uid = cluster.metadata.uid
    return SecurityGroupStatus(
        security_group_id=ids.security_group_id(uid),
        security_group_name=f"{OWN_NAME}{ids.cluster_id(uid)}",
        security_group_type=type_for(cluster).value,
        cluster=cluster.metadata.name,
        permissions=cluster_permissions(pod_networks(cluster, vpc), IPv4Network(vpc.spec.cidr_block)),
    )


def users_groups(vpc: Vpc) -> list[SecurityGroupStatus]:
    """The groups that the user made in a VPC."""
    return [
        SecurityGroupStatus(
            security_group_id=ids.security_group_id(vpc.metadata.uid, group.security_group_name),
            security_group_name=group.security_group_name,
            security_group_type=group.security_group_type.value,
            permissions=group.permissions,
        )
        for group in vpc.spec.security_groups
    ]


def find_group(vpc: Vpc, reference: str) -> SecurityGroupStatus | None:
    """The group that a reference names, by its name or its id."""
    made = [group for group in vpc.status.security_groups if group.cluster is not None]
    every = [*users_groups(vpc), *made]
    return next((group for group in every if reference in (group.security_group_name, group.security_group_id)), None)


def cluster_group(cluster: ManagedCluster, vpc: Vpc) -> SecurityGroupStatus | None:
    """The group of a cluster's machines; None when the one that it names isn't there."""
    return own_group(cluster, vpc) or find_group(vpc, cluster.spec.security_group_id or "")


def pool_groups(pool: NodePool, cluster: ManagedCluster, vpc: Vpc) -> list[SecurityGroupStatus]:
    """The groups that a pool's machines join: those that the pool names, else the cluster's."""
    references = pool.spec.scaling_group.security_group_ids
    found = [find_group(vpc, each) for each in references] if references else [cluster_group(cluster, vpc)]
    return [group for group in found if group is not None]


def pool_group_ids(pool: NodePool, cluster: ManagedCluster, vpc: Vpc) -> list[str]:
    """The ids of the groups that a pool's machines join."""
    if not pool.spec.scaling_group.security_group_ids and not cluster.spec.security_group_id:
        return [ids.security_group_id(cluster.metadata.uid)]
    return [group.security_group_id for group in pool_groups(pool, cluster, vpc)]


def groups_problem(field: str, references: Sequence[str], cluster: ManagedCluster, vpc: Vpc) -> State | None:
    """What is wrong with the groups that a cluster or a pool names; None when they can be joined."""
    missing = [reference for reference in references if find_group(vpc, reference) is None]
    if missing:
        known = ", ".join(group.security_group_name for group in vpc.spec.security_groups) or "none"
        message = f"{field}: {', '.join(missing)} not in VPC {vpc.metadata.name}; it has: {known}"
        return progressing("InvalidSecurityGroupId.NotFound", message)
    named = [group for group in (find_group(vpc, each) for each in references) if group is not None]
    kinds = sorted({group.security_group_type for group in named})
    if len(kinds) > 1:
        message = (
            f"{field}: {', '.join(references)} are of the types {' and '.join(kinds)}; a machine joins one type only"
        )
        return stalled("InvalidSecurityGroup.TypeMismatch", message)
    needed = terway_type().value
    if kinds and cluster.spec.network_plugin != FLANNEL and kinds != [needed]:
        message = (
            f"{field}: {', '.join(references)} is of the type {kinds[0]}; the network plug-in"
            f" {cluster.spec.network_plugin} needs one of securityGroupType {needed}"
        )
        return stalled("InvalidSecurityGroup.TypeMismatch", message)
    return None


@dataclass(frozen=True)
class Member:
    """A machine as its security groups count it."""

    groups: Sequence[str]
    secondary_enis: int = 0

    @property
    def weight(self) -> int:
        """Its private addresses, or network interfaces, in each of its groups."""
        return 1 + self.secondary_enis


@dataclass(frozen=True)
class Room:
    """How full a security group is."""

    group: SecurityGroupStatus
    used: int

    @property
    def capacity(self) -> int:
        """What it holds at most."""
        return group_rules()[SecurityGroupType(self.group.security_group_type)].capacity

    def refusal(self, more: int) -> tuple[str, str] | None:
        """The cloud's code and a message when so many more don't fit."""
        if self.used + more <= self.capacity:
            return None
        counts = group_rules()[SecurityGroupType(self.group.security_group_type)].counts
        message = (
            f"security group {self.group.security_group_name} ({self.group.security_group_type}) has {self.used} of at"
            f" most {self.capacity} {counts}, which cannot be raised; name another one in"
            " spec.scalingGroup.securityGroupIds of a new pool."
        )
        return "QuotaExceeded.SecurityGroupInstance", message


def rooms(groups: Iterable[SecurityGroupStatus], members: Sequence[Member]) -> list[Room]:
    """How full some groups are."""
    return [
        Room(group, sum(member.weight for member in members if group.security_group_id in member.groups))
        for group in groups
    ]


def opens(groups: Sequence[SecurityGroupStatus], protocol: str, port: int, source: IPv4Network, inside: bool) -> bool:
    """Whether machines that are in all of some groups can be reached at a port from a whole block.

    Args:
        groups: the groups; their rules count together, by priority.
        protocol: `TCP` or `UDP`.
        port: the port.
        source: from where.
        inside: whether those who ask are members of the groups too.
    """
    for rule in sorted(_rules(groups), key=lambda rule: (rule.priority, rule.policy == "accept")):
        block = IPv4Network(rule.cidr_ip, strict=False)
        if rule.direction != "ingress" or not _speaks_of(rule, protocol, port) or not block.overlaps(source):
            continue
        if rule.policy == "drop":
            return False
        if source.subnet_of(block):
            return True
    return inside and any(group_rules()[SecurityGroupType(group.security_group_type)].members for group in groups)


def _rules(groups: Sequence[SecurityGroupStatus]) -> list[Permission]:
    return [rule for group in groups for rule in group.permissions]


def _speaks_of(rule: Permission, protocol: str, port: int) -> bool:
    first, last = map(int, rule.port_range.split("/"))
    return rule.ip_protocol in (protocol, "ALL") and (first == -1 or first <= port <= last)
