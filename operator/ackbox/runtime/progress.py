"""Says on stderr what a long step waits for and for how long."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

PLAIN_REPEAT_SECONDS = 30.0


class Step(Protocol):
    """One step under way."""

    def update(self, detail: str) -> None:
        """Say what the step is at now."""


class Progress(Protocol):
    """Where steps are shown."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Show a step while its block runs."""

    def say(self, message: str) -> None:
        """Show a line."""


class Silent:
    """Shows nothing: for processes without a user in front."""

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:  # noqa: ARG002
        """See `Progress.step`."""
        yield self

    def say(self, message: str) -> None:
        """See `Progress.say`."""

    def update(self, detail: str) -> None:
        """See `Step.update`."""


class _BarStep:
    def __init__(self, bar: Bar, task: TaskID, title: str) -> None:
        self._bar, self._task, self._title = bar, task, title

    def update(self, detail: str) -> None:
        self._bar.update(self._task, description=f"{self._title}: [dim]{detail}[/dim]")


class _PlainStep:
    """For pipes and CI: a line at the start and the end, and one now and then between them."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._started = self._said = time.monotonic()

    def update(self, detail: str) -> None:
        now = time.monotonic()
        if now - self._said >= PLAIN_REPEAT_SECONDS:
            self._said = now
            self._console.print(f"  … {self._title}: {detail} ({now - self._started:.0f} s)", markup=False)


class Terminal:
    """Shows steps on stderr: a spinner with the elapsed time on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """See `Progress.step`."""
        started = time.monotonic()
        if self._console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            with Bar(*columns, console=self._console, transient=True) as bar:
                yield _BarStep(bar, bar.add_task(title, total=None), title)
        else:
            self._console.print(f"… {title}", markup=False)
            yield _PlainStep(self._console, title)
        self._console.print(f"✓ {title} ({time.monotonic() - started:.1f} s)", markup=False)

    def say(self, message: str) -> None:
        """See `Progress.say`."""
        self._console.print(f"… {message}", markup=False)
