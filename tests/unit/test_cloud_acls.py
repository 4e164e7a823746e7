"""What is wrong with an access control list."""

import pytest

from ackbox.cloud.acls.plan import acl_state
from ackbox.resources import AccessControlList


def acl(*entries, version="ipv4"):
    rows = [{"entry": entry} for entry in entries]
    return AccessControlList.model_validate(
        {"metadata": {"name": "a"}, "spec": {"addressIPVersion": version, "aclEntries": rows}}
    )


@pytest.mark.parametrize(
    ("entries", "version"),
    [((), "ipv4"), (("10.0.0.0/8", "192.168.1.7", "10.1.2.3/8"), "ipv4"), (("2001:db8::/32", "::1"), "ipv6")],
)
def test_addresses_and_blocks_are_entries(entries, version):
    assert acl_state(acl(*entries, version=version)).ready == "True"


@pytest.mark.parametrize(
    ("entry", "version"),
    [("10.0.0.0/33", "ipv4"), ("office", "ipv4"), ("::1", "ipv4"), ("10.0.0.1", "ipv6"), ("10.0.0", "ipv4")],
)
def test_anything_else_is_named_with_what_is_allowed(entry, version):
    state = acl_state(acl("10.0.0.1" if version == "ipv4" else "::2", entry, version=version))
    assert (state.reason, state.stalled) == ("InvalidParameter", True)
    assert f"spec.aclEntries: {entry} is no {version}" in state.message
    assert "allowed" in state.message
