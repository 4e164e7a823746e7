"""A keyed work queue: a key is worked on by one worker at a time, and again if it was marked meanwhile."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from ackbox.kube.errors import ApiError

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

FIRST_BACK_OFF = 0.5
LONGEST_BACK_OFF = 60.0


class Retry(Exception):
    """Raised by a reconcile that isn't finished: try the key again after so many seconds."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class WorkQueue(Generic[K]):
    """Runs `reconcile(key)` for every key that is added, `workers` keys at a time.

    Adding a key that waits does nothing; adding one that is being worked on makes it run once more. An exception puts
    the key back with exponential back-off and jitter; success forgets the failures.
    """

    def __init__(
        self,
        reconcile: Callable[[K], Awaitable[None]],
        name: str,
        workers: int = 8,
        first_back_off: float = FIRST_BACK_OFF,
        longest_back_off: float = LONGEST_BACK_OFF,
    ) -> None:
        self._reconcile = reconcile
        self._name = name
        self._workers = workers
        self._first_back_off = first_back_off
        self._longest_back_off = longest_back_off
        self._waiting: dict[K, None] = {}
        self._running: set[K] = set()
        self._dirty: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._wake = asyncio.Semaphore(0)

    def add(self, key: K, after: float = 0.0) -> None:
        """Mark a key as due, now or in `after` seconds. The sooner of two delays wins."""
        if after > 0:
            loop = asyncio.get_running_loop()
            timer = self._timers.get(key)
            if timer is not None and timer.when() <= loop.time() + after:
                return
            if timer is not None:
                timer.cancel()
            self._timers[key] = loop.call_later(after, self._due, key)
            return
        if key in self._running:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting[key] = None
            self._wake.release()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _work(self) -> None:
        while True:
            await self._wake.acquire()
            key = next(iter(self._waiting))
            del self._waiting[key]
            self._running.add(key)
            try:
                await self._reconcile(key)
                self._failures.pop(key, None)
            except Retry as retry:
                logger.info("%s %s: again in %.1f s: %s", self._name, key, retry.after, retry)
                self._add_later(key, retry.after)
            except Exception as error:
                self._back_off(key, error)
            finally:
                self._running.discard(key)
                if key in self._dirty:
                    self._dirty.discard(key)
                    self.add(key)

    def _add_later(self, key: K, after: float) -> None:
        """Mark a key that is being worked on as due in `after` seconds."""
        self.add(key, max(after, 0.001))

    def _back_off(self, key: K, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(self._longest_back_off, self._first_back_off * 2 ** (failures - 1))
        delay *= random.uniform(0.8, 1.2)
        logger.warning("%s %s failed, again in %.1f s: %s", self._name, key, delay, error, exc_info=_unexpected(error))
        self._add_later(key, delay)


def _unexpected(error: Exception) -> Exception | None:
    """Errors of an API server say enough by their message; others need their trace."""
    return None if isinstance(error, ApiError) else error
