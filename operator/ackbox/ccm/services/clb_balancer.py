"""What a Service says of its classic load balancer, compared with what is there. Pure; rule source: the CCM's `pkg/controller/service/clbv1`."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ackbox.catalog.annotations import PREFIX, TABLES, Level, Mutability
from ackbox.ccm.config import CloudConfig
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.model import LoadBalancerChanges
from ackbox.ccm.services.names import CLUSTER_TAG, MARK_TAG, REUSED_TAG
from ackbox.ccm.services.view import ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.loadbalancer import LoadBalancerType, ServiceLoadBalancerSpec

FAILED = "update lb attribute error: "
REASON = "managed.by.ack"
DEFAULT_SPEC = "slb.s1.small"
NO_ADDRESS_LEFT = "VSwitchAvailableIpNotExist"
"""The cloud's word for a vSwitch whose addresses are all taken."""
MAX_TAGS = 20
CLOUD_TAGS = "acs:"
"""Prefix of tags that the cloud itself sets."""


@dataclass(frozen=True)
class Said:
    """The fields that annotations set on a load balancer, without those that don't go together."""

    fields: Mapping[str, Any]
    problems: tuple[str, ...]
    hints: tuple[str, ...]


def own_load_balancer(
    view: ServiceView, wishes: Wishes, facts: ClusterFacts, config: CloudConfig
) -> ServiceLoadBalancerSpec:
    """The spec of a new load balancer of the Service's own."""
    address_type = wishes.text("address-type") or "internet"
    said = said_of(wishes, ServiceLoadBalancerSpec.model_validate({"address_type": address_type}))
    marks = {MARK_TAG: view.default_name, CLUSTER_TAG: facts.cluster_id}
    tags = marks | {key: value for key, value in _further_tags(wishes).items() if key not in marks}
    fields = {
        "load_balancer_name": view.default_name,
        "region_id": facts.region,
        "address_type": address_type,
        "delete_protection": "on",
        "modification_protection_status": "ConsoleProtection",
        **_network(view, wishes, facts, config, address_type),
        **({"resource_group_id": config.resource_group_id} if config.resource_group_id else {}),
        **said.fields,
        "tags": [{"key": key, "value": value} for key, value in list(tags.items())[:MAX_TAGS]],
    }
    if fields["modification_protection_status"] == "ConsoleProtection":
        fields["modification_protection_reason"] = REASON
    return ServiceLoadBalancerSpec.model_validate(fields)


def _network(
    view: ServiceView, wishes: Wishes, facts: ClusterFacts, config: CloudConfig, address_type: str
) -> dict[str, Any]:
    """The VPC and vSwitch of a private load balancer; a public one is in none, a classic one in no vSwitch."""
    if address_type != "intranet":
        return {}
    if wishes.text("network-type") == "classic":
        return {"vpc_id": facts.vpc_id}
    choices: list[str | None] = [vswitch for _, vswitch in config.vswitch_ids] or [facts.v_switch_id]
    # Any will do, but the same one again after a crash.
    chosen = choices[zlib.crc32(view.uid.encode()) % len(choices)]
    return {"vpc_id": facts.vpc_id, "v_switch_id": chosen}


@dataclass
class _Look:
    """A load balancer's fields while the rules go over them."""

    fields: dict[str, Any]
    there: ServiceLoadBalancerSpec
    problems: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def effective(self, name: str) -> Any:
        """What a field would be: as said, else as it is."""
        return self.fields.get(name, getattr(self.there, name))

    def ignore(self, suffix: str, name: str, why: str, into: list[str]) -> None:
        """Leave a field as it is, and say that its annotation has no effect."""
        if name in self.fields:
            del self.fields[name]
            into.append(f"Annotation {PREFIX}{suffix} has no effect: {why}")


def said_of(wishes: Wishes, there: ServiceLoadBalancerSpec) -> Said:
    """The fields that annotations set, given what the load balancer is otherwise."""
    look = _Look(wishes.fields(Level.LOAD_BALANCER), there)
    look.fields.pop("tags", None)
    if there.address_type == "internet":
        why = "the load balancer has a public address and is in no vSwitch"
        look.ignore("vswitch-id", "v_switch_id", why, look.hints)
        look.ignore("ip", "address", why, look.hints)
    if look.fields.get("network_type") == "classic":
        look.fields.pop("v_switch_id", None)
    _charges(look)
    return Said(look.fields, tuple(look.problems), tuple(look.hints))


