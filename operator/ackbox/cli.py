"""The command line. Imports stand inside the commands, so that `--help` answers at once."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ackbox.kube.settings import Settings
    from ackbox.runtime.home import Home

NO_LINUX = """ackbox runs on Linux (WSL2 too), on x86-64 and arm64.
Here, make a cluster with kind (https://kind.sigs.k8s.io) and install ackbox into it with its Helm chart."""


class Refusal(click.ClickException):
    """An error that the user can do something about, printed without a traceback."""

    def show(self, file: Any = None) -> None:  # noqa: ARG002
        """Print it to stderr."""
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(self.message, err=True)


class Commands(click.Group):
    """Turns errors that are meant for the user into one screen, wherever a command raises them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        from ackbox.kube.connection import KubeconfigError
        from ackbox.kube.errors import ApiError
        from ackbox.runtime.errors import RuntimeProblem

        try:
            return super().invoke(ctx)
        except (RuntimeProblem, ApiError, KubeconfigError) as error:
            raise Refusal(str(error)) from error


def example(*lines: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add examples to a command's help."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        block = "\n".join(f"  {line}" for line in lines)
        function.__doc__ = f"{(function.__doc__ or '').rstrip()}\n\n\b\nExamples:\n{block}\n"
        return function

    return add


catalog_folder = click.option(
    "--catalog",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder whose files replace those of the same name in ackbox's catalog: versions.yaml, quotas.yaml, …",
)


def _use_catalog(folder: Path | None) -> None:
    from ackbox.catalog.data import CATALOG_VARIABLE

    if folder is not None:
        os.environ[CATALOG_VARIABLE] = str(folder.absolute())


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ackbox")
def main() -> None:
    """Alibaba Cloud ACK in a box: managed clusters, node pools and load balancers on this machine.

    State is kept in .ackbox of the working directory, or in the folder that ACKBOX_HOME names.
    """


@main.command()
@click.option("--plane-only", is_flag=True, help="Start no process of ackbox itself, to run them by hand.")
@catalog_folder
@example("ackbox up", "ACKBOX_HOME=~/second ackbox up", "ackbox up --catalog ./my-catalog")
def up(plane_only: bool, catalog: Path | None) -> None:
    """Start the management cluster and ackbox. Run again it changes nothing."""
    _require_linux()
    _use_catalog(catalog)
    from ackbox.runtime.home import home_path, prepare
    from ackbox.runtime.launch import Launch
    from ackbox.runtime.progress import Terminal

    home = prepare(home_path())
    _run(Launch(home, Terminal()).up(own_processes=not plane_only))
    click.echo(f"ackbox is up. Use it with:  export KUBECONFIG={home.kubeconfig}")


@main.command()
@click.argument("minors", nargs=-1, metavar="[MINOR]...")
@example("ackbox fetch", "ackbox fetch 1.35 1.36")
def fetch(minors: tuple[str, ...]) -> None:
    """Get the programs of Kubernetes minor versions now, all of them unless some are named, so that none is waited for later."""
    _require_linux()
    from ackbox.runtime import tools
    from ackbox.runtime.management import fetch_binaries
    from ackbox.runtime.progress import Terminal

    unknown = [minor for minor in minors if minor not in tools.KUBERNETES_PATCHES]
    if unknown:
        raise Refusal(f"no such minor version: {', '.join(unknown)}; allowed: {', '.join(tools.KUBERNETES_PATCHES)}")
    _run(fetch_binaries(minors or tuple(tools.KUBERNETES_PATCHES), Terminal()))


@main.command()
@example("ackbox down", "ackbox down && ackbox up")
def down() -> None:
    """Stop everything. All state is kept; addresses and ports stay the same at the next start."""
    from ackbox.runtime.launch import Launch
    from ackbox.runtime.progress import Terminal

    home = _existing_home()
    if home is not None:
        _run(Launch(home, Terminal()).down())


@main.command()
@example("ackbox clean")
def clean() -> None:
    """Stop everything and remove all state of this home. The shared cache of binaries stays."""
    from ackbox.runtime.home import remove
    from ackbox.runtime.launch import Launch
    from ackbox.runtime.progress import Terminal

    home = _existing_home()
    if home is not None:
        _run(Launch(home, Terminal()).down())
        remove(home)


@main.command()
@example("ackbox status")
def status() -> None:
    """Show every supervised process. Ends with 1 when one of them doesn't run."""
    from rich.console import Console
    from rich.table import Table

    from ackbox.runtime.home import home_path, load
    from ackbox.runtime.supervisor import State, Supervisor

    home = load(home_path())
    supervisor = Supervisor(home)
    if not _run(supervisor.running()):
        raise Refusal(f"the ackbox in {home.path} is down; start it with `ackbox up`")
    table = Table("program", "state", "pid", "since", box=None, header_style="bold")
    statuses = _run(supervisor.statuses())
    for each in statuses:
        color = "green" if each.state is State.RUNNING else "red"
        since = each.description.rpartition("uptime ")[2]
        table.add_row(each.name, f"[{color}]{each.state.name.lower()}", str(each.pid or ""), since)
    Console().print(f"home {home.path}, addresses {home.loopback}", highlight=False, soft_wrap=True)
    Console().print(table)
    sys.exit(0 if all(each.state is State.RUNNING for each in statuses) else 1)


@main.command()
@click.argument("program", required=False)
@click.option("-n", "--lines", default=40, show_default=True, help="How many of the last lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on as the program writes.")
@example("ackbox logs", "ackbox logs operator -f", "ackbox logs kube-apiserver -n 200")
def logs(program: str | None, lines: int, follow: bool) -> None:
    """Show the log of a program, or the list of programs that have one."""
    from ackbox.runtime.home import home_path, load

    home = load(home_path())
    found = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    if program is None:
        click.echo("\n".join(found))
        return
    if program not in found:
        raise Refusal(f"{program} has no log; these have: {', '.join(found)}")
    how = ["--follow=name", "--retry"] if follow else []
    os.execvp("tail", ["tail", "-n", str(lines), *how, str(found[program])])  # noqa: S606


@main.command()
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the ManagedCluster.")
@example(
    "ackbox kubeconfig demo > demo.kubeconfig", "kubectl --kubeconfig <(ackbox kubeconfig demo -n team-a) get nodes"
)
def kubeconfig(name: str, namespace: str) -> None:
    """Print the kubeconfig of a ManagedCluster."""
    from ackbox.kube.connection import load_kubeconfig

    path = os.environ.get("ACKBOX_KUBECONFIG")
    if path is None:
        from ackbox.runtime.home import home_path, load

        path = str(load(home_path()).kubeconfig)
    click.echo(_run(_read_kubeconfig(load_kubeconfig(Path(path)), name, namespace)), nl=False)


async def _read_kubeconfig(connection: Any, name: str, namespace: str) -> str:
    import base64

    from ackbox.kube.client import SECRET, Client
    from ackbox.kube.errors import NotFound

    async with Client(connection) as client:
        try:
            secret = await client.get(SECRET, f"{name}-kubeconfig", namespace)
        except NotFound:
            raise Refusal(
                f"the ManagedCluster {name} in namespace {namespace} has no kubeconfig (yet); "
                f"see `kubectl get managedclusters -n {namespace}`"
            ) from None
    return base64.b64decode(secret["data"]["value"]).decode()


process_kubeconfig = click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How to reach the management cluster, and as whom.  [default: ACKBOX_KUBECONFIG]",
)


