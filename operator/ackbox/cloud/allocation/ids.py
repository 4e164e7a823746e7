"""Cloud ids. Those of user-made objects follow from the object's uid, so giving one twice gives the same one."""

import hashlib
import secrets
import string

INSTANCE_PREFIX = "i-"
"""What the ids of machines begin with; reservations of other things don't."""

NAT_GATEWAY_PREFIX = "ngw-"
"""What the ids of NAT gateways begin with."""

ALPHABET = string.digits + string.ascii_lowercase


def _base36(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[index])
    return "".join(letters)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _named(prefix: str, *parts: str) -> str:
    return f"{prefix}-{_base36(int.from_bytes(_digest(prefix, *parts)), 20)}"


def cluster_id(uid: str) -> str:
    """`c` and 32 hexadecimal digits."""
    return f"c{_digest('cluster', uid).hex()[:32]}"


def node_pool_id(uid: str) -> str:
    """`np` and 32 hexadecimal digits."""
    return f"np{_digest('nodepool', uid).hex()[:32]}"


def vpc_id(uid: str) -> str:
    """`vpc-` and 20 characters."""
    return _named("vpc", uid)


def v_switch_id(vpc_uid: str, name: str) -> str:
    """`vsw-` and 20 characters, of a vSwitch by its name."""
    return _named("vsw", vpc_uid, name)


def route_table_id(uid: str) -> str:
    """`vtb-` and 20 characters."""
    return _named("vtb", uid)


def load_balancer_id(uid: str, prefix: str = "lb") -> str:
    """`lb-`, `nlb-` or `alb-` and 20 characters."""
    return _named(prefix, uid)


def access_control_list_id(uid: str) -> str:
    """`acl-` and 20 characters."""
    return _named("acl", uid)


def elastic_address_id(load_balancer_uid: str, zone: str) -> str:
    """`eip-` and 20 characters, of the address that the cloud itself gives a load balancer in a zone."""
    return _named("eip", load_balancer_uid, zone)


def elastic_ip_address_id(uid: str) -> str:
    """`eip-` and 20 characters, of an ElasticIPAddress."""
    return _named("eip", uid)


def elastic_address_number(allocation_id: str, count: int) -> int:
    """Where among `count` addresses the search for an elastic IP address begins."""
    return int.from_bytes(_digest("eip", allocation_id)) % count


def security_group_id(uid: str, *name: str) -> str:
    """`sg-` and 20 characters: the group of a cluster, that of a load balancer's source ranges, or one of a VPC by name."""
    return _named("sg", uid, *name)


def nat_gateway_id(vpc_uid: str) -> str:
    """`ngw-` and 20 characters, of the one that ACK makes in a VPC."""
    return _named("ngw", vpc_uid)


def snat_entry_id(vpc_uid: str, v_switch_id: str) -> str:
    """`snat-` and 20 characters, of a vSwitch."""
    return _named("snat", vpc_uid, v_switch_id)


def kubeconfig_serial(user_uid: str, revision: int) -> str:
    """Twelve digits, of a sub-account's kubeconfig: another revision, another number."""
    return f"{int.from_bytes(_digest('kubeconfig', user_uid, str(revision))) % 10**12:012d}"


def new_instance_id() -> str:
    """`i-` and 20 random characters."""
    return INSTANCE_PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(20))
