"""What a Service shows of its load balancer. Pure; rule source: `reference/ccm.md` §2.7."""

from collections.abc import Mapping, Sequence

from ackbox.ccm.services.annotations import Wishes
from ackbox.kube.client import Object
from ackbox.kube.conditions import merge_difference
from ackbox.resources import ServiceLoadBalancer


def ingress(load_balancer: ServiceLoadBalancer, wishes: Wishes) -> list[Object] | None:
    """The Service's `status.loadBalancer.ingress`; None while there is no address yet.

    `ipMode: Proxy`, since the data plane proxies: kube-proxy must not short-cut to it.
    """
    address, host = load_balancer.status.reachable, wishes.text("hostname")
    if address is None:
        return None
    return [{"hostname": host}] if host is not None else [{"ip": address, "ipMode": "Proxy"}]


def service_patch(service: Object, labels: Mapping[str, str | None], shown: Sequence[Object] | None) -> Object:
    """The merge patch of the status subresource, which takes labels too; empty when nothing differs.

    A label of None goes; `shown` of None leaves the status as it is.
    """
    metadata, status = service["metadata"], service.get("status") or {}
    patch: Object = {}
    different = merge_difference(metadata.get("labels"), dict(labels))
    if different:
        patch["metadata"] = {"labels": different}
    if shown is not None and list(shown) != ((status.get("loadBalancer") or {}).get("ingress") or []):
        patch["status"] = {"loadBalancer": {"ingress": list(shown) or None}}
    return patch


def not_ready(load_balancer: ServiceLoadBalancer) -> str | None:
    """Why a load balancer can't be had until somebody does something, in the cloud's words."""
    conditions = {condition.type: condition for condition in load_balancer.status.conditions}
    ready, stalled = conditions.get("Ready"), conditions.get("Stalled")
    if ready is None or ready.status == "True":
        return None
    blocked = (stalled is not None and stalled.status == "True") or "quota" in ready.reason.lower()
    return (ready.message or ready.reason) if blocked else None


def port_mappings(listeners: Sequence[Object]) -> dict[str, str]:
    """What to say of listeners that can't be dialled on their own port, by listener."""
    texts = {}
    for listener in listeners:
        reachable = (listener.get("status") or {}).get("reachable") or ""
        port = listener["spec"]["listenerPort"]
        if reachable and not reachable.endswith(f":{port}"):
            texts[listener["metadata"]["name"]] = (
                f"port {port} of {listener['spec']['loadBalancerId']} is dialled at {reachable}, "
                "because ackbox may not listen on privileged ports here"
            )
    return texts
