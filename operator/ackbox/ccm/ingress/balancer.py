"""The load balancer of an AlbConfig: an existing one that it names, or one of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import names
from ackbox.ccm.ingress.albconfig import AlbConfig, AlbZone
from ackbox.ccm.ingress.view import IngressView
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.names import CLUSTER_TAG, MARK_TAG
from ackbox.ccm.store import Store
from ackbox.kube.client import Object
from ackbox.kube.conditions import merge_difference
from ackbox.kube.errors import AlreadyExists
from ackbox.kube.queue import Retry
from ackbox.kube.refs import resolve
from ackbox.resources import SERVICE_LOAD_BALANCER, VPC, ServiceLoadBalancer, Vpc
from ackbox.resources.base import CLUSTER_LABEL
from ackbox.resources.loadbalancer import LoadBalancerType, ServiceLoadBalancerSpec

MIN_ZONES = 2
PATCHED = ("loadBalancerName", "zoneMappings", "deleteProtection", "bandwidthPackageId")
"""Fields that a change of the AlbConfig changes."""


def find(store: Store, facts: ClusterFacts, config: AlbConfig) -> ServiceLoadBalancer | None:
    """The load balancer of an AlbConfig as it is; None when there is none."""
    reference = config.spec.config.id
    if not reference:
        return find_own(store, facts, config.metadata.name)
    found = resolve(store[SERVICE_LOAD_BALANCER], facts.namespace, reference)
    return ServiceLoadBalancer.model_validate(found) if found is not None else None


def find_own(store: Store, facts: ClusterFacts, config: str) -> ServiceLoadBalancer | None:
    """The load balancer that was made for an AlbConfig."""
    found = store[SERVICE_LOAD_BALANCER].get(facts.namespace, names.load_balancer_name(facts.cluster_id, config))
    return ServiceLoadBalancer.model_validate(found) if found is not None else None


async def ensure(store: Store, facts: ClusterFacts, config: AlbConfig) -> ServiceLoadBalancer:
    """Find or make the load balancer and bring it up to date.

    Raises:
        SyncError: it can't be had as the AlbConfig says.
        Retry: it is on its way out, or came up meanwhile.
    """
    found = find(store, facts, config)
    own = find_own(store, facts, config.metadata.name)
    settings = config.spec.config
    if settings.id and own is not None:
        shown = own.status.load_balancer_id or own.metadata.name
        text = f"spec.config.id: this AlbConfig has a load balancer of its own already, {shown}"
        raise SyncError(f"{text}; delete the AlbConfig, and make it anew with the id")
    if found is not None and found.deleting:
        raise Retry(f"load balancer {found.metadata.name} is being deleted", 5.0)
    if settings.id:
        refusal = _refusal(settings.id, found, facts)
        if refusal is not None or found is None:
            raise SyncError(refusal or "")
        if not settings.force_override:
            return found
    vpc = resolve(store[VPC], facts.namespace, facts.vpc_id)
    spec = wanted_spec(config, facts, Vpc.model_validate(vpc) if vpc is not None else None)
    if found is None:
        return await _create(store, facts, config, spec)
    patch = changes(found, spec, own=not settings.id)
    if patch:
        obj = await store.patch(SERVICE_LOAD_BALANCER, found.metadata.name, facts.namespace, {"spec": patch})
        return ServiceLoadBalancer.model_validate(obj)
    return found


def _refusal(reference: str, found: ServiceLoadBalancer | None, facts: ClusterFacts) -> str | None:
    """Why a user's load balancer may not be used."""
    if found is None:
        return f"can not find loadbalancer by id [{reference}]"
    if found.spec.load_balancer_type is not LoadBalancerType.ALB:
        kind = found.spec.load_balancer_type.value
        return f"the loadbalancer {reference} can not be reused, it is of type {kind}; allowed is alb"
    if {tag.key for tag in found.spec.tags} & {CLUSTER_TAG, MARK_TAG}:
        return f"the loadbalancer {reference} can not be reused, can not reuse loadbalancer created by kubernetes."
    if found.spec.region_id not in (None, facts.region):
        return (
            f"the loadbalancer {reference} can not be reused, its region is {found.spec.region_id}, not {facts.region}"
        )
    return None


