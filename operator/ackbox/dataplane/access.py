"""Who may connect to a listener: its access control lists, and its load balancer's source ranges. Pure."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

from ackbox.dataplane.model import AccessRule
from ackbox.resources import AccessControlList
from ackbox.resources.listener import ListenerSpec


class UnknownList(Exception):
    """A listener names an access control list that isn't there."""


def access_rules(
    spec: ListenerSpec, source_ranges: list[str], lists: Mapping[str, AccessControlList | None]
) -> tuple[tuple[AccessRule, ...], tuple[str, ...]]:
    """The rules, and what is wrong with parts of them, which count as if they weren't there.

    Raises:
        ValueError: access control is on without a list or a type.
        UnknownList: a list isn't there.
    """
    rules: list[AccessRule] = []
    problems: list[str] = []
    if source_ranges:
        networks, wrong = _networks(source_ranges)
        problems += [f"sourceRanges: {entry} is not a CIDR block" for entry in wrong]
        rules.append(AccessRule(True, networks))
    if spec.acl_status == "on":
        rule, wrong = _listed(spec, lists)
        problems += wrong
        rules.append(rule)
    return tuple(rule for rule in rules if rule.networks), tuple(problems)


def _listed(spec: ListenerSpec, lists: Mapping[str, AccessControlList | None]) -> tuple[AccessRule, list[str]]:
    if not spec.acl_ids:
        raise ValueError("aclStatus is on, so aclIds must name an access control list")
    if spec.acl_type is None:
        raise ValueError("aclStatus is on, so aclType must be white or black")
    networks: list[str] = []
    problems = []
    for identity in spec.acl_ids:
        acl = lists.get(identity)
        if acl is None or acl.deleting:
            raise UnknownList(f"waits for access control list {identity}")
        found, wrong = _networks(one.entry for one in acl.spec.acl_entries)
        networks += found
        problems += [f"access control list {identity}: {entry} is not an address or CIDR block" for entry in wrong]
    return AccessRule(spec.acl_type == "white", tuple(sorted(set(networks)))), problems


def _networks(entries: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    networks, wrong = [], []
    for entry in entries:
        try:
            networks.append(str(ip_network(entry, strict=False)))
        except ValueError:
            wrong.append(entry)
    return tuple(networks), wrong
