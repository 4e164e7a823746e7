"""What a control plane is made from."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address


@dataclass(frozen=True)
class Member:
    """An API server, and the controller manager and scheduler beside it, which dial it.

    Attributes:
        name: unique among the members of the cluster and never given to another one; lower-case letters and digits.
        address: where its API server listens; no other member of any cluster has it.
        minor: Kubernetes minor version of its programs, such as `1.36`.
        running: whether the machine under it is on; if not, its processes are stopped.
        controllers: whether a controller manager and a scheduler run beside it.
    """

    name: str
    address: IPv4Address
    minor: str
    running: bool = True
    controllers: bool = True


@dataclass(frozen=True)
class EtcdMember:
    """A member of a cluster's own etcd.

    Attributes:
        name: unique among the etcd members of the cluster; lower-case letters and digits.
        address: where it listens, for clients and the other members; no other etcd has it.
        running: whether the machine under it is on. A member that comes back has kept its data.
    """

    name: str
    address: IPv4Address
    running: bool = True


@dataclass(frozen=True)
class ApiServerSettings:
    """How every API server of a cluster is set up.

    Attributes:
        max_requests_inflight: reading requests served at once; more wait for a while, then get 429.
        max_mutating_requests_inflight: the same for writing ones.
        hosts: further addresses and names under which users dial the API server, for its certificate.
        cluster_domain: domain of the cluster's Services.
        service_account_issuer: who issues service-account tokens; None is the API server's name in the cluster.
        api_audiences: comma-separated list of whom tokens are for; None is the issuer.
        audit: whether every request is written to a log.
        encryption_key: base64 of 32 bytes, with which Secrets are encrypted in etcd; None leaves them as they are.
    """

    max_requests_inflight: int
    max_mutating_requests_inflight: int
    hosts: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    service_account_issuer: str | None = None
    api_audiences: str | None = None
    audit: bool = False
    encryption_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ControlPlaneSpec:
    """One control plane, whole: the same spec always gives the same control plane.

    Attributes:
        namespace: of the ManagedCluster.
        name: of the ManagedCluster.
        cluster_id: `c` and 32 hexadecimal digits; names the processes, the folder and the prefix in etcd.
        members: its API servers, at least one.
        etcd: its own etcd, given whole from the start; empty: the etcd that clusters share, under a prefix.
        endpoint: URL of the API server's load balancer, which users dial.
        kubelet_address: where KWOK serves the emulated nodes' kubelet port; it stays when members come and go.
        service_cidr: range of cluster IPs.
        pod_cidr: range of pod addresses, for pods on Nodes that have no range of their own.
        settings: of the API servers.
        timezone: IANA name of the zone that controllers reckon in, such as `Asia/Shanghai`; None is the machine's.
        ca_cert_pem: the cluster's certificate authority.
        ca_key_pem: its private key.
        sa_key_pem: private key that signs service-account tokens.
        uid: of the ManagedCluster, which owns what a driver makes in its namespace.
        ephemeral: whether its data may go with its etcd's Pod, where it runs in Pods.
    """

    namespace: str
    name: str
    cluster_id: str
    members: tuple[Member, ...]
    etcd: tuple[EtcdMember, ...]
    endpoint: str
    kubelet_address: IPv4Address
    service_cidr: str
    pod_cidr: str
    settings: ApiServerSettings
    timezone: str | None
    ca_cert_pem: str
    ca_key_pem: str = field(repr=False)
    sa_key_pem: str = field(repr=False)
    uid: str = ""
    ephemeral: bool = False

    @property
    def running(self) -> tuple[Member, ...]:
        """The members whose machines are on."""
        return tuple(member for member in self.members if member.running)
