"""`python -m node.harness`: a real node by hand."""

import asyncio
import os
from pathlib import Path

import click

from ackbox.runtime.progress import Terminal
from node.harness import fetching, namespaces
from node.harness.layout import Layout
from node.harness.node import Node

folder = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.group()
def main() -> None:
    """A real Kubernetes node in namespaces of its own, in FOLDER."""


@main.command()
def fetch() -> None:
    """Install, download and build all that nodes and their tests need; says so where there can be no node."""
    obstacle = fetching.obstacle()
    if obstacle:
        click.echo(obstacle)
    else:
        asyncio.run(fetching.fetch(Terminal()))


@main.command()
@folder
def up(folder: Path) -> None:
    """Start a node with a cluster, or what of it doesn't run."""
    Node(folder).up()
    click.echo(f"The node is up. Use it with:  python -m node.harness exec {folder} kubectl get pods -A")


@main.command("import")
@folder
@click.argument("minors", nargs=-1, metavar="[MINOR]...")
def import_images(folder: Path, minors: tuple[str, ...]) -> None:
    """Build the image of ackbox anew and import it, with those of control planes of Kubernetes MINOR versions."""
    node = Node(folder)
    node.import_ackbox()
    node.import_control_planes(*minors)


@main.command()
@folder
@click.argument("name")
@click.argument("bootstrap", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def join(folder: Path, name: str, bootstrap: Path) -> None:
    """Start a second kubelet as node NAME of the cluster that the kubeconfig BOOTSTRAP is of."""
    Node(folder).join(name, bootstrap)


@main.command()
@folder
def down(folder: Path) -> None:
    """End the node and remove its folder."""
    Node(folder).down()


@main.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@folder
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(folder: Path, command: tuple[str, ...]) -> None:
    """Run a COMMAND in the node's namespaces, with its kubeconfig and its kubectl."""
    layout = Layout(folder.absolute())
    os.environ["KUBECONFIG"] = str(layout.kubeconfig)
    os.environ["PATH"] = f"{layout.bin}:{os.environ['PATH']}"
    words = [*namespaces.prefix(layout), *command]
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
