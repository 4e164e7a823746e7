"""What a control plane is made from."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address


@dataclass(frozen=True)
class ControlPlaneSpec:
    """One control plane, whole: the same spec always gives the same control plane.

    Attributes:
        namespace: of the ManagedCluster.
        name: of the ManagedCluster.
        cluster_id: `c` and 32 hexadecimal digits; names the processes, the folder and the prefix in etcd.
        version: Kubernetes minor version, such as `1.36`.
        address: where the API server and KWOK listen; no other control plane has it.
        service_cidr: range of cluster IPs.
        pod_cidr: range of pod addresses, for pods on Nodes that have no range of their own.
        ca_cert_pem: the cluster's certificate authority.
        ca_key_pem: its private key.
        sa_key_pem: private key that signs service-account tokens.
    """

    namespace: str
    name: str
    cluster_id: str
    version: str
    address: IPv4Address
    service_cidr: str
    pod_cidr: str
    ca_cert_pem: str
    ca_key_pem: str = field(repr=False)
    sa_key_pem: str = field(repr=False)
