"""What a listener leaves to its server group and its load balancer."""

from typing import Any

import pytest

from ackbox.catalog.loadbalancers import Limits
from ackbox.dataplane import limits
from ackbox.dataplane.checks import health_check
from ackbox.dataplane.limits import connection_limits
from ackbox.dataplane.model import ConnectionLimits, RateLimit
from ackbox.dataplane.overlay import drain, effective, idle
from ackbox.dataplane.proxy_header import proxy_header
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.listener import ListenerSpec, Scheduler
from ackbox.resources.loadbalancer import LoadBalancerType
from ackbox.resources.servergroup import ServerGroupSpec

CLB, NLB, ALB = LoadBalancerType


def listener(protocol: str = "tcp", **fields: Any) -> ListenerSpec:
    base = {"loadBalancerId": "web", "listenerPort": 80, "listenerProtocol": protocol}
    return ListenerSpec.model_validate({**base, **fields})


def group(**fields: Any) -> ServerGroupSpec:
    return ServerGroupSpec.model_validate({"loadBalancerId": "web", "vServerGroupName": "g", **fields})


def balancer(**fields: Any) -> ServiceLoadBalancer:
    return ServiceLoadBalancer.model_validate({"metadata": {"namespace": "ns", "name": "web"}, "spec": fields})


def test_classic_listener_says_everything_itself() -> None:
    given = listener(scheduler="wlc", connectionDrain="off")
    assert effective(given, group(scheduler="sch", connectionDrainEnabled=True), CLB) == given


@pytest.mark.parametrize("kind", [NLB, ALB])
def test_server_group_decides(kind: LoadBalancerType) -> None:
    given = listener(scheduler="rr", persistenceTimeout=60)
    found = effective(given, group(scheduler="sch", connectionDrainEnabled=True, connectionDrainTimeout=20), kind)
    assert (found.scheduler, found.persistence_timeout, drain(found)) == (Scheduler.SCH, None, 20.0)
    assert effective(given, group(), kind).scheduler is Scheduler.WRR


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 0),
        ({"connectionDrain": "off", "connectionDrainTimeout": 20}, 0),
        ({"connectionDrain": "on", "connectionDrainTimeout": 20}, 20),
        ({"connectionDrain": "on"}, 300),
    ],
)
def test_drain(fields: dict[str, Any], seconds: float) -> None:
    assert drain(listener(**fields)) == seconds


@pytest.mark.parametrize(
    ("kind", "protocol", "config", "wanted"),
    [
        (NLB, "tcp", {}, (False, 10, 5, 2, 2)),
        (NLB, "tcp", {"healthCheckEnabled": False}, None),
        (NLB, "tcp", {"healthCheckType": "HTTP", "healthCheckInterval": 3, "healthyThreshold": 4}, (True, 3, 5, 4, 2)),
        (ALB, "http", {}, None),
        (ALB, "http", {"healthCheckEnabled": True, "unhealthyThreshold": 5}, (True, 2, 5, 3, 5)),
    ],
)
def test_health_check_of_a_group(
    kind: LoadBalancerType, protocol: str, config: dict[str, Any], wanted: tuple[bool, int, int, int, int] | None
) -> None:
    check = health_check(effective(listener(protocol), group(healthCheckConfig=config), kind))
    found = check and (
        check.http,
        check.interval,
        check.timeout,
        check.healthy_threshold,
        check.unhealthy_threshold,
    )
    assert found == wanted


def test_codes_path_and_port_of_a_groups_check() -> None:
    config = {"healthCheckType": "HTTP", "healthCheckUrl": "/up", "healthCheckHttpCode": ["http_2xx", "http_3xx"]}
    config |= {"healthCheckConnectPort": 0, "httpCheckMethod": "GET"}
    check = health_check(effective(listener(), group(healthCheckConfig=config), NLB))
    assert check is not None
    assert (check.uri, check.codes, check.port, check.method) == ("/up", ((200, 300), (300, 400)), None, "GET")


