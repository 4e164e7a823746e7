"""The load balancer of a Service: found or made, and kept as the Service says."""

from dataclasses import dataclass, replace

from ackbox.ccm.config import CloudConfig
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.management import same_vpc
from ackbox.ccm.services import lookup
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.clb_balancer import next_vswitch
from ackbox.ccm.services.kinds import load_balancer_changes, own_load_balancer
from ackbox.ccm.services.lookup import SyncError, World
from ackbox.ccm.services.names import REUSED_TAG
from ackbox.ccm.services.view import ServiceView
from ackbox.ccm.store import Store
from ackbox.kube.client import Object
from ackbox.kube.errors import AlreadyExists, ApiError, Forbidden, Invalid
from ackbox.kube.queue import Retry
from ackbox.kube.refs import resolve
from ackbox.resources import SERVICE_LOAD_BALANCER, VPC, ServiceLoadBalancer
from ackbox.resources.base import CLUSTER_LABEL

FIELD_MANAGER = "ackbox-ccm"


@dataclass(frozen=True)
class Balancer:
    """The load balancer of a Service.

    Attributes:
        reused: whether it is a user's.
        problems, hints: what can't be had of what the Service says of it, and what has no effect.
        refused: what the API server didn't take.
    """

    load_balancer: ServiceLoadBalancer
    reused: bool
    problems: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    refused: tuple[ApiError, ...] = ()


async def ensure(store: Store, facts: ClusterFacts, view: ServiceView, wishes: Wishes, config: CloudConfig) -> Balancer:
    """Find or make the load balancer and bring it up to date.

    Raises:
        SyncError: it can't be had as the Service says.
        Retry: it is on its way out, or came up meanwhile.
    """
    for suffix in ("id", "address-type"):
        # An address type that isn't known must not become a public load balancer by default.
        if suffix in wishes.blocked and (suffix == "id" or lookup.find_own(view, world(store, facts)) is None):
            raise SyncError(next(problem for problem in wishes.problems if suffix in problem))
    found = lookup.find(view, wishes, facts, world(store, facts))
    if found is None:
        made = await _create(store, facts, view, wishes, config)
        said = load_balancer_changes(made, view, wishes, facts, reused=False)
        return Balancer(made, False, said.problems, said.hints)
    load_balancer = found.load_balancer
    if load_balancer.deleting:
        raise Retry(f"load balancer {load_balancer.metadata.name} is being deleted", 5.0)
    said = load_balancer_changes(load_balancer, view, wishes, facts, found.reused)
    has = Balancer(load_balancer, found.reused, said.problems, said.hints)
    spec = dict(said.spec)
    if not found.reused:
        spec |= next_vswitch(load_balancer, wishes, config)
    return await _tagged(store, facts, await _patched(store, facts, has, spec))


async def _patched(store: Store, facts: ClusterFacts, has: Balancer, spec: Object) -> Balancer:
    """The load balancer with fields changed; what is refused doesn't keep its listeners from being looked after."""
    if not spec:
        return has
    name = has.load_balancer.metadata.name
    try:
        obj = await store.patch(SERVICE_LOAD_BALANCER, name, facts.namespace, {"spec": spec})
    except (Forbidden, Invalid) as error:
        return replace(has, refused=(error,))
    return replace(has, load_balancer=_model(obj))


async def _tagged(store: Store, facts: ClusterFacts, has: Balancer) -> Balancer:
    """A user's load balancer is marked as used."""
    load_balancer = has.load_balancer
    if not has.reused or REUSED_TAG in {tag.key for tag in load_balancer.spec.tags}:
        return has
    # Applied server-side, the tag is ours in a list whose other tags stay the user's.
    body = {
        "metadata": {"name": load_balancer.metadata.name},
        "spec": {"tags": [{"key": REUSED_TAG, "value": "true"}]},
    }
    obj = await store.apply(SERVICE_LOAD_BALANCER, body, FIELD_MANAGER, facts.namespace)
    return replace(has, load_balancer=_model(obj))


async def _create(
    store: Store, facts: ClusterFacts, view: ServiceView, wishes: Wishes, config: CloudConfig
) -> ServiceLoadBalancer:
    body = {
        "metadata": {"name": view.default_name, "labels": {CLUSTER_LABEL: facts.name}},
        "spec": own_load_balancer(view, wishes, facts, config).wire(),
    }
    try:
        return _model(await store.create(SERVICE_LOAD_BALANCER, body, facts.namespace))
    except AlreadyExists:
        raise Retry("the load balancer is there already", 0.05) from None


def _model(obj: Object) -> ServiceLoadBalancer:
    return ServiceLoadBalancer.model_validate(obj)


def world(store: Store, facts: ClusterFacts) -> World:
    """The load balancers and VPCs of a cluster's namespace."""
    namespace, cache = facts.namespace, store[SERVICE_LOAD_BALANCER]

    def optional(obj: Object | None) -> ServiceLoadBalancer | None:
        return _model(obj) if obj is not None else None

    return World(
        by_reference=lambda reference: optional(resolve(cache, namespace, reference)),
        by_tag=lambda mark: [_model(obj) for obj in cache.by("mark", f"{namespace}/{mark}")],
        by_name=lambda name: optional(cache.get(namespace, name)),
        same_vpc=lambda left, right: same_vpc(store[VPC], namespace, left, right),
    )
