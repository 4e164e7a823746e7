"""How load balancers are reached from outside the management cluster, as whoever installs ackbox decides. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")


@dataclass(frozen=True)
class Exposure:
    """The type of load balancers' Services.

    Attributes:
        service_type: ClusterIP (they aren't reached at all), NodePort or LoadBalancer.
        load_balancer_class: which implementation serves type LoadBalancer; None for the cluster's default.
    """

    service_type: str = "ClusterIP"
    load_balancer_class: str | None = None

    @property
    def implementation(self) -> dict[str, str]:
        """The field of a Service that names the implementation, where there is a choice."""
        chosen = self.load_balancer_class if self.service_type == "LoadBalancer" else None
        return {"loadBalancerClass": chosen} if chosen else {}


def exposure_from(environment: Mapping[str, str]) -> Exposure:
    """What the operator's environment says (`ACKBOX_SLB_SERVICE_TYPE`, `ACKBOX_SLB_LOAD_BALANCER_CLASS`).

    Raises:
        ValueError: there is no such type.
    """
    service_type = environment.get("ACKBOX_SLB_SERVICE_TYPE") or "ClusterIP"
    if service_type not in SERVICE_TYPES:
        allowed = ", ".join(SERVICE_TYPES)
        raise ValueError(f"ACKBOX_SLB_SERVICE_TYPE: {service_type} isn't a type for load balancers; allowed: {allowed}")
    return Exposure(service_type, environment.get("ACKBOX_SLB_LOAD_BALANCER_CLASS") or None)