@pytest.mark.parametrize(
    ("kind", "protocol", "fields", "seconds"),
    [
        (CLB, "tcp", {}, None),
        (CLB, "tcp", {"establishedTimeout": 60}, 60),
        (NLB, "tcp", {"idleTimeout": 5}, 5),
        (NLB, "tcpssl", {"idleTimeout": 5}, 5),
        (CLB, "udp", {}, None),
        (NLB, "udp", {}, 20),
        (CLB, "http", {"idleTimeout": 5}, None),
    ],
)
def test_idle(kind: LoadBalancerType, protocol: str, fields: dict[str, Any], seconds: int | None) -> None:
    assert idle(listener(protocol, **fields), kind) == seconds


def test_limits_of_the_specification() -> None:
    small = balancer(instanceChargeType="PayBySpec", loadBalancerSpec="slb.s1.small")
    assert connection_limits(listener(), small) == ConnectionLimits(5000, (RateLimit(3000, "ns/web"),))
    assert connection_limits(listener(), balancer()) == ConnectionLimits()


def test_new_connections_of_nlb_count_in_each_zone() -> None:
    zones = [{"zoneId": zone, "vSwitchId": "vsw"} for zone in ("a", "b")]
    private = balancer(loadBalancerType="nlb", addressType="intranet", zoneMappings=zones)
    assert connection_limits(listener(cps=10), private).rates == (RateLimit(20, ""),)
    assert connection_limits(listener(cps=0), private).rates == ()


@pytest.mark.parametrize(
    ("protocol", "own", "bought", "wanted"),
    [
        ("tcp", None, 8, 1_000_000),
        ("tcp", 4, 8, 500_000),
        ("tcp", -1, 8, 1_000_000),
        ("tcp", None, None, None),
        ("tcp", None, 5000, None),
        ("http", 4, 8, None),
    ],
)
def test_bandwidth(
    monkeypatch: pytest.MonkeyPatch, protocol: str, own: int | None, bought: int | None, wanted: int | None
) -> None:
    monkeypatch.setattr(limits, "limits", lambda _: Limits(bandwidth=bought))
    fields = {} if own is None else {"bandwidth": own}
    assert connection_limits(listener(protocol, **fields), balancer()).bytes_per_second == wanted


@pytest.mark.parametrize(
    ("spec", "of_group", "of_balancer", "learns"),
    [
        (listener(), {}, {}, b"client"),
        (listener(proxyProtocolV2Enabled=True), {}, {}, b"client,header"),
        (listener(), {}, {"loadBalancerType": "nlb"}, b"client"),
        (listener(), {"preserveClientIpEnabled": False}, {"loadBalancerType": "nlb"}, b"nothing"),
        (
            listener(proxyProtocolEnabled=True),
            {"preserveClientIpEnabled": False},
            {"loadBalancerType": "nlb"},
            b"header",
        ),
        (listener("tcpssl"), {"preserveClientIpEnabled": True}, {"loadBalancerType": "nlb"}, b"nothing"),
    ],
)
def test_what_a_virtual_server_learns(
    spec: ListenerSpec, of_group: dict[str, Any], of_balancer: dict[str, Any], learns: bytes
) -> None:
    header = proxy_header(spec, group(**of_group), balancer(**of_balancer), real=False)
    assert header is not None
    assert header.values == ((0xEF, learns),)


@pytest.mark.parametrize(("fields", "told"), [({}, False), ({"proxyProtocolV2Enabled": True}, True)])
def test_real_server_gets_a_header_only_when_asked_for(fields: dict[str, Any], told: bool) -> None:
    header = proxy_header(listener(**fields), group(), balancer(), real=True)
    assert (header is not None and header.values == ()) == told


@pytest.mark.parametrize("protocol", ["udp", "http", "https"])
def test_no_header_before_datagrams_and_requests(protocol: str) -> None:
    assert proxy_header(listener(protocol, proxyProtocolV2Enabled=True), group(), balancer(), real=False) is None
