"""Health checks as SLB reads them: the API's defaults, and what switches them off."""

from dataclasses import dataclass

from ackbox.dataplane.model import HealthCheck
from ackbox.resources.listener import LAYER7, ListenerSpec, Protocol


@dataclass(frozen=True)
class Defaults:
    """What SLB fills in where a listener says nothing; durations in seconds."""

    enabled: bool
    interval: int
    timeout: int
    healthy_threshold: int = 3
    unhealthy_threshold: int = 3


DEFAULTS = {
    Protocol.TCP: Defaults(enabled=True, interval=2, timeout=5),
    Protocol.UDP: Defaults(enabled=True, interval=5, timeout=10),
    Protocol.TCPSSL: Defaults(enabled=True, interval=2, timeout=5),
    Protocol.HTTP: Defaults(enabled=False, interval=2, timeout=5),
    Protocol.HTTPS: Defaults(enabled=False, interval=2, timeout=5),
}
"""By listener protocol: CreateLoadBalancer{TCP,UDP,HTTP}Listener; `healthCheck` of HTTP is off unless asked for."""

STATUS_CLASSES = {f"http_{digit}xx": (digit * 100, digit * 100 + 100) for digit in range(1, 6)}

SERVER_ADDRESS = "$_ip"
"""A health-check domain that stands for the server's own IP."""


def health_check(spec: ListenerSpec) -> HealthCheck | None:
    """The health check that a listener asks for; None when it is off.

    Rules: `healthCheckSwitch` belongs to TCP and UDP, `healthCheck` to HTTP. A TCP listener checks by HTTP when its
    type says so. For HTTP a time-out below the interval counts as the interval.
    """
    defaults = DEFAULTS[spec.listener_protocol]
    http = spec.listener_protocol in LAYER7
    switch = spec.health_check if http else spec.health_check_switch
    if switch == "off" or (switch is None and not defaults.enabled):
        return None
    interval = spec.health_check_interval or defaults.interval
    if http:
        timeout = max(spec.health_check_timeout or defaults.timeout, interval)
    else:
        timeout = spec.health_check_connect_timeout or defaults.timeout
    return HealthCheck(
        http=http or (spec.listener_protocol is Protocol.TCP and spec.health_check_type == "http"),
        interval=interval,
        timeout=timeout,
        healthy_threshold=spec.healthy_threshold or defaults.healthy_threshold,
        unhealthy_threshold=spec.unhealthy_threshold or defaults.unhealthy_threshold,
        port=spec.health_check_connect_port,
        uri=spec.health_check_uri or "/",
        domain=None if spec.health_check_domain in (None, "", SERVER_ADDRESS) else spec.health_check_domain,
        method=(spec.health_check_method or "head").upper(),
        codes=_codes(spec.health_check_http_code),
    )


def _codes(text: str | None) -> tuple[tuple[int, int], ...]:
    wanted = [word.strip() for word in (text or "http_2xx").split(",")]
    unknown = [word for word in wanted if word not in STATUS_CLASSES]
    if unknown:
        raise ValueError(
            f"healthCheckHttpCode: {', '.join(unknown)} is unknown; allowed are {', '.join(STATUS_CLASSES)}"
        )
    return tuple(sorted({STATUS_CLASSES[word] for word in wanted}))
