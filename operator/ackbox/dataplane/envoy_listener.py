"""The Envoy listener of one of our listeners, by protocol."""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.filters.udp.udp_proxy.v3 import route_pb2 as udp_route_pb2
from envoy.extensions.filters.udp.udp_proxy.v3 import udp_proxy_pb2
from envoy.type.v3 import hash_policy_pb2
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2

from ackbox.dataplane import envoy_access_log, envoy_match
from ackbox.dataplane.envoy_config import packed, seconds, socket_address
from ackbox.dataplane.envoy_http import connection_manager
from ackbox.dataplane.envoy_tls import transport_socket
from ackbox.dataplane.model import ConnectionLimits, Frontend, RateLimit, Stickiness, TlsSettings
from ackbox.dataplane.names import owner
from ackbox.resources.listener import LAYER7, Protocol

TCP_IDLE = 900
"""SLB's default EstablishedTimeout, in seconds."""

UDP_IDLE = 90
"""Seconds that a UDP session is remembered."""

MAX_DATAGRAM = 9000
"""Bytes of a UDP datagram; Envoy cuts off at 1,500 by default."""

DEFAULT_CHAIN = "default"
"""The filter chain of a listener, or of names without a certificate of their own."""

CONNECTION_KEY = "ackbox.connection"
"""Where a connection keeps the client's address and port, to choose a server by."""


def listener(name: str, frontend: Frontend) -> Any:
    """Where a listener listens, and which cluster (of the same name) it sends to."""
    udp = frontend.protocol is Protocol.UDP
    host, port = frontend.address
    result = listener_pb2.Listener(name=name, address=socket_address(host, port, udp=udp))
    for more in frontend.more_ports:
        result.additional_addresses.add().address.CopyFrom(socket_address(host, more, udp=udp))
    # Without it, a second socket on a port that is taken is refused. For UDP, Envoy's workers need one each.
    result.enable_reuse_port.value = udp
    if udp:
        result.udp_listener_config.downstream_socket_config.max_rx_datagram_size.value = MAX_DATAGRAM
        result.listener_filters.append(_listener_filter("udp_listener.udp_proxy", _udp(name, frontend)))
        return result
    if frontend.tls is not None:
        result.listener_filters.append(_listener_filter("listener.tls_inspector", tls_inspector_pb2.TlsInspector()))
    chosen = _by_port(result, frontend) if frontend.port_clusters else _by_name(result, name, frontend)
    result.filter_chain_matcher.CopyFrom(_root(envoy_match.admitted(frontend.access, chosen)))
    return result


def _by_name(result: Any, name: str, frontend: Frontend) -> Any:
    """Give a listener its filter chains, one a server name; how one is chosen."""
    domains = frontend.tls.domains if frontend.tls is not None else ()
    for domain, certificate in domains:
        result.filter_chains.append(_chain(name, frontend, _chain_name(domain), (certificate,)))
    result.filter_chains.append(_chain(name, frontend, DEFAULT_CHAIN, _own_certificates(frontend.tls)))
    return envoy_match.by_server_name([(domain, _chain_name(domain)) for domain, _ in domains], DEFAULT_CHAIN)


def _by_port(result: Any, frontend: Frontend) -> Any:
    """Give a listener its filter chains, one a port; how one is chosen."""
    for _, cluster in frontend.port_clusters:
        result.filter_chains.append(_chain(cluster, frontend, cluster, _own_certificates(frontend.tls)))
    return envoy_match.by_port({port: envoy_match.chain(cluster) for port, cluster in frontend.port_clusters})


def _chain_name(domain: str) -> str:
    """The filter chain of a name; none is called like the default one."""
    return f"name {domain}"


def _own_certificates(tls: TlsSettings | None) -> tuple[str, ...]:
    return tls.certificates if tls else ()


def _root(on_match: Any) -> Any:
    """The matcher that comes to this in every case."""
    if on_match.HasField("matcher"):
        return on_match.matcher
    return matcher_pb2.Matcher(on_no_match=on_match)


def _listener_filter(kind: str, config: Any) -> Any:
    return listener_components_pb2.ListenerFilter(name=f"envoy.filters.{kind}", typed_config=packed(config))


