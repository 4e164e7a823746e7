"""What has to change so that a load balancer has what is wanted. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import names
from ackbox.ccm.ingress.groups import WantedGroup
from ackbox.ccm.ingress.model import Wanted, WantedListener
from ackbox.ccm.ingress.rules import Problem
from ackbox.ccm.services.changes import Change, Create, Patch, deletes, is_deleting
from ackbox.ccm.services.plan import metadata_of
from ackbox.kube.client import Object
from ackbox.kube.conditions import merge_difference
from ackbox.resources import LISTENER, SERVER_GROUP, Kind, ServiceLoadBalancer
from ackbox.resources.base import Model


@dataclass(frozen=True)
class There:
    """What is there.

    Attributes:
        get: an object by kind and name.
        listeners, groups: those on the load balancer that were made for this AlbConfig.
        mark: value of the owner label of what is made for it.
        override: whether listeners that somebody else made may be taken over.
    """

    get: Callable[[Kind, str], Object | None]
    listeners: Sequence[Object]
    groups: Sequence[Object]
    mark: str
    override: bool


@dataclass(frozen=True)
class Plan:
    """Changes in three steps: a group comes before the listeners that name it, and goes after them."""

    first: tuple[Change, ...]
    then: tuple[Change, ...]
    last: tuple[Change, ...]
    problems: tuple[Problem, ...]


def plan(wanted: Wanted, there: There, load_balancer: ServiceLoadBalancer, facts: ClusterFacts) -> Plan:
    """The changes that bring the load balancer to what is wanted."""
    maker = _Maker(there, load_balancer, facts)
    then: list[Change] = []
    problems: list[Problem] = []
    for listener in wanted.listeners:
        refusal = maker.refusal(listener)
        if refusal is not None:
            problems.append((None, refusal))
        elif listener.spec is not None:
            then += maker.change(LISTENER, listener.object_name, _wire(listener.spec))
    first = [
        change for group in wanted.groups for change in maker.change(SERVER_GROUP, group.object_name, _group(group))
    ]
    listeners = {listener.object_name for listener in wanted.listeners}
    # What a listener that is held back uses stays too.
    held = [there.get(LISTENER, item.object_name) for item in wanted.listeners if item.spec is None]
    groups = {group.object_name for group in wanted.groups} | {name for obj in held if obj for name in _used(obj)}
    then += deletes(LISTENER, there.listeners, listeners)
    return Plan(tuple(first), tuple(then), tuple(deletes(SERVER_GROUP, there.groups, groups)), tuple(problems))


def _used(listener: Object) -> set[str]:
    """The server groups that a listener names."""
    spec = listener["spec"]
    actions = [action for rule in spec.get("rules") or () for action in rule["ruleActions"]]
    named = {group["serverGroupId"] for action in actions for group in action.get("serverGroups") or ()}
    return named | {spec.get("vServerGroupId", "")}


def _wire(spec: Model) -> Object:
    """A spec as it is written; a field that was set to None is to be absent."""
    return spec.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _group(group: WantedGroup) -> Object:
    wire = _wire(group.spec)
    return wire if group.servers_known else {key: value for key, value in wire.items() if key != "backendServers"}


def _present(value: Any) -> Any:
    """A value without what is to be absent."""
    if isinstance(value, dict):
        return {key: _present(item) for key, item in value.items() if item is not None}
    return value


@dataclass(frozen=True)
class _Maker:
    there: There
    load_balancer: ServiceLoadBalancer
    facts: ClusterFacts

    def refusal(self, wanted: WantedListener) -> str | None:
        """Why a listener can't be had: somebody else's is there."""
        existing = self.there.get(LISTENER, wanted.object_name)
        if existing is None or self.there.override or self._is_own(existing):
            return None
        shown = self.load_balancer.status.load_balancer_id or self.load_balancer.metadata.name
        return (
            f"listener {wanted.port} of load balancer {shown} is there already and not this AlbConfig's; set "
            "spec.config.listenerForceOverride, or choose another port"
        )

    def change(self, kind: Kind, name: str, spec: Object) -> list[Change]:
        """What makes an object, or brings it to a spec."""
        existing = self.there.get(kind, name)
        labels = {names.OWNER_LABEL: self.there.mark}
        if existing is None:
            metadata = metadata_of(name, self.load_balancer, self.facts)
            metadata["labels"] |= labels
            return [Create(kind, {"metadata": metadata, "spec": _present(spec)})]
        if is_deleting(existing):
            return []
        # The load balancer may be written as its id by whoever made the listener; it can't change anyway.
        wanted = {
            "metadata": {"labels": labels},
            "spec": {**spec, "loadBalancerId": existing["spec"]["loadBalancerId"]},
        }
        difference = merge_difference(existing, wanted)
        return [Patch(kind, name, difference)] if difference else []

    def _is_own(self, obj: Object) -> bool:
        return bool((obj["metadata"].get("labels") or {}).get(names.OWNER_LABEL) == self.there.mark)
