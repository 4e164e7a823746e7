"""How the objects of a control plane in a cluster are named and found."""

import hashlib
import re

from ackbox.resources.base import CLUSTER_LABEL, GROUP

CLUSTER_ID_LABEL = f"{GROUP}/cluster-id"
"""On everything that the control-plane driver runs for a cluster: the id, which no other cluster ever has."""

COMPONENT_LABEL = f"{GROUP}/component"
"""What a Pod is dialled as: `apiserver`, `etcd` or `kubelet`; Services choose their Pods by it."""

MEMBER_LABEL = f"{GROUP}/member"
"""Which member of the component a Pod is."""

PROGRAM_LABEL = "app.kubernetes.io/component"
"""What runs in a Pod, such as `kube-apiserver`."""

REVISION_ANNOTATION = f"{GROUP}/revision"
"""On Deployments and StatefulSets: a hash of their Pods, by which it shows whether they are to be replaced."""

MAX_NAME = 52
"""A StatefulSet's name and a hash of ten characters go into a label, which holds 63."""


def dialled(cluster: str, component: str, member: str) -> dict[str, str]:
    """The labels by which a Service finds the Pods of a member."""
    return {CLUSTER_LABEL: cluster, COMPONENT_LABEL: component, MEMBER_LABEL: member}


def object_name(cluster: str, part: str) -> str:
    """The name of an object that belongs to a part of a cluster's control plane.

    What may not stand in the names of Services and Pods is left out, and a hash keeps the names of two clusters apart.
    """
    name = f"{cluster}-{part}"
    if len(name) <= MAX_NAME and re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name):
        return name
    digest = hashlib.sha256(f"{cluster}/{part}".encode()).hexdigest()[:10]
    stem = f"mc-{name}".replace(".", "-")
    return f"{stem[: MAX_NAME - len(digest) - 1].rstrip('-')}-{digest}"