@main.command()
@process_kubeconfig
@catalog_folder
@example("ackbox operator")
def operator(kubeconfig: Path | None, catalog: Path | None) -> None:
    """Run the cloud side: clusters, node pools, instances, load balancers. `ackbox up` does it."""
    _use_catalog(catalog)
    from ackbox.cloud.main import run

    _serve("operator", run, kubeconfig)


@main.command()
@process_kubeconfig
@catalog_folder
@click.option("--cluster", metavar="NAMESPACE/NAME", help="Serve this ManagedCluster only.")
@example("ackbox ccm", "ackbox ccm --cluster team-a/demo")
def ccm(kubeconfig: Path | None, catalog: Path | None, cluster: str | None) -> None:
    """Run the cloud controller managers of the workload clusters. `ackbox up` does it."""
    _use_catalog(catalog)
    from ackbox.ccm.main import run

    _serve("ccm", run, kubeconfig, cluster)


@main.command()
@process_kubeconfig
@catalog_folder
@example("ackbox slb")
def slb(kubeconfig: Path | None, catalog: Path | None) -> None:
    """Run the load balancers' control of Envoy, and the responder. `ackbox up` does it."""
    _use_catalog(catalog)
    from ackbox.dataplane.main import run

    _serve("slb", run, kubeconfig)


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


def _require_linux() -> None:
    if sys.platform != "linux":
        raise Refusal(NO_LINUX)


def _existing_home() -> "Home | None":
    from ackbox.runtime.home import home_path, load

    path = home_path()
    if not (path / "state.json").exists():
        click.echo(f"there is no ackbox in {path}; nothing to do")
        return None
    return load(path)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; SIGTERM is taken like Ctrl-C, so that what was started half-way is stopped again."""

    async def cancellable() -> Any:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(cancellable())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Refusal("interrupted") from None


if __name__ == "__main__":
    main()
