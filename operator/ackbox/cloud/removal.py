"""Takes ackbox out of a cluster: refuses while something lives that only ackbox can delete, or purges everything."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ackbox.cloud.allocation.addresses_in_cluster import LOAD_BALANCER
from ackbox.controlplane.labels import COMPONENT_LABEL
from ackbox.kube.client import CUSTOM_RESOURCE_DEFINITION, SERVICE, Client, Object
from ackbox.kube.errors import Conflict, NotFound
from ackbox.resources import CLUSTER_USER, MANAGED_CLUSTER, NODE_POOL, RESOURCES, SERVICE_LOAD_BALANCER, Kind
from ackbox.resources.base import GROUP, PAUSED_ANNOTATION
from ackbox.runtime.errors import RuntimeProblem
from ackbox.runtime.manifests import SYSTEM_NAMESPACE

logger = logging.getLogger(__name__)

NAMED = 10
POLL_SECONDS = 0.5
CRD_SECONDS = 30.0

FIRST = (MANAGED_CLUSTER, NODE_POOL, CLUSTER_USER)
"""What makes other objects, which would come again if they were deleted before it."""

OTHERS = tuple(each.KIND for each in RESOURCES if each.KIND not in FIRST)

UNPROTECTED: dict[Kind, dict[str, Any]] = {
    MANAGED_CLUSTER: {"deletionProtection": False},
    SERVICE_LOAD_BALANCER: {"deleteProtection": "off"},
}
"""The spec that lets an object be deleted."""


class StillAlive(RuntimeProblem):
    """Objects are there that would stay for ever without ackbox."""


@dataclass(frozen=True)
class Found:
    """An object of ackbox."""

    kind: Kind
    body: Object

    def __str__(self) -> str:
        return f"{self.kind} {self.body['metadata']['namespace']}/{self.body['metadata']['name']}"

    @property
    def foreign_finalizers(self) -> list[str]:
        """Who else has to let it go."""
        return [each for each in self.body["metadata"].get("finalizers") or () if not each.startswith(f"{GROUP}/")]

    @property
    def held(self) -> bool:
        """Whether ackbox has to let it go."""
        return len(self.foreign_finalizers) < len(self.body["metadata"].get("finalizers") or ())


async def refuse_if_alive(client: Client) -> None:
    """Return when ackbox can go and nothing is lost.

    Raises:
        StillAlive: naming what only ackbox can delete, and what to do.
    """
    if text := complaint(await objects(client, (*FIRST, *OTHERS))):
        raise StillAlive(text)


def complaint(found: Iterable[Found]) -> str:
    """Why ackbox can't go; empty when it can."""
    held = [each for each in found if each.held]
    if not held:
        return ""
    more = f" and {len(held) - NAMED} more" if len(held) > NAMED else ""
    return (
        f"ackbox is still needed by {', '.join(map(str, held[:NAMED]))}{more}: without it they could never be deleted.\n"
        "Delete them first and try again.\n"
        "To delete everything with ackbox: `ackbox uninstall --purge`; with the chart `helm rollback RELEASE REVISION` to the"
        " newest revision, `helm upgrade … --reset-then-reuse-values --set purge=true`, and `helm uninstall` again.\n"
        "To keep them for a later installation: `helm uninstall --no-hooks`."
    )


async def purge(client: Client, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
    """Delete every object of ackbox in every namespace, then the custom resources; harmless when run again.

    Control planes go with the ManagedClusters that own them.

    What hasn't gone by itself after `seconds` loses ackbox's finalizers: nothing else can free it any more.

    Raises:
        StillAlive: something else keeps objects of ackbox, by finalizers of its own.
    """
    deadline = now() + seconds
    for kinds in (FIRST, OTHERS):
        # What nobody has to clean up goes with its custom resource.
        while held := [each for each in await objects(client, kinds) if each.held]:
            for each in held:
                # Others may delete and change it at the same time: the next look shows what is left.
                with suppress(NotFound, Conflict):
                    await _delete(client, each, now() > deadline)
            await asyncio.sleep(POLL_SECONDS)
    await _delete_services(client)
    await _delete_definitions(client, now() + max(CRD_SECONDS, deadline - now()), now)


async def _delete(client: Client, found: Found, late: bool) -> None:
    metadata = found.body["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    if change := preparation(found):
        await client.patch(found.kind, name, namespace, change)
    if not metadata.get("deletionTimestamp"):
        logger.info("deleting %s", found)
        await client.delete(found.kind, name, namespace, uid=metadata["uid"])
    if late:
        logger.warning("%s does not go by itself: its finalizers are removed", found)
        await client.patch(found.kind, name, namespace, {"metadata": {"finalizers": found.foreign_finalizers}})


async def _delete_services(client: Client) -> None:
    """Those of load balancers, which stand beside the data plane: no object owns them, so an operator that is gone leaves them."""
    found, _ = await client.list(SERVICE, SYSTEM_NAMESPACE, label_selector=f"{COMPONENT_LABEL}={LOAD_BALANCER}")
    for each in found:
        metadata = each["metadata"]
        with suppress(NotFound, Conflict):
            await client.delete(SERVICE, metadata["name"], SYSTEM_NAMESPACE, uid=metadata["uid"])


async def _delete_definitions(client: Client, deadline: float, now: Callable[[], float]) -> None:
    names = [f"{each.KIND.plural}.{each.KIND.group}" for each in RESOURCES]
    while left := [name for name in names if not await _definition_gone(client, name)]:
        if now() > deadline:
            raise StillAlive(
                f"these custom resources are being deleted, but finalizers that are not ackbox's keep objects of them:"
                f" {', '.join(left)}. Find them with `kubectl get RESOURCE -A -o yaml`."
            )
        await asyncio.sleep(POLL_SECONDS)


async def _definition_gone(client: Client, name: str) -> bool:
    try:
        found = await client.get(CUSTOM_RESOURCE_DEFINITION, name)
        if not found["metadata"].get("deletionTimestamp"):
            logger.info("deleting the custom resource %s", name)
            await client.delete(CUSTOM_RESOURCE_DEFINITION, name)
    except NotFound:
        return True
    return False


def preparation(found: Found) -> dict[str, Any]:
    """The patch that lets an object be deleted, and be reconciled for it; empty when nothing stands in the way."""
    change: dict[str, Any] = {}
    if PAUSED_ANNOTATION in (found.body["metadata"].get("annotations") or {}):
        change["metadata"] = {"annotations": {PAUSED_ANNOTATION: None}}
    spec, wanted = found.body.get("spec") or {}, UNPROTECTED.get(found.kind, {})
    if any(field in spec and spec[field] != value for field, value in wanted.items()):
        change["spec"] = wanted
    return change


async def objects(client: Client, kinds: Iterable[Kind]) -> list[Found]:
    """Every object of these kinds; a kind that the cluster doesn't know has none."""
    found = []
    for kind in kinds:
        with suppress(NotFound):
            items, _ = await client.list(kind)
            found += [Found(kind, item) for item in items]
    return found
