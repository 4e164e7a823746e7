"""Forwarding rules of an ALB listener in Envoy's words: a list of predicates, each with the route to take."""

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.matching.input_matchers.ip.v3 import ip_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2

from ackbox.dataplane import ports
from ackbox.dataplane.envoy_config import packed
from ackbox.dataplane.http_settings import HttpSettings
from ackbox.dataplane.rules import KEEP, NAMED, cluster_name, pattern, usable
from ackbox.resources.listener_settings import ListenerRule, RuleAction, RuleCondition, ServerGroupTuple

Forward = Callable[[Mapping[str, int]], Any]
"""Makes a route to clusters, by their weight."""

SOURCE_HEADER = "x-ackbox-source"
"""Tells the route table the client's address; servers don't see it."""

DEFAULT_PORTS = {"http": 80, "https": 443}

_CODES = {
    301: route_components_pb2.RedirectAction.MOVED_PERMANENTLY,
    302: route_components_pb2.RedirectAction.FOUND,
    303: route_components_pb2.RedirectAction.SEE_OTHER,
    307: route_components_pb2.RedirectAction.TEMPORARY_REDIRECT,
    308: route_components_pb2.RedirectAction.PERMANENT_REDIRECT,
}

_QUERY = r"(\?.*)?"
"""What may follow a path."""


def matcher(name: str, settings: HttpSettings, forward: Forward) -> Any:
    """Which route a request takes: the first rule that fits decides, then the listener's own server group.

    Args:
        name: the name of the listener's resources.
        settings: the listener's.
        forward: makes a route to clusters.
    """
    result = matcher_pb2.Matcher()
    for rule in usable(settings.rules, settings.group):
        entry = result.matcher_list.matchers.add()
        entry.predicate.CopyFrom(_all(_predicate(condition) for condition in rule.rule_conditions))
        entry.on_match.CopyFrom(_on_match(_route(name, rule, settings, forward)))
    own = forward({name: 1}) if settings.group is not None else answer(404)
    result.on_no_match.CopyFrom(_on_match(own))
    return result


def answer(status: int, body: str = "") -> Any:
    """A route that answers by itself."""
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"))
    route.direct_response.status = status
    if body:
        route.direct_response.body.inline_string = body
    return route


def redirect(
    settings: HttpSettings, code: int, scheme: str, port: int | None, host: str | None = None, path: str | None = None
) -> Any:
    """A route that sends a client elsewhere; what is None stays as it is.

    Args:
        settings: the listener's.
        code: the status.
        scheme: http or https.
        port: the port to dial.
        host: with another host, None means the scheme's own port.
        path: `${path}` in it is the old one.
    """
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"))
    action = route.redirect
    action.response_code = _CODES[code]
    action.scheme_redirect = scheme
    own = "https" if settings.encrypted else "http"
    plain = ports.dialled(settings.port, settings.lowest_port) == DEFAULT_PORTS[own] and port == DEFAULT_PORTS[scheme]
    # From one scheme's own port to the other's, Envoy leaves it unsaid, as a browser would.
    if port is not None and not plain:
        action.port_redirect = port
    if host is not None:
        action.host_redirect = host
    if path is not None:
        _rewrite(action.regex_rewrite, path)
    return route


def _on_match(route: Any) -> Any:
    config = extension_pb2.TypedExtensionConfig(name="route", typed_config=packed(route))
    return matcher_pb2.Matcher.OnMatch(action=config)


def _all(predicates: Iterable[Any]) -> Any:
    found = list(predicates)
    if not found:
        return _text(_header(":path"), ".*")
    if len(found) == 1:
        return found[0]
    result = matcher_pb2.Matcher.MatcherList.Predicate()
    result.and_matcher.predicate.extend(found)
    return result


def _predicate(condition: RuleCondition) -> Any:
    if condition.type == "SourceIp":
        return _source(condition.values)
    values = "|".join(pattern(value) for value in condition.values)
    key = condition.key or ""
    if condition.type == "Host":
        return _text(_header(":authority"), rf"(?i)({values})(:\d+)?")
    if condition.type == "Path":
        return _text(_header(":path"), f"({values}){_QUERY}")
    if condition.type == "Method":
        return _text(_header(":method"), f"(?i)({values})")
    if condition.type == "Cookie":
        return _text(_header("cookie"), rf"(.*;\s*)?{re.escape(key)}=\"?({values})\"?\s*(;.*)?")
    if condition.type in NAMED:
        return _text(_header(key.lower()), values)
    # Envoy's route table looks at nothing but headers.
    name = f"{re.escape(key)}=" if key else "([^=&]*=)?"
    return _text(_header(":path"), rf"[^?]*\?(.*&)?{name}({values})(&.*)?")


