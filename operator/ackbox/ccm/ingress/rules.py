"""The forwarding rules that Ingresses have on a listener. Pure; rule source: the CCM's `pkg/controller/ingress`."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ackbox.ccm.ingress.view import Backend, IngressView, Route
from ackbox.kube.cache import Key
from ackbox.resources.listener import Protocol
from ackbox.resources.listener_settings import ListenerRule, RuleAction, RuleCondition, ServerGroupTuple

Problem: TypeAlias = tuple[Key | None, str]
"""What is wrong, and of which Ingress; of None it is the AlbConfig's."""

GroupOf: TypeAlias = Callable[[IngressView, Backend], str]
"""The name of the server group of a backend."""

MAX_RULES = 200
MAX_GROUPS = 5
WHOLE = 100
REDIRECT_CODE = 308
HTTPS_PORT = 443
ALWAYS = "always"

_Place: TypeAlias = tuple[str, str, str, bool]
"""Namespace, host, path and whether it is exact: what a canary and the Ingress that it belongs to have in common."""


@dataclass
class Rules:
    """The rules of a listener, and what can't be had."""

    rules: list[ListenerRule] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def build(port: int, protocol: Protocol, views: Sequence[IngressView], group_of: GroupOf) -> Rules:
    """The rules of a listener, the first of them wins.

    Args:
        port: the listener's.
        protocol: the listener's.
        views: the Ingresses that have rules on it, in their order.
        group_of: names the server group of a backend.
    """
    result = Rules()
    shares = _canary_shares(views, group_of, result)
    wanted = [
        (view, conditions, actions)
        # A canary's conditions only take what is meant for it, so they go first whatever the order.
        for canary in (True, False)
        for view in views
        if view.wishes.on("canary") is canary
        for conditions, actions in _of_ingress(view, protocol, group_of, shares, result)
    ]
    for (namespace, host, path, _), waiting in shares.items():
        text = f"canary-weight has no effect: no other Ingress in {namespace} has host {host or '*'} and path {path}"
        result.problems += [(view.key, text) for view, _ in waiting]
    for priority, (view, conditions, actions) in enumerate(wanted, 1):
        if priority > MAX_RULES:
            result.problems.append((view.key, f"listener {port} has {MAX_RULES} rules already; this one is left out"))
            continue
        name = f"rule-{port}-{priority}"
        rule = ListenerRule(rule_name=name, priority=priority, rule_conditions=conditions, rule_actions=actions)
        result.rules.append(rule)
    return result


_Shares: TypeAlias = dict[_Place, list[tuple[IngressView, ServerGroupTuple]]]


def _canary_shares(views: Sequence[IngressView], group_of: GroupOf, result: Rules) -> _Shares:
    """What canaries take by weight, by place."""
    shares: _Shares = defaultdict(list)
    for view in views:
        weight = view.wishes.number("canary-weight")
        if not view.wishes.on("canary"):
            continue
        if weight is None and not {"canary-by-header", "canary-by-cookie"} & view.wishes.values.keys():
            text = "canary needs one of canary-by-header, canary-by-cookie and canary-weight; it gets no requests"
            result.problems.append((view.key, text))
        for route in view.routes if weight is not None else ():
            if route.backend is not None:
                group = ServerGroupTuple(server_group_id=group_of(view, route.backend), weight=weight or 0)
                shares[_place(view, route)].append((view, group))
    return shares


def _place(view: IngressView, route: Route) -> _Place:
    return view.namespace, route.host, route.path, route.exact


def _of_ingress(
    view: IngressView, protocol: Protocol, group_of: GroupOf, shares: _Shares, result: Rules
) -> list[tuple[list[RuleCondition], list[RuleAction]]]:
    found: list[tuple[list[RuleCondition], list[RuleAction]]] = []
    for route in view.routes:
        wrong = _refusal(route)
        if wrong is not None or route.backend is None:
            result.problems.append((view.key, f"host {route.host or '*'}: {wrong}; the rule is left out"))
            continue
        own = ServerGroupTuple(server_group_id=group_of(view, route.backend), weight=WHOLE)
        if view.wishes.on("canary"):
            for condition in _canary_conditions(view):
                found.append(([*_conditions(route), condition], _actions(view, protocol, [own])))
            continue
        split = _split(view, own, shares.pop(_place(view, route), []), result)
        found.append((_conditions(route), _actions(view, protocol, split)))
    return found


def _refusal(route: Route) -> str | None:
    if route.backend is None:
        return f"the backend of path {route.path} is not a Service"
    if "*" in route.path or "?" in route.path:
        return f"{'exact' if route.exact else 'prefix'} path shouldn't contain wildcards: {route.path}"
    return None


def _conditions(route: Route) -> list[RuleCondition]:
    host = [RuleCondition(type="Host", values=[route.host])] if route.host else []
    return [*host, RuleCondition(type="Path", values=_patterns(route))]


def _patterns(route: Route) -> list[str]:
    if route.exact:
        return [route.path]
    trimmed = route.path.rstrip("/")
    return [trimmed, f"{trimmed}/*"] if trimmed else ["/*"]


def _canary_conditions(view: IngressView) -> list[RuleCondition]:
    """A rule for each: a request with the header, or with the cookie, goes to the canary."""
    header, cookie = view.wishes.text("canary-by-header"), view.wishes.text("canary-by-cookie")
    value = view.wishes.text("canary-by-header-value") or ALWAYS
    by_header = [RuleCondition(type="Header", key=header, values=[value])] if header else []
    by_cookie = [RuleCondition(type="Cookie", key=cookie, values=[ALWAYS])] if cookie else []
    return by_header + by_cookie


def _split(
    view: IngressView, own: ServerGroupTuple, canaries: list[tuple[IngressView, ServerGroupTuple]], result: Rules
) -> list[ServerGroupTuple]:
    """The server groups of a rule: canaries by their weight, the Ingress' own with what is left."""
    left, groups = WHOLE, list[ServerGroupTuple]()
    for canary, group in canaries:
        if group.weight > left or len(groups) == MAX_GROUPS - 1:
            text = (
                f"canary-weight: {group.weight} is left out of the rules of {view.namespace}/{view.name}: canaries "
                f"share {WHOLE}, of which {left} is left, and are {MAX_GROUPS - 1} at most"
            )
            result.problems.append((canary.key, text))
            continue
        left -= group.weight
        groups.append(group)
    shared = [own.model_copy(update={"weight": left}), *groups]
    return [group for group in shared if group.weight > 0]


def _actions(view: IngressView, protocol: Protocol, groups: list[ServerGroupTuple]) -> list[RuleAction]:
    if view.redirects and protocol is Protocol.HTTP:
        return [RuleAction(type="Redirect", protocol="HTTPS", port=HTTPS_PORT, http_code=REDIRECT_CODE)]
    target = view.wishes.text("rewrite-target")
    rewrite = [RuleAction(type="Rewrite", path=target)] if target is not None else []
    return [*rewrite, RuleAction(type="ForwardGroup", server_groups=groups)]