def wanted_spec(config: AlbConfig, facts: ClusterFacts, vpc: Vpc | None) -> ServiceLoadBalancerSpec:
    """The spec of an AlbConfig's own load balancer.

    Raises:
        SyncError: there are not enough zones for it.
    """
    settings, name = config.spec.config, config.metadata.name
    tags = names.load_balancer_tags(facts.cluster_id, name)
    return ServiceLoadBalancerSpec.model_validate(
        {
            "load_balancer_type": LoadBalancerType.ALB,
            "load_balancer_name": settings.name or names.load_balancer_name(facts.cluster_id, name),
            "region_id": facts.region,
            "address_type": (settings.address_type or "Internet").lower(),
            "address_ip_version": "DualStack" if settings.address_ip_version == "DualStack" else "ipv4",
            "vpc_id": facts.vpc_id,
            "zone_mappings": zones(settings.zone_mappings, vpc),
            "bandwidth_package_id": settings.billing_config.bandwidth_package_id,
            "resource_group_id": settings.resource_group_id or None,
            "delete_protection": "on" if settings.deletion_protection_enabled else "off",
            "modification_protection_status": "ConsoleProtection",
            "modification_protection_reason": "managed.by.ack",
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
    )


def zones(asked: Sequence[AlbZone], vpc: Vpc | None) -> list[Mapping[str, Any]]:
    """The zones of a load balancer: those that are asked for, else the first two of the VPC.

    Raises:
        SyncError: a vSwitch is unknown, or there are fewer than two zones.
    """
    ids = {item.v_switch_name: item.v_switch_id for item in vpc.status.vswitches} if vpc else {}
    switches = {item.v_switch_name: item for item in vpc.spec.vswitches} if vpc else {}
    by_reference = {**switches, **{ids[name]: item for name, item in switches.items() if name in ids}}
    found: dict[str, Mapping[str, Any]] = {}
    for zone in asked:
        switch = by_reference.get(zone.v_switch_id)
        if switch is None:
            allowed = ", ".join(switches) or "none"
            raise SyncError(
                f"zoneMappings: vSwitch {zone.v_switch_id} is not in the cluster's VPC; allowed are: {allowed}"
            )
        mapping = {"zone_id": switch.zone_id, "v_switch_id": zone.v_switch_id, "allocation_id": zone.allocation_id}
        found.setdefault(switch.zone_id, {key: value for key, value in mapping.items() if value})
    if asked and len(found) < MIN_ZONES:
        text = "unable to discover at least two vswitchs for alb: zoneMappings needs vSwitches in two zones"
        raise SyncError(f"{text}, but names only {', '.join(found)}")
    for switch in () if asked else switches.values():
        mapping = {"zone_id": switch.zone_id, "v_switch_id": ids.get(switch.v_switch_name, switch.v_switch_name)}
        found.setdefault(switch.zone_id, mapping)
    if len(found) < MIN_ZONES:
        text = "unable to discover at least two albZones for alb: the cluster's VPC needs vSwitches in two zones"
        raise SyncError(f"{text}, but has them in {', '.join(found) or 'none'}")
    return list(found.values()) if asked else list(found.values())[:MIN_ZONES]


def changes(found: ServiceLoadBalancer, spec: ServiceLoadBalancerSpec, own: bool) -> Object:
    """What is to be changed of a load balancer that is there; empty when nothing is. A user's keeps its own tags."""
    before, wanted = found.spec.wire(), spec.wire()
    fields = {field: wanted.get(field) for field in PATCHED}
    if own:
        tags = {tag.key: tag.value for tag in found.spec.tags}
        marked = tags | {tag.key: tag.value for tag in spec.tags}
        if marked != tags:
            fields["tags"] = [{"key": key, "value": value} for key, value in marked.items()]
    return merge_difference(before, fields)


def immutable_problems(found: ServiceLoadBalancer, config: AlbConfig) -> list[str]:
    """What the AlbConfig says and its own load balancer can't become."""
    asked = (config.spec.config.address_type or "Internet").lower()
    if config.spec.config.id or asked == found.spec.address_type:
        return []
    return [f"spec.config.addressType cannot be changed after creation; the load balancer is {found.spec.address_type}"]


def made_for(view: IngressView, name: str) -> Object:
    """The AlbConfig that is made for an Ingress which names none that is there, as its annotations say."""
    wishes = view.wishes
    settings = {
        "id": wishes.text("id"),
        "name": wishes.text("name"),
        "addressType": wishes.text("address-type") or "Internet",
        "addressAllocatedMode": wishes.text("address-allocated-mode") or "Dynamic",
        "edition": wishes.text("edition") or "Standard",
        "deletionProtectionEnabled": True,
        "listenerForceOverride": wishes.on("force-override-listeners"),
        "billingConfig": {"payType": wishes.text("charge-type") or "PostPay"},
        "zoneMappings": [{"vSwitchId": reference} for reference in wishes.values.get("vswitch-ids", ())],
        "accessLogConfig": wishes.values.get("access-log"),
    }
    spec = {"config": {key: value for key, value in settings.items() if value is not None}, "listeners": []}
    return {"metadata": {"name": name, "finalizers": [names.FINALIZER]}, "spec": spec}


async def _create(
    store: Store, facts: ClusterFacts, config: AlbConfig, spec: ServiceLoadBalancerSpec
) -> ServiceLoadBalancer:
    name = names.load_balancer_name(facts.cluster_id, config.metadata.name)
    body = {"metadata": {"name": name, "labels": {CLUSTER_LABEL: facts.name}}, "spec": spec.wire()}
    try:
        return ServiceLoadBalancer.model_validate(await store.create(SERVICE_LOAD_BALANCER, body, facts.namespace))
    except AlreadyExists:
        raise Retry("the load balancer is there already", 0.05) from None
