"""Kubernetes Events: one object a (object, reason, message), counted up when it happens again."""

import hashlib
import logging

from ackbox.kube.client import EVENT, Client, Object
from ackbox.kube.conditions import timestamp
from ackbox.kube.errors import AlreadyExists, ApiError, NotFound

logger = logging.getLogger(__name__)


class EventRecorder:
    """Writes Events as one component. An Event that can't be written is logged, never raised."""

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self._component = component

    async def normal(self, obj: Object, reason: str, message: str) -> None:
        """Something expected happened."""
        await self._record(obj, "Normal", reason, message)

    async def warning(self, obj: Object, reason: str, message: str) -> None:
        """Something needs the user's eye."""
        await self._record(obj, "Warning", reason, message)

    async def _record(self, obj: Object, kind: str, reason: str, message: str) -> None:
        event = _event(obj, self._component, kind, reason, message)
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        try:
            try:
                await self._client.create(EVENT, event, namespace)
            except AlreadyExists:
                before = await self._client.get(EVENT, name, namespace)
                again = {"count": before.get("count", 1) + 1, "lastTimestamp": event["lastTimestamp"]}
                await self._client.patch(EVENT, name, namespace, again)
        except NotFound:
            logger.debug("event %s %s: its namespace is gone", reason, name)
        except ApiError as error:
            logger.warning("event %s on %s could not be written: %s", reason, name, error)


def _event(obj: Object, component: str, kind: str, reason: str, message: str) -> Object:
    metadata = obj["metadata"]
    digest = hashlib.sha256("\0".join((metadata["uid"], component, kind, reason, message)).encode()).hexdigest()[:16]
    namespace = metadata.get("namespace") or "default"
    now = timestamp()
    return {
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace"),
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion"),
        },
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": component},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
