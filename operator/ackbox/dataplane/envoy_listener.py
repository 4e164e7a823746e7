"""The Envoy listener of one of our listeners, by protocol."""

from typing import Any

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.filters.udp.udp_proxy.v3 import route_pb2 as udp_route_pb2
from envoy.extensions.filters.udp.udp_proxy.v3 import udp_proxy_pb2
from envoy.type.v3 import hash_policy_pb2

from ackbox.dataplane.envoy_config import packed, seconds, socket_address
from ackbox.dataplane.model import Frontend, Stickiness
from ackbox.resources.listener import Protocol

TCP_IDLE = 900
"""SLB's default EstablishedTimeout, in seconds."""

UDP_IDLE = 90
"""Seconds that a UDP session is remembered."""

HTTP_IDLE = 15
"""SLB's default IdleTimeout, in seconds."""

HTTP_REQUEST = 60
"""SLB's default RequestTimeout, in seconds: the answer is 504 afterwards."""

MAX_DATAGRAM = 9000
"""Bytes of a UDP datagram; Envoy cuts off at 1,500 by default."""

STICKY_COOKIE = "SERVERID"
"""The cookie that SLB puts in."""


def listener(name: str, frontend: Frontend) -> Any:
    """Where a listener listens, and which cluster (of the same name) it sends to."""
    udp = frontend.protocol is Protocol.UDP
    result = listener_pb2.Listener(name=name, address=socket_address(*frontend.address, udp=udp))
    # Without it, a second socket on a port that is taken is refused. For UDP, Envoy's workers need one each.
    result.enable_reuse_port.value = udp
    if udp:
        result.udp_listener_config.downstream_socket_config.max_rx_datagram_size.value = MAX_DATAGRAM
        result.listener_filters.append(
            listener_components_pb2.ListenerFilter(
                name="envoy.filters.udp_listener.udp_proxy", typed_config=packed(_udp(name, frontend))
            )
        )
        return result
    if frontend.protocol is Protocol.HTTP:
        kind, config = "http_connection_manager", _http(name, frontend)
    else:
        kind, config = "tcp_proxy", _tcp(name, frontend)
    result.filter_chains.add().filters.append(
        listener_components_pb2.Filter(name=f"envoy.filters.network.{kind}", typed_config=packed(config))
    )
    return result


def _tcp(name: str, frontend: Frontend) -> Any:
    config = tcp_proxy_pb2.TcpProxy(stat_prefix="tcp", cluster=name, idle_timeout=seconds(TCP_IDLE))
    if frontend.stickiness is Stickiness.SOURCE_IP:
        config.hash_policy.append(hash_policy_pb2.HashPolicy(source_ip=hash_policy_pb2.HashPolicy.SourceIp()))
    return config


def _udp(name: str, frontend: Frontend) -> Any:
    config = udp_proxy_pb2.UdpProxyConfig(stat_prefix="udp", idle_timeout=seconds(UDP_IDLE))
    action = config.matcher.on_no_match.action
    action.name = "route"
    action.typed_config.CopyFrom(packed(udp_route_pb2.Route(cluster=name)))
    config.upstream_socket_config.max_rx_datagram_size.value = MAX_DATAGRAM
    if frontend.stickiness is Stickiness.SOURCE_IP:
        config.hash_policies.append(udp_proxy_pb2.UdpProxyConfig.HashPolicy(source_ip=True))
    return config


def _http(name: str, frontend: Frontend) -> Any:
    config = hcm_pb2.HttpConnectionManager(
        stat_prefix="http",
        codec_type=hcm_pb2.HttpConnectionManager.HTTP1,
        route_config=_routes(name, frontend),
        server_header_transformation=hcm_pb2.HttpConnectionManager.PASS_THROUGH,
    )
    # For a client on loopback Envoy would append an address of its own: the route does it.
    config.use_remote_address.value = True
    config.skip_xff_append = True
    config.generate_request_id.value = False
    config.http_protocol_options.accept_http_10 = True
    config.common_http_protocol_options.idle_timeout.CopyFrom(seconds(HTTP_IDLE))
    config.upgrade_configs.add().upgrade_type = "websocket"
    router = config.http_filters.add()
    router.name = "envoy.filters.http.router"
    router.typed_config.CopyFrom(packed(router_pb2.Router(suppress_envoy_headers=True)))
    return config


def _routes(name: str, frontend: Frontend) -> Any:
    action = route_components_pb2.RouteAction(cluster=name, timeout=seconds(HTTP_REQUEST))
    if frontend.stickiness is Stickiness.SOURCE_IP:
        action.hash_policy.add().connection_properties.source_ip = True
    elif frontend.stickiness is Stickiness.COOKIE:
        cookie = action.hash_policy.add().cookie
        cookie.name, cookie.path = STICKY_COOKIE, "/"
        # A time to live makes Envoy put the cookie in; zero makes it a session's.
        cookie.ttl.CopyFrom(seconds(0))
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"), route=action)
    host = route_components_pb2.VirtualHost(name="all", domains=["*"], routes=[route])
    routes = route_pb2.RouteConfiguration(virtual_hosts=[host])
    # The cluster may still be on its way when the listener arrives.
    routes.validate_clusters.value = False
    # SLB appends the client's address.
    forwarded = routes.request_headers_to_add.add()
    forwarded.header.key = "x-forwarded-for"
    forwarded.header.value = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
    # What Envoy adds and SLB does not.
    routes.request_headers_to_remove.extend(("x-forwarded-proto", "x-envoy-internal", "x-envoy-external-address"))
    return routes
