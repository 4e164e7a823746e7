"""Who may connect."""

from typing import Any

import pytest

from ackbox.dataplane.access import UnknownList, access_rules
from ackbox.dataplane.model import AccessRule
from ackbox.resources import AccessControlList
from ackbox.resources.listener import ListenerSpec


def spec(**fields: Any) -> ListenerSpec:
    base = {"loadBalancerId": "web", "listenerPort": 80, "listenerProtocol": "tcp"}
    return ListenerSpec.model_validate({**base, **fields})


def acl(*entries: str, **metadata: Any) -> AccessControlList:
    return AccessControlList.model_validate(
        {
            "metadata": {"namespace": "ns", "name": "acl", **metadata},
            "spec": {"aclEntries": [{"entry": entry} for entry in entries]},
        }
    )


ON = {"aclStatus": "on", "aclType": "black", "aclIds": ["one", "two"]}


def test_several_lists_are_one_rule() -> None:
    rules, problems = access_rules(spec(**ON), [], {"one": acl("10.0.0.1"), "two": acl("10.1.0.9/16", "10.0.0.1/32")})
    assert rules == (AccessRule(False, ("10.0.0.1/32", "10.1.0.0/16")),)
    assert not problems


def test_source_ranges_hold_besides_a_list() -> None:
    given = spec(aclStatus="on", aclType="white", aclIds=["one"])
    rules, _ = access_rules(given, ["10.0.0.0/8"], {"one": acl("10.0.0.0/9")})
    assert rules == (AccessRule(True, ("10.0.0.0/8",)), AccessRule(True, ("10.0.0.0/9",)))


@pytest.mark.parametrize("fields", [{}, {**ON, "aclStatus": "off"}, {"aclIds": ["gone"]}])
def test_list_counts_only_when_switched_on(fields: dict[str, Any]) -> None:
    assert access_rules(spec(**fields), [], {}) == ((), ())


@pytest.mark.parametrize("kind", ["white", "black"])
def test_empty_list_refuses_nobody(kind: str) -> None:
    given = spec(aclStatus="on", aclType=kind, aclIds=["one"])
    assert access_rules(given, [], {"one": acl()}) == ((), ())


def test_wrong_entries_are_told_and_left_out() -> None:
    given = spec(aclStatus="on", aclType="white", aclIds=["one"])
    rules, problems = access_rules(given, ["nowhere"], {"one": acl("10.0.0.1", "10.0.0.300")})
    assert rules == (AccessRule(True, ("10.0.0.1/32",)),)
    assert problems == (
        "sourceRanges: nowhere is not a CIDR block",
        "access control list one: 10.0.0.300 is not an address or CIDR block",
    )


@pytest.mark.parametrize("found", [{}, {"one": acl(deletionTimestamp="2026-01-01T00:00:00Z")}])
def test_unknown_list(found: dict[str, AccessControlList]) -> None:
    with pytest.raises(UnknownList, match="waits for access control list one"):
        access_rules(spec(**ON), [], found)


@pytest.mark.parametrize(
    ("fields", "text"), [({"aclType": "white"}, "aclIds"), ({"aclIds": ["one"]}, "aclType must be white or black")]
)
def test_switched_on_without_what_it_needs(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        access_rules(spec(aclStatus="on", **fields), [], {})
