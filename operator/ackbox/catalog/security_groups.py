"""Types of security groups and what ACK puts into those that it makes (`security_groups.yaml`)."""

from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network
from typing import Any

from ackbox.catalog.data import read_yaml
from ackbox.resources.network import Permission, SecurityGroupType

PODS, WHOLE_VPC = "pods", "vpc"
"""Peers that differ from cluster to cluster."""


@dataclass(frozen=True)
class GroupRules:
    """What a type of security group does without a rule.

    Attributes:
        capacity: how many of what `counts` says a group holds.
        counts: `private addresses` or `network interfaces`.
        members: whether its members reach each other.
        egress: whether what no rule speaks of goes out.
    """

    capacity: int
    counts: str
    members: bool
    egress: bool


@cache
def group_rules() -> dict[SecurityGroupType, GroupRules]:
    """The types."""
    return {SecurityGroupType(name): GroupRules(**row) for name, row in _table()["types"].items()}


def terway_type() -> SecurityGroupType:
    """The type that Terway needs."""
    return SecurityGroupType(_table()["terway"])


def dns() -> tuple[str, int]:
    """Protocol and port by which pods resolve names."""
    row = _table()["dns"]
    return row["ipProtocol"], row["port"]


def cluster_permissions(pods: list[IPv4Network], vpc: IPv4Network) -> list[Permission]:
    """The rules of the group that ACK makes for a cluster.

    Args:
        pods: where the cluster's pods have their addresses.
        vpc: the block of its VPC.
    """
    found = []
    for row in _table()["clusterPermissions"]:
        for peer in {PODS: pods, WHOLE_VPC: [vpc]}.get(row["from"], [row["from"]]):
            fields = {"direction": row["direction"], "ipProtocol": row["ipProtocol"], "cidrIp": str(peer)}
            found.append(Permission.model_validate(fields))
    return found


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = read_yaml("security_groups.yaml")
    return table
