"""Listeners of ours as Envoy's resources: one Envoy listener and one cluster each, endpoints by EDS."""

import socket
from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, extension_pb2, proxy_protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.load_balancing_policies.least_request.v3 import least_request_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2

from ackbox.dataplane.envoy_health import HEALTHY, UNHEALTHY, envoy_health_check
from ackbox.dataplane.model import SO_MAX_PACING_RATE, Branch, Endpoint, HealthCheck, ProxyHeader, Stickiness, Upstream
from ackbox.resources.listener import LAYER7, Protocol, Scheduler

CONNECT_TIMEOUT = 5
"""Seconds that a backend server has to take a connection."""

UPSTREAM_IDLE = 30
"""Seconds that Envoy keeps an idle HTTP connection; below the time-outs of common servers, so none closes it first."""

MANY = 1_000_000
"""In place of Envoy's circuit breakers: a load balancer of the cloud has none."""

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def seconds(value: float) -> Any:
    """A protobuf duration."""
    duration = duration_pb2.Duration()
    duration.FromMilliseconds(round(value * 1000))
    return duration


def packed(message: Any) -> Any:
    """A message as an Any."""
    wrapped = any_pb2.Any()
    wrapped.Pack(message, deterministic=True)
    return wrapped


def socket_address(ip: str, port: int, udp: bool = False) -> Any:
    """An IP address and port."""
    protocol = address_pb2.SocketAddress.UDP if udp else address_pb2.SocketAddress.TCP
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=ip, port_value=port, protocol=protocol))


def ads_source() -> Any:
    """The stream that everything else comes by, too."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
    )


def cluster(name: str, upstream: Upstream) -> Any:
    """The Envoy cluster of a listener: scheduler and health check."""
    result = cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=ads_source()),
        connect_timeout=seconds(CONNECT_TIMEOUT),
        # A server that is removed gets nothing more, even while its probes still succeed.
        ignore_health_on_host_removal=True,
    )
    # Never to unhealthy servers, and a change of health or weight counts at once (Envoy gathers them for a second).
    result.common_lb_config.healthy_panic_threshold.value = 0
    result.common_lb_config.update_merge_window.CopyFrom(seconds(0))
    limits = result.circuit_breakers.thresholds.add()
    limits.CopyFrom(_unlimited())
    _schedule(result, upstream)
    if upstream.check is not None and upstream.protocol is not Protocol.UDP:
        result.health_checks.append(envoy_health_check(upstream.check))
    if upstream.protocol in LAYER7:
        options = http_protocol_options_pb2.HttpProtocolOptions()
        options.explicit_http_config.http_protocol_options.SetInParent()
        options.common_http_protocol_options.idle_timeout.CopyFrom(seconds(UPSTREAM_IDLE))
        result.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    if upstream.bytes_per_second is not None:
        # Not on the listener's socket: a listener whose socket changes can't take over its own port.
        result.upstream_bind_config.socket_options.add(
            level=socket.SOL_SOCKET, name=SO_MAX_PACING_RATE, int_value=upstream.bytes_per_second
        )
    if upstream.proxy_header is not None:
        result.transport_socket.CopyFrom(_proxy_protocol(upstream.proxy_header))
    return result


def _proxy_protocol(header: ProxyHeader) -> Any:
    """A plain connection that begins with a PROXY protocol header."""
    config = proxy_protocol_pb2.ProxyProtocolConfig(version=proxy_protocol_pb2.ProxyProtocolConfig.V2)
    for kind, value in header.values:
        config.added_tlvs.add(type=kind, value=value)
    plain = base_pb2.TransportSocket(
        name="envoy.transport_sockets.raw_buffer", typed_config=packed(raw_buffer_pb2.RawBuffer())
    )
    wrapped = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport(config=config, transport_socket=plain)
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=packed(wrapped)
    )


def _unlimited() -> Any:
    many = wrappers_pb2.UInt32Value(value=MANY)
    return circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=many, max_pending_requests=many, max_requests=many, max_retries=many
    )


def _schedule(result: Any, upstream: Upstream) -> None:
    if upstream.stickiness is not Stickiness.NONE or upstream.scheduler is Scheduler.SCH:
        result.lb_policy = cluster_pb2.Cluster.MAGLEV
    elif upstream.scheduler is Scheduler.WLC:
        # Looks at every server; Envoy's default compares two picked at random.
        policy = least_request_pb2.LeastRequest(selection_method=least_request_pb2.LeastRequest.FULL_SCAN)
        result.load_balancing_policy.policies.add().typed_extension_config.CopyFrom(
            extension_pb2.TypedExtensionConfig(
                name="envoy.load_balancing_policies.least_request", typed_config=packed(policy)
            )
        )
    else:
        result.lb_policy = cluster_pb2.Cluster.ROUND_ROBIN


def endpoints(name: str, branch: Branch) -> Any:
    """The backend servers of a cluster."""
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    if branch.endpoints:
        locality = assignment.endpoints.add()
        weighted = branch.upstream.scheduler is not Scheduler.RR
        for endpoint in branch.endpoints:
            locality.lb_endpoints.append(_endpoint(endpoint, weighted, branch.upstream.check))
    return assignment


def _endpoint(endpoint: Endpoint, weighted: bool, check: HealthCheck | None) -> Any:
    ip, port = endpoint.address
    result = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=socket_address(ip, port)),
        health_status=HEALTHY if endpoint.healthy else UNHEALTHY,
    )
    if weighted:
        result.load_balancing_weight.value = endpoint.weight
    # By identity: a server keeps its clients when the responder gives it another address. Access logs show it, too.
    server_id, server_ip, server_port = endpoint.identity
    result.metadata.filter_metadata["envoy.lb"]["hash_key"] = f"{server_id}/{server_ip}:{server_port}"
    if check is not None:
        config = result.endpoint.health_check_config
        config.hostname = check.domain or ip
        if check.port is not None:
            config.port_value = check.port
    return result
