"""Brings the bindings of a sub-account in its workload cluster to what they should be."""

from collections.abc import Sequence

from ackbox.cloud.access.plan import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE_BINDING, USER_LABEL, changes
from ackbox.kube.client import NAMESPACE, Client, Object
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.resources import Kind


async def bind(workload: Client, uid: str, wanted: Sequence[Object]) -> list[str]:
    """Make the bindings that a ClusterUser is to have the only ones that it has.

    What is taken away is taken away first. A binding to something that isn't there is not made.

    Args:
        uid: of the ClusterUser.
        wanted: none revokes everything.

    Returns:
        what is missing in the workload cluster, such as a namespace.
    """
    there = [
        each
        for kind in (CLUSTER_ROLE_BINDING, ROLE_BINDING)
        for each in (await workload.list(kind, label_selector=f"{USER_LABEL}={uid}"))[0]
    ]
    plan = changes(there, wanted)
    for each in plan.delete:
        metadata = each["metadata"]
        try:
            await workload.delete(_kind(each), metadata["name"], metadata.get("namespace"))
        except NotFound:
            continue
    found = [await _create(workload, each) for each in plan.create]
    return list(dict.fromkeys(each for each in found if each is not None))


async def _create(workload: Client, binding: Object) -> str | None:
    """Make a binding; or what it lacks."""
    namespace, role = binding["metadata"].get("namespace"), binding["roleRef"]["name"]
    # RBAC takes a binding to a role that isn't there, and would give its rights to whoever makes such a role later.
    if not await _exists(workload, CLUSTER_ROLE, role):
        return f"ClusterRole {role}"
    if namespace and not await _exists(workload, NAMESPACE, namespace):
        return f"Namespace {namespace}"
    try:
        await workload.create(_kind(binding), binding, namespace)
    except AlreadyExists:
        # Somebody took its label off; it is ours by its name, which holds the serial number.
        await workload.delete(_kind(binding), binding["metadata"]["name"], namespace)
        await workload.create(_kind(binding), binding, namespace)
    return None


async def _exists(workload: Client, kind: Kind, name: str) -> bool:
    try:
        await workload.get(kind, name)
    except NotFound:
        return False
    return True


def _kind(binding: Object) -> Kind:
    return ROLE_BINDING if binding["kind"] == ROLE_BINDING.kind else CLUSTER_ROLE_BINDING
