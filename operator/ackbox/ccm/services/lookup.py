"""Which load balancer a Service has: its own or a user's, and when a user's may not be used. Pure.

Rule source: the CCM's `pkg/controller/service/clbv1`; the error texts that begin with `alicloud:` are the CCM's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ackbox.catalog.high_risk import operations
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.names import CLUSTER_TAG, LOAD_BALANCER_LABEL, MARK_TAG
from ackbox.ccm.services.view import ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.loadbalancer import LoadBalancerType


class SyncError(Exception):
    """A Service can't be had as it is; the message is for the user."""


@dataclass(frozen=True)
class Found:
    """A load balancer; `reused` when a user made it."""

    load_balancer: ServiceLoadBalancer
    reused: bool


@dataclass(frozen=True)
class World:
    """The load balancers and VPCs that can be looked up.

    Attributes:
        by_reference: a load balancer by its name or cloud id.
        by_tag: the load balancers that carry a mark.
        by_name: the load balancer of an object name.
        same_vpc: whether two references mean the same VPC.
    """

    by_reference: Callable[[str], ServiceLoadBalancer | None]
    by_tag: Callable[[str], Sequence[ServiceLoadBalancer]]
    by_name: Callable[[str], ServiceLoadBalancer | None]
    same_vpc: Callable[[str | None, str | None], bool]


def find(view: ServiceView, wishes: Wishes, facts: ClusterFacts, world: World) -> Found | None:
    """The load balancer of a Service; None when one of its own is to be made.

    Raises:
        SyncError: the one it names can't be used, or the one it had is gone.
    """
    reference = wishes.text("id")
    if reference is not None:
        load_balancer = world.by_reference(reference)
        if load_balancer is None or load_balancer.deleting:
            raise SyncError(f"alicloud: can not find loadbalancer by id [{reference}]")
        refusal = _refusal(load_balancer, view, wishes, facts, world)
        if refusal is not None:
            raise SyncError(refusal.format(reference))
        return Found(load_balancer, reused=True)
    own = find_own(view, world)
    if own is None and (view.ingress_ips or view.ingress_hosts):
        shown, bound = " ".join(view.ingress_ips or view.ingress_hosts), view.labels.get(LOAD_BALANCER_LABEL)
        still = bound is not None and world.by_reference(bound) is not None
        row = operations()["reuse-annotation-removed" if still else "load-balancer-deleted"]
        raise SyncError(
            f"alicloud: can not find loadbalancer, but it's defined in service [{shown}] "
            f"this may happen when you delete the loadbalancer. It was {bound}: {row.effect}. {row.recovery}"
        )
    return Found(own, reused=False) if own is not None else None


def find_own(view: ServiceView, world: World) -> ServiceLoadBalancer | None:
    """The load balancer that was made for a Service: by its mark, else by its default name.

    Raises:
        SyncError: there are several, or the one is of another kind than the Service asks for now.
    """
    tagged = world.by_tag(view.default_name)
    if len(tagged) > 1:
        names = " ".join(item.status.load_balancer_id or item.metadata.name for item in tagged)
        raise SyncError(f"find multiple loadbalances by tag, lbIds[{names}]")
    own = tagged[0] if tagged else world.by_name(view.default_name)
    if own is not None and own.spec.load_balancer_type is not view.kind:
        raise SyncError(
            f"the service has a {own.spec.load_balancer_type} ({own.status.load_balancer_id or own.metadata.name}) and "
            f"asks for a {view.kind}: the kind can't be changed; change spec.type to ClusterIP first, or make a new one"
        )
    return own


def _refusal(
    load_balancer: ServiceLoadBalancer, view: ServiceView, wishes: Wishes, facts: ClusterFacts, world: World
) -> str | None:
    """Why a user's load balancer may not be used; `{}` stands for how the Service calls it."""
    spec, status = load_balancer.spec, load_balancer.status
    no = "alicloud: the loadbalancer {} can not be reused, "
    if {tag.key for tag in spec.tags} & {MARK_TAG, CLUSTER_TAG}:
        return no + "can not reuse loadbalancer created by kubernetes."
    if spec.load_balancer_type is not view.kind:
        return no + f"its type is {spec.load_balancer_type} and the service asks for {view.kind}"
    bound = view.labels.get(LOAD_BALANCER_LABEL)
    # The CCM lets a Service move from its own network load balancer to a user's, and from whatever an EIP stands for.
    guarded = view.kind is LoadBalancerType.CLB and wishes.text("external-ip-type") is None
    if (
        guarded
        and view.ingress_ips
        and bound != status.load_balancer_id
        and status.reachable not in (None, *view.ingress_ips)
    ):
        return (
            f"service has been associated with ip [{view.ingress_ips[0]}], cannot be bound to ip [{status.reachable}]"
        )
    if spec.region_id not in (None, facts.region):
        return no + f"its region is {spec.region_id} and the cluster's is {facts.region}"
    if (
        spec.address_type == "intranet"
        and spec.vpc_id
        and facts.vpc_id
        and not world.same_vpc(spec.vpc_id, facts.vpc_id)
    ):
        return no + f"its vpc is {spec.vpc_id} and the cluster's is {facts.vpc_id}"
    address_type = wishes.text("address-type") if view.kind is LoadBalancerType.CLB else None
    if address_type not in (None, spec.address_type):
        return no + f"its address-type is {spec.address_type} and the service's annotation says {address_type}"
    return None
