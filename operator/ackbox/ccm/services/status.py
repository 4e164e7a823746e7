"""What a Service shows of its load balancer. Pure; rule source: the CCM's `pkg/controller/service/clbv1`."""

from collections.abc import Mapping, Sequence

from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.clb_balancer import NO_ADDRESS_LEFT
from ackbox.kube.client import Object
from ackbox.kube.conditions import merge_difference, timestamp
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.base import GROUP
from ackbox.resources.loadbalancer import LoadBalancerType

CONDITION = f"{GROUP}/LoadBalancerEnsured"
"""Type of the condition that says on the Service what is wrong with it, until it is put right."""
MAX_MESSAGE = 4096


def ingress(load_balancer: ServiceLoadBalancer, wishes: Wishes) -> list[Object] | None:
    """The Service's `status.loadBalancer.ingress`; None while there is no address yet.

    `ipMode: Proxy`, since the data plane proxies: kube-proxy must not short-cut to it. A network load balancer shows its
    name as the CCM does, and besides the address, because no DNS server knows that name.
    """
    status, host = load_balancer.status, wishes.text("hostname")
    if status.reachable is None:
        return None
    shown: Object = {"ip": status.reachable, "ipMode": "Proxy"}
    if load_balancer.spec.load_balancer_type is LoadBalancerType.NLB:
        return [{**shown, "hostname": status.dns_name}] if status.dns_name is not None else None
    if host is not None:
        return [{"hostname": host}]
    if wishes.text("external-ip-type") == "eip" and status.eips:
        return [{"ip": eip.ip_address, "ipMode": "Proxy"} for eip in status.eips]
    return [shown]


def lacks_eip(load_balancer: ServiceLoadBalancer, wishes: Wishes) -> bool:
    """Whether the Service is to show an elastic IP address and the load balancer has none."""
    asked = wishes.text("external-ip-type") == "eip" and wishes.text("hostname") is None
    return asked and not load_balancer.status.eips


def condition(service: Object, problems: Sequence[str]) -> Object:
    """How it stands with a Service, as a condition for its status; its time changes only with it."""
    wanted = {
        "type": CONDITION,
        "status": "False" if problems else "True",
        "reason": "SyncLoadBalancerFailed" if problems else "EnsuredLoadBalancer",
        "message": "; ".join(problems)[:MAX_MESSAGE],
    }
    there = _condition_of(service)
    same = there is not None and there["status"] == wanted["status"]
    wanted["lastTransitionTime"] = there["lastTransitionTime"] if same and there is not None else timestamp()
    return wanted


def _condition_of(service: Object) -> Object | None:
    conditions = (service.get("status") or {}).get("conditions") or []
    return next((item for item in conditions if item["type"] == CONDITION), None)


def service_patch(
    service: Object,
    labels: Mapping[str, str | None],
    shown: Sequence[Object] | None,
    condition: Object | None = None,
) -> Object:
    """The merge patch of the status subresource, which takes labels too; empty when nothing differs.

    A label of None goes; `shown` of None leaves the status as it is. Our condition goes with the last address.
    """
    metadata, status = service["metadata"], service.get("status") or {}
    patch: Object = {}
    different = merge_difference(metadata.get("labels"), dict(labels))
    if different:
        patch["metadata"] = {"labels": different}
    if shown is not None and list(shown) != ((status.get("loadBalancer") or {}).get("ingress") or []):
        patch["status"] = {"loadBalancer": {"ingress": list(shown) or None}}
    kept = [item for item in status.get("conditions") or [] if item["type"] != CONDITION]
    wanted = kept + ([condition] if condition is not None else [])
    leaving = condition is None and shown is not None and not shown
    if (condition is not None or leaving) and wanted != (status.get("conditions") or []):
        patch.setdefault("status", {})["conditions"] = wanted or None
    return patch


def not_ready(load_balancer: ServiceLoadBalancer) -> str | None:
    """Why a load balancer can't be had until somebody does something, in the cloud's words."""
    conditions = {condition.type: condition for condition in load_balancer.status.conditions}
    ready, stalled = conditions.get("Ready"), conditions.get("Stalled")
    if ready is None or ready.status == "True":
        return None
    stuck = "quota" in ready.reason.lower() or ready.reason == NO_ADDRESS_LEFT
    blocked = stuck or (stalled is not None and stalled.status == "True")
    return (ready.message or ready.reason) if blocked else None


def port_mappings(listeners: Sequence[Object]) -> dict[str, str]:
    """What to say of listeners that can't be dialled on their own port, by listener."""
    texts = {}
    for listener in listeners:
        reachable = (listener.get("status") or {}).get("reachable") or ""
        port = listener["spec"]["listenerPort"]
        if port and reachable and not reachable.endswith(f":{port}"):
            texts[listener["metadata"]["name"]] = (
                f"port {port} of {listener['spec']['loadBalancerId']} is dialled at {reachable}, "
                "because ackbox may not listen on privileged ports here"
            )
    return texts
