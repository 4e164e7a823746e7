"""Compares what a Service is to have with what is there. Pure: answers with changes, doesn't make them.

Ownership is told by names: a listener's description, a server group's name and a backend server's description. What
doesn't name this Service is never deleted, and what names another Service is never changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.model import HEALTHZ_FIELDS, HEALTHZ_URI, Wanted, WantedGroup, WantedListener
from ackbox.ccm.services.names import CLUSTER_TAG, MARK_TAG, Owner, parse_name
from ackbox.ccm.services.view import ServiceView
from ackbox.kube.client import Object
from ackbox.kube.conditions import merge_difference
from ackbox.resources import LISTENER, SERVER_GROUP, Kind, ServiceLoadBalancer
from ackbox.resources.base import CLUSTER_LABEL
from ackbox.resources.servergroup import BackendServer


@dataclass(frozen=True)
class Create:
    """An object to make."""

    kind: Kind
    body: Object

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True)
class Patch:
    """A merge patch."""

    kind: Kind
    name: str
    patch: Object


@dataclass(frozen=True)
class Delete:
    """An object to remove."""

    kind: Kind
    name: str
    uid: str


Change = Create | Patch | Delete


@dataclass(frozen=True)
class Plan:
    """Changes to make, those of `last` after the others, and what can't be had."""

    changes: tuple[Change, ...]
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
    """

    get: Callable[[Kind, str], Object | None]
    listeners: Sequence[Object]
    groups: Sequence[Object]
    owner: Owner
    max_servers: int


def plan(wanted: Wanted, there: There, load_balancer: ServiceLoadBalancer, facts: ClusterFacts) -> Plan:
    """The changes that bring the load balancer to what is wanted."""
    changes: list[Change] = []
    problems: list[str] = []
    refused: set[str | None] = set()
    used: set[str | None] = set()
    for listener in wanted.listeners:
        existing = there.get(LISTENER, listener.object_name)
        refusal = _refusal(listener, existing, there.owner, load_balancer)
        if refusal is not None:
            problems.append(refusal)
            refused.add(listener.overlay.v_server_group_id)
        else:
            used.add(listener.overlay.v_server_group_id)
            changes += _listener(listener, existing, load_balancer, facts)
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
        changes += _deletes(LISTENER, there.listeners, keep)
    # A group goes after the listeners that used it.
    last = _deletes(SERVER_GROUP, there.groups, {group.object_name for group in groups})
    return Plan(tuple(changes), tuple(last), tuple(problems))


def load_balancer_patch(
    load_balancer: ServiceLoadBalancer, view: ServiceView, wishes: Wishes, facts: ClusterFacts, reused: bool
) -> Object | None:
    """The merge patch for the load balancer itself; None when there is nothing to do."""
    spec: dict[str, Any] = {}
    name = wishes.text("name")
    if name is not None and name != load_balancer.spec.load_balancer_name:
        spec["loadBalancerName"] = name
    if not reused:
        tags = {tag.key: tag.value for tag in load_balancer.spec.tags}
        marked = tags | {MARK_TAG: view.default_name, CLUSTER_TAG: facts.cluster_id}
        if marked != tags:
            spec["tags"] = [{"key": key, "value": value} for key, value in marked.items()]
    return {"spec": spec} if spec else None


def metadata_of(name: str, load_balancer: ServiceLoadBalancer, facts: ClusterFacts) -> Object:
    """Metadata of a new listener or server group; it goes with its load balancer."""
    return {
        "name": name,
        "labels": {CLUSTER_LABEL: facts.name},
        "ownerReferences": [
            {
                "apiVersion": load_balancer.KIND.api_version,
                "kind": load_balancer.KIND.kind,
                "name": load_balancer.metadata.name,
                "uid": load_balancer.metadata.uid,
            }
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
            "backendServers": _wire(wanted.servers or ()),
        }
        metadata = metadata_of(wanted.object_name, load_balancer, facts)
        return [Create(SERVER_GROUP, {"metadata": metadata, "spec": spec})]
    if _deleting(existing):
        return []
    patch = servers_patch(existing, str(wanted.name), wanted.servers)
    return [Patch(SERVER_GROUP, wanted.object_name, patch)] if patch is not None else []


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


def servers_patch(group: Object, name: str, servers: Sequence[BackendServer] | None) -> Object | None:
    """The patch that gives a group these servers under a name; servers with another description stay.

    None when there is nothing to do, or `servers` is None.
    """
    if servers is None:
        return None
    there = group["spec"].get("backendServers") or []
    foreign = [server for server in there if server.get("description") != name]
    taken = {_identity(server) for server in foreign}
    ours = [server for server in _wire(servers) if _identity(server) not in taken]
    before = {_identity(server): server for server in there if server.get("description") == name}
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
    wanted: WantedListener, existing: Object | None, owner: Owner, load_balancer: ServiceLoadBalancer
) -> str | None:
    """Why a listener can't be this Service's: its name is taken."""
    if existing is None:
        return None
    shown = load_balancer.status.load_balancer_id or load_balancer.metadata.name
    spec = existing["spec"]
    name = parse_name(spec.get("description"))
    if name is not None and name.owner != owner:
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
    if existing is None:
        metadata = metadata_of(wanted.object_name, load_balancer, facts)
        return [Create(LISTENER, {"metadata": metadata, "spec": {**wanted.defaults, **overlay}})]
    if _deleting(existing):
        return []
    spec = existing["spec"]
    if spec["listenerProtocol"] != overlay["listenerProtocol"]:
        # Another protocol is another listener: nothing of the old one stays.
        fields = {**dict.fromkeys(spec), **wanted.defaults, **overlay}
    else:
        fields = {**_taken_back(wanted, spec), **overlay}
    # The load balancer may be written as its id by whoever made the listener; it can't change anyway.
    fields["loadBalancerId"] = spec["loadBalancerId"]
    difference = merge_difference(spec, fields)
    return [Patch(LISTENER, wanted.object_name, {"spec": difference})] if difference else []


def _taken_back(wanted: WantedListener, spec: Mapping[str, Any]) -> dict[str, None]:
    """Fields that only this Service can have set, to be removed because it says them no more."""
    if parse_name(spec.get("description")) != wanted.name:
        return {}
    healthz = tuple(HEALTHZ_FIELDS.values())
    unset = [field for field in wanted.unset if field not in healthz]
    if set(healthz) <= set(wanted.unset) and spec.get("healthCheckURI") == HEALTHZ_URI and all(map(spec.get, healthz)):
        unset += healthz
    return dict.fromkeys(unset)


def _deletes(kind: Kind, existing: Sequence[Object], keep: set[str]) -> list[Change]:
    return [
        Delete(kind, obj["metadata"]["name"], obj["metadata"]["uid"])
        for obj in existing
        if obj["metadata"]["name"] not in keep and not _deleting(obj)
    ]


def _deleting(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]
