"""What the cloud gives a load balancer besides its private addresses: ids, names, public addresses. Pure."""

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address

from ackbox.catalog.loadbalancers import load_balancer_rules
from ackbox.catalog.network import network_rules
from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.quota import refusal
from ackbox.cloud.loadbalancers.plan import WHOLE
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing, ready
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.loadbalancer import LoadBalancerPhase, LoadBalancerType

SETTLED = "Active"
"""The reason of a load balancer that waits for nothing and is told of nothing."""

PREFIXES = {LoadBalancerType.CLB: "lb", LoadBalancerType.NLB: "nlb", LoadBalancerType.ALB: "alb"}


def public_address(reachable: IPv4Address) -> str:
    """The Internet address of a CLB: it follows from its loopback address, so it is as unique."""
    network = network_rules().public_addresses
    return str(IPv4Address(int(network.network_address) + (int(reachable) & 0xFFFF)))


def address_ipv6(balancer: ServiceLoadBalancer, reachable: IPv4Address) -> str | None:
    """The IPv6 address, if it is to have one; as unique as the loopback address too."""
    if balancer.spec.address_ip_version == "ipv4":
        return None
    return str(load_balancer_rules().ipv6_addresses[int(reachable) & 0xFFFF])


def elastic_ids(balancer: ServiceLoadBalancer) -> dict[str, str]:
    """The elastic IP addresses that a load balancer has, by zone.

    A zone of an Internet NLB or ALB gets one from the cloud unless it names one.
    """
    spec, uid = balancer.spec, balancer.metadata.uid
    if spec.load_balancer_type is LoadBalancerType.CLB:
        own = spec.eips[0].allocation_id if spec.eips and spec.address_type == "intranet" else None
        return {WHOLE: own} if own else {}
    if spec.address_type == "intranet":
        return {}
    return {
        each.zone_id: each.allocation_id or ids.elastic_address_id(uid, each.zone_id) for each in spec.zone_mappings
    }


def bound_elsewhere(balancer: ServiceLoadBalancer, wanted: Iterable[str], others: Iterable[Object]) -> dict[str, str]:
    """Elastic IP addresses that other load balancers of the account have: their names, by its id.

    Who has one already keeps it; else the older load balancer gets it.
    """
    held, metadata = {eip.allocation_id for eip in balancer.status.eips}, balancer.metadata
    found: dict[str, str] = {}
    for other in others:
        meta = other["metadata"]
        has = {eip["allocationId"] for eip in (other.get("status") or {}).get("eips", ())}
        both = set(wanted) & (has | _asked_for(other)) if meta["uid"] != metadata.uid else set()
        for allocation_id in both:
            theirs = (allocation_id not in has, meta["creationTimestamp"], meta["name"])
            mine = (allocation_id not in held, metadata.creation_timestamp or "", metadata.name)
            if theirs < mine:
                found[allocation_id] = meta["name"]
    return found


def busy(bound: Mapping[str, str]) -> State | None:
    """What to say of elastic IP addresses that other load balancers have; None when there are none."""
    if not bound:
        return None
    each = ", ".join(f"{allocation_id} is bound to load balancer {name}" for allocation_id, name in bound.items())
    return progressing("IncorrectEipStatus", f"spec.eips or spec.zoneMappings: {each}; unbind it there first")


def _asked_for(obj: Object) -> set[str]:
    spec = obj.get("spec") or {}
    rows = (*spec.get("eips", ()), *spec.get("zoneMappings", ()))
    return {row["allocationId"] for row in rows if row.get("allocationId")}


def elastic_addresses(wanted: Iterable[str], held: Mapping[str, str], taken: Collection[str]) -> dict[str, str]:
    """The address of each elastic IP address, by its id.

    An id always begins its search at the same place, so it mostly has the same address wherever it is bound.

    Args:
        wanted: the ids.
        held: the addresses that some of them have.
        taken: addresses that others have.
    """
    network = load_balancer_rules().elastic_addresses
    size = network.num_addresses - 2
    given: dict[str, str] = {}
    for allocation_id in wanted:
        start = ids.elastic_address_number(allocation_id, size)
        candidates = (str(network[1 + (start + step) % size]) for step in range(size))
        free = (address for address in candidates if address not in taken and address not in given.values())
        given[allocation_id] = held.get(allocation_id) or next(free)
    return given


def shown(
    balancer: ServiceLoadBalancer,
    reachable: str,
    private: Mapping[str, tuple[str, str]],
    elastic: Mapping[str, str],
    region: str | None,
) -> Object:
    """The status of a load balancer that has all it needs; None takes a field away.

    Args:
        balancer: the load balancer.
        reachable: its loopback address.
        private: the address and the vSwitch's id of each zone.
        elastic: the addresses of its elastic IP addresses, by id.
        region: the region of its VPC.
    """
    kind, uid = balancer.spec.load_balancer_type, balancer.metadata.uid
    balancer_id = ids.load_balancer_id(uid, PREFIXES[kind])
    ipv6 = address_ipv6(balancer, IPv4Address(reachable))
    zones = _zones(balancer, private, elastic)
    if zones:
        address = zones[0].get("publicIPv4Address") or zones[0]["privateIPv4Address"]
    else:
        address = ipv6 or (private[WHOLE][0] if WHOLE in private else public_address(IPv4Address(reachable)))
    return {
        "loadBalancerId": balancer_id,
        "address": address,
        "addressIPv6": ipv6,
        "reachable": reachable,
        "dnsName": f"{balancer_id}.{region}.{load_balancer_rules().domains[kind]}" if zones else None,
        "zoneMappings": zones or None,
        "eips": [{"allocationId": key, "ipAddress": value} for key, value in elastic.items()] or None,
        "sourceRangeSecurityGroupId": ids.security_group_id(uid) if balancer.spec.source_ranges else None,
        "phase": LoadBalancerPhase.ACTIVE.value,
    }


def _zones(
    balancer: ServiceLoadBalancer, private: Mapping[str, tuple[str, str]], elastic: Mapping[str, str]
) -> list[Object]:
    if balancer.spec.load_balancer_type is LoadBalancerType.CLB:
        return []
    eips, zones = elastic_ids(balancer), []
    for zone, (address, v_switch_id) in private.items():
        fields: Object = {"zoneId": zone, "vSwitchId": v_switch_id, "privateIPv4Address": address}
        if eips.get(zone) in elastic:
            fields |= {"publicIPv4Address": elastic[eips[zone]], "allocationId": eips[zone]}
        zones.append(fields)
    return zones


def crowding(listeners: int, backends: int, limits: Mapping[QuotaName, int]) -> State:
    """Ready. More listeners or backends than the quota allows are only told of: others made them."""
    for name, count in ((QuotaName.LISTENERS, listeners), (QuotaName.BACKENDS, backends)):
        if count > limits[name]:
            return State("True", *refusal(name, count, limits[name]))
    return ready(SETTLED)
