"""What each kind and specification of load balancer can do (`loadbalancers.yaml`)."""

from dataclasses import dataclass, replace
from functools import cache
from ipaddress import IPv6Network
from typing import Any

from ackbox.catalog.data import read_yaml
from ackbox.resources.loadbalancer import LoadBalancerType, ServiceLoadBalancerSpec


@dataclass(frozen=True)
class Limits:
    """How much a load balancer takes at most; None where there is no limit.

    Attributes:
        connections: at a time.
        new_connections: a second.
        requests: a second, of all its HTTP and HTTPS listeners.
        bandwidth: Mbit/s.
    """

    connections: int | None = None
    new_connections: int | None = None
    requests: int | None = None
    bandwidth: int | None = None

    def times(self, count: int) -> "Limits":
        """The limits of so many of them together."""
        return Limits(*(None if value is None else value * count for value in vars(self).values()))


@dataclass(frozen=True)
class LoadBalancerRules:
    """The rules that are not limits.

    Attributes:
        default_spec: of a CLB that is paid by specification.
        minimum_zones: of each kind that stands in zones.
        domains: what the names of each kind end with, after id and region.
        ipv6_addresses: where IPv6 addresses come from.
    """

    default_spec: str
    minimum_zones: dict[LoadBalancerType, int]
    domains: dict[LoadBalancerType, str]
    ipv6_addresses: IPv6Network


@cache
def load_balancer_rules() -> LoadBalancerRules:
    """The rules."""
    table = _table()
    zonal = (LoadBalancerType.NLB, LoadBalancerType.ALB)
    return LoadBalancerRules(
        default_spec=table["clb"]["defaultSpec"],
        minimum_zones={kind: table[kind]["minimumZones"] for kind in zonal},
        domains={kind: table[kind]["domain"] for kind in zonal},
        ipv6_addresses=IPv6Network(table["ipv6Addresses"]),
    )


@cache
def specs() -> dict[str, Limits]:
    """The specifications of a CLB, by name, the smallest first."""
    return {name: _limits(row) for name, row in _table()["clb"]["specs"].items()}


def limits(spec: ServiceLoadBalancerSpec) -> Limits:
    """What a load balancer takes at most. A specification that does not exist counts as the default one."""
    table = _table()[spec.load_balancer_type]
    if spec.load_balancer_type is LoadBalancerType.CLB:
        return _classic(spec, table)
    zones = max(1, len(spec.zone_mappings))
    whole = _limits(table["instance"]) if "instance" in table else _limits(table["zone"]).times(zones)
    if spec.address_type == "intranet":
        return whole
    public = None if spec.bandwidth_package_id else table["publicBandwidth"] * zones
    return replace(whole, bandwidth=public)


def _classic(spec: ServiceLoadBalancerSpec, table: dict[str, Any]) -> Limits:
    if spec.instance_charge_type == "PayByCLCU":
        return replace(_limits(table["elastic"]), bandwidth=table["bandwidth"])
    chosen = specs().get(spec.load_balancer_spec or "", specs()[table["defaultSpec"]])
    bought = spec.bandwidth or table["defaultBandwidth"]
    return replace(chosen, bandwidth=bought if spec.internet_charge_type == "paybybandwidth" else table["bandwidth"])


def _limits(row: dict[str, int]) -> Limits:
    return Limits(row.get("connections"), row.get("newConnections"), row.get("requests"), row.get("bandwidth"))


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = read_yaml("loadbalancers.yaml")
    return table
