"""Which pools a type of cluster can have, and what sets the nodes of special pools apart. Pure."""

from ackbox.kube.conditions import State, stalled
from ackbox.resources import ManagedCluster, NodePool
from ackbox.resources.nodepool import Label

WRONG_TYPE = "InvalidClusterType"

EDGE_LABEL = "alibabacloud.com/is-edge-worker"
"""On every node of an edge cluster: `true` at the edge, `false` in the cloud (ACK@Edge, OpenYurt)."""

SANDBOX_LABEL = "alibabacloud.com/sandboxed-container"
"""On nodes that run sandboxed containers (ACK User Guide, sandboxed containers)."""


def misplaced(pool: NodePool, cluster: ManagedCluster) -> State | None:
    """Why a pool can't belong to its cluster, whatever else comes; None when it can."""
    reference, spec = f"spec.clusterId: {pool.spec.cluster_id}", cluster.spec
    if spec.cluster_type == "ExternalKubernetes":
        return stalled(WRONG_TYPE, f"{reference} is a registered cluster and has no node pools here")
    if spec.profile == "Serverless":
        message = f"{reference} is a serverless cluster and has no nodes; its pods run on virtual nodes without a pool"
        return stalled(WRONG_TYPE, message)
    if pool.spec.type == "edge" and spec.profile != "Edge":
        message = f"spec.type: edge pools are for edge clusters (spec.profile Edge), {cluster.metadata.name} is none"
        return stalled(WRONG_TYPE, f"{message}; allowed: ess")
    return None


def own_labels(pool: NodePool, cluster: ManagedCluster) -> list[Label]:
    """Labels that follow from what sort of pool it is."""
    runtime = pool.spec.kubernetes_config.runtime
    labels = [Label(key=SANDBOX_LABEL, value=runtime)] if runtime != "containerd" else []
    if cluster.spec.profile == "Edge":
        labels.append(Label(key=EDGE_LABEL, value="true" if pool.spec.type == "edge" else "false"))
    return labels
