"""Commands that bring a home up and down and look into it. Imports stand inside, so that `--help` answers at once."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ackbox.cli.base import (
    Down,
    ExitCode,
    Refusal,
    catalog_folder,
    example,
    output,
    print_json,
    require_linux,
    run,
    this_home,
    use_catalog,
)

if TYPE_CHECKING:
    from ackbox.runtime.home import Home
    from ackbox.runtime.supervisor import Status


def _programs(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Programs of this home that have a log, for completion."""
    from ackbox.runtime.errors import HomeProblem

    try:
        logs = this_home().logs
    except HomeProblem:
        return []
    return sorted(path.stem for path in logs.glob(f"{incomplete}*.log"))


@click.command()
@click.option("--plane-only", is_flag=True, help="Start no process of ackbox itself, to run them by hand.")
@catalog_folder
@example("ackbox up", "ACKBOX_HOME=~/second ackbox up", "ackbox up --catalog ./my-catalog")
def up(plane_only: bool, catalog: Path | None) -> None:
    """Start the management cluster and ackbox. Run again it changes nothing."""
    require_linux()
    use_catalog(catalog)
    from ackbox.runtime.home import home_path, prepare
    from ackbox.runtime.launch import Launch
    from ackbox.runtime.progress import Terminal

    home = prepare(home_path())
    run(Launch(home, Terminal()).up(own_processes=not plane_only))
    click.echo(f"ackbox is up. Use it with:  export KUBECONFIG={home.kubeconfig}")


@click.command()
@click.argument("minors", nargs=-1, metavar="[MINOR]...")
@example("ackbox fetch", "ackbox fetch 1.35 1.36")
def fetch(minors: tuple[str, ...]) -> None:
    """Get the programs of Kubernetes minor versions now, all of them unless some are named, so that none is waited for later."""
    require_linux()
    from ackbox.cli.archives import check_minors
    from ackbox.runtime import tools
    from ackbox.runtime.management import fetch_binaries
    from ackbox.runtime.progress import Terminal

    check_minors(minors)
    run(fetch_binaries(minors or tuple(tools.KUBERNETES_PATCHES), Terminal()))


@click.command()
@example("ackbox down", "ackbox down && ackbox up")
def down() -> None:
    """Stop everything. All state is kept; addresses and ports stay the same at the next start."""
    from ackbox.runtime.launch import Launch
    from ackbox.runtime.progress import Terminal

    home = _existing_home()
    if home is not None:
        run(Launch(home, Terminal()).down())


@click.command()
@example("ackbox clean")
def clean() -> None:
    """Stop everything and remove all state of this home. The shared cache of binaries stays."""
    from ackbox.runtime.home import remove
    from ackbox.runtime.launch import Launch
    from ackbox.runtime.progress import Terminal

    home = _existing_home()
    if home is not None:
        run(Launch(home, Terminal()).down())
        remove(home)


@click.command()
@output
@example("ackbox status", "ackbox status -o json | jq -r '.processes[] | select(.state != \"running\") | .name'")
def status(output: str) -> None:
    """Show every supervised process. Ends with 4 when one of them doesn't run, with 3 when none does."""
    from ackbox.runtime.supervisor import State, Supervisor

    home = this_home()
    supervisor = Supervisor(home)
    if not run(supervisor.running()):
        if output == "json":
            print_json(_status_document(home, False, ()))
        raise Down(f"the ackbox in {home.path} is down; start it with `ackbox up`")
    statuses = run(supervisor.statuses())
    if output == "json":
        print_json(_status_document(home, True, statuses))
    else:
        _show_statuses(home, statuses)
    sys.exit(ExitCode.DONE if all(each.state is State.RUNNING for each in statuses) else ExitCode.UNWELL)


def _status_document(home: "Home", up: bool, statuses: "Sequence[Status]") -> dict[str, object]:
    rows = [
        {
            "name": each.name,
            "group": each.group,
            "state": each.state.name.lower(),
            "pid": each.pid,
            "log": str(each.log),
        }
        for each in statuses
    ]
    return {
        "home": str(home.path),
        "addresses": str(home.loopback),
        "kubeconfig": str(home.kubeconfig),
        "up": up,
        "processes": rows,
    }


def _show_statuses(home: "Home", statuses: "Sequence[Status]") -> None:
    from rich.console import Console
    from rich.table import Table

    from ackbox.runtime.supervisor import State

    table = Table("program", "state", "pid", "since", box=None, header_style="bold")
    for each in statuses:
        color = "green" if each.state is State.RUNNING else "red"
        since = each.description.rpartition("uptime ")[2]
        table.add_row(each.name, f"[{color}]{each.state.name.lower()}", str(each.pid or ""), since)
    Console().print(f"home {home.path}, addresses {home.loopback}", highlight=False, soft_wrap=True)
    Console().print(table)


@click.command()
@click.argument("program", required=False, shell_complete=_programs)
@click.option("-n", "--lines", default=40, show_default=True, help="How many of the last lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on as the program writes.")
@example("ackbox logs", "ackbox logs operator -f", "ackbox logs kube-apiserver -n 200")
def logs(program: str | None, lines: int, follow: bool) -> None:
    """Show the log of a program, or the list of programs that have one."""
    home = this_home()
    found = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    if program is None:
        click.echo("\n".join(found))
        return
    if program not in found:
        raise Refusal(f"{program} has no log; these have: {', '.join(found)}")
    how = ["--follow=name", "--retry"] if follow else []
    os.execvp("tail", ["tail", "-n", str(lines), *how, str(found[program])])  # noqa: S606


def _existing_home() -> "Home | None":
    from ackbox.runtime.home import home_path, load

    path = home_path()
    if not (path / "state.json").exists():
        click.echo(f"there is no ackbox in {path}; nothing to do")
        return None
    return load(path)
