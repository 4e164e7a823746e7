"""Programs of control planes are got while everything else goes on."""

import asyncio
from pathlib import Path

import pytest

from ackbox.controlplane import fetching
from ackbox.controlplane.fetching import Fetching
from ackbox.runtime import tools
from ackbox.runtime.errors import BinaryMissing
from ackbox.runtime.progress import Progress
from ackbox.runtime.tools import Tool

KUBERNETES, KWOK = tools.kubernetes("1.36"), tools.kwok()


class Source:
    """Stands for `locate`: KWOK is there, Kubernetes comes, or fails, when the test says so."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.come = asyncio.Event()
        self.failure: BinaryMissing | None = None

    async def locate(self, tool: Tool, progress: Progress) -> dict[str, Path]:
        self.asked.append(tool.name)
        if tool.name == "kubernetes":
            with progress.step(f"getting {tool.name}") as step:
                step.update("1 of 2 MiB")
                await self.come.wait()
            if self.failure is not None:
                raise self.failure
        return {tool.name: Path("/bin") / tool.name}


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    source = Source()
    monkeypatch.setattr(fetching, "locate", source.locate)
    monkeypatch.setattr(fetching, "AT_ONCE_SECONDS", 0.02)
    return source


async def test_what_is_there_is_given_at_once(source: Source) -> None:
    getting = Fetching()
    assert await getting.programs([KWOK]) == [{"kwok": Path("/bin/kwok")}]
    assert getting.progress([KWOK]) is None


async def test_nobody_waits_for_what_is_not_and_all_hear_how_far_it_is(source: Source) -> None:
    getting = Fetching()
    assert await getting.programs([KUBERNETES, KWOK]) is None
    assert await getting.programs([KUBERNETES, KWOK]) is None
    assert getting.progress([KUBERNETES, KWOK]) == "getting kubernetes: 1 of 2 MiB"
    assert source.asked.count("kubernetes") == 1
    source.come.set()
    found = await getting.programs([KUBERNETES, KWOK])
    assert found == [{"kubernetes": Path("/bin/kubernetes")}, {"kwok": Path("/bin/kwok")}]
    assert getting.progress([KUBERNETES]) is None


async def test_what_can_not_be_had_is_said_and_tried_again(source: Source) -> None:
    getting = Fetching()
    source.failure = BinaryMissing("no way")
    source.come.set()
    with pytest.raises(BinaryMissing, match="no way"):
        await getting.programs([KWOK, KUBERNETES])
    source.failure = None
    assert await getting.programs([KUBERNETES]) is not None
