"""References between objects: by name, or by the cloud's id in the status."""

from ackbox.kube.cache import Cache, Indexer
from ackbox.kube.client import Object
from ackbox.resources import Kind

_ID_FIELD = {
    "AccessControlList": "aclId",
    "ElasticIPAddress": "allocationId",
    "ManagedCluster": "clusterId",
    "NodePool": "nodepoolId",
    "ServiceLoadBalancer": "loadBalancerId",
    "ServerGroup": "vServerGroupId",
    "VPC": "vpcId",
    "RouteTable": "routeTableId",
}


def cloud_ids(obj: Object) -> list[str]:
    """An indexer: the ids that the cloud gave an object. File it under the index `id` of a cache."""
    namespace = obj["metadata"].get("namespace", "")
    status = obj.get("status") or {}
    own = status.get(_ID_FIELD.get(obj["kind"], ""))
    return [f"{namespace}/{own}"] if own else []


def owner_reference(kind: Kind, name: str, uid: str) -> Object:
    """What makes an object go with its owner; its `controller` is set by who needs it."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, "name": name, "uid": uid}


def belongs_to(obj: Object, uid: str) -> bool:
    """Whether an object goes with the owner of this uid."""
    return any(each["uid"] == uid for each in obj["metadata"].get("ownerReferences") or ())


def resolve(cache: Cache, namespace: str, reference: str | None) -> Object | None:
    """The object that a reference names, by its name first, else by its cloud id (index `id`)."""
    if not reference:
        return None
    found = cache.get(namespace, reference)
    if found is not None:
        return found
    return next(iter(cache.by("id", f"{namespace}/{reference}")), None)


def resource_cache(kind: Kind, **indexers: Indexer) -> Cache:
    """A cache of one of ackbox's kinds, ready for `resolve`."""
    return Cache(kind, {"id": cloud_ids, **indexers})
