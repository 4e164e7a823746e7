"""Command lines of Kubernetes' own programs, for the management and the workload clusters alike.

Flags that are named here hold for both; what differs is passed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from ackbox.runtime.certificates import Issuer, KeyFiles, Request, Usage, kubeconfig, kubeconfig_of_files
from ackbox.runtime.etcd import Etcd
from ackbox.runtime.probe import Endpoint
from ackbox.runtime.programs import arguments

API_PORT = 6443

API_SERVER_STOP_SECONDS = 3
"""An API server keeps nothing itself, but would wait a minute for its clients to close their watches."""

ADMIN_GROUP = "ackbox:cluster-admins"
"""Group of the administrators that ackbox hands out; bound to cluster-admin by a ClusterRoleBinding."""

# Programs of the control plane that an idle cluster would otherwise pay for in CPU and memory.
QUIET = {"profiling": "false"}


@dataclass(frozen=True)
class ApiServer:
    """An API server and what is needed to start it.

    Attributes:
        authority: CA of its server certificate and of its clients.
        service_account_key: private key that signs service-account tokens.
        etcd_prefix: below which it keeps its objects.
        certificate: name under which its server certificate is kept.
        hosts: further names and addresses under which it is dialled, for that certificate.
        domain: of the Services of its cluster.
    """

    address: IPv4Address
    authority: Issuer
    service_account_key: Path
    service_cidr: str
    etcd: Etcd
    etcd_prefix: str = "/registry"
    authorization: str = "RBAC"
    certificate: str = "apiserver"
    hosts: tuple[str, ...] = ()
    domain: str = "cluster.local"

    @property
    def url(self) -> str:
        """Where clients dial it."""
        return f"https://{self.address}:{API_PORT}"

    def identity(self, name: str, *groups: str, file_name: str | None = None) -> KeyFiles:
        """The certificate of a user, the same on every call; kept under its name without `system:`."""
        request = Request(name, Usage.CLIENT, groups)
        return self.authority.obtain(file_name or name.removeprefix("system:"), request)

    def kubeconfig(self, user: KeyFiles, url: str | None = None) -> str:
        """Text of a kubeconfig for a user, who dials it directly, or by another `url`."""
        return kubeconfig(url or self.url, self.authority.pair.certificate, user.read())

    def endpoint(self, user: KeyFiles) -> Endpoint:
        """For plain calls as a user."""
        return Endpoint(self.url, self.authority.pair.certificate, user)

    def own_kubeconfig(self, user: KeyFiles, url: str | None = None) -> str:
        """Text of a kubeconfig for a program beside it, which dials it, or another `url`."""
        return kubeconfig_of_files(url or self.url, self.authority.certificate, user)

    def command(self, binary: Path, extra: Mapping[str, object]) -> tuple[str, ...]:
        """Its command line; flags in `extra` count before those given here, and None leaves one out."""
        request = Request("kube-apiserver", Usage.SERVER, hosts=self._hosts())
        server = self.authority.obtain(self.certificate, request)
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
            "etcd-servers": ",".join(self.etcd.urls),
            "etcd-prefix": self.etcd_prefix,
            "etcd-cafile": self.etcd.authority.certificate,
            "etcd-certfile": etcd_client.certificate,
            "etcd-keyfile": etcd_client.key,
            "service-account-issuer": f"https://kubernetes.default.svc.{self.domain}",
            "service-account-key-file": self.service_account_key,
            "service-account-signing-key-file": self.service_account_key,
            "service-cluster-ip-range": self.service_cidr,
            "allow-privileged": "true",
            # One machine serves thousands of emulated nodes; the defaults of 400 and 200 hold them back.
            "max-requests-inflight": 1600,
            "max-mutating-requests-inflight": 800,
            # While it stops, it tells new requests to come again, instead of cutting their connections.
            "shutdown-send-retry-after": "true",
            **QUIET,
            **extra,
        }
        return (str(binary), *arguments({name: value for name, value in flags.items() if value is not None}))

    def _hosts(self) -> tuple[str, ...]:
        service = "kubernetes.default.svc"
        names = ("kubernetes", "kubernetes.default", service, f"{service}.{self.domain}")
        return tuple(dict.fromkeys((str(self.address), *names, *self.hosts)))


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


def scheduler(binary: Path, kubeconfig_file: Path, extra: Mapping[str, object]) -> tuple[str, ...]:
    """The command line of a kube-scheduler. It serves nothing either."""
    flags: dict[str, object] = {
        "kubeconfig": kubeconfig_file,
        "secure-port": 0,
        "leader-elect": "false",
        "kube-api-qps": 1000,
        "kube-api-burst": 2000,
        **QUIET,
        **extra,
    }
    return (str(binary), *arguments(flags))
