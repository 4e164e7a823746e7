"""What a listener's spec says of requests, and where its access log goes."""

from pathlib import Path
from typing import Any

import pytest

from ackbox.dataplane.access_log import access_log
from ackbox.dataplane.envoy_http import connection_manager
from ackbox.dataplane.envoy_http_filters import _quoted
from ackbox.dataplane.http_settings import (
    HttpSettings,
    StickyCookie,
    forwards_only,
    group_cookie,
    http_settings,
    with_group_cookies,
)
from ackbox.dataplane.model import Frontend, Stickiness
from ackbox.resources import Listener
from ackbox.resources.listener import ListenerSpec, Protocol
from ackbox.resources.loadbalancer import ServiceLoadBalancerSpec
from ackbox.resources.servergroup import StickySessionConfig


def spec(**fields: Any) -> ListenerSpec:
    own = {"loadBalancerId": "web", "listenerPort": 80, "listenerProtocol": "http", "vServerGroupId": "rsp-1"}
    return ListenerSpec.model_validate({**own, **fields})


def balancer(**fields: Any) -> ServiceLoadBalancerSpec:
    return ServiceLoadBalancerSpec.model_validate(fields)


def test_slbs_defaults() -> None:
    assert http_settings(spec()) == HttpSettings(port=80, idle=15, request=60, group="rsp-1")


@pytest.mark.parametrize(
    ("protocol", "switch", "http2"),
    [("https", None, True), ("https", "on", True), ("https", "off", False), ("http", "on", False)],
)
def test_http2_is_for_encrypted_listeners(protocol: str, switch: str | None, http2: bool) -> None:
    settings = http_settings(spec(listenerProtocol=protocol, enableHttp2=switch))
    assert settings.http2 == http2
    manager = connection_manager("n/a", Frontend(("127.0.0.1", 80), Protocol(protocol), Stickiness.NONE, settings))
    assert manager.codec_type == (manager.AUTO if http2 else manager.HTTP1)


@pytest.mark.parametrize(
    ("fields", "cookie"),
    [
        ({"stickySession": "off", "stickySessionType": "insert"}, None),
        ({"stickySession": "on", "stickySessionType": "insert", "cookieTimeout": 9}, StickyCookie("SERVERID", True, 9)),
        ({"stickySession": "on"}, StickyCookie("SERVERID", True, 0)),
        ({"stickySession": "on", "stickySessionType": "server", "cookie": "a"}, StickyCookie("a", False)),
        ({"stickySession": "on", "stickySessionType": "server"}, None),
    ],
)
def test_cookies(fields: dict[str, Any], cookie: StickyCookie | None) -> None:
    assert http_settings(spec(**fields)).cookies == ((("rsp-1", cookie),) if cookie else ())


@pytest.mark.parametrize(
    ("fields", "cookie"),
    [
        ({}, None),
        ({"stickySessionEnabled": False, "stickySessionType": "Insert"}, None),
        ({"stickySessionEnabled": True, "cookieTimeout": 9}, StickyCookie("SERVERID", True, 9)),
        ({"stickySessionEnabled": True, "stickySessionType": "Server", "cookie": "a"}, StickyCookie("a", False)),
        ({"stickySessionEnabled": True, "stickySessionType": "Server"}, None),
    ],
)
def test_cookies_of_a_server_group(fields: dict[str, Any], cookie: StickyCookie | None) -> None:
    assert group_cookie(StickySessionConfig.model_validate(fields)) == cookie


def test_cookies_of_a_rules_groups_join_the_listeners() -> None:
    settings = http_settings(spec(stickySession="on"))
    on = StickySessionConfig.model_validate({"stickySessionEnabled": True})
    found = with_group_cookies(settings, {"sgp-1": on, "sgp-2": None})
    assert [group for group, _ in found.cookies] == ["rsp-1", "sgp-1"]


def test_a_forward_goes_to_the_dialled_port() -> None:
    wanted = spec(listenerForward="on", forwardPort=443)
    assert forwards_only(wanted)
    assert http_settings(wanted).redirect == 443
    assert http_settings(wanted, lowest_port=1024).redirect == 10443
    assert http_settings(spec(forwardPort=443)).redirect is None


@pytest.mark.parametrize(
    ("fields", "requests", "bandwidth"),
    [
        ({}, None, None),
        ({"instanceChargeType": "PayBySpec", "loadBalancerSpec": "slb.s2.small"}, 5000, None),
        ({"instanceChargeType": "PayBySpec", "internetChargeType": "paybybandwidth", "bandwidth": 10}, 1000, 10),
    ],
)
def test_limits_of_the_load_balancer(fields: dict[str, Any], requests: int | None, bandwidth: int | None) -> None:
    settings = http_settings(spec(), balancer(**fields))
    assert (settings.requests_per_second, settings.bandwidth) == (requests, bandwidth)


@pytest.mark.parametrize(("own", "felt"), [(-1, 10), (5, 5), (20, 10)])
def test_the_lower_bandwidth_holds(own: int, felt: int) -> None:
    bought = balancer(instanceChargeType="PayBySpec", internetChargeType="paybybandwidth", bandwidth=10)
    assert http_settings(spec(bandwidth=own), bought).bandwidth == felt


def test_a_cookies_name_cannot_leave_its_script() -> None:
    assert _quoted('a"\n\\]é') == r"a\034\010\092\093\195\169"


def test_access_logs() -> None:
    metadata = {"namespace": "ns", "name": "web-80-tcp"}
    quiet, loud = (
        Listener.model_validate({"metadata": metadata, "spec": spec(accessLog=switch)}) for switch in ("off", "on")
    )
    assert access_log(quiet, Path("/logs")) is None
    log = access_log(loud, Path("/logs"))
    assert log is not None
    assert (log.path, log.balancer, log.port) == ("/logs/ns_web-80-tcp.log", "web", 80)
