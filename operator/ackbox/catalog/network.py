"""Address rules of VPC and ACK (`network.yaml`)."""

from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network

from ackbox.catalog.data import read_yaml


@dataclass(frozen=True)
class NetworkRules:
    """Where address blocks may lie and what a vSwitch keeps to itself.

    Attributes:
        container_ranges: blocks that a `containerCidr` lies in; one of them.
        service_ranges: the same for a `serviceCidr`.
        service_masks: shortest and longest mask of a `serviceCidr`.
        v_switch_masks: shortest and longest mask of a vSwitch.
        reserved_first: addresses at the start of a vSwitch that nobody gets.
        reserved_last: addresses at its end that nobody gets.
        public_addresses: where internet load balancers get their addresses.
        elastic_addresses: where elastic IP addresses come from.
        vpc_forbidden: blocks that a VPC may not touch.
        vpc_masks: shortest and longest mask of a VPC.
        terway_more_pods_than: a machine whose network interfaces carry no more pods can't be a node with Terway.
    """

    container_ranges: tuple[IPv4Network, ...]
    service_ranges: tuple[IPv4Network, ...]
    service_masks: tuple[int, int]
    v_switch_masks: tuple[int, int]
    reserved_first: int
    reserved_last: int
    public_addresses: IPv4Network
    elastic_addresses: IPv4Network
    vpc_forbidden: tuple[IPv4Network, ...]
    vpc_masks: tuple[int, int]
    terway_more_pods_than: int


@cache
def network_rules() -> NetworkRules:
    """The rules."""
    rules = read_yaml("network.yaml")
    service, v_switch, vpc = rules["serviceCidr"], rules["vSwitch"], rules["vpc"]
    return NetworkRules(
        container_ranges=tuple(map(IPv4Network, rules["containerCidr"]["ranges"])),
        service_ranges=tuple(map(IPv4Network, service["ranges"])),
        service_masks=(service["shortestMask"], service["longestMask"]),
        v_switch_masks=(v_switch["shortestMask"], v_switch["longestMask"]),
        reserved_first=v_switch["reservedFirst"],
        reserved_last=v_switch["reservedLast"],
        public_addresses=IPv4Network(rules["publicAddresses"]),
        elastic_addresses=IPv4Network(rules["elasticAddresses"]),
        vpc_forbidden=tuple(map(IPv4Network, vpc["forbidden"])),
        vpc_masks=(vpc["shortestMask"], vpc["longestMask"]),
        terway_more_pods_than=rules["terway"]["morePodsThan"],
    )
