"""What the cloud gives a load balancer besides its private addresses: ids, names, public addresses. Pure."""

from collections.abc import Iterable, Mapping

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

ELASTIC_PREFIX = "eip-"
"""What the ids of elastic IP addresses begin with."""

PREFIXES = {LoadBalancerType.CLB: "lb", LoadBalancerType.NLB: "nlb", LoadBalancerType.ALB: "alb"}


def public_address(number: int) -> str:
    """The Internet address of a CLB: it follows from its number, so it is as unique."""
    network = network_rules().public_addresses
    return str(network.network_address + number)


def address_ipv6(balancer: ServiceLoadBalancer, number: int) -> str | None:
    """The IPv6 address, if it is to have one; as unique as its number too."""
    if balancer.spec.address_ip_version == "ipv4":
        return None
    return str(load_balancer_rules().ipv6_addresses[number])


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


def with_ids(balancer: ServiceLoadBalancer, names: Mapping[str, str]) -> ServiceLoadBalancer:
    """The load balancer with the ids of elastic IP addresses that it names; `names` has the ids by name."""
    if not names:
        return balancer
    spec = balancer.spec
    eips = [
        each.model_copy(update={"allocation_id": names.get(each.allocation_id, each.allocation_id)})
        for each in spec.eips
    ]
    zones = [
        each.model_copy(update={"allocation_id": names.get(each.allocation_id, each.allocation_id)})
        if each.allocation_id
        else each
        for each in spec.zone_mappings
    ]
    return balancer.model_copy(update={"spec": spec.model_copy(update={"eips": eips, "zone_mappings": zones})})


def missing(wanted: Iterable[str], addresses: Mapping[str, str | None]) -> State | None:
    """What to say of elastic IP addresses that have no address yet; None when all have one.

    Args:
        wanted: their ids, or a name that no ElasticIPAddress has.
        addresses: those of ElasticIPAddresses. Ids that no object has were bought elsewhere.
    """
    lacking = [each for each in wanted if each not in addresses and not each.startswith(ELASTIC_PREFIX)]
    if lacking:
        message = (
            f"spec.eips or spec.zoneMappings: {', '.join(lacking)}: no such ElasticIPAddress in this namespace yet"
        )
        return progressing("InvalidAllocationId.NotFound", message)
    waiting = [each for each in wanted if each in addresses and addresses[each] is None]
    if waiting:
        return progressing(
            "IncorrectEipStatus", f"spec.eips or spec.zoneMappings: {', '.join(waiting)} is being allocated"
        )
    return None


def bound_elsewhere(
    balancer: ServiceLoadBalancer, wanted: Iterable[str], others: Iterable[Object], names: Mapping[str, str]
) -> dict[str, str]:
    """Elastic IP addresses that other load balancers of the account have: their names, by its id.

    Who has one already keeps it; else the older load balancer gets it.
    """
    held, metadata = {eip.allocation_id for eip in balancer.status.eips}, balancer.metadata
    found: dict[str, str] = {}
    for other in others:
        meta = other["metadata"]
        has = {eip["allocationId"] for eip in (other.get("status") or {}).get("eips", ())}
        both = set(wanted) & (has | _asked_for(other, names)) if meta["uid"] != metadata.uid else set()
        for allocation_id in both:
            theirs = (allocation_id not in has, meta["creationTimestamp"], meta["name"])
            mine = (allocation_id not in held, metadata.creation_timestamp or "", metadata.name)
            if theirs < mine:
                found[allocation_id] = f"load balancer {meta['name']}"
    return found


def busy(bound: Mapping[str, str]) -> State | None:
    """What to say of elastic IP addresses that other load balancers have; None when there are none."""
    if not bound:
        return None
    each = ", ".join(f"{allocation_id} is bound to {name}" for allocation_id, name in bound.items())
    return progressing("IncorrectEipStatus", f"spec.eips or spec.zoneMappings: {each}; unbind it there first")


def _asked_for(obj: Object, names: Mapping[str, str]) -> set[str]:
    spec = obj.get("spec") or {}
    rows = (*spec.get("eips", ()), *spec.get("zoneMappings", ()))
    return {names.get(row["allocationId"], row["allocationId"]) for row in rows if row.get("allocationId")}


def shown(
    balancer: ServiceLoadBalancer,
    reachable: str,
    number: int,
    private: Mapping[str, tuple[str, str]],
    elastic: Mapping[str, str],
    region: str | None,
) -> Object:
    """The status of a load balancer that has all it needs; None takes a field away.

    Args:
        balancer: the load balancer.
        reachable: where it is dialled.
        number: its number, see `AddressPool`.
        private: the address and the vSwitch's id of each zone.
        elastic: the addresses of its elastic IP addresses, by id.
        region: the region of its VPC.
    """
    kind, uid = balancer.spec.load_balancer_type, balancer.metadata.uid
    balancer_id = ids.load_balancer_id(uid, PREFIXES[kind])
    ipv6 = address_ipv6(balancer, number)
    zones = _zones(balancer, private, elastic)
    if zones:
        address = zones[0].get("publicIPv4Address") or zones[0]["privateIPv4Address"]
    else:
        address = ipv6 or (private[WHOLE][0] if WHOLE in private else public_address(number))
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
