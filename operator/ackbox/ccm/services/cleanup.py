"""Takes away what a Service had: its listeners, server groups, servers in users' groups, and its own load balancer."""

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.management import owned, owner_key
from ackbox.ccm.services.apply import apply
from ackbox.ccm.services.changes import Change, Patch, deletes, group_removals, in_order, is_deleting
from ackbox.ccm.services.lookup import World
from ackbox.ccm.services.names import CLUSTER_TAG, MARK_TAG, Owner, parse_name
from ackbox.ccm.services.view import ServiceView
from ackbox.ccm.store import Store
from ackbox.kube.client import Object
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, ServiceLoadBalancer


async def clean(store: Store, facts: ClusterFacts, view: ServiceView, world: World, preserve: bool = False) -> bool:
    """Delete what is the Service's; True when nothing of it is left.

    With `preserve` its own load balancer stays with all that is on it, and is the user's from then on.
    """
    namespace = facts.namespace
    by_name = world.by_name(view.default_name)
    own = {item.metadata.uid: item for item in [*world.by_tag(view.default_name), *([by_name] if by_name else [])]}
    kept: set[str | None] = set()
    if preserve:
        for load_balancer in own.values():
            await _release(store, namespace, load_balancer)
            kept |= {load_balancer.metadata.name, load_balancer.status.load_balancer_id}
        own = {}
    listeners, groups = (
        [obj for obj in owned(store, kind, namespace, view.owner) if obj["spec"].get("loadBalancerId") not in kept]
        for kind in (LISTENER, SERVER_GROUP)
    )
    refused = []
    for step in in_order(listeners):
        refused += await apply(store, namespace, deletes(LISTENER, step))
    # A group that somebody else uses too goes with the load balancer, if that goes.
    last = group_removals(groups)
    refused += await apply(store, namespace, [*last, *_servers(store, namespace, view.owner)])
    if refused:
        raise refused[0]
    for load_balancer in own.values():
        await _delete_load_balancer(store, namespace, load_balancer)
    return not (listeners or last or own or any(map(is_deleting, groups)))


async def _release(store: Store, namespace: str, load_balancer: ServiceLoadBalancer) -> None:
    """Give a load balancer to the user: without protection and the CCM's marks."""
    spec = load_balancer.spec
    tags = [tag for tag in spec.tags if tag.key not in (MARK_TAG, CLUSTER_TAG)]
    fields: Object = {}
    if len(tags) != len(spec.tags):
        fields["tags"] = [tag.wire() for tag in tags]
    if spec.delete_protection == "on":
        fields["deleteProtection"] = "off"
    if spec.modification_protection_status != "NonProtection":
        fields |= {"modificationProtectionStatus": "NonProtection", "modificationProtectionReason": None}
    if fields and not load_balancer.deleting:
        await store.patch(SERVICE_LOAD_BALANCER, load_balancer.metadata.name, namespace, {"spec": fields})


async def _delete_load_balancer(store: Store, namespace: str, load_balancer: ServiceLoadBalancer) -> None:
    if load_balancer.deleting:
        return
    metadata = load_balancer.metadata
    if load_balancer.spec.delete_protection == "on":
        patch = {"spec": {"deleteProtection": "off"}}
        await store.patch(SERVICE_LOAD_BALANCER, metadata.name, namespace, patch)
    await store.delete(SERVICE_LOAD_BALANCER, metadata.name, namespace, metadata.uid)


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