def _charges(look: _Look) -> None:
    """Paid by bandwidth is only Internet traffic, and only of a load balancer that is paid by its specification."""
    by_specification = look.effective("instance_charge_type") == "PayBySpec"
    public = look.there.address_type == "internet"
    if look.fields.get("internet_charge_type") == "paybybandwidth" and not (public and by_specification):
        why = (
            "paybybandwidth needs annotation instance-charge-type: PayBySpec"
            if public
            else "paybybandwidth is for internet load balancers"
        )
        look.ignore("charge-type", "internet_charge_type", why, look.problems)
    if not public:
        look.fields.pop("internet_charge_type", None)
    if look.effective("internet_charge_type") != "paybybandwidth":
        look.ignore("bandwidth", "bandwidth", "it counts with charge-type: paybybandwidth only", look.hints)
    if not by_specification:
        why = "it counts with instance-charge-type: PayBySpec only"
        look.ignore("spec", "load_balancer_spec", why, look.hints)
    elif look.there.load_balancer_spec is None:
        look.fields.setdefault("load_balancer_spec", DEFAULT_SPEC)


def load_balancer_changes(
    load_balancer: ServiceLoadBalancer, view: ServiceView, wishes: Wishes, facts: ClusterFacts, reused: bool
) -> LoadBalancerChanges:
    """What is to be changed of a load balancer that is there; only what the Service says is put right."""
    spec = load_balancer.spec
    said = said_of(wishes, spec)
    problems = [*said.problems, *_immutable(load_balancer, said.fields)]
    rows = {row.field: row for row in TABLES[LoadBalancerType.CLB].values() if row.level is Level.LOAD_BALANCER}
    target = {
        field: value
        for field, value in said.fields.items()
        if rows[field].mutability is Mutability.MUTABLE and value != getattr(spec, field)
    }
    if target.get("modification_protection_status") == "ConsoleProtection":
        target["modification_protection_reason"] = REASON
    wire = ServiceLoadBalancerSpec.model_validate(target).wire()
    tags, left_out = _tags(load_balancer, view, wishes, facts, reused)
    if left_out:
        problems.append(f"{FAILED}a load balancer has at most {MAX_TAGS} tags; left out: {', '.join(left_out)}")
    if tags is not None:
        wire["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
    return LoadBalancerChanges(wire, tuple(problems), said.hints)


def next_vswitch(load_balancer: ServiceLoadBalancer, wishes: Wishes, config: CloudConfig) -> dict[str, str]:
    """The field that moves a private load balancer without an address to the next vSwitch of the cloud config.

    Empty unless its vSwitch has no address left and the Service doesn't ask for that very one.
    """
    spec, status = load_balancer.spec, load_balancer.status
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    exhausted = ready is not None and ready.status != "True" and ready.reason == NO_ADDRESS_LEFT
    if not exhausted or status.address is not None or spec.v_switch_id is None or "vswitch-id" in wishes:
        return {}
    choices = [vswitch for _, vswitch in config.vswitch_ids]
    place = choices.index(spec.v_switch_id) if spec.v_switch_id in choices else -1
    following = choices[(place + 1) % len(choices)] if choices else spec.v_switch_id
    return {"vSwitchId": following} if following != spec.v_switch_id else {}


def _immutable(load_balancer: ServiceLoadBalancer, said: Mapping[str, Any]) -> list[str]:
    """What the Service says otherwise than it is and can't be changed, in the CCM's own words."""
    spec, status = load_balancer.spec, load_balancer.status
    there = {
        "address_type": (spec.address_type,),
        "network_type": (spec.network_type or ("vpc" if spec.v_switch_id else "classic"),),
        "master_zone_id": (spec.master_zone_id,),
        "slave_zone_id": (spec.slave_zone_id,),
        "resource_group_id": (spec.resource_group_id,),
        "address": (spec.address, status.address),
        "address_ip_version": (spec.address_ip_version,),
    }
    # To say nothing is to say ipv4.
    said = {"address_ip_version": "ipv4", **said}
    return [
        f"{FAILED}{row.immutable_error}"
        for row in TABLES[LoadBalancerType.CLB].values()
        if row.mutability is Mutability.IMMUTABLE and row.field in said and said[row.field] not in there[row.field]
    ]


def _further_tags(wishes: Wishes) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in wishes.values.get("additional-resource-tags", ())}


def _tags(
    load_balancer: ServiceLoadBalancer, view: ServiceView, wishes: Wishes, facts: ClusterFacts, reused: bool
) -> tuple[dict[str, str] | None, list[str]]:
    """The tags to have, None when they are there, and those that don't fit.

    The CCM's own marks are put back; while a Service asks for tags, those of others go, except the cloud's.
    """
    there = {tag.key: tag.value for tag in load_balancer.spec.tags}
    own = (MARK_TAG, CLUSTER_TAG, REUSED_TAG)
    further = {key: value for key, value in _further_tags(wishes).items() if key not in own}
    kept = {key: value for key, value in there.items() if not further or key in own or key.startswith(CLOUD_TAGS)}
    marks = {} if reused else {MARK_TAG: view.default_name, CLUSTER_TAG: facts.cluster_id}
    tags = {**kept, **marks, **further}
    fitting = dict(list(tags.items())[:MAX_TAGS])
    return (fitting if fitting != there else None), list(tags)[MAX_TAGS:]
