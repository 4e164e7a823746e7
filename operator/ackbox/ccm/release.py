"""Lets go of a registered cluster that is being removed from ackbox: its Services must not keep our finalizer.

The cluster lives on without ackbox, so nothing else would ever take it off. The load balancers are the cloud side's to
delete. A finalizer on the ManagedCluster makes sure that this is done, or was tried for long enough.
"""

import asyncio
import logging

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services.names import FINALIZERS, HASH_LABEL, LOAD_BALANCER_LABEL
from ackbox.ccm.services.status import service_patch
from ackbox.kube.client import SERVICE, Client, Object
from ackbox.kube.connection import Connection
from ackbox.kube.errors import ApiError, NotFound

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds to try; a cluster that is gone for good must not hold up the removal."""

PAUSE = 2.0


async def release(facts: ClusterFacts, connection: Connection) -> None:
    """Take what the CCM wrote off every Service, as far as the cluster can be reached in time."""
    name = f"{facts.namespace}/{facts.name}"
    try:
        async with asyncio.timeout(PATIENCE), Client(connection) as client:
            while not await _try(client, name):
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        logger.warning("cluster %s: given up after %.0f s; remove finalizers %s by hand", name, PATIENCE, FINALIZERS)


async def _try(client: Client, name: str) -> bool:
    try:
        services, _ = await client.list(SERVICE)
        for service in services:
            if set(FINALIZERS) & set(service["metadata"].get("finalizers") or []):
                await _release(client, service)
    except ApiError as error:
        logger.warning("cluster %s: its Services can't be released yet: %s", name, error)
        return False
    return True


async def _release(client: Client, service: Object) -> None:
    metadata = service["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    try:
        patch = service_patch(service, {HASH_LABEL: None, LOAD_BALANCER_LABEL: None}, [])
        if patch:
            service = await client.patch(SERVICE, name, namespace, patch, "status")
        metadata = service["metadata"]
        kept = [item for item in metadata["finalizers"] if item not in FINALIZERS]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": kept}}
        await client.patch(SERVICE, name, namespace, body)
    except NotFound:
        logger.debug("service %s/%s is gone already", namespace, name)
