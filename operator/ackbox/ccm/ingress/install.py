"""What a workload cluster needs before ALB Ingresses can be made: the AlbConfig kind, and IngressClass `alb`."""

import contextlib
from functools import partial
from typing import Any

from ackbox.ccm.ingress.albconfig import AlbConfig
from ackbox.ccm.ingress.kinds import ALB_CONFIG, CLASS_NAME, CONTROLLER, INGRESS_CLASS
from ackbox.kube.client import Client
from ackbox.kube.errors import AlreadyExists, NotFound, Unavailable
from ackbox.resources.crd import custom_resource_definition
from ackbox.runtime import manifests
from ackbox.runtime.probe import wait_until


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    return custom_resource_definition(AlbConfig)


async def install(client: Client) -> None:
    """Put both there. An IngressClass that is there stays as it is: its parameters are the user's.

    Raises:
        ApiError: the API server refuses.
        RuntimeProblem: the kind is not served in time.
    """
    await manifests.apply(client, [definition()])
    # Established, a kind can still be refused for a moment, while its storage is made.
    await wait_until(
        partial(_served, client),
        manifests.ESTABLISHED_SECONDS,
        lambda: f"{client.connection.server} doesn't serve {ALB_CONFIG}",
    )
    with contextlib.suppress(AlreadyExists):
        await client.create(INGRESS_CLASS, {"metadata": {"name": CLASS_NAME}, "spec": {"controller": CONTROLLER}})


async def _served(client: Client) -> bool:
    try:
        await client.list(ALB_CONFIG)
    except (NotFound, Unavailable):
        return False
    return True
