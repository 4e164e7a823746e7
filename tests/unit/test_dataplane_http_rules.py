"""Which forwarding rules of an ALB listener are in order, and what the others are told."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ackbox.dataplane import rules
from ackbox.resources.listener import ListenerSpec

FORWARD = {"type": "ForwardGroup", "serverGroups": [{"serverGroupId": "sgp-1"}]}


def spec(*actions: dict[str, Any], conditions: list[dict[str, Any]] | None = None, own: str | None = "rsp-1") -> Any:
    rule = {"ruleName": "r", "priority": 1, "ruleConditions": conditions or [], "ruleActions": list(actions)}
    return ListenerSpec.model_validate(
        {
            "loadBalancerId": "web",
            "listenerPort": 80,
            "listenerProtocol": "http",
            "vServerGroupId": own,
            "rules": [rule],
        }
    )


def test_groups_that_rules_name() -> None:
    entries = [{"serverGroupId": name} for name in ("sgp-1", "rsp-1", "sgp-2", "sgp-1")]
    assert rules.groups(spec({"type": "ForwardGroup", "serverGroups": entries})) == ("sgp-1", "sgp-2")


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ([{"type": "Path", "values": []}], "condition Path has no values"),
        ([{"type": "Path", "values": ["a"]}], "condition Path: 'a' does not begin with /"),
        ([{"type": "Header", "values": ["a"]}], "condition Header has no key"),
        ([{"type": "Header", "key": ":path", "values": ["a"]}], "condition Header: key ':path' is not a header name"),
        ([{"type": "Cookie", "values": ["a"]}], "condition Cookie has no key"),
        ([{"type": "SourceIp", "values": ["1.2.3.4/33"]}], "condition SourceIp: '1.2.3.4/33' is not an address"),
    ],
)
def test_wrong_conditions(conditions: list[dict[str, Any]], text: str) -> None:
    wanted = spec(FORWARD, conditions=conditions)
    (found,) = rules.problems(wanted)
    assert found.startswith(f"rule r is passed over: {text}")
    assert rules.usable(tuple(wanted.rules), "rsp-1") == ()


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ([FORWARD, {"type": "Redirect"}], "ruleActions has ForwardGroup and Redirect; only one"),
        ([{"type": "ForwardGroup"}], "action ForwardGroup has no serverGroups"),
        ([{"type": "Redirect", "httpCode": 200}], "action Redirect: httpCode 200 is none of 301, 302, 303, 307, 308"),
        ([{"type": "Redirect", "host": "a/b"}], "action Redirect: host 'a/b' is not a host name"),
        ([{"type": "Rewrite", "path": "a"}, FORWARD], "action Rewrite: path 'a' does not begin with /"),
        ([{"type": "Rewrite", "path": "/a\n"}, FORWARD], "action Rewrite: path '/a\\n' has characters"),
        ([{"type": "InsertHeader", "key": "a b"}, FORWARD], "action InsertHeader: key 'a b' is not a header name"),
        ([{"type": "InsertHeader", "key": "Host"}, FORWARD], "action InsertHeader: header Host can't be changed"),
        ([{"type": "RemoveHeader", "key": "Cookie"}, FORWARD], "action RemoveHeader: header Cookie can't be changed"),
        ([{"type": "InsertHeader", "key": "a", "value": "\r\n"}, FORWARD], "action InsertHeader: the value of a has"),
    ],
)
def test_wrong_actions(actions: list[dict[str, Any]], text: str) -> None:
    (found,) = rules.problems(spec(*actions))
    assert found.startswith(f"rule r is passed over: {text}")


def test_a_rule_must_say_where_to_unless_the_listener_does() -> None:
    insert = {"type": "InsertHeader", "key": "a", "value": "b"}
    assert rules.problems(spec(insert)) == []
    (found,) = rules.problems(spec(insert, own=None))
    assert "ruleActions needs one of FixedResponse, ForwardGroup, Redirect" in found


@given(st.text(min_size=1, max_size=30))
def test_a_wildcard_fits_itself(text: str) -> None:
    assert re.fullmatch(rules.pattern(text), text.replace("*", "").replace("?", "x"), re.DOTALL)


@pytest.mark.parametrize(("wildcard", "text"), [("a.b", "axb"), ("a?", "a"), ("/a/*", "/a"), ("a+", "aa")])
def test_what_a_wildcard_does_not_fit(wildcard: str, text: str) -> None:
    assert not re.fullmatch(rules.pattern(wildcard), text)
