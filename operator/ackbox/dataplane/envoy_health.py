"""Health in Envoy's words: active checks of real backend servers, and the state that is given for virtual ones."""

from typing import Any

from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.type.v3 import http_pb2, range_pb2
from google.protobuf import duration_pb2, wrappers_pb2

from ackbox.dataplane.model import HealthCheck

HEALTHY = health_check_pb2.HEALTHY
UNHEALTHY = health_check_pb2.UNHEALTHY

FIRST_STATUS, LAST_STATUS = 100, 600


def envoy_health_check(check: HealthCheck) -> Any:
    """What Envoy shall probe."""
    interval = duration_pb2.Duration(seconds=check.interval)
    result = health_check_pb2.HealthCheck(
        timeout=duration_pb2.Duration(seconds=check.timeout),
        interval=interval,
        # Envoy would look once a minute only until the first request arrives.
        no_traffic_interval=interval,
        healthy_threshold=wrappers_pb2.UInt32Value(value=check.healthy_threshold),
        unhealthy_threshold=wrappers_pb2.UInt32Value(value=check.unhealthy_threshold),
        reuse_connection=wrappers_pb2.BoolValue(value=False),
    )
    if not check.http:
        result.tcp_health_check.SetInParent()
        return result
    http = result.http_health_check
    http.path = check.uri if check.uri.startswith("/") else f"/{check.uri}"
    http.method = base_pb2.HEAD if check.method == "HEAD" else base_pb2.GET
    http.codec_client_type = http_pb2.HTTP1
    http.expected_statuses.extend(range_pb2.Int64Range(start=start, end=end) for start, end in check.codes)
    # Any other status counts towards the threshold; Envoy would take the server out at the first one.
    http.retriable_statuses.extend(range_pb2.Int64Range(start=start, end=end) for start, end in _others(check.codes))
    return result


def _others(codes: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    gaps, position = [], FIRST_STATUS
    for start, end in sorted(codes):
        if start > position:
            gaps.append((position, start))
        position = max(position, end)
    if position < LAST_STATUS:
        gaps.append((position, LAST_STATUS))
    return gaps
