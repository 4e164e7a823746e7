"""What a workload cluster needs before ALB Ingresses can be made: the AlbConfig kind, and IngressClass `alb`."""

import contextlib
import hashlib
import json
from functools import partial
from typing import Any

from ackbox.ccm.ingress.albconfig import AlbConfig
from ackbox.ccm.ingress.kinds import ALB_CONFIG, CLASS_NAME, CONTROLLER, INGRESS_CLASS
from ackbox.kube.client import CUSTOM_RESOURCE_DEFINITION, Client
from ackbox.kube.errors import AlreadyExists, NotFound, Unavailable
from ackbox.resources.base import GROUP
from ackbox.resources.crd import custom_resource_definition
from ackbox.runtime import manifests
from ackbox.runtime.probe import wait_until

REVISION = f"{GROUP}/revision"
"""On the CustomResourceDefinition: a digest of it as we apply it, so that one that is there needs no write."""


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    found = custom_resource_definition(AlbConfig)
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]
    return {**found, "metadata": {**found["metadata"], "annotations": {REVISION: digest}}}


async def install(client: Client) -> None:
    """Put both there. An IngressClass that is there stays as it is: its parameters are the user's.

    Raises:
        ApiError: the API server refuses.
        RuntimeProblem: the kind is not served in time.
    """
    wanted = definition()
    if await _revision(client, wanted) != wanted["metadata"]["annotations"][REVISION]:
        await manifests.apply(client, [wanted])
    # Established, a kind can still be refused for a moment, while its storage is made.
    await wait_until(
        partial(_served, client),
        manifests.ESTABLISHED_SECONDS,
        lambda: f"{client.connection.server} doesn't serve {ALB_CONFIG}",
    )
    try:
        await client.get(INGRESS_CLASS, CLASS_NAME)
    except NotFound:
        await _create_class(client)


async def _create_class(client: Client) -> None:
    with contextlib.suppress(AlreadyExists):
        await client.create(INGRESS_CLASS, {"metadata": {"name": CLASS_NAME}, "spec": {"controller": CONTROLLER}})


async def _revision(client: Client, wanted: dict[str, Any]) -> str | None:
    try:
        found = await client.get(CUSTOM_RESOURCE_DEFINITION, wanted["metadata"]["name"])
    except NotFound:
        return None
    revision: str | None = (found["metadata"].get("annotations") or {}).get(REVISION)
    return revision


async def _served(client: Client) -> bool:
    try:
        await client.list(ALB_CONFIG)
    except (NotFound, Unavailable):
        return False
    return True
