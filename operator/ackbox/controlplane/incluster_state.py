"""How the objects of a control plane in a cluster stand. Pure."""

from collections.abc import Iterable, Sequence

from ackbox.controlplane.labels import REVISION_ANNOTATION
from ackbox.kube.client import Object
from ackbox.resources import MANAGED_CLUSTER

# What is said of a container that will get there by itself.
PATIENCE = ("ContainerCreating", "PodInitializing")


def of_a_cluster(obj: Object) -> bool:
    """Whether an object belongs to some ManagedCluster, be it one that is gone."""
    wanted = (MANAGED_CLUSTER.api_version, MANAGED_CLUSTER.kind)
    owners = obj["metadata"].get("ownerReferences") or ()
    return any((each["apiVersion"], each["kind"]) == wanted for each in owners)


def changed(wanted: Object, live: Object) -> bool:
    """Whether what runs by a Deployment or StatefulSet would be replaced."""
    return bool(live["spec"].get("replicas", 1)) and _revision(wanted) != _revision(live)


def _revision(obj: Object) -> str | None:
    found: str | None = (obj["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION)
    return found


def rolled_out(obj: Object | None) -> bool:
    """Whether a Deployment or StatefulSet runs what it says, all of it and nothing else."""
    if obj is None:
        return False
    status, wanted = obj.get("status") or {}, obj["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False
    counts = [status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas")]
    if wanted == 0:
        return not counts[0]
    return counts == [wanted] * 3


def settled(wanted: Object, live: Object | None) -> Object:
    """What is to be applied: the volumes that a StatefulSet claims are decided once and can't be changed."""
    claims = (live or {}).get("spec", {}).get("volumeClaimTemplates")
    if not claims or "volumeClaimTemplates" not in wanted["spec"]:
        return wanted
    kept = [{key: value for key, value in claim.items() if key != "status"} for claim in claims]
    return {**wanted, "spec": {**wanted["spec"], "volumeClaimTemplates": kept}}


def troubles(pods: Sequence[Object], workloads: Sequence[Object]) -> str:
    """Why Pods don't run or can't even be made, for people; empty when nothing is known of it."""
    return "; ".join(sorted(filter(None, [*map(_trouble, pods), *map(_failure, workloads)])))


def _failure(workload: Object) -> str:
    """What a quota or a policy of the namespace has against a workload's Pods; a StatefulSet tells it by Events only."""
    status, name = workload.get("status") or {}, workload["metadata"]["name"]
    for condition in status.get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return f"Deployment {name}: {condition.get('message')}"
    looked_at = status.get("observedGeneration") and workload["kind"] == "StatefulSet"
    if looked_at and workload["spec"].get("replicas", 1) and not status.get("replicas"):
        return f"StatefulSet {name} has no Pod: `kubectl describe statefulset {name}` says why"
    return ""


def _trouble(pod: Object) -> str:
    status, name = pod.get("status") or {}, pod["metadata"]["name"]
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"Pod {name}: {condition.get('reason')}: {condition.get('message')}"
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting and waiting.get("reason") not in PATIENCE:
            text = f"{waiting.get('reason')}: {waiting.get('message') or ''}".rstrip(": ")
            return f"Pod {name}, container {container['name']}: {text}"
    return ""


def _containers(status: Object) -> Iterable[Object]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
