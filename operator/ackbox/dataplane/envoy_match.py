"""Which filter chain takes a connection: by the client's address, then by the name that it asks for.

Envoy lets connections be when nothing but this choice changes, so a new entry in an access control list cuts none.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from envoy.extensions.matching.input_matchers.ip.v3 import ip_pb2
from google.protobuf import wrappers_pb2
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2, string_pb2

from ackbox.dataplane.envoy_config import packed
from ackbox.dataplane.model import AccessRule

Matcher = matcher_pb2.Matcher
OnMatch = Matcher.OnMatch
_SINGLE = Matcher.MatcherList.Predicate.SinglePredicate


def chain(name: str) -> Any:
    """Take the filter chain of this name."""
    return OnMatch(action=_extension(name, wrappers_pb2.StringValue(value=name)))


def admitted(rules: Iterable[AccessRule], inner: Any) -> Any:
    """Go on with `inner` for clients that every rule lets in; others match nothing, and are refused.

    Args:
        rules: who may connect.
        inner: an `OnMatch`.
    """
    for rule in rules:
        inside = _predicate(_SINGLE(input=_source_ip(), custom_match=_blocks(rule.networks)))
        allowed = inside if rule.white else Matcher.MatcherList.Predicate(not_matcher=inside)
        inner = OnMatch(matcher=Matcher(matcher_list=Matcher.MatcherList(matchers=[_field(allowed, inner)])))
    return inner


def by_port(targets: Mapping[int, Any]) -> Any:
    """Go on by the port that the client asked for; the targets are `OnMatch`es."""
    ports = {str(port): target for port, target in targets.items()}
    tree = Matcher.MatcherTree(
        input=_extension("port", network_inputs_pb2.DestinationPortInput()),
        exact_match_map=Matcher.MatcherTree.MatchMap(map=ports),
    )
    return OnMatch(matcher=Matcher(matcher_tree=tree))


def by_server_name(names: Iterable[tuple[str, str]], otherwise: str) -> Any:
    """The filter chains of names, `*.` in front for all names below one; exact names win.

    Args:
        names: server name and filter chain.
        otherwise: filter chain of other names, and of clients that give none.
    """
    names = list(names)
    if not names:
        return chain(otherwise)
    exact = [(name, target) for name, target in names if not name.startswith("*.")]
    wild = sorted(((name[1:], target) for name, target in names if name.startswith("*.")), key=lambda one: -len(one[0]))
    fields = [_field(_name_is(string_pb2.StringMatcher(exact=name)), chain(target)) for name, target in exact]
    fields += [_field(_name_is(string_pb2.StringMatcher(suffix=name)), chain(target)) for name, target in wild]
    return OnMatch(matcher=Matcher(matcher_list=Matcher.MatcherList(matchers=fields), on_no_match=chain(otherwise)))


def _name_is(value: Any) -> Any:
    name = _extension("server_name", network_inputs_pb2.ServerNameInput())
    return _predicate(_SINGLE(input=name, value_match=value))


def _predicate(single: Any) -> Any:
    return Matcher.MatcherList.Predicate(single_predicate=single)


def _field(predicate: Any, on_match: Any) -> Any:
    return Matcher.MatcherList.FieldMatcher(predicate=predicate, on_match=on_match)


def _source_ip() -> Any:
    return _extension("source_ip", network_inputs_pb2.SourceIPInput())


def _blocks(networks: Iterable[str]) -> Any:
    parsed = [ip_network(network) for network in networks]
    blocks = [
        address_pb2.CidrRange(
            address_prefix=str(network.network_address), prefix_len=wrappers_pb2.UInt32Value(value=network.prefixlen)
        )
        for network in parsed
    ]
    return _extension("ip", ip_pb2.Ip(cidr_ranges=blocks, stat_prefix="acl"))


def _extension(name: str, message: Any) -> Any:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(message))
