"""What a Service says of its network load balancer, compared with what is there. Pure; rule source: the CCM's `pkg/controller/service/nlbv2`."""

from collections.abc import Mapping, Sequence
from typing import Any

from ackbox.catalog.annotations import PREFIX, TABLES, Level
from ackbox.ccm.config import CloudConfig
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.model import LoadBalancerChanges
from ackbox.ccm.services.names import CLUSTER_TAG, MARK_TAG, REUSED_TAG
from ackbox.ccm.services.view import ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.loadbalancer import LoadBalancerType, ServiceLoadBalancerSpec, ZoneMapping

FAILED = "update nlb attribute error: "
NO_ZONES = f"ParameterMissing, zone mappings are required: set annotation {PREFIX}zone-maps to {TABLES[LoadBalancerType.NLB]['zone-maps'].allowed}"
MAX_TAGS = 20
MAX_RANGES = 200
TOO_MANY_RANGES = f"spec.loadBalancerSourceRanges may have at most {MAX_RANGES} entries"
CLOUD_TAGS = "acs:"
"""Prefix of tags that the cloud itself sets."""


def own_load_balancer(
    view: ServiceView, wishes: Wishes, facts: ClusterFacts, config: CloudConfig
) -> ServiceLoadBalancerSpec:
    """The spec of a new network load balancer of the Service's own.

    Raises:
        SyncError: it says no zones, or something wrong for which no default is safe.
    """
    for suffix in ("zone-maps", "address-type"):
        if suffix in wishes.blocked:
            raise SyncError(next(problem for problem in wishes.problems if suffix in problem))
    if "zone-maps" not in wishes:
        raise SyncError(NO_ZONES)
    if len(view.source_ranges) > MAX_RANGES:
        raise SyncError(TOO_MANY_RANGES)
    said = {field: value for field, value in wishes.fields(Level.LOAD_BALANCER).items() if value != ""}
    if said.get("address_ip_version") != "DualStack":
        said.pop("ipv6_address_type", None)
    marks = {MARK_TAG: view.default_name, CLUSTER_TAG: facts.cluster_id}
    tags = _tagged({}, marks, said.pop("tags", ()))
    fields: dict[str, Any] = {
        "load_balancer_type": LoadBalancerType.NLB,
        "load_balancer_name": view.default_name,
        "region_id": facts.region,
        "vpc_id": facts.vpc_id,
        "address_type": "internet",
        "resource_group_id": config.resource_group_id,
        "delete_protection": "on",
        "modification_protection_status": "ConsoleProtection",
        "modification_protection_reason": "managed.by.ack",
        "tags": [{"key": key, "value": value} for key, value in list(tags.items())[:MAX_TAGS]],
    }
    if view.source_ranges:
        fields["source_ranges"] = list(view.source_ranges)
    return ServiceLoadBalancerSpec.model_validate({**fields, **said})


def load_balancer_changes(
    load_balancer: ServiceLoadBalancer, view: ServiceView, wishes: Wishes, facts: ClusterFacts, reused: bool
) -> LoadBalancerChanges:
    """What is to be changed of a load balancer that is there; only what the Service says is put right."""
    said = wishes.fields(Level.LOAD_BALANCER)
    spec = load_balancer.spec
    problems = _immutable(said, spec)
    hints: list[str] = []
    target: dict[str, Any] = {}
    asked_zones = said.pop("zone_mappings", None)
    if asked_zones is not None:
        zones, refused = _zones(spec.zone_mappings, [ZoneMapping.model_validate(zone) for zone in asked_zones])
        problems += refused
        target["zoneMappings"] = [zone.wire() for zone in zones]
    marks = {} if reused else {MARK_TAG: view.default_name, CLUSTER_TAG: facts.cluster_id}
    there = {tag.key: tag.value for tag in spec.tags}
    tags = _tagged(there, marks, said.pop("tags", ()))
    if list(tags)[MAX_TAGS:]:
        left_out = ", ".join(list(tags)[MAX_TAGS:])
        problems.append(f"{FAILED}a load balancer has at most {MAX_TAGS} tags; left out: {left_out}")
    fitting = dict(list(tags.items())[:MAX_TAGS])
    if fitting != there:
        target["tags"] = [{"key": key, "value": value} for key, value in fitting.items()]
    if "ipv6_address_type" in said and spec.address_ip_version != "DualStack":
        del said["ipv6_address_type"]
        hints.append(f"Annotation {PREFIX}ipv6-address-type has no effect: the load balancer has an IPv4 address only")
    if len(view.source_ranges) > MAX_RANGES:
        problems.append(FAILED + TOO_MANY_RANGES)
    elif not reused:
        target["sourceRanges"] = list(view.source_ranges)
    # An empty text, which some of these annotations may have, takes the field away.
    simple = ServiceLoadBalancerSpec.model_validate(said).wire()
    target |= {field: (None if value == "" else value) for field, value in simple.items()}
    now = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    changed = {field: value for field, value in target.items() if value != now.get(field)}
    return LoadBalancerChanges(changed, tuple(problems), tuple(hints))


def _immutable(said: dict[str, Any], spec: ServiceLoadBalancerSpec) -> list[str]:
    """What the Service says otherwise than it is and can't be changed, in the CCM's own words; out of `said` then."""
    problems = []
    for field, words in (("address_ip_version", "AddressIpVersion"), ("resource_group_id", "ResourceGroupId")):
        asked, there = said.pop(field, None), getattr(spec, field)
        if asked not in (None, there):
            problems.append(f"{FAILED}{words} cannot be changed, service: {asked}, nlb: {there or ''}")
    return problems


def _tagged(there: Mapping[str, str], marks: Mapping[str, str], asked: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The tags to have: the CCM's own, and those asked for in place of all others; while there are none the others stay."""
    own = (MARK_TAG, CLUSTER_TAG, REUSED_TAG)
    further = {tag["key"]: tag["value"] for tag in asked if tag["key"] not in own}
    kept = {key: value for key, value in there.items() if not further or key in own or key.startswith(CLOUD_TAGS)}
    return {**kept, **marks, **further}


def _zones(there: Sequence[ZoneMapping], asked: Sequence[ZoneMapping]) -> tuple[list[ZoneMapping], list[str]]:
    """The zones to be in. What isn't said of one that stays is as it was, and its addresses can't be changed."""
    by_zone = {(zone.zone_id, zone.v_switch_id): zone for zone in there}
    zones, problems = [], []
    for zone in asked:
        before = by_zone.get((zone.zone_id, zone.v_switch_id))
        if before is None:
            zones.append(zone)
            continue
        zones.append(before)
        for field, what in (("private_ipv4_address", "private IPv4 address"), ("allocation_id", "EIP")):
            old, new = getattr(before, field), getattr(zone, field)
            if new not in (None, old):
                problems.append(
                    f"{FAILED}update zone mappings error: the {what} of zone {zone.zone_id} cannot be changed "
                    f"from [{old or ''}] to [{new}]; leave the zone and join it anew"
                )
    return zones, problems
