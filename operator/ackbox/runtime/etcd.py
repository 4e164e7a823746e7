"""etcd with mutual TLS on every port: one member, or several that elect a leader."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path

from ackbox.runtime.certificates import Authority, Issuer, KeyFiles, Request, Usage
from ackbox.runtime.probe import Endpoint
from ackbox.runtime.programs import arguments

ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
LOCALHOST = "127.0.0.1"

ETCD_STOP_SECONDS = 5
"""etcd waits for its clients. It loses nothing by being killed."""

# etcd keeps this much before it refuses writes; its default of 2 GiB is little for many clusters in one etcd.
ETCD_QUOTA_BYTES = 8 * 1024**3

# Of etcds with several members. The defaults of 100 and 1000 cost an idle cluster a tenth of a core, and a busy laptop
# takes longer than a second now and then.
HEARTBEAT_MILLISECONDS = 200
ELECTION_MILLISECONDS = 1500


@dataclass(frozen=True)
class Etcd:
    """An etcd.

    Attributes:
        folder: of its certificates and data.
        members: address of each member by name; they find each other by it, so it is whole from the start.
        issuer: of its certificates; None: an authority in its folder.
    """

    folder: Path
    members: Mapping[str, IPv4Address]
    issuer: Issuer | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """Where clients dial the members."""
        return tuple(_url(address, ETCD_PORT) for address in self.members.values())

    @cached_property
    def authority(self) -> Issuer:
        """A CA of its own: whoever it signed may read and write everything, whatever the API servers say."""
        return self.issuer or Authority(self.folder / "pki")

    def client(self) -> KeyFiles:
        """The certificate that API servers and ackbox show."""
        return self.authority.obtain("client", Request("ackbox", Usage.CLIENT))

    def endpoint(self, member: str) -> Endpoint:
        """For plain calls to a member."""
        url = _url(self.members[member], ETCD_PORT)
        return Endpoint(url, self.authority.pair.certificate, self.client())

    def command(self, binary: Path, member: str, extra: Mapping[str, object] | None = None) -> tuple[str, ...]:
        """The command line of a member; flags in `extra` count before those given here."""
        authority, address = self.authority, self.members[member]
        several = len(self.members) > 1
        # Members look where a connection comes from, and on loopback every one comes from here.
        hosts = (str(address), *((LOCALHOST,) if several else ()))
        request = Request("etcd", Usage.PEER, hosts=hosts)
        server = authority.obtain(f"server-{member}" if several else "server", request)
        flags: dict[str, object] = {
            "name": member,
            "data-dir": self.folder / (f"data-{member}" if several else "data"),
            "listen-client-urls": _url(address, ETCD_PORT),
            "advertise-client-urls": _url(address, ETCD_PORT),
            "listen-peer-urls": _url(address, ETCD_PEER_PORT),
            "initial-advertise-peer-urls": _url(address, ETCD_PEER_PORT),
            "initial-cluster": ",".join(f"{name}={_url(each, ETCD_PEER_PORT)}" for name, each in self.members.items()),
            "client-cert-auth": "true",
            "trusted-ca-file": authority.certificate,
            "cert-file": server.certificate,
            "key-file": server.key,
            "peer-client-cert-auth": "true",
            "peer-trusted-ca-file": authority.certificate,
            "peer-cert-file": server.certificate,
            "peer-key-file": server.key,
            "quota-backend-bytes": ETCD_QUOTA_BYTES,
            # A process may be killed at any time without a loss; only a machine without power loses the last writes.
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
        if several:
            flags |= {"heartbeat-interval": HEARTBEAT_MILLISECONDS, "election-timeout": ELECTION_MILLISECONDS}
        return (str(binary), *arguments({**flags, **(extra or {})}))


def _url(address: IPv4Address, port: int) -> str:
    return f"https://{address}:{port}"
