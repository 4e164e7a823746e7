"""The HTTP side of a listener: Envoy's connection manager and its routes."""

from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2

from ackbox.dataplane import envoy_access_log
from ackbox.dataplane.envoy_config import ads_source, packed, seconds
from ackbox.dataplane.envoy_http_filters import http_filters, limit, tie
from ackbox.dataplane.http_settings import HttpSettings, StickyCookie
from ackbox.dataplane.model import Frontend
from ackbox.dataplane.rules import cluster_name
from ackbox.dataplane.rules_envoy import SOURCE_HEADER, answer, matcher, redirect

FORWARD_CODE = 301
"""What a listener answers that sends its clients to another one."""

DRAIN = 0.1
"""Seconds between the word that a connection is about to close and its end; Envoy would wait for five after the idle
time-out.
"""

SERVER_FAULTS = ("UF", "UC", "UR")
"""Envoy's words for a connection to a server that failed, ended, or was reset."""

NOT_FOR_SERVERS = ("x-forwarded-proto", "x-envoy-internal", "x-envoy-external-address", SOURCE_HEADER)
"""What Envoy adds and SLB does not, and what is only meant for the route table."""

CLIENT_IP = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
CLIENT_PORT = "%DOWNSTREAM_DIRECT_REMOTE_PORT%"


def connection_manager(name: str, frontend: Frontend) -> Any:
    """The HTTP connection manager of a listener, with the routes of the same name.

    Routes are a resource of their own, so that a change of them leaves connections alone.
    """
    settings = frontend.http or HttpSettings(port=frontend.address[1])
    manager = hcm_pb2.HttpConnectionManager
    config = manager(
        stat_prefix="http",
        # What TLS agreed on decides between the two.
        codec_type=manager.AUTO if settings.http2 else manager.HTTP1,
        rds=hcm_pb2.Rds(config_source=ads_source(), route_config_name=name),
        server_header_transformation=manager.PASS_THROUGH,
    )
    # For a client on loopback Envoy would append an address of its own: the route does it.
    config.use_remote_address.value = True
    config.skip_xff_append = True
    config.generate_request_id.value = False
    config.http_protocol_options.accept_http_10 = True
    config.common_http_protocol_options.idle_timeout.CopyFrom(seconds(settings.idle))
    config.drain_timeout.CopyFrom(seconds(DRAIN))
    config.local_reply_config.mappers.append(_bad_gateway())
    config.upgrade_configs.add().upgrade_type = "websocket"
    if any(condition.type == "SourceIp" for rule in settings.rules for condition in rule.rule_conditions):
        config.early_header_mutation_extensions.append(_source_header())
    config.http_filters.extend(http_filters(settings))
    if frontend.access_log is not None:
        config.access_log.append(envoy_access_log.http(frontend.access_log, settings.encrypted))
    return config


def routes(name: str, settings: HttpSettings) -> Any:
    """The routes of a listener, to the cluster of the same name or to those of its rules."""
    host = route_components_pb2.VirtualHost(name="all", domains=["*"])
    cookies = {cluster_name(name, settings.group, group): cookie for group, cookie in settings.cookies}

    def forward(weights: Mapping[str, int]) -> Any:
        return _forward(weights, settings, cookies)

    if settings.redirect is not None:
        host.routes.append(redirect(settings, FORWARD_CODE, "https", settings.redirect))
    elif settings.rules:
        host.matcher.CopyFrom(matcher(name, settings, forward))
    else:
        host.routes.append(forward({name: 1}) if settings.group is not None else answer(404))
    limit(host, settings)
    result = route_pb2.RouteConfiguration(name=name, virtual_hosts=[host])
    result.request_headers_to_add.extend(_headers(settings))
    result.request_headers_to_remove.extend(NOT_FOR_SERVERS)
    return result


def _forward(weights: Mapping[str, int], settings: HttpSettings, cookies: Mapping[str, StickyCookie]) -> Any:
    """A route to clusters, by their weight; cookies are by cluster."""
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"))
    action = route.route
    action.timeout.CopyFrom(seconds(settings.request))
    # For the groups whose scheduler hashes it.
    action.hash_policy.add().connection_properties.source_ip = True
    if len(weights) == 1:
        action.cluster = next(iter(weights))
        if action.cluster in cookies:
            tie(route, cookies[action.cluster])
        return route
    for cluster, weight in weights.items():
        share = action.weighted_clusters.clusters.add()
        share.name, share.weight.value = cluster, weight
        if cluster in cookies:
            tie(share, cookies[cluster])
    return route


def _bad_gateway() -> Any:
    """A server that can't be connected to, or cuts a request short, is 502; Envoy says 503 to everything."""
    mapper = hcm_pb2.ResponseMapper()
    mapper.filter.response_flag_filter.flags.extend(SERVER_FAULTS)
    mapper.status_code.value = 502
    return mapper


def _source_header() -> Any:
    """Tell the route table the client's address, before it chooses."""
    mutation = header_mutation_pb2.HeaderMutation()
    header = mutation.mutations.add().append
    header.header.key, header.header.value = SOURCE_HEADER, CLIENT_IP
    header.append_action = header.OVERWRITE_IF_EXISTS_OR_ADD
    return extension_pb2.TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation", typed_config=packed(mutation)
    )


def _headers(settings: HttpSettings) -> list[Any]:
    """What a server learns of the client and the listener."""
    option = base_pb2.HeaderValueOption
    found = [("x-forwarded-for", CLIENT_IP, option.APPEND_IF_EXISTS_OR_ADD)]
    replace = option.OVERWRITE_IF_EXISTS_OR_ADD
    if settings.forwarded_proto:
        found.append(("x-forwarded-proto", "https" if settings.encrypted else "http", replace))
    if settings.forwarded_port:
        found.append(("x-forwarded-port", str(settings.port), replace))
    if settings.forwarded_client_port:
        found.append(("x-forwarded-client-srcport", CLIENT_PORT, replace))
    return [
        option(header=base_pb2.HeaderValue(key=key, value=value), append_action=action) for key, value, action in found
    ]
