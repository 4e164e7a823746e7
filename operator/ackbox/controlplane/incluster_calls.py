"""How the programs of a control plane in a cluster are called, to see how they are and what is in them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from ackbox.controlplane.incluster_programs import BOOTSTRAP_FILE
from ackbox.controlplane.spec import ControlPlaneSpec, EtcdMember, Member
from ackbox.kube.client import Client
from ackbox.kube.connection import Connection
from ackbox.kube.errors import ApiError
from ackbox.runtime.certificates import KeyPair
from ackbox.runtime.etcd import ETCD_PORT
from ackbox.runtime.kubernetes import API_PORT

ANSWER_SECONDS = 5.0
"""How long a program of a control plane may take to say that it is well."""


@dataclass(frozen=True)
class Held:
    """What is known of a control plane that was looked at.

    Attributes:
        etcd: its members, or what stands in for them.
        files: the texts in its Secret, by file name.
    """

    etcd: tuple[EtcdMember, ...]
    files: Mapping[str, str] = field(repr=False)

    def pair(self, name: str) -> KeyPair:
        """A certificate with its key."""
        return KeyPair(self.files[f"{name}.crt"], self.files[f"{name}.key"])


def connection(held: Held, spec: ControlPlaneSpec, address: IPv4Address, port: int) -> Connection:
    """The way to a program that believes the cluster's authority, as one who may do everything."""
    own = held.pair(BOOTSTRAP_FILE)
    return Connection(f"https://{address}:{port}", spec.ca_cert_pem, own.certificate, own.key)


async def server_answers(held: Held, spec: ControlPlaneSpec, member: Member) -> bool:
    """Whether an API server works."""
    return await healthy(connection(held, spec, member.address, API_PORT), "/readyz")


async def etcd_answers(held: Held, member: EtcdMember, path: str) -> bool:
    """What a member of an etcd says of itself; see `turns.py` for the paths."""
    client, url = held.pair("etcd-client"), f"https://{member.address}:{ETCD_PORT}"
    return await healthy(Connection(url, held.files["etcd-ca.crt"], client.certificate, client.key), path)


async def healthy(way: Connection, path: str) -> bool:
    """Whether the path is answered with 200, in time."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS), Client(way) as client:
            await client.text(path)
    except (ApiError, TimeoutError):
        return False
    return True
