"""Names that the CCM gives to cloud resources, and what they say about their owner. Rule source: `reference/ccm.md` §2.3."""

import hashlib
from dataclasses import dataclass

FINALIZER = "service.k8s.alibaba/resources"
HASH_LABEL = "service.beta.kubernetes.io/hash"
LOAD_BALANCER_LABEL = "service.k8s.alibaba/loadbalancer-id"

MARK_TAG = "kubernetes.do.not.delete"
CLUSTER_TAG = "ack.aliyun.com"
REUSED_TAG = "kubernetes.reused.by.user"

PREFIX = "k8s"
PARTS = 5


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
        port: the Service's port of a listener; the nodePort, or the targetPort's number or name, of a server group.
    """

    port: str
    owner: Owner

    def __str__(self) -> str:
        return "/".join((PREFIX, self.port, self.owner.name, self.owner.namespace, self.owner.cluster_id))


def parse_name(text: str | None) -> OwnedName | None:
    """Read a name; None for anything that the CCM didn't write, which then belongs to the user."""
    parts = (text or "").split("/")
    if len(parts) != PARTS or parts[0] != PREFIX or not all(parts):
        return None
    return OwnedName(parts[1], Owner(cluster_id=parts[4], namespace=parts[3], name=parts[2]))


def group_object_name(load_balancer: str, group: OwnedName) -> str:
    """The name of a ServerGroup object: the same for the same group of the same load balancer."""
    return "rsp-" + hashlib.sha256(f"{load_balancer}\0{group}".encode()).hexdigest()[:20]
