"""What a cluster's control plane consists of: API servers, etcd members, and how they are set up. Pure.

`status.controlPlane` is the truth of which API servers there are; what is here makes the first list of them, and turns
the list into what the control-plane driver runs.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address

from ackbox.catalog.control_planes import control_planes
from ackbox.catalog.regions import Edition
from ackbox.catalog.versions import offer
from ackbox.controlplane.spec import ApiServerSettings, EtcdMember, Member
from ackbox.resources import ManagedCluster
from ackbox.resources.managedcluster import ControlPlaneMember

DEDICATED = "Kubernetes"
"""The cluster type whose masters are Instances of the user."""

DEFAULT_MASTERS = 3


def highly_available(cluster: ManagedCluster) -> bool:
    """Whether the cluster has several API servers and an etcd of its own."""
    return cluster.spec.cluster_type == DEDICATED or cluster.spec.emulation.footprint == "ha"


def first_names(cluster: ManagedCluster) -> list[str]:
    """The names of the API servers that a new cluster gets: that of a dedicated one stands for its master."""
    if cluster.spec.cluster_type == DEDICATED:
        return [f"master{number + 1}" for number in range(masters(cluster))]
    count = control_planes().api_servers if highly_available(cluster) else 1
    return [f"apiserver{number + 1}" for number in range(count)]


def masters(cluster: ManagedCluster) -> int:
    """How many masters a dedicated cluster has."""
    config = cluster.spec.control_plane_config
    return config.size if config else DEFAULT_MASTERS


def etcd_names(cluster: ManagedCluster) -> list[str]:
    """The names of the members of the cluster's own etcd; none with the shared one."""
    if cluster.spec.cluster_type == DEDICATED:
        return [f"etcd{number + 1}" for number in range(masters(cluster))]
    count = control_planes().etcd_members if highly_available(cluster) else 0
    return [f"etcd{number + 1}" for number in range(count)]


def member_owner(cluster: ManagedCluster, member: str) -> str:
    """How the loopback address of an API server is reserved."""
    return f"{_prefix('apiserver', cluster)}{member}"


def etcd_owner(cluster: ManagedCluster, member: str) -> str:
    """How the loopback address of an etcd member is reserved."""
    return f"{_prefix('etcd', cluster)}{member}"


def kubelet_owner(cluster: ManagedCluster) -> str:
    """How the loopback address of the emulated nodes' kubelet port is reserved."""
    return f"{_prefix('kubelet', cluster)}kwok"


def prefixes(cluster: ManagedCluster) -> tuple[str, ...]:
    """What the owners of all loopback addresses of a control plane begin with."""
    return tuple(_prefix(kind, cluster) for kind in ("apiserver", "etcd", "kubelet"))


def _prefix(kind: str, cluster: ManagedCluster) -> str:
    return f"{kind}/{cluster.metadata.namespace}/{cluster.metadata.name}/"


def driver_members(members: Sequence[ControlPlaneMember], off: Collection[str]) -> tuple[Member, ...]:
    """The API servers as the driver runs them.

    Args:
        members: those of the cluster's status.
        off: the masters, by instance id, that are off or gone.
    """
    return tuple(
        Member(
            name=member.name,
            address=IPv4Address(member.address),
            minor=offer().parse(member.version).minor,
            running=member.instance_id not in off,
        )
        for member in members
    )


def etcd_members(
    addresses: Mapping[str, str], members: Sequence[ControlPlaneMember], off: Collection[str]
) -> tuple[EtcdMember, ...]:
    """The members of the cluster's own etcd; in a dedicated cluster the n-th runs on the n-th master.

    Args:
        addresses: by the member's name, in order.
        members: the API servers of the cluster's status.
        off: as for `driver_members`.
    """
    machines = list(dict.fromkeys(member.instance_id for member in members if member.instance_id))
    hosts = dict(zip(addresses, machines, strict=False))
    return tuple(
        EtcdMember(name, IPv4Address(address), running=hosts.get(name) not in off)
        for name, address in addresses.items()
    )


def quorum_lost(etcd: Sequence[EtcdMember]) -> bool:
    """Whether too few members of an etcd run for it to take a write, or to answer at all."""
    return bool(etcd) and 2 * sum(member.running for member in etcd) <= len(etcd)


def oldest_version(members: Sequence[ControlPlaneMember]) -> str:
    """The version that a cluster is said to run."""
    return min((member.version for member in members), key=lambda version: offer().parse(version).order)


def settings(cluster: ManagedCluster, edition: Edition, hosts: Sequence[str], ca_key: str) -> ApiServerSettings:
    """How the API servers are set up.

    Args:
        cluster: the cluster.
        edition: by which requests are throttled.
        hosts: where the API server's load balancer is reached.
        ca_key: the private key of the cluster's authority.
    """
    spec, limits = cluster.spec, control_planes().limits[edition]
    return ApiServerSettings(
        max_requests_inflight=limits.reading,
        max_mutating_requests_inflight=limits.mutating,
        hosts=tuple(dict.fromkeys((*hosts, *spec.extra_sans))),
        cluster_domain=spec.cluster_domain,
        service_account_issuer=spec.service_account_issuer,
        api_audiences=spec.api_audiences,
        audit=spec.audit_log_config.enabled,
        encryption_key=_encryption_key(spec.encryption_provider_key, ca_key) if spec.encryption_provider_key else None,
    )


def _encryption_key(key_id: str, ca_key: str) -> str:
    """Stands in for what KMS keeps under an id; it follows from the cluster's own key, so nothing else is to be kept."""
    return base64.b64encode(hmac.digest(ca_key.encode(), key_id.encode(), hashlib.sha256)).decode()
