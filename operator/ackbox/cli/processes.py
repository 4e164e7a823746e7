"""The long-running processes of ackbox itself; `ackbox up` and the Helm chart start them."""

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ackbox.cli.base import Refusal, catalog_folder, example, use_catalog

if TYPE_CHECKING:
    from ackbox.kube.settings import Settings

process_kubeconfig = click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How to reach the management cluster, and as whom.  [default: ACKBOX_KUBECONFIG]",
)


@click.command()
@process_kubeconfig
@catalog_folder
@example("ackbox operator")
def operator(kubeconfig: Path | None, catalog: Path | None) -> None:
    """Run the cloud side: clusters, node pools, instances, load balancers. `ackbox up` does it."""
    use_catalog(catalog)
    from ackbox.cloud.main import run

    _serve("operator", run, kubeconfig)


@click.command()
@process_kubeconfig
@catalog_folder
@click.option("--cluster", metavar="NAMESPACE/NAME", help="Serve this ManagedCluster only.")
@example("ackbox ccm", "ackbox ccm --cluster team-a/demo")
def ccm(kubeconfig: Path | None, catalog: Path | None, cluster: str | None) -> None:
    """Run the cloud controller managers of the workload clusters. `ackbox up` does it."""
    use_catalog(catalog)
    from ackbox.ccm.main import run

    _serve("ccm", run, kubeconfig, cluster)


@click.command()
@process_kubeconfig
@catalog_folder
@example("ackbox slb")
def slb(kubeconfig: Path | None, catalog: Path | None) -> None:
    """Run the load balancers' control of Envoy, and the responder. `ackbox up` does it."""
    use_catalog(catalog)
    from ackbox.dataplane.main import run

    _serve("slb", run, kubeconfig)


@click.command()
@example("ackbox envoy")
def envoy() -> None:
    """Run the Envoy of a data plane in a Pod, beside `ackbox slb`; `ackbox up` runs one by itself."""
    from ackbox.kube.settings import from_environment
    from ackbox.runtime import envoy as config
    from ackbox.runtime import tools
    from ackbox.runtime.errors import RuntimeProblem
    from ackbox.runtime.files import write_private

    try:
        settings = from_environment()
        command = config.command(tools.envoy(), settings.home / "envoy.json")
    except KeyError as error:
        raise Refusal(f"`ackbox envoy` is started in a Pod; by hand it needs {error.args[0]} to be set") from None
    except RuntimeProblem as error:
        raise Refusal(str(error)) from error
    write_private(settings.home / "envoy.json", config.bootstrap(settings.run))
    os.execv(command[0], command)  # noqa: S606 - Envoy gets the signals of the Pod, with nobody between


def _serve(
    name: str,
    run: "Callable[[Settings], Coroutine[None, None, None]]",
    kubeconfig: Path | None,
    cluster: str | None = None,
) -> None:
    from ackbox.kube.process import run_process
    from ackbox.kube.settings import from_environment

    try:
        settings = from_environment(kubeconfig, cluster)
    except KeyError as error:
        raise Refusal(
            f"`ackbox {name}` is started by `ackbox up`; by hand it needs {error.args[0]} to be set"
        ) from None
    run_process(name, run, settings)
