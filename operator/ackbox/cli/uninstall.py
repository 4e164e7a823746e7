"""`ackbox uninstall`: before ackbox goes from a cluster, where the Helm chart runs it by itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ackbox.cli.base import example, run

if TYPE_CHECKING:
    from ackbox.kube.connection import Connection


@click.command()
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="ACKBOX_KUBECONFIG",
    help="The cluster that ackbox is installed in.  [default: in a Pod, the Pod's own]",
)
@click.option(
    "--purge", is_flag=True, help="Delete every object of ackbox in every namespace, and the custom resources."
)
@click.option(
    "--timeout", default=240, show_default=True, help="Seconds after which a purge waits for nobody to clean up."
)
@example(
    "ackbox uninstall --kubeconfig ~/.kube/config",
    "ackbox uninstall --kubeconfig ~/.kube/config --purge && kubectl delete -k manifests/install --ignore-not-found",
)
def uninstall(kubeconfig: Path | None, purge: bool, timeout: int) -> None:
    """Say whether ackbox can be removed from a cluster, or make it so. `helm uninstall` runs it first.

    It can't while objects live that only ackbox can delete.
    """
    import logging

    from ackbox.kube.connection import connect

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run(_uninstall(connect(kubeconfig), timeout if purge else None))
    click.echo("nothing of ackbox is left that it would have to clean up")


async def _uninstall(connection: "Connection", purge_seconds: int | None) -> None:
    from ackbox.cloud.removal import purge, refuse_if_alive
    from ackbox.kube.client import Client

    async with Client(connection) as client:
        if purge_seconds is not None:
            await purge(client, purge_seconds)
        await refuse_if_alive(client)
