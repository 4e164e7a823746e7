"""Names that the CCM gives to cloud resources, and what they say about their owner. Rule source: the CCM's `pkg/model`."""

import hashlib
from dataclasses import dataclass

from ackbox.resources.loadbalancer import LoadBalancerType

FINALIZER = "service.k8s.alibaba/resources"
"""Of Services with a classic load balancer."""
NLB_FINALIZER = "service.k8s.alibaba/nlb"
"""Of Services with a network load balancer."""
FINALIZERS = (FINALIZER, NLB_FINALIZER)

HASH_LABEL = "service.beta.kubernetes.io/hash"
LOAD_BALANCER_LABEL = "service.k8s.alibaba/loadbalancer-id"
SECURITY_GROUP_LABEL = "service.k8s.alibaba/security-group-id"
"""The security group that holds a Service's loadBalancerSourceRanges (NLB)."""

MARK_TAG = "kubernetes.do.not.delete"
CLUSTER_TAG = "ack.aliyun.com"
REUSED_TAG = "kubernetes.reused.by.user"

PREFIX = "k8s"
PARTS = 5
NLB_PARTS = 6
NLB_PROTOCOLS = frozenset({"TCP", "UDP", "TCPSSL"})


def finalizer(kind: LoadBalancerType) -> str:
    """The finalizer of Services with a load balancer of this kind."""
    return NLB_FINALIZER if kind is LoadBalancerType.NLB else FINALIZER


def default_load_balancer_name(uid: str) -> str:
    """`a` and the Service's UID without dashes, 32 characters."""
    return ("a" + uid.replace("-", ""))[:32]


@dataclass(frozen=True)
class Owner:
    """A Service of a cluster."""

    cluster_id: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class OwnedName:
    """A listener's description or a server group's name: whose it is, and for which port.

    Attributes:
        port: the Service's port of a listener; the nodePort, or the targetPort's number or name, of a server group;
            `<first>_<last>` for a range of ports.
        protocol: the protocol in upper case, for network load balancers; None for classic ones, whose names lack it.
    """

    port: str
    owner: Owner
    protocol: str | None = None

    def __str__(self) -> str:
        tail = (self.owner.name, self.owner.namespace, self.owner.cluster_id)
        if self.protocol is None:
            return "/".join((PREFIX, self.port, *tail))
        return ".".join((PREFIX, self.port, self.protocol, *tail))


def parse_name(text: str | None) -> OwnedName | None:
    """Read a name of either form; None for anything that the CCM didn't write, which then belongs to the user."""
    parts = (text or "").split("/")
    if len(parts) == PARTS:
        prefix, port, name, namespace, cluster_id = parts
        protocol = None
    else:
        parts = (text or "").split(".")
        if len(parts) != NLB_PARTS:
            return None
        prefix, port, protocol, name, namespace, cluster_id = parts
        if protocol not in NLB_PROTOCOLS:
            return None
    return OwnedName(port, Owner(cluster_id, namespace, name), protocol) if prefix == PREFIX and all(parts) else None


def group_object_name(load_balancer: str, group: OwnedName, group_type: str = "") -> str:
    """The name of a ServerGroup object: the same for the same group of the same load balancer and type."""
    prefix = "rsp-" if group.protocol is None else "sgp-"
    identity = "\0".join((load_balancer, str(group), *filter(None, [group_type])))
    return prefix + hashlib.sha256(identity.encode()).hexdigest()[:20]
