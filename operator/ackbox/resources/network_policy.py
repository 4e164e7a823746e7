"""Admission policies of VPCs: where their blocks may lie, and what a security group takes."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from ackbox.resources.network import VPC
from ackbox.resources.policy import SPEC, Check, policy, texts

ALL_PORTS = "-1/-1"


def vpc_policy(forbidden: Sequence[IPv4Network], masks: tuple[int, int]) -> list[dict[str, Any]]:
    """A VPC lies outside the blocks that the cloud keeps for itself; the rules of its security groups can be read."""
    block = f"{SPEC}.cidrBlock"
    readable = f"isCIDR({block}) && cidr({block}).ip().family() == 4"
    rules = "g.permissions.filter(p, {wrong}).map(p, g.securityGroupName + '].permissions: '"
    groups = "variables.groups.map(g, has(g.permissions) ? " + rules + " + {said}) : []).flatten()"
    first, last = "int(p.portRange.split('/')[0])", "int(p.portRange.split('/')[1])"
    ports = "has(p.portRange) && p.portRange != '" + ALL_PORTS + "'"
    variables = {
        "groups": f"has({SPEC}.securityGroups) ? {SPEC}.securityGroups : []",
        "kept": f"{readable} ? {texts(map(str, forbidden))}.filter(f, cidr(f).containsCIDR({block})"
        f" || cidr({block}).containsCIDR(f)) : []",
        "peers": groups.format(wrong="!isCIDR(p.cidrIp)", said="p.cidrIp + ' is not a CIDR block'"),
        "ports": groups.format(
            wrong=f"{ports} && ({first} < 1 || {last} > 65535 || {first} > {last})",
            said="'portRange ' + p.portRange + ' is not within 1/65535'",
        ),
        "portless": groups.format(
            wrong=f"{ports} && !(has(p.ipProtocol) && p.ipProtocol in ['TCP', 'UDP'])",
            said=f"'portRange ' + p.portRange + ' is for ipProtocol TCP and UDP, others have {ALL_PORTS}'",
        ),
    }
    wrong = {
        "peers": "InvalidSourceCidrIp.Malformed",
        "ports": "InvalidPortRange.Malformed",
        "portless": "InvalidPortRange.Malformed",
    }
    checks = [
        Check(
            f"!({readable}) || (cidr({block}).prefixLength() >= {masks[0]} && cidr({block}).prefixLength() <= {masks[1]})",
            f"'spec.cidrBlock: ' + {block} + ' (InvalidCidrBlock.Malformed); allowed: a mask of /{masks[0]} to /{masks[1]}'",
        ),
        Check(
            "variables.kept.size() == 0",
            f"'spec.cidrBlock: ' + {block} + ' touches ' + variables.kept.join(', ') + ', which the cloud keeps for itself"
            " (InvalidCidrBlock.Malformed); allowed: such as 192.168.0.0/16, 172.16.0.0/12, 10.0.0.0/8'",
        ),
        *(
            Check(
                f"variables.{name}.size() == 0",
                f"'spec.securityGroups[' + variables.{name}.join('; spec.securityGroups[') + ' ({code})'",
            )
            for name, code in wrong.items()
        ),
    ]
    return policy("vpcs", (VPC,), checks, variables)
