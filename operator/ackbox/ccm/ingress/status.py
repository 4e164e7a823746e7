"""What Ingresses and AlbConfigs show of their load balancer. Pure."""

from collections.abc import Sequence

from ackbox.ccm.services.status import not_ready
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, conditions, merge_difference, progressing, ready
from ackbox.resources import ServiceLoadBalancer


def ingress_patch(ingress: Object, load_balancer: ServiceLoadBalancer | None) -> Object:
    """The merge patch of an Ingress' status; empty when nothing differs, or there is no address yet."""
    before = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    shown: list[Object] = []
    if load_balancer is not None:
        address, host = load_balancer.status.reachable, load_balancer.status.dns_name
        if address is None:
            return {}
        shown = [{"ip": address, **({"hostname": host} if host else {})}]
    return {"status": {"loadBalancer": {"ingress": shown or None}}} if shown != before else {}


def state(load_balancer: ServiceLoadBalancer | None, problems: Sequence[str]) -> State:
    """Where an AlbConfig stands."""
    if problems:
        return State("False", "FailedBuildModel", "; ".join(problems))
    if load_balancer is None:
        return progressing("LoadBalancerNotFound", "its load balancer is being made")
    stuck = not_ready(load_balancer)
    if stuck is not None:
        return State("False", "LoadBalancerNotReady", stuck)
    if load_balancer.status.reachable is None:
        return progressing("LoadBalancerNotReady", f"waits for the address of {load_balancer.metadata.name}")
    return ready()


def config_patch(config: Object, load_balancer: ServiceLoadBalancer | None, where: State) -> Object:
    """The merge patch of an AlbConfig's status; empty when nothing differs."""
    status = load_balancer.status if load_balancer is not None else None
    wanted = {
        "observedGeneration": config["metadata"].get("generation", 0),
        "conditions": conditions(config, where),
        "loadBalancer": {"id": status and status.load_balancer_id, "dnsname": status and status.dns_name},
    }
    difference = merge_difference(config.get("status"), wanted)
    return {"status": difference} if difference else {}
