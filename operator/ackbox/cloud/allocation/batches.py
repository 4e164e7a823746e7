"""Changes of one object that wait for each other go out in one write."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")


@dataclass(frozen=True)
class _Pending(Generic[C]):
    change: C
    done: asyncio.Future[None]


class Batches(Generic[K, C]):
    """Gathers changes by key while a write is under way.

    Args:
        write: makes all the changes of a key; what it raises is raised to everybody who waits for one of them.
        lock_of: what lets one write at a time through; keys may share one.
    """

    def __init__(
        self,
        write: Callable[[K, list[C]], Awaitable[None]],
        lock_of: Callable[[K], AbstractAsyncContextManager[object]],
    ) -> None:
        self._write = write
        self._lock_of = lock_of
        self._pending: dict[K, list[_Pending[C]]] = {}

    async def add(self, key: K, change: C) -> None:
        """Make a change and return once it is written."""
        mine = _Pending(change, asyncio.get_running_loop().create_future())
        self._pending.setdefault(key, []).append(mine)
        async with self._lock_of(key):
            batch = self._pending.pop(key, [])
            if batch:
                await self._settle(key, batch)
        await mine.done

    async def _settle(self, key: K, batch: list[_Pending[C]]) -> None:
        try:
            await self._write(key, [each.change for each in batch])
        except BaseException as error:
            for each in batch:
                if isinstance(error, Exception):
                    each.done.set_exception(error)
                else:
                    each.done.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            for each in batch:
                each.done.set_result(None)
