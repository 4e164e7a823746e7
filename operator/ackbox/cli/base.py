"""What every command shares: errors for people, exit codes, examples, output forms, and the way into the event loop."""

import asyncio
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ackbox.runtime.home import Home

NO_LINUX = """ackbox runs on Linux (WSL2 too), on x86-64 and arm64.
Here, make a cluster with kind (https://kind.sigs.k8s.io) and install ackbox into it with its Helm chart."""


class ExitCode(IntEnum):
    """How a command ends; documented in `ackbox --help`."""

    DONE = 0
    REFUSED = 1
    """It could not be done; the message says why and what to do."""
    USAGE = 2
    """The command line is wrong (click's own)."""
    DOWN = 3
    """There is no ackbox in the home, or it is down."""
    UNWELL = 4
    """It was looked at, and something is not as it should be."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM, as shells have it."""


class Refusal(click.ClickException):
    """An error that the user can do something about, printed without a traceback."""

    def show(self, file: Any = None) -> None:  # noqa: ARG002
        """Print it to stderr."""
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(self.message, err=True)


class Down(Refusal):
    """There is no ackbox, or it is down."""

    exit_code = ExitCode.DOWN


class Interrupted(Refusal):
    """Somebody ended it."""

    exit_code = ExitCode.INTERRUPTED


class Commands(click.Group):
    """Turns errors that are meant for the user into one screen, wherever a command raises them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        from ackbox.kube.connection import KubeconfigError
        from ackbox.kube.errors import ApiError
        from ackbox.runtime.errors import NoHome, RuntimeProblem

        try:
            return super().invoke(ctx)
        except NoHome as error:
            raise Down(str(error)) from error
        except (RuntimeProblem, ApiError, KubeconfigError) as error:
            raise Refusal(str(error)) from error
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except OSError as error:
            if error.filename is None:
                raise  # a closed pipe or the like: nothing that the user named
            raise Refusal(f"{error.filename}: {error.strerror}") from error


def example(*lines: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add examples to a command's help."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        block = "\n".join(f"  {line}" for line in lines)
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n\b\nExamples:\n{block}\n"
        return function

    return add


catalog_folder = click.option(
    "--catalog",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder whose files replace those of the same name in ackbox's catalog: versions.yaml, quotas.yaml, …",
)


def use_catalog(folder: Path | None) -> None:
    """Let this process and those that it starts read the folder of `--catalog`."""
    from ackbox.catalog.data import CATALOG_VARIABLE

    if folder is not None:
        os.environ[CATALOG_VARIABLE] = str(folder.absolute())


output = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for programs.",
)


def print_json(document: object) -> None:
    """Write a document to stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def require_linux() -> None:
    """Refuse other systems with the way that is open there."""
    if sys.platform != "linux":
        raise Refusal(NO_LINUX)


def this_home() -> "Home":
    """The home that the environment names.

    Raises:
        NoHome: there is none.
    """
    from ackbox.runtime.home import home_path, load

    return load(home_path())


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; SIGTERM is taken like Ctrl-C, so that what was started half-way is stopped again."""

    async def cancellable() -> Any:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(cancellable())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Interrupted("interrupted") from None
