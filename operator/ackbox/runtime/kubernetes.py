"""Command lines of Kubernetes' own programs and etcd, for the management and the workload clusters alike.

Flags that are named here hold for both; what differs is passed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path

from ackbox.runtime.certificates import Authority, KeyFiles, Request, Usage, kubeconfig
from ackbox.runtime.probe import Endpoint

API_PORT = 6443
ETCD_PORT = 2379
ETCD_PEER_PORT = 2380

API_SERVER_STOP_SECONDS = 3
"""An API server keeps nothing itself, but would wait a minute for its clients to close their watches."""

ETCD_STOP_SECONDS = 5
"""etcd waits for its clients as well. It loses nothing by being killed."""

ADMIN_GROUP = "ackbox:cluster-admins"
"""Group of the administrators that ackbox hands out; bound to cluster-admin by a ClusterRoleBinding."""

# Programs of the control plane that an idle cluster would otherwise pay for in CPU and memory.
QUIET = {"profiling": "false"}

# etcd keeps this much before it refuses writes; its default of 2 GiB is little for many clusters in one etcd.
ETCD_QUOTA_BYTES = 8 * 1024**3


@dataclass(frozen=True)
class Etcd:
    """An etcd with mutual TLS on every port."""

    address: IPv4Address
    folder: Path

    @property
    def url(self) -> str:
        """Where clients dial it."""
        return f"https://{self.address}:{ETCD_PORT}"

    @cached_property
    def authority(self) -> Authority:
        """A CA of its own: whoever it signed may read and write everything, whatever the API servers say."""
        return Authority(self.folder / "pki")

    def client(self) -> KeyFiles:
        """The certificate that API servers and ackbox show."""
        return self.authority.obtain("client", Request("ackbox", Usage.CLIENT))

    def endpoint(self) -> Endpoint:
        """For plain calls."""
        return Endpoint(self.url, self.authority.pair.certificate, self.client())

    def command(self, binary: Path) -> tuple[str, ...]:
        """Its command line."""
        authority = self.authority
        server = authority.obtain("server", Request("etcd", Usage.PEER, hosts=(str(self.address),)))
        peer_url = f"https://{self.address}:{ETCD_PEER_PORT}"
        flags = {
            "name": "ackbox",
            "data-dir": self.folder / "data",
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": peer_url,
            "initial-advertise-peer-urls": peer_url,
            "initial-cluster": f"ackbox={peer_url}",
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
        return (str(binary), *arguments(flags))


@dataclass(frozen=True)
class ApiServer:
    """An API server and what is needed to start it.

    Attributes:
        authority: CA of its server certificate and of its clients.
        service_account_key: private key that signs service-account tokens.
        etcd_prefix: below which it keeps its objects.
        extra: more flags.
    """

    address: IPv4Address
    authority: Authority
    service_account_key: Path
    service_cidr: str
    etcd: Etcd
    etcd_prefix: str = "/registry"
    authorization: str = "RBAC"
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where clients dial it."""
        return f"https://{self.address}:{API_PORT}"

    def identity(self, name: str, *groups: str, file_name: str | None = None) -> KeyFiles:
        """The certificate of a user, the same on every call; kept under its name without `system:`."""
        request = Request(name, Usage.CLIENT, groups)
        return self.authority.obtain(file_name or name.removeprefix("system:"), request)

    def kubeconfig(self, user: KeyFiles) -> str:
        """Text of a kubeconfig for a user."""
        return kubeconfig(self.url, self.authority.pair.certificate, user.read())

    def endpoint(self, user: KeyFiles) -> Endpoint:
        """For plain calls as a user."""
        return Endpoint(self.url, self.authority.pair.certificate, user)

    def command(self, binary: Path) -> tuple[str, ...]:
        """Its command line."""
        server = self.authority.obtain("apiserver", Request("kube-apiserver", Usage.SERVER, hosts=self._hosts()))
        etcd_client = self.etcd.client()
        flags: dict[str, object] = {
            "bind-address": self.address,
            "advertise-address": self.address,
            "secure-port": API_PORT,
            # Endpoints of the Service `kubernetes` can't hold a loopback address.
            "endpoint-reconciler-type": "none",
            "anonymous-auth": "false",
            "authorization-mode": self.authorization,
            "client-ca-file": self.authority.certificate,
            "tls-cert-file": server.certificate,
            "tls-private-key-file": server.key,
            "etcd-servers": self.etcd.url,
            "etcd-prefix": self.etcd_prefix,
            "etcd-cafile": self.etcd.authority.certificate,
            "etcd-certfile": etcd_client.certificate,
            "etcd-keyfile": etcd_client.key,
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": self.service_account_key,
            "service-account-signing-key-file": self.service_account_key,
            "service-cluster-ip-range": self.service_cidr,
            "allow-privileged": "true",
            # One machine serves thousands of emulated nodes; the defaults of 400 and 200 hold them back.
            "max-requests-inflight": 1600,
            "max-mutating-requests-inflight": 800,
            **QUIET,
            **self.extra,
        }
        return (str(binary), *arguments(flags))

    def _hosts(self) -> tuple[str, ...]:
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
        return (str(self.address), *names)


def controller_manager(
    binary: Path, kubeconfig_file: Path, server: ApiServer, controllers: tuple[str, ...], extra: Mapping[str, object]
) -> tuple[str, ...]:
    """The command line of a kube-controller-manager. It serves nothing: no port, no anonymous question."""
    flags: dict[str, object] = {
        "kubeconfig": kubeconfig_file,
        "secure-port": 0,
        "leader-elect": "false",
        "controllers": ",".join(controllers),
        "use-service-account-credentials": "true",
        "service-account-private-key-file": server.service_account_key,
        "root-ca-file": server.authority.certificate,
        "kube-api-qps": 1000,
        "kube-api-burst": 2000,
        **QUIET,
        **extra,
    }
    return (str(binary), *arguments(flags))


def scheduler(binary: Path, kubeconfig_file: Path) -> tuple[str, ...]:
    """The command line of a kube-scheduler. It serves nothing either."""
    flags: dict[str, object] = {
        "kubeconfig": kubeconfig_file,
        "secure-port": 0,
        "leader-elect": "false",
        "kube-api-qps": 1000,
        "kube-api-burst": 2000,
        **QUIET,
    }
    return (str(binary), *arguments(flags))


def arguments(flags: Mapping[str, object]) -> tuple[str, ...]:
    """Flags as they stand on a command line."""
    return tuple(f"--{name}={value}" for name, value in flags.items())