def _input(name: str, message: Any) -> Any:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(message))


def _header(name: str) -> Any:
    return _input("header", http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=name))


def _text(source: Any, regex: str) -> Any:
    result = matcher_pb2.Matcher.MatcherList.Predicate()
    single = result.single_predicate
    single.input.CopyFrom(source)
    single.value_match.safe_regex.google_re2.SetInParent()
    single.value_match.safe_regex.regex = regex
    return result


def _source(values: list[str]) -> Any:
    config = ip_pb2.Ip(stat_prefix="source")
    for value in values:
        network = ip_network(value, strict=False)
        block = address_pb2.CidrRange(address_prefix=str(network.network_address))
        block.prefix_len.value = network.prefixlen
        config.cidr_ranges.append(block)
    result = matcher_pb2.Matcher.MatcherList.Predicate()
    single = result.single_predicate
    single.input.CopyFrom(_header(SOURCE_HEADER))
    single.custom_match.CopyFrom(_input("ip", config))
    return result


def _route(name: str, rule: ListenerRule, settings: HttpSettings, forward: Forward) -> Any:
    actions = rule.rule_actions
    for action in actions:
        if action.type == "FixedResponse":
            return answer(action.http_code or 200, action.content or "")
        if action.type == "Redirect":
            return _redirect(action, settings)
    entries = [entry for action in actions if action.type == "ForwardGroup" for entry in action.server_groups]
    weights = _weights(name, entries, settings) if entries else {name: 1}
    if not weights:
        # Every group has weight 0: nobody may answer.
        return answer(503)
    route = forward(weights)
    for action in actions:
        _modify(route, action)
    return route


def _weights(name: str, entries: list[ServerGroupTuple], settings: HttpSettings) -> dict[str, int]:
    weights: dict[str, int] = {}
    for entry in entries:
        cluster = cluster_name(name, settings.group, entry.server_group_id)
        weights[cluster] = weights.get(cluster, 0) + entry.weight
    return {cluster: weight for cluster, weight in weights.items() if weight > 0}


def _redirect(action: RuleAction, settings: HttpSettings) -> Any:
    own = "https" if settings.encrypted else "http"
    scheme, host, port = (action.protocol or own).lower(), _changed(action.host), action.port
    if port is None and scheme != own:
        port = DEFAULT_PORTS[scheme]
    elif port is None and host is not None:
        port = settings.port
    if port is not None:
        port = ports.dialled(port, settings.lowest_port)
    return redirect(
        settings,
        action.http_code or 301,
        scheme,
        None if host and port == DEFAULT_PORTS[scheme] else port,
        host,
        _changed(action.path),
    )


def _modify(route: Any, action: RuleAction) -> None:
    """Change the request on its way, as an action says."""
    if action.type == "Rewrite":
        host, path = _changed(action.host), _changed(action.path)
        if host is not None:
            route.route.host_rewrite_literal = host
        if path is not None:
            _rewrite(route.route.regex_rewrite, path)
    elif action.type == "InsertHeader":
        header = route.request_headers_to_add.add()
        header.header.key = action.key
        # Envoy reads % as the beginning of a variable.
        header.header.value = (action.value or "").replace("%", "%%")
        header.append_action = header.OVERWRITE_IF_EXISTS_OR_ADD
    elif action.type == "RemoveHeader":
        route.request_headers_to_remove.append((action.key or "").lower())


def _changed(value: str | None) -> str | None:
    return None if value is None or value in KEEP else value


def _rewrite(rewrite: Any, path: str) -> None:
    """Put another path in; `${path}` in it is the old one."""
    rewrite.pattern.google_re2.SetInParent()
    rewrite.pattern.regex = "^(.*)$"
    rewrite.substitution = path.replace("\\", r"\\").replace("${path}", r"\1")
