"""Gets the programs of control planes while everything else goes on: a build takes minutes."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ackbox.runtime.binaries import locate
from ackbox.runtime.tools import Tool

AT_ONCE_SECONDS = 0.5
"""Programs that are there are found in this time; for others nobody is kept waiting longer."""


class Told:
    """Progress as a line of text, for a condition; `Progress` and its `Step` in one."""

    def __init__(self) -> None:
        self.text = ""
        self._title = ""

    @contextmanager
    def step(self, title: str) -> Iterator["Told"]:
        """See `Progress.step`."""
        self.text = self._title = title
        yield self

    def say(self, message: str) -> None:
        """See `Progress.say`."""
        self.text = message

    def update(self, detail: str) -> None:
        """See `Step.update`."""
        self.text = f"{self._title}: {detail}"


class Fetching:
    """Programs on their way, at most once each."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, str], tuple[asyncio.Task[dict[str, Path]], Told]] = {}

    async def programs(self, wanted: Sequence[Tool]) -> list[dict[str, Path]] | None:
        """The paths of the programs of some tools; None while one is still being got.

        Raises:
            BinaryMissing: one can't be had; the next call tries again.
        """
        for tool in wanted:
            if _key(tool) not in self._under_way:
                told = Told()
                self._under_way[_key(tool)] = (asyncio.create_task(locate(tool, told)), told)
        tasks = [self._under_way[_key(tool)][0] for tool in wanted]
        await asyncio.wait(tasks, timeout=AT_ONCE_SECONDS)
        done = {key for key, (task, _) in self._under_way.items() if task.done()}
        for key in done:
            self._under_way.pop(key)
        found = [task.result() for task in tasks if task.done()]
        return found if len(found) == len(tasks) else None

    def progress(self, wanted: Sequence[Tool]) -> str | None:
        """What is being got of some tools, for people; None when nothing is."""
        texts = [self._under_way[_key(tool)][1].text for tool in wanted if _key(tool) in self._under_way]
        return "; ".join(filter(None, texts)) or None


def _key(tool: Tool) -> tuple[str, str]:
    return tool.name, tool.version
