"""Forwarding rules of an ALB listener: which server groups they name, and what is wrong with them. Pure."""

import re
from ipaddress import ip_network

from ackbox.resources.listener import ListenerSpec
from ackbox.resources.listener_settings import ListenerRule, RuleAction, RuleCondition

REDIRECTS = (301, 302, 303, 307, 308)
"""Status codes that a redirect may have."""

KEEP = ("", "${host}", "${path}", "${protocol}", "${port}")
"""Values that leave a part of the address as it is."""

OWN_HEADERS = frozenset(
    {
        "authority",
        "connection",
        "content-length",
        "cookie",
        "host",
        "keep-alive",
        "remoteip",
        "slb-id",
        "slb-ip",
        "te",
        "transfer-encoding",
        "upgrade",
        "x-forwarded-client-srcport",
        "x-forwarded-eip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
    }
)
"""Headers that a rule may not touch."""

NAMED = frozenset({"Header", "Cookie"})
"""Conditions that need a key."""

ENDS = frozenset({"ForwardGroup", "Redirect", "FixedResponse"})
"""Actions that decide what becomes of a request; one a rule."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,40}")
_HOST = re.compile(r"[A-Za-z0-9.*_-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?")


def groups(spec: ListenerSpec) -> tuple[str, ...]:
    """The server groups that a listener's rules name, each once, without the listener's own."""
    named = (
        entry.server_group_id for rule in spec.rules for action in rule.rule_actions for entry in action.server_groups
    )
    return tuple(group for group in dict.fromkeys(named) if group != spec.v_server_group_id)


def cluster_name(listener: str, own_group: str | None, group: str) -> str:
    """What the Envoy cluster of a server group of a listener is called.

    Args:
        listener: the name of the listener's own resources.
        own_group: the server group of requests that no rule fits.
        group: a server group, as a rule names it.
    """
    return listener if group == own_group else f"{listener}#{group}"


def pattern(wildcard: str) -> str:
    """A regular expression for a value in which `*` stands for any text and `?` for one character."""
    return "".join({"*": ".*", "?": "."}.get(part) or re.escape(part) for part in re.split(r"([*?])", wildcard))


def usable(rules: tuple[ListenerRule, ...], own_group: str | None) -> tuple[ListenerRule, ...]:
    """The rules that nothing is wrong with."""
    return tuple(rule for rule in rules if problem(rule, own_group) is None)


def problems(spec: ListenerSpec) -> list[str]:
    """What is wrong with a listener's rules, one text each; those rules are passed over."""
    found = ((rule, problem(rule, spec.v_server_group_id)) for rule in spec.rules)
    return [f"rule {rule.rule_name} is passed over: {text}" for rule, text in found if text is not None]


def problem(rule: ListenerRule, own_group: str | None) -> str | None:
    """What is wrong with a rule, if anything is."""
    ends = [action for action in rule.rule_actions if action.type in ENDS]
    if len(ends) > 1:
        return f"ruleActions has {ends[0].type} and {ends[1].type}; only one of {', '.join(sorted(ENDS))} is allowed"
    if not ends and own_group is None:
        return "ruleActions needs one of " + ", ".join(sorted(ENDS))
    found = [condition_problem(condition) for condition in rule.rule_conditions]
    found += [action_problem(action) for action in rule.rule_actions]
    return next((text for text in found if text is not None), None)


def condition_problem(condition: RuleCondition) -> str | None:
    """What is wrong with a condition, if anything is."""
    if not condition.values:
        return f"condition {condition.type} has no values"
    if condition.type in NAMED and not condition.key:
        return f"condition {condition.type} has no key"
    if condition.type == "Header" and not _TOKEN.fullmatch(condition.key or ""):
        return f"condition Header: key {condition.key!r} is not a header name (letters, digits, _ and -, up to 40)"
    if condition.type == "SourceIp":
        wrong = next((value for value in condition.values if not _is_network(value)), None)
        return f"condition SourceIp: {wrong!r} is not an address or CIDR block" if wrong is not None else None
    if condition.type == "Path":
        wrong = next((value for value in condition.values if not value.startswith(("/", "*"))), None)
        return f"condition Path: {wrong!r} does not begin with /" if wrong is not None else None
    return None


def action_problem(action: RuleAction) -> str | None:
    """What is wrong with an action, if anything is."""
    if action.type in {"InsertHeader", "RemoveHeader"}:
        return _header_problem(action)
    if action.type == "ForwardGroup" and not action.server_groups:
        return "action ForwardGroup has no serverGroups"
    if action.type == "Redirect" and action.http_code not in {None, *REDIRECTS}:
        return f"action Redirect: httpCode {action.http_code} is none of {', '.join(map(str, REDIRECTS))}"
    if action.type in {"Redirect", "Rewrite"}:
        return _address_problem(action)
    return None


def _address_problem(action: RuleAction) -> str | None:
    if action.host not in {None, *KEEP} and not _HOST.fullmatch(action.host or ""):
        return f"action {action.type}: host {action.host!r} is not a host name"
    path = action.path
    if path not in {None, *KEEP} and not (path or "").startswith(("/", "${path}")):
        return f"action {action.type}: path {path!r} does not begin with /"
    if path is not None and not (path.isascii() and path.isprintable()):
        return f"action {action.type}: path {path!r} has characters that a path can't have"
    return None


def _header_problem(action: RuleAction) -> str | None:
    key, value = action.key or "", action.value or ""
    if not _TOKEN.fullmatch(key):
        return f"action {action.type}: key {key!r} is not a header name (letters, digits, _ and -, up to 40)"
    if key.lower() in OWN_HEADERS:
        return f"action {action.type}: header {key} can't be changed"
    if not (value.isascii() and value.isprintable()):
        return f"action {action.type}: the value of {key} has characters that a header can't have"
    return None


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
