"""What is to be written to a Node that is there. Pure; rule source: the CCM's `pkg/controller/node`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ackbox.catalog.high_risk import instance_conditions
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.nodes.harm import NETWORK, harm_conditions, harm_over, network_down, network_up
from ackbox.ccm.nodes.machine import Machine, machine, ready
from ackbox.ccm.nodes.model import (
    PROVIDED_IP,
    UNINITIALIZED_TAINT,
    Route,
    addresses,
    cloud_addresses,
    cloud_labels,
    is_emulated,
    kubelet_version,
    no_route_yet,
    route_condition,
)
from ackbox.resources import Instance
from ackbox.resources.base import EMULATED_LABEL


@dataclass(frozen=True)
class NodePatches:
    """Patches of a Node; what is None or empty needs no write.

    Attributes:
        node: merge patch of labels and taints.
        status: JSON patch of the status: lists there have other writers too, so single items are changed.
    """

    node: dict[str, Any] | None
    status: list[dict[str, Any]]


def repair(
    node: Mapping[str, Any], instance: Instance, facts: ClusterFacts, route: Route, now: datetime
) -> NodePatches:
    """Put back what follows from a running Instance."""
    if instance.out_of_service:
        return NodePatches(power_off(node), harm_patches(node, instance, now))
    alone = machine(node, facts.region) is Machine.EXCLUDED or unknown_address(node, instance) is not None
    labels = {} if alone else cloud_labels(instance, facts)
    if is_emulated(node):
        labels[EMULATED_LABEL] = "true"
    there = node["metadata"].get("labels") or {}
    wrong = {key: value for key, value in labels.items() if there.get(key) != value}
    patch: dict[str, Any] = {"metadata": {"labels": wrong}} if wrong else {}
    if alone:
        return NodePatches(patch or None, [])
    patch |= initialised(node) or {}
    return NodePatches(patch or None, _status(node, instance, facts, route, now))


def initialised(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """The patch that takes off the taint with which a kubelet registers; it holds for this version of the Node only."""
    taints = (node.get("spec") or {}).get("taints") or []
    kept = [taint for taint in taints if taint["key"] != UNINITIALIZED_TAINT]
    return {"spec": {"taints": kept}} if kept != taints else None


def unknown_address(node: Mapping[str, Any], instance: Instance) -> str | None:
    """Why a Node that says its own address can't be synced: the cloud doesn't know that address."""
    provided = (node["metadata"].get("annotations") or {}).get(PROVIDED_IP)
    known = [address["address"] for address in cloud_addresses(instance)]
    if provided is None or provided in known:
        return None
    name, allowed = instance.metadata.name, ", ".join(known)
    return f"annotation {PROVIDED_IP}: {provided} is not an address of {name}, which has: {allowed}"


def power_off(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """The patch for the Node of a machine that is off: nothing keeps it alive, so its Lease runs out."""
    if EMULATED_LABEL not in (node["metadata"].get("labels") or {}):
        return None
    return {"metadata": {"labels": {EMULATED_LABEL: None}}}


def _status(
    node: Mapping[str, Any], instance: Instance, facts: ClusterFacts, route: Route, now: datetime
) -> list[dict[str, Any]]:
    status = node.get("status") or {}
    operations: list[dict[str, Any]] = []
    wanted = addresses(instance, facts, node)
    if (status.get("addresses") or []) != wanted:
        operations.append({"op": "add", "path": "/status/addresses", "value": wanted})
    version = kubelet_version(instance, facts)
    if is_emulated(node) and (status.get("nodeInfo") or {}).get("kubeletVersion") not in (None, version):
        for field in ("kubeletVersion", "kubeProxyVersion"):
            operations.append({"op": "replace", "path": f"/status/nodeInfo/{field}", "value": version})
    condition = network_condition(node, instance, route, now)
    conditions = status.get("conditions") or []
    operations += harm_patches(node, instance, now)
    if condition is not None:
        operations += _condition(conditions, condition)
    elif route is Route.WAITING and initialised(node) and not _has_network(conditions):
        operations += _condition(conditions, no_route_yet(now))
    return operations


def network_condition(
    node: Mapping[str, Any], instance: Instance, route: Route, now: datetime
) -> dict[str, str] | None:
    """The condition NetworkUnavailable: what was done to the machine by hand goes before what its route says."""
    down = network_down(instance, now)
    if down is not None or route is not Route.NOT_NEEDED:
        return down or route_condition(route, now)
    there = (node.get("status") or {}).get("conditions") or []
    broken = any(each["type"] == NETWORK and each.get("reason") in instance_conditions() for each in there)
    return network_up(now) if broken else None


def harm_patches(node: Mapping[str, Any], instance: Instance, now: datetime) -> list[dict[str, Any]]:
    """Brings the conditions by which the Node tells what was done to its machine up to date.

    One that no longer holds becomes False, as node-problem-detector has it; taking it off would move the others.
    """
    conditions = (node.get("status") or {}).get("conditions") or []
    if not conditions:
        return []
    wanted = harm_conditions(instance, now)
    held = {each["type"] for each in wanted}
    over = [each["type"] for each in conditions if each["type"] in instance_conditions() and each["status"] == "True"]
    wanted += [harm_over(kind, now) for kind in over if kind not in held]
    return [operation for each in wanted for operation in _condition(conditions, each)]


def _has_network(conditions: list[dict[str, Any]]) -> bool:
    return any(each["type"] == "NetworkUnavailable" and each["status"] == "False" for each in conditions)


def _condition(conditions: list[dict[str, Any]], wanted: dict[str, str]) -> list[dict[str, Any]]:
    for index, condition in enumerate(conditions):
        if condition["type"] != wanted["type"]:
            continue
        if (condition["status"], condition.get("reason")) == (wanted["status"], wanted["reason"]):
            return []
        path = f"/status/conditions/{index}"
        # The test fails when somebody else has changed the list meanwhile.
        test = {"op": "test", "path": f"{path}/type", "value": wanted["type"]}
        return [test, {"op": "replace", "path": path, "value": wanted}]
    if conditions:
        return [{"op": "add", "path": "/status/conditions/-", "value": wanted}]
    return [{"op": "add", "path": "/status/conditions", "value": [wanted]}]


def stale(node: Mapping[str, Any]) -> bool:
    """Whether a Node whose Instance doesn't exist may be deleted.

    The CCM waits until nothing is heard of the node (Ready Unknown); an emulated one has nobody to be heard of.
    """
    return is_emulated(node) or ready(node) == "Unknown"
