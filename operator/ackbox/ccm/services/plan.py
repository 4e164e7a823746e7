"""Compares what a Service is to have with what is there. Pure: answers with changes, doesn't make them.

Ownership is told by names: a listener's description, a server group's name and a backend server's description. What
doesn't name this Service is never deleted, and what names another Service that is there is never changed.

The CCM sends backend servers in batches of 40; here one patch holds all of a group, because the API server takes them at
once or not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services.changes import Change, Create, Patch, deletes, group_removals, in_order, is_deleting
from ackbox.ccm.services.clb_listener import AFFINITY_MARK, HEALTHZ_FIELDS, HEALTHZ_URI
from ackbox.ccm.services.model import Wanted, WantedGroup, WantedListener
from ackbox.ccm.services.names import Owner, parse_name
from ackbox.kube.client import Object
from ackbox.kube.conditions import merge_difference
from ackbox.kube.refs import owner_reference
from ackbox.resources import LISTENER, SERVER_GROUP, Kind, ServiceLoadBalancer
from ackbox.resources.base import CLUSTER_LABEL
from ackbox.resources.servergroup import BackendServer


@dataclass(frozen=True)
class Plan:
    """Changes to make, in three steps, and what can't be had.

    Attributes:
        changes: at first.
        after: listeners that send clients to another one, which must be there before; and the deletion of listeners that
            such ones pointed to.
        last: groups that nothing uses any more.
    """

    changes: tuple[Change, ...]
    after: tuple[Change, ...] = ()
    last: tuple[Change, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class There:
    """What is there.

    Attributes:
        get: an object by kind and name.
        listeners, groups: those on this load balancer whose name says that they are the Service's.
        owner: the Service.
        max_servers: how many backend servers a load balancer may have.
        alive: whether a Service, of this or another cluster, may still be there.
    """

    get: Callable[[Kind, str], Object | None]
    listeners: Sequence[Object]
    groups: Sequence[Object]
    owner: Owner
    max_servers: int
    alive: Callable[[Owner], bool] = lambda _: True


def plan(wanted: Wanted, there: There, load_balancer: ServiceLoadBalancer, facts: ClusterFacts) -> Plan:
    """The changes that bring the load balancer to what is wanted."""
    changes: list[Change] = []
    after: list[Change] = []
    problems: list[str] = []
    refused: set[str | None] = set()
    used: set[str | None] = set()
    for listener in wanted.listeners:
        existing = there.get(LISTENER, listener.object_name)
        refusal = _refusal(listener, existing, there, load_balancer)
        if refusal is not None:
            problems.append(refusal)
            refused.add(listener.overlay.v_server_group_id)
        else:
            used.add(listener.overlay.v_server_group_id)
            step = after if listener.overlay.listener_forward == "on" else changes
            step += _listener(listener, existing, load_balancer, facts)
    # A port that can't be had needs no group either.
    groups = [group for group in wanted.groups if group.object_name not in refused - used]
    for group in groups:
        existing = there.get(SERVER_GROUP, group.object_name)
        fitting = _fitting(group, existing, there.max_servers)
        changes += _group(fitting, existing, load_balancer, facts)
        if fitting != group:
            problems.append(_over_quota(group, there.max_servers))
    if wanted.manage_listeners:
        keep = {listener.object_name for listener in wanted.listeners}
        first, then = in_order([obj for obj in there.listeners if obj["metadata"]["name"] not in keep])
        changes += deletes(LISTENER, first)
        after += deletes(LISTENER, then)
    # A group goes after the listeners that used it.
    last = group_removals(there.groups, {group.object_name for group in groups})
    return Plan(tuple(changes), tuple(after), tuple(last), tuple(problems))


def metadata_of(name: str, load_balancer: ServiceLoadBalancer, facts: ClusterFacts) -> Object:
    """Metadata of a new listener or server group; it goes with its load balancer."""
    return {
        "name": name,
        "labels": {CLUSTER_LABEL: facts.name},
        "ownerReferences": [
            owner_reference(load_balancer.KIND, load_balancer.metadata.name, load_balancer.metadata.uid)
        ],
    }


def _group(
    wanted: WantedGroup, existing: Object | None, load_balancer: ServiceLoadBalancer, facts: ClusterFacts
) -> list[Change]:
    if existing is None:
        spec = {
            "loadBalancerId": load_balancer.metadata.name,
            "vServerGroupName": str(wanted.name),
            "clusterId": facts.name,
            **wanted.overlay,
            "backendServers": _wire(wanted.servers or ()),
        }
        metadata = metadata_of(wanted.object_name, load_balancer, facts)
        return [Create(SERVER_GROUP, {"metadata": metadata, "spec": spec})]
    if is_deleting(existing):
        return []
    patch = servers_patch(existing, str(wanted.name), wanted.servers, wanted.keep_weights) or {}
    spec = merge_difference(existing["spec"], dict(wanted.overlay))
    if spec:
        patch = {**patch, "spec": {**patch.get("spec", {}), **spec}}
    return [Patch(SERVER_GROUP, wanted.object_name, patch)] if patch else []


def _fitting(wanted: WantedGroup, existing: Object | None, limit: int) -> WantedGroup:
    """As many of the servers as the quota lets in, first those that are in already."""
    there = (existing or {"spec": {}})["spec"].get("backendServers") or []
    foreign = sum(server.get("description") != str(wanted.name) for server in there)
    if wanted.servers is None or len(wanted.servers) + foreign <= limit:
        return wanted
    inside = {_identity(server) for server in there}
    ordered = sorted(wanted.servers, key=lambda server: server.identity not in inside)
    return replace(wanted, servers=tuple(ordered[: max(0, limit - foreign)]))


def _over_quota(wanted: WantedGroup, limit: int) -> str:
    return (
        f"BackendServerNumberOverLimit: server group {wanted.name}: the backend server number has reached to the quota "
        f"limit of this load balancer: {limit}; further servers are left out. Annotation backend-label chooses nodes"
    )


def servers_patch(
    group: Object, name: str, servers: Sequence[BackendServer] | None, keep_weights: bool = False
) -> Object | None:
    """The patch that gives a group these servers under a name; servers with another description stay.

    With `keep_weights` a server that is there keeps its weight. None when there is nothing to do, or `servers` is None.
    """
    if servers is None:
        return None
    there = group["spec"].get("backendServers") or []
    foreign = [server for server in there if server.get("description") != name]
    taken = {_identity(server) for server in foreign}
    ours = [server for server in _wire(servers) if _identity(server) not in taken]
    before = {_identity(server): server for server in there if server.get("description") == name}
    if keep_weights:
        ours = [{**server, "weight": before.get(_identity(server), server).get("weight", 100)} for server in ours]
    if before == {_identity(server): server for server in ours}:
        return None
    patch: Object = {"spec": {"backendServers": foreign + ours}}
    if foreign:
        # Somebody else writes this list too: take it only as it was read.
        patch["metadata"] = {"resourceVersion": group["metadata"]["resourceVersion"]}
    return patch


def _identity(server: Mapping[str, Any]) -> tuple[str, str, int]:
    return server["serverId"], server["serverIp"], server["port"]


def _wire(servers: Sequence[BackendServer]) -> list[Object]:
    return [server.wire() for server in servers]


def _refusal(
    wanted: WantedListener, existing: Object | None, there: There, load_balancer: ServiceLoadBalancer
) -> str | None:
    """Why a listener can't be this Service's: its name is taken."""
    if existing is None:
        return None
    shown = load_balancer.status.load_balancer_id or load_balancer.metadata.name
    spec, owner = existing["spec"], there.owner
    name = parse_name(spec.get("description"))
    if name is not None and name.owner != owner and there.alive(name.owner):
        cluster = "" if name.owner.cluster_id == owner.cluster_id else f" of cluster {name.owner.cluster_id}"
        return (
            f"port {wanted.port}/{wanted.transport} of load balancer {shown} is in use by port {name.port} of "
            f"Service {name.owner}{cluster}; choose another port or another load balancer"
        )
    if spec.get("loadBalancerId") not in (load_balancer.metadata.name, load_balancer.status.load_balancer_id):
        return (
            f"port {wanted.port}/{wanted.transport} of load balancer {shown} needs a Listener named "
            f"{wanted.object_name}, which is there for load balancer {spec.get('loadBalancerId')}"
        )
    return None


def _listener(
    wanted: WantedListener, existing: Object | None, load_balancer: ServiceLoadBalancer, facts: ClusterFacts
) -> list[Change]:
    overlay = wanted.overlay.wire()
    marks = {key: value for key, value in wanted.marks.items() if value is not None}
    if existing is None:
        if wanted.held:
            return []
        metadata = metadata_of(wanted.object_name, load_balancer, facts) | ({"annotations": marks} if marks else {})
        return [Create(LISTENER, {"metadata": metadata, "spec": {**wanted.defaults, **overlay}})]
    if is_deleting(existing):
        return []
    spec = existing["spec"]
    if _is_another(overlay, spec):
        if wanted.held:
            return []
        # Nothing of the old one stays. The CCM deletes and creates; in one write no connection is refused in between.
        fields = {**dict.fromkeys(spec), **wanted.defaults, **overlay}
    else:
        fields = {**_taken_back(wanted, existing), **overlay}
    # The load balancer may be written as its id by whoever made the listener; it can't change anyway.
    fields["loadBalancerId"] = spec["loadBalancerId"]
    patch = merge_difference(
        {"spec": spec, "metadata": {"annotations": existing["metadata"].get("annotations") or {}}},
        {"spec": fields, "metadata": {"annotations": dict(wanted.marks)}},
    )
    return [Patch(LISTENER, wanted.object_name, patch)] if patch else []


def _is_another(overlay: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether a listener is to be another one altogether: it speaks or forwards otherwise."""
    forward = (overlay.get("listenerForward") == "on", overlay.get("forwardPort"))
    before = (spec.get("listenerForward") == "on", spec.get("forwardPort"))
    return bool(spec["listenerProtocol"] != overlay["listenerProtocol"] or forward != before)


def _taken_back(wanted: WantedListener, existing: Object) -> dict[str, None]:
    """Fields that only this Service can have set, to be removed because it says them no more."""
    spec = existing["spec"]
    if parse_name(spec.get("description")) != wanted.name:
        return {}
    healthz = tuple(HEALTHZ_FIELDS.values())
    unset = [field for field in wanted.unset if field not in healthz]
    if AFFINITY_MARK not in (existing["metadata"].get("annotations") or {}):
        unset = [field for field in unset if field != "persistenceTimeout"]
    if set(healthz) <= set(wanted.unset) and spec.get("healthCheckURI") == HEALTHZ_URI and all(map(spec.get, healthz)):
        unset += healthz
    return dict.fromkeys(unset)
