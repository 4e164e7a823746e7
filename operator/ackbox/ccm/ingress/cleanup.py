"""Takes away what an AlbConfig had: its own load balancer, or what it put on a user's."""

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import balancer, copies, names
from ackbox.ccm.management import marked
from ackbox.ccm.services.apply import apply
from ackbox.ccm.services.changes import deletes
from ackbox.ccm.store import Store
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER


async def clear(management: Store, facts: ClusterFacts, config: str) -> bool:
    """Delete everything; True when nothing is left.

    Raises:
        ApiError: something is not allowed to go.
    """
    namespace, mark = facts.namespace, names.owner_mark(facts.cluster_id, config)
    left = 0
    for kind in (LISTENER, SERVER_GROUP):
        objects = marked(management, kind, namespace, mark)
        left += len(objects)
        for refusal in await apply(management, namespace, deletes(kind, objects)):
            raise refusal
    own = balancer.find_own(management, facts, config)
    if own is not None and not own.deleting:
        if own.spec.delete_protection == "on":
            patch = {"spec": {"deleteProtection": "off"}}
            await management.patch(SERVICE_LOAD_BALANCER, own.metadata.name, namespace, patch)
        await management.delete(SERVICE_LOAD_BALANCER, own.metadata.name, namespace, own.metadata.uid)
    if left or own is not None:
        return False
    await copies.remove(management, facts, mark)
    return True