def _chain(name: str, frontend: Frontend, own: str, certificates: tuple[str, ...]) -> Any:
    """A filter chain: the limits, then the proxy."""
    result = listener_components_pb2.FilterChain(name=own)
    if frontend.tls is not None:
        result.transport_socket.CopyFrom(transport_socket(owner(name), frontend.tls, certificates))
    result.filters.extend(_limit_filters(owner(name), frontend.limits))
    if frontend.protocol in LAYER7:
        result.filters.append(_filter("http_connection_manager", connection_manager(name, frontend)))
        return result
    if frontend.stickiness is Stickiness.CONNECTION:
        result.filters.append(_filter("set_filter_state", _remember_client()))
    result.filters.append(_filter("tcp_proxy", _tcp(name, frontend)))
    return result


def _filter(kind: str, config: Any) -> Any:
    return listener_components_pb2.Filter(name=f"envoy.filters.network.{kind}", typed_config=packed(config))


def _limit_filters(name: str, limits: ConnectionLimits) -> list[Any]:
    found = [_filter("local_ratelimit", _rate(name, rate)) for rate in limits.rates]
    if limits.connections is not None:
        config = connection_limit_pb2.ConnectionLimit(stat_prefix="connections")
        config.max_connections.value = limits.connections
        found.append(_filter("connection_limit", config))
    return found


def _rate(name: str, rate: RateLimit) -> Any:
    config = local_rate_limit_pb2.LocalRateLimit(stat_prefix="rate", share_key=rate.group or name)
    config.token_bucket.max_tokens = rate.per_second
    config.token_bucket.tokens_per_fill.value = rate.per_second
    config.token_bucket.fill_interval.CopyFrom(seconds(1))
    return config


def _remember_client() -> Any:
    value = value_pb2.FilterStateValue(object_key=CONNECTION_KEY, factory_key="envoy.hashable_string")
    text = base_pb2.DataSource(inline_string="%DOWNSTREAM_REMOTE_ADDRESS%")
    value.format_string.text_format_source.CopyFrom(text)
    return set_filter_state_pb2.Config(on_new_connection=[value])


def _tcp(name: str, frontend: Frontend) -> Any:
    idle = seconds(frontend.idle or TCP_IDLE)
    config = tcp_proxy_pb2.TcpProxy(stat_prefix="tcp", cluster=name, idle_timeout=idle)
    if frontend.access_log is not None:
        config.access_log.append(envoy_access_log.tcp(frontend.access_log, frontend.tls is not None))
    if frontend.stickiness is Stickiness.SOURCE_IP:
        config.hash_policy.append(hash_policy_pb2.HashPolicy(source_ip=hash_policy_pb2.HashPolicy.SourceIp()))
    elif frontend.stickiness is Stickiness.CONNECTION:
        key = hash_policy_pb2.HashPolicy.FilterState(key=CONNECTION_KEY)
        config.hash_policy.append(hash_policy_pb2.HashPolicy(filter_state=key))
    return config


def _udp_route(cluster: str) -> Any:
    config = packed(udp_route_pb2.Route(cluster=cluster))
    return matcher_pb2.Matcher.OnMatch(action=extension_pb2.TypedExtensionConfig(name="route", typed_config=config))


def _udp(name: str, frontend: Frontend) -> Any:
    config = udp_proxy_pb2.UdpProxyConfig(stat_prefix="udp", idle_timeout=seconds(frontend.idle or UDP_IDLE))
    if frontend.access_log is not None:
        config.access_log.append(envoy_access_log.udp(frontend.access_log))
    to_cluster = _udp_route(name)
    if frontend.port_clusters:
        to_cluster = envoy_match.by_port({port: _udp_route(cluster) for port, cluster in frontend.port_clusters})
    config.matcher.CopyFrom(_root(envoy_match.admitted(frontend.access, to_cluster)))
    config.upstream_socket_config.max_rx_datagram_size.value = MAX_DATAGRAM
    if frontend.stickiness is Stickiness.SOURCE_IP:
        config.hash_policies.append(udp_proxy_pb2.UdpProxyConfig.HashPolicy(source_ip=True))
    return config
