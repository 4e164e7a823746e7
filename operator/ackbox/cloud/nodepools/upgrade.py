"""What a node pool says while its nodes follow the control plane to another version. Pure.

The nodes are upgraded with their cluster: `cloud/clusters/node_upgrade.py`.
"""

from collections.abc import Iterable

from ackbox.catalog.versions import offer
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing
from ackbox.resources import NodePool


def upgrading(pool: NodePool, instances: Iterable[Object], cluster: Object | None) -> State | None:
    """How far the upgrade of a pool's nodes is; None when none is to come."""
    version = ((cluster or {}).get("status") or {}).get("currentVersion")
    if version is None or not pool.spec.management.auto_upgrade:
        return None
    kubelets = [(obj["spec"].get("node") or {}).get("kubeletVersion") for obj in instances]
    table = offer()
    target = table.parse(version)
    outdated = sum(kubelet is not None and table.parse(kubelet).order < target.order for kubelet in kubelets)
    if not outdated:
        return None
    return progressing("Upgrading", f"{outdated} of {len(kubelets)} nodes still to be upgraded to {target.name}")
