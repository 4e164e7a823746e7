"""Leader election: of several replicas one at a time does what only one may do.

The holder of a Lease renews it every few seconds. Another replica takes it once it has seen no change for as long as the
Lease says, by its own clock, so the clocks of machines need not agree; that is the rule of Kubernetes' own components,
and the figures are theirs. A holder that can't renew stops before another may begin.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from ackbox.kube.client import Client, Object
from ackbox.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from ackbox.kube.settings import Pod
from ackbox.resources import Kind

logger = logging.getLogger(__name__)

LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")


class LeaseLost(Exception):
    """The Lease could not be kept, so the work was stopped."""


@dataclass(frozen=True)
class Timing:
    """How a Lease is kept, in seconds.

    Attributes:
        duration: how long a Lease holds that isn't renewed.
        deadline: how long a holder tries to renew before it stops; what is left of `duration` is for stopping.
        period: between two looks or renewals.
    """

    duration: float = 15.0
    deadline: float = 10.0
    period: float = 2.0


Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


async def lead(client: Client, name: str, pod: Pod | None, work: Work, timing: Timing | None = None) -> None:
    """Wait for the Lease `name` in the Pod's namespace, then do the work, for as long as this Pod holds the Lease.

    A process that runs in no Pod (None) is the only one of its kind and begins at once. When the work ends or this call is
    cancelled, the Lease is given back, so that another replica begins at once.

    Raises:
        LeaseLost: it could not be renewed in time; the work has been cancelled.
    """
    if pod is None:
        await work()
        return
    election = _Election(client, name, pod, timing or Timing())
    await election.acquire()
    logger.info("%s leads: it holds the Lease %s/%s", pod.name, pod.namespace, name)
    try:
        await _first([work(), election.keep()])
    finally:
        await election.give_back()


def may_take(spec: Object, identity: str, unchanged: float, duration: float) -> bool:
    """Whether a Lease may be taken.

    Args:
        spec: of the Lease; empty for one that nobody has held.
        identity: of whom wants it. A container that was restarted in its Pod still is the holder.
        unchanged: seconds for which the Lease has been seen as it is.
        duration: how long a Lease holds that doesn't say so, in seconds.
    """
    holder = spec.get("holderIdentity")
    return holder in (None, "", identity) or unchanged >= (spec.get("leaseDurationSeconds") or duration)


def taken(spec: Object, identity: str, now: datetime, duration: float) -> Object:
    """The fields of a Lease's spec as its holder writes them."""
    moment = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields: Object = {
        "holderIdentity": identity,
        "leaseDurationSeconds": max(1, round(duration)),
        "renewTime": moment,
    }
    if spec.get("holderIdentity") != identity:
        fields |= {"acquireTime": moment, "leaseTransitions": (spec.get("leaseTransitions") or 0) + 1}
    return fields


class _Election:
    """One replica's part in it."""

    def __init__(self, client: Client, name: str, pod: Pod, timing: Timing) -> None:
        self._client = client
        self._name = name
        self._pod = pod
        self._timing = timing
        self._lease: Object = {}
        self._seen = self._renewed = 0.0

    async def acquire(self) -> None:
        """Look again and again until the Lease is ours."""
        said = ""
        while True:
            try:
                # One that was stored long before its answer came is renewed first: it may be another's soon.
                if await self._try() and self._now() < self._renewed + self._timing.deadline:
                    return
                said = ""
            except ApiError as error:
                if str(error) != said:
                    logger.warning("the Lease %s/%s: %s", self._pod.namespace, self._name, error)
                said = str(error)
            await self._pause()

    async def keep(self) -> None:
        """Renew until that fails.

        Raises:
            LeaseLost: always, in the end.
        """
        reason = "no answer"
        while self._now() < self._renewed + self._timing.deadline:
            await self._pause()
            try:
                async with asyncio.timeout_at(self._renewed + self._timing.deadline):
                    if not await self._renew():
                        raise LeaseLost(f"the Lease {self._name} was taken by {self._holder()}")
            except ApiError as error:
                reason = str(error)
                logger.warning("the Lease %s could not be renewed: %s", self._name, error)
            except TimeoutError:
                break
        raise LeaseLost(f"the Lease {self._name} could not be renewed for {self._timing.deadline:.0f} s: {reason}")

    async def give_back(self) -> None:
        """Let another replica begin at once, if the Lease still is ours."""
        if self._holder() != self._pod.name:
            return
        body = {
            "metadata": {"resourceVersion": self._lease["metadata"]["resourceVersion"]},
            "spec": {"holderIdentity": None},
        }
        # Whatever hinders it, the Lease ends by itself.
        with contextlib.suppress(ApiError, TimeoutError):
            async with asyncio.timeout(self._timing.duration - self._timing.deadline):
                await self._client.patch(LEASE, self._name, self._pod.namespace, body)

    async def _try(self) -> bool:
        now = self._now()
        try:
            lease = await self._client.get(LEASE, self._name, self._pod.namespace)
        except NotFound:
            body = {"metadata": {"name": self._name}, "spec": self._taken({})}
            with contextlib.suppress(AlreadyExists):
                self._lease = await self._client.create(LEASE, body, self._pod.namespace)
                self._renewed = now
                return True
            return False
        if _version(lease) != _version(self._lease):
            self._lease, self._seen = lease, now
        spec = lease.get("spec") or {}
        if not may_take(spec, self._pod.name, now - self._seen, self._timing.duration):
            return False
        return await self._write()

    async def _renew(self) -> bool:
        """Renew; False when somebody else holds the Lease now."""
        if await self._write():
            return True
        self._lease = await self._client.get(LEASE, self._name, self._pod.namespace)
        return self._holder() == self._pod.name and await self._write()

    async def _write(self) -> bool:
        """Take or renew the Lease as it was read; False when it has changed since."""
        spec = self._taken(self._lease.get("spec") or {})
        body = {"metadata": {"resourceVersion": _version(self._lease)}, "spec": spec}
        # Others count from when the API server stored it, which is after this moment however late its answer comes.
        began = self._now()
        try:
            self._lease = await self._client.patch(LEASE, self._name, self._pod.namespace, body)
        except Conflict:
            return False
        self._renewed = began
        return True

    def _taken(self, spec: Object) -> Object:
        return taken(spec, self._pod.name, datetime.now(UTC), self._timing.duration)

    def _holder(self) -> str | None:
        holder: str | None = (self._lease.get("spec") or {}).get("holderIdentity")
        return holder

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _pause(self) -> None:
        await asyncio.sleep(self._timing.period * random.uniform(0.8, 1.2))


def _version(lease: Object) -> str | None:
    version: str | None = lease.get("metadata", {}).get("resourceVersion")
    return version


async def _first(works: list[Coroutine[Any, Any, None]]) -> None:
    """Run several works until one ends, then stop the others, and end as it did."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in ended:
        task.result()
