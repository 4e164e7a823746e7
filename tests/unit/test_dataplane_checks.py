"""Health checks as SLB reads them."""

from typing import Any

import pytest

from ackbox.dataplane.checks import health_check
from ackbox.dataplane.envoy_health import envoy_health_check
from ackbox.dataplane.model import HealthCheck
from ackbox.resources.listener import ListenerSpec


def spec(protocol: str, **fields: Any) -> ListenerSpec:
    return ListenerSpec.model_validate(
        {"loadBalancerId": "lb", "listenerPort": 80, "listenerProtocol": protocol, **fields}
    )


@pytest.mark.parametrize(
    ("protocol", "fields", "wanted"),
    [
        ("tcp", {}, HealthCheck(False, 2, 5, 3, 3)),
        ("udp", {}, HealthCheck(False, 5, 10, 3, 3)),
        ("http", {}, None),
        ("http", {"healthCheck": "on"}, HealthCheck(True, 2, 5, 3, 3)),
        ("tcp", {"healthCheckSwitch": "off"}, None),
        ("udp", {"healthCheckSwitch": "off"}, None),
        ("http", {"healthCheck": "off"}, None),
        # Each switch belongs to its own protocols.
        ("tcp", {"healthCheck": "off"}, HealthCheck(False, 2, 5, 3, 3)),
        ("http", {"healthCheckSwitch": "on"}, None),
        (
            "tcp",
            {
                "healthCheckType": "http",
                "healthCheckURI": "/up",
                "healthCheckDomain": "example.com",
                "healthCheckHttpCode": "http_2xx,http_4xx",
                "healthCheckMethod": "get",
                "healthCheckConnectPort": 8080,
                "healthyThreshold": 2,
                "unhealthyThreshold": 4,
                "healthCheckInterval": 7,
                "healthCheckConnectTimeout": 9,
            },
            HealthCheck(True, 7, 9, 2, 4, 8080, "/up", "example.com", "GET", ((200, 300), (400, 500))),
        ),
        ("udp", {"healthCheckType": "http"}, HealthCheck(False, 5, 10, 3, 3)),
        # A time-out below the interval counts as the interval, for HTTP.
        (
            "http",
            {"healthCheck": "on", "healthCheckTimeout": 1, "healthCheckInterval": 8},
            HealthCheck(True, 8, 8, 3, 3),
        ),
        ("tcp", {"healthCheckDomain": "$_ip"}, HealthCheck(False, 2, 5, 3, 3)),
    ],
)
def test_health_check(protocol: str, fields: dict[str, Any], wanted: HealthCheck | None) -> None:
    assert health_check(spec(protocol, **fields)) == wanted


def test_unknown_status_class_is_named() -> None:
    with pytest.raises(ValueError, match=r"healthCheckHttpCode: http_9xx is unknown; allowed are http_1xx, http_2xx"):
        health_check(spec("tcp", healthCheckHttpCode="http_2xx,http_9xx"))


def test_thresholds_in_seconds() -> None:
    check = HealthCheck(False, 2, 5, 3, 4)
    assert (check.rise, check.fall) == (6.0, 8.0)


def test_every_other_status_counts_towards_the_threshold() -> None:
    check = envoy_health_check(HealthCheck(True, 2, 5, 3, 3, codes=((200, 300), (400, 500))))
    ranges = [(one.start, one.end) for one in check.http_health_check.retriable_statuses]
    assert ranges == [(100, 200), (300, 400), (500, 600)]
    assert check.no_traffic_interval.seconds == 2
