"""Events on objects of a workload cluster, written beside the work so that they never delay it."""

import asyncio
from dataclasses import dataclass

from ackbox.kube.client import Object
from ackbox.kube.events import EventRecorder

BACKLOG = 5000
"""Events that may wait; what doesn't fit is dropped, as with every Event recorder of Kubernetes."""


@dataclass(frozen=True)
class Report:
    """One event to write."""

    obj: Object
    warning: bool
    reason: str
    message: str


class Reporter:
    """Takes events at once and writes them one after the other."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder
        self._backlog: asyncio.Queue[Report] = asyncio.Queue(BACKLOG)

    def normal(self, obj: Object, reason: str, message: str) -> None:
        """Something expected happened."""
        self._put(Report(obj, False, reason, message))

    def warning(self, obj: Object, reason: str, message: str) -> None:
        """Something needs the user's eye."""
        self._put(Report(obj, True, reason, message))

    def _put(self, report: Report) -> None:
        if not self._backlog.full():
            self._backlog.put_nowait(report)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            report = await self._backlog.get()
            write = self._recorder.warning if report.warning else self._recorder.normal
            await write(report.obj, report.reason, report.message)
