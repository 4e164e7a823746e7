"""The load balancer of a Service: found or made, and kept as the Service says."""

from dataclasses import dataclass

from ackbox.catalog.annotations import BY_SUFFIX
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.management import same_vpc
from ackbox.ccm.services import lookup
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.lookup import SyncError, World
from ackbox.ccm.services.model import own_load_balancer
from ackbox.ccm.services.names import REUSED_TAG
from ackbox.ccm.services.plan import load_balancer_patch
from ackbox.ccm.services.view import ServiceView
from ackbox.ccm.store import Store
from ackbox.kube.client import Object
from ackbox.kube.errors import AlreadyExists
from ackbox.kube.queue import Retry
from ackbox.kube.refs import resolve
from ackbox.resources import SERVICE_LOAD_BALANCER, VPC, ServiceLoadBalancer
from ackbox.resources.base import CLUSTER_LABEL

FIELD_MANAGER = "ackbox-ccm"


@dataclass(frozen=True)
class Balancer:
    """The load balancer of a Service; `reused` when it is a user's."""

    load_balancer: ServiceLoadBalancer
    reused: bool
    problems: tuple[str, ...] = ()


async def ensure(store: Store, facts: ClusterFacts, view: ServiceView, wishes: Wishes) -> Balancer:
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
        return Balancer(await _create(store, facts, view, wishes), reused=False)
    load_balancer = found.load_balancer
    if load_balancer.deleting:
        raise Retry(f"load balancer {load_balancer.metadata.name} is being deleted", 5.0)
    problems = []
    if wishes.text("address-type") not in (None, load_balancer.spec.address_type):
        problems.append(f"update lb attribute error: {BY_SUFFIX['address-type'].immutable_error}")
    patch = load_balancer_patch(load_balancer, view, wishes, facts, found.reused)
    name = load_balancer.metadata.name
    if patch is not None:
        load_balancer = _model(await store.patch(SERVICE_LOAD_BALANCER, name, facts.namespace, patch))
    if found.reused and REUSED_TAG not in {tag.key for tag in load_balancer.spec.tags}:
        # Applied server-side, the tag is ours in a list whose other tags stay the user's.
        body = {"metadata": {"name": name}, "spec": {"tags": [{"key": REUSED_TAG, "value": "true"}]}}
        load_balancer = _model(await store.apply(SERVICE_LOAD_BALANCER, body, FIELD_MANAGER, facts.namespace))
    return Balancer(load_balancer, found.reused, tuple(problems))


async def _create(store: Store, facts: ClusterFacts, view: ServiceView, wishes: Wishes) -> ServiceLoadBalancer:
    body = {
        "metadata": {"name": view.default_name, "labels": {CLUSTER_LABEL: facts.name}},
        "spec": own_load_balancer(view, wishes, facts).wire(),
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
