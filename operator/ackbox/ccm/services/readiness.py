"""Readiness gates of pods that a load balancer opens. Rule source: the CCM's `pkg/controller/service/reconcile/backend`.

A pod with the gate `service.readiness.alibabacloud.com/<service>` is ready only after the load balancer has taken it in, and
an EndpointSlice doesn't call it ready before. So the pods behind endpoints that aren't ready are read, each once if it
has no such gate, and those that wait for nothing else are taken in.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ackbox.ccm.services.names import Owner
from ackbox.kube.client import POD, Client, Object
from ackbox.kube.conditions import timestamp
from ackbox.kube.errors import Forbidden, NotFound

logger = logging.getLogger(__name__)

PREFIX = "service.readiness.alibabacloud.com/"
REGISTERED = "ServerRegistered"
PARALLEL = 10


def gate_of(owner: Owner) -> str:
    """The condition type that pods of a Service wait for."""
    return PREFIX + owner.name


def waiting_pods(slices: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Namespace and name, by uid, of the pods behind endpoints that aren't ready and aren't on their way out."""
    found: dict[str, tuple[str, str]] = {}
    for item in slices:
        for endpoint in item.get("endpoints") or []:
            conditions, target = endpoint.get("conditions") or {}, endpoint.get("targetRef") or {}
            waits = conditions.get("ready") is False and conditions.get("terminating") is not True
            if waits and target.get("kind") == "Pod" and target.get("uid"):
                namespace = target.get("namespace") or item["metadata"]["namespace"]
                found[target["uid"]] = namespace, target["name"]
    return found


@dataclass(frozen=True)
class GatedPod:
    """A pod with a Service's gate.

    Attributes:
        addresses: its IP addresses.
        takeable: whether it would be ready if the gate were open.
        opened: whether the gate is open.
    """

    body: Object
    addresses: frozenset[str]
    takeable: bool
    opened: bool


def gated_pod(pod: Object, gate: str) -> GatedPod | None:
    """A pod as its gate makes it; None for one without that gate."""
    gates = [item["conditionType"] for item in pod["spec"].get("readinessGates") or []]
    if gate not in gates:
        return None
    status = pod.get("status") or {}
    true = {item["type"] for item in status.get("conditions") or [] if item["status"] == "True"}
    needed = {"ContainersReady", *gates} - {gate}
    return GatedPod(
        body=pod,
        addresses=frozenset(item["ip"] for item in status.get("podIPs") or [] if item.get("ip")),
        takeable=needed <= true and "deletionTimestamp" not in pod["metadata"],
        opened=gate in true,
    )


def opening(pod: Object, gate: str, now: str) -> list[Object]:
    """The JSON patch that opens a pod's gate, if nothing changed meanwhile."""
    wanted = {"type": gate, "status": "True", "reason": REGISTERED, "lastTransitionTime": now}
    conditions = (pod.get("status") or {}).get("conditions") or []
    place = next((str(index) for index, item in enumerate(conditions) if item["type"] == gate), None)
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": pod["metadata"]["resourceVersion"]}
    if not conditions:
        return [test, {"op": "add", "path": "/status/conditions", "value": [wanted]}]
    if place is None:
        return [test, {"op": "add", "path": "/status/conditions/-", "value": wanted}]
    return [test, {"op": "replace", "path": f"/status/conditions/{place}", "value": wanted}]


class ReadinessGates:
    """Looks at and opens the gates of a cluster's pods."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._plain: dict[Owner, frozenset[str]] = {}

    async def look(self, owner: Owner, slices: Sequence[Mapping[str, Any]]) -> list[GatedPod]:
        """The pods of a Service that wait for its load balancer."""
        waiting, gate = waiting_pods(slices), gate_of(owner)
        known = self._plain.get(owner, frozenset()) & waiting.keys()
        slots = asyncio.Semaphore(PARALLEL)

        async def read(key: tuple[str, str]) -> Object | None:
            async with slots:
                try:
                    return await self._client.get(POD, key[1], key[0])
                except (NotFound, Forbidden) as error:
                    logger.debug("pod %s/%s: %s", *key, error)
                    return None

        unknown = [uid for uid in waiting if uid not in known]
        pods = await asyncio.gather(*(read(waiting[uid]) for uid in unknown))
        gated = {uid: gated_pod(pod, gate) for uid, pod in zip(unknown, pods, strict=True) if pod is not None}
        # A pod's gates never change, so one without is asked about once.
        plain = known | {uid for uid in unknown if gated.get(uid) is None}
        if plain:
            self._plain[owner] = plain
        else:
            self._plain.pop(owner, None)
        return [pod for pod in gated.values() if pod is not None]

    def forget(self, owner: Owner) -> None:
        """Forget a Service that is gone."""
        self._plain.pop(owner, None)

    async def open(self, owner: Owner, pods: Iterable[GatedPod]) -> None:
        """Tell pods that the load balancer has them.

        Raises:
            ApiError: a pod doesn't take it; the others were told.
        """
        gate, now = gate_of(owner), timestamp()

        async def tell(pod: Object) -> None:
            metadata = pod["metadata"]
            try:
                await self._client.json_patch(
                    POD, metadata["name"], metadata["namespace"], opening(pod, gate, now), "status"
                )
            except NotFound:
                logger.debug("pod %s/%s is gone", metadata["namespace"], metadata["name"])

        waiting = [pod.body for pod in pods if pod.takeable and not pod.opened]
        results = await asyncio.gather(*(tell(pod) for pod in waiting), return_exceptions=True)
        failed = next((result for result in results if isinstance(result, BaseException)), None)
        if failed is not None:
            raise failed
