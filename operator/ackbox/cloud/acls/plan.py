"""What is wrong with an access control list. Pure."""

from ipaddress import ip_network

from ackbox.kube.conditions import State, ready, stalled
from ackbox.resources import AccessControlList

EXAMPLES = {"ipv4": "10.0.0.0/8 or 192.168.1.7", "ipv6": "2001:db8::/32 or 2001:db8::7"}


def acl_state(acl: AccessControlList) -> State:
    """The conditions of an access control list."""
    version = acl.spec.address_ip_version
    for row in acl.spec.acl_entries:
        if not _is_block(row.entry, 4 if version == "ipv4" else 6):
            message = (
                f"spec.aclEntries: {row.entry} is no {version} address or CIDR block; allowed: {EXAMPLES[version]}"
            )
            return stalled("InvalidParameter", message)
    return ready("Available")


def _is_block(text: str, version: int) -> bool:
    try:
        return ip_network(text, strict=False).version == version
    except ValueError:
        return False
