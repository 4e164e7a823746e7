"""Takes away what a Service had: its listeners, server groups, servers in users' groups, and its own load balancer."""

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.management import owned, owner_key
from ackbox.ccm.services.apply import apply
from ackbox.ccm.services.lookup import World
from ackbox.ccm.services.names import Owner, parse_name
from ackbox.ccm.services.plan import Change, Delete, Patch
from ackbox.ccm.services.view import ServiceView
from ackbox.ccm.store import Store
from ackbox.kube.client import Object
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, Kind, ServiceLoadBalancer


async def clean(store: Store, facts: ClusterFacts, view: ServiceView, world: World) -> bool:
    """Delete what is the Service's; True when nothing of it is left."""
    namespace = facts.namespace
    listeners = owned(store, LISTENER, namespace, view.owner)
    groups = owned(store, SERVER_GROUP, namespace, view.owner)
    refused = await apply(store, namespace, _deletes(LISTENER, listeners))
    refused += await apply(store, namespace, [*_deletes(SERVER_GROUP, groups), *_servers(store, namespace, view.owner)])
    if refused:
        raise refused[0]
    by_name = world.by_name(view.default_name)
    own = {item.metadata.uid: item for item in [*world.by_tag(view.default_name), *([by_name] if by_name else [])]}
    for load_balancer in own.values():
        await _delete_load_balancer(store, namespace, load_balancer)
    return not (listeners or groups or own)


async def _delete_load_balancer(store: Store, namespace: str, load_balancer: ServiceLoadBalancer) -> None:
    if load_balancer.deleting:
        return
    metadata = load_balancer.metadata
    if load_balancer.spec.delete_protection == "on":
        patch = {"spec": {"deleteProtection": "off"}}
        await store.patch(SERVICE_LOAD_BALANCER, metadata.name, namespace, patch)
    await store.delete(SERVICE_LOAD_BALANCER, metadata.name, namespace, metadata.uid)


def _deletes(kind: Kind, objects: list[Object]) -> list[Change]:
    return [
        Delete(kind, obj["metadata"]["name"], obj["metadata"]["uid"])
        for obj in objects
        if "deletionTimestamp" not in obj["metadata"]
    ]


def _servers(store: Store, namespace: str, owner: Owner) -> list[Change]:
    """Patches that take the Service's servers out of users' own groups."""
    changes: list[Change] = []
    for group in store[SERVER_GROUP].by("servers", owner_key(namespace, owner)):
        servers = group["spec"]["backendServers"]
        kept = [server for server in servers if not _is_of(server.get("description"), owner)]
        patch = {
            "metadata": {"resourceVersion": group["metadata"]["resourceVersion"]},
            "spec": {"backendServers": kept},
        }
        changes.append(Patch(SERVER_GROUP, group["metadata"]["name"], patch))
    return changes


def _is_of(description: str | None, owner: Owner) -> bool:
    name = parse_name(description)
    return name is not None and name.owner == owner
