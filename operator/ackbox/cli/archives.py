"""Commands that carry a home, or the programs that homes run, to another machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ackbox.cli.base import Refusal, example, output, print_json, require_linux, run, this_home

if TYPE_CHECKING:
    from ackbox.runtime.bundle import Bundled

written = click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
read = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def snapshot() -> None:
    """A whole home in a file: to start CI from a prepared state, or to go on elsewhere."""


@snapshot.command("save")
@written
@example("ackbox down && ackbox snapshot save prepared.tar.gz && ackbox up")
def snapshot_save(file: Path) -> None:
    """Write the home, which must be down, into a file.

    The file holds the keys of the home: whoever has it may do everything there. It holds no programs; see `ackbox bundle`.
    """
    from ackbox.runtime.progress import Terminal
    from ackbox.runtime.snapshot import save

    home = this_home()
    run(save(home, file.absolute(), Terminal()))
    click.echo(f"{home.path} is in {file}; it becomes a home again with `ackbox snapshot restore {file}`")


@snapshot.command("restore")
@read
@example("ackbox snapshot restore prepared.tar.gz && ackbox up", "ACKBOX_HOME=~/copy ackbox snapshot restore FILE")
def snapshot_restore(file: Path) -> None:
    """Make a home from a file, in the folder that ACKBOX_HOME names; there must be none yet. It isn't started.

    The home keeps its loopback addresses where they are free, and gets others where they are not. Clusters with an etcd of
    their own can't get others: then nothing is restored.
    """
    require_linux()
    from ackbox.runtime.home import home_path
    from ackbox.runtime.progress import Terminal
    from ackbox.runtime.snapshot import restore

    home = restore(file.absolute(), home_path(), Terminal())
    if home.moved_from is not None:
        click.echo(f"its addresses in {home.moved_from} are taken here, so it gets others, in {home.loopback}")
    click.echo(f"{home.path} is ready; start it with `ackbox up`")


@click.group()
def bundle() -> None:
    """The programs that ackbox runs in a file, for machines that reach no network."""


@bundle.command("save")
@written
@click.argument("minors", nargs=-1, metavar="[MINOR]...")
@output
@example("ackbox bundle save programs.tar.gz", "ackbox bundle save programs.tar.gz 1.36")
def bundle_save(file: Path, minors: Sequence[str], output: str) -> None:
    """Write etcd, KWOK and the programs of Kubernetes minor versions, all of them unless some are named, into a file."""
    require_linux()
    from ackbox.runtime.bundle import save
    from ackbox.runtime.progress import Terminal
    from ackbox.runtime.tools import KUBERNETES_PATCHES

    check_minors(minors)
    _show(run(save(file.absolute(), minors or tuple(KUBERNETES_PATCHES), Terminal())), output)


@bundle.command("load")
@read
@output
@example("ackbox bundle load programs.tar.gz && ackbox up")
def bundle_load(file: Path, output: str) -> None:
    """Put the programs of a file where ackbox looks for them, so that it needs no network."""
    require_linux()
    from ackbox.runtime.bundle import known, load
    from ackbox.runtime.progress import Terminal

    bundled = run(load(file.absolute(), Terminal()))
    _show(bundled, output)
    for each in bundled:
        if not known(each):
            click.echo(f"this ackbox runs another version than {each.name} {each.version}", err=True)


def check_minors(minors: Sequence[str]) -> None:
    """Refuse Kubernetes minor versions that ackbox doesn't run."""
    from ackbox.runtime.tools import KUBERNETES_PATCHES

    unknown = [minor for minor in minors if minor not in KUBERNETES_PATCHES]
    if unknown:
        raise Refusal(f"no such minor version: {', '.join(unknown)}; allowed: {', '.join(KUBERNETES_PATCHES)}")


def _show(bundled: "Sequence[Bundled]", output: str) -> None:
    if output == "json":
        print_json([{"name": each.name, "version": each.version, "sha256": each.digests} for each in bundled])
        return
    for each in bundled:
        click.echo(f"{each.name} {each.version}: {', '.join(each.digests)}")
