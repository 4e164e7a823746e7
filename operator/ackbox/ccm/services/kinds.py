"""Where the kinds of load balancer part: classic (`clb_*`) and network load balancers (`nlb_*`). Pure."""

from dataclasses import replace

from ackbox.ccm.config import CloudConfig
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services import clb_balancer, clb_model, nlb_balancer, nlb_model
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.model import LoadBalancerChanges, Observed, Wanted
from ackbox.ccm.services.view import ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.loadbalancer import LoadBalancerType, ServiceLoadBalancerSpec


def own_load_balancer(
    view: ServiceView, wishes: Wishes, facts: ClusterFacts, config: CloudConfig
) -> ServiceLoadBalancerSpec:
    """The spec of a new load balancer of the Service's own.

    Raises:
        SyncError: an annotation is wrong or missing, and there is no safe default.
    """
    make = nlb_balancer.own_load_balancer if view.kind is LoadBalancerType.NLB else clb_balancer.own_load_balancer
    return make(view, wishes, facts, config)


def load_balancer_changes(
    load_balancer: ServiceLoadBalancer, view: ServiceView, wishes: Wishes, facts: ClusterFacts, reused: bool
) -> LoadBalancerChanges:
    """What is to be changed of a load balancer that is there; only what the Service says is put right."""
    if view.kind is LoadBalancerType.NLB:
        return nlb_balancer.load_balancer_changes(load_balancer, view, wishes, facts, reused)
    return clb_balancer.load_balancer_changes(load_balancer, view, wishes, facts, reused)


def build(
    view: ServiceView,
    wishes: Wishes,
    load_balancer: ServiceLoadBalancer,
    reused: bool,
    observed: Observed,
    config: CloudConfig,
) -> Wanted:
    """The wanted state on a load balancer.

    Raises:
        SyncError: an annotation is wrong in a way that leaves no safe default.
    """
    make = nlb_model.build if view.kind is LoadBalancerType.NLB else clb_model.build
    target = make(view, wishes, load_balancer, reused, observed, config)
    if wishes.text("ignore-weight-update") != "on":
        return target
    return replace(target, groups=tuple(replace(group, keep_weights=True) for group in target.groups))
