"""What a listener of NLB or ALB leaves to its server group, put into the listener's own words. Pure."""

from typing import Any

from ackbox.resources.listener import LAYER7, ListenerSpec, Protocol, Scheduler
from ackbox.resources.loadbalancer import LoadBalancerType
from ackbox.resources.servergroup import HealthCheckConfig, ServerGroupSpec

DRAIN_TIMEOUT = 300
"""Seconds, where connectionDrain is on without a time-out."""

UDP_SESSION = 20
"""Seconds that NLB remembers a UDP session."""


def effective(spec: ListenerSpec, group: ServerGroupSpec | None, kind: LoadBalancerType) -> ListenerSpec:
    """A listener with what its server group says of scheduler, drain, sessions and health checks.

    A classic listener says all of it itself.
    """
    if kind is LoadBalancerType.CLB or group is None:
        return spec
    update: dict[str, Any] = {"scheduler": group.scheduler or Scheduler.WRR, "persistence_timeout": None}
    if group.connection_drain_enabled is not None:
        update["connection_drain"] = "on" if group.connection_drain_enabled else "off"
        update["connection_drain_timeout"] = group.connection_drain_timeout
    if group.sticky_session_config is not None:
        update.update(_sticky(group))
    update.update(_health_check(group.health_check_config, kind))
    return spec.model_copy(update=update)


def _sticky(group: ServerGroupSpec) -> dict[str, Any]:
    config = group.sticky_session_config
    assert config is not None
    return {
        "sticky_session": "on" if config.sticky_session_enabled else "off",
        "sticky_session_type": config.sticky_session_type.lower() if config.sticky_session_type else None,
        "cookie": config.cookie,
        "cookie_timeout": config.cookie_timeout,
    }


def _health_check(config: HealthCheckConfig | None, kind: LoadBalancerType) -> dict[str, Any]:
    nlb = kind is LoadBalancerType.NLB
    config = config or HealthCheckConfig()
    # NLB checks unless told otherwise, ALB only when asked.
    enabled = config.health_check_enabled if config.health_check_enabled is not None else nlb
    switch = "on" if enabled else "off"
    interval = config.health_check_interval or (10 if nlb else 2)
    timeout = config.health_check_connect_timeout or 5
    threshold = 2 if nlb else 3
    return {
        "health_check": switch,
        "health_check_switch": switch,
        "health_check_type": "http" if config.health_check_type == "HTTP" else "tcp",
        "health_check_uri": config.health_check_url,
        "health_check_domain": config.health_check_domain,
        "health_check_connect_port": config.health_check_connect_port or None,
        "health_check_interval": interval,
        "health_check_connect_timeout": timeout,
        "health_check_timeout": timeout,
        "health_check_http_code": ",".join(config.health_check_http_code or ()) or None,
        "health_check_method": config.http_check_method.lower() if config.http_check_method else None,
        "healthy_threshold": config.healthy_threshold or threshold,
        "unhealthy_threshold": config.unhealthy_threshold or threshold,
    }


def idle(spec: ListenerSpec, kind: LoadBalancerType) -> int | None:
    """Seconds without a byte after which a connection or UDP session ends; None where a default holds."""
    if spec.listener_protocol in LAYER7:
        return None
    if spec.listener_protocol is Protocol.UDP:
        return spec.idle_timeout or (UDP_SESSION if kind is LoadBalancerType.NLB else None)
    return (spec.idle_timeout if kind is LoadBalancerType.NLB else None) or spec.established_timeout


def drain(spec: ListenerSpec) -> float:
    """Seconds that the connections to a removed server go on; 0 cuts them."""
    if spec.connection_drain != "on":
        return 0.0
    return float(spec.connection_drain_timeout or DRAIN_TIMEOUT)
