"""`kubectl ack`: what one does with ACK clusters, as commands. Each is a call or two of kubectl, which knows the way.

kubectl runs the program `kubectl-ack` on PATH when somebody says `kubectl ack`; its own options stand behind the command.
"""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from ackbox.cli.base import Commands, Refusal, example

READY_SECONDS = 600
COMPLETION_SECONDS = 5
"""How long somebody who pressed Tab is let wait."""
MANAGED_CLUSTERS, NODE_POOLS = "managedclusters.ackbox.dev", "nodepools.ackbox.dev"
"""As kubectl takes them wherever other kinds have the same short names."""
WHERE = ("namespace", "context", "kubeconfig")
"""kubectl's options that say which cluster and which account."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the options that say where."""

    options: tuple[str, ...]

    @classmethod
    def at(cls, given: Mapping[str, Any]) -> "Kubectl":
        """By the options of a command, those of them that are `WHERE`."""
        return cls(tuple(f"--{name}={given[name]}" for name in WHERE if given.get(name)))

    def run(self, *arguments: str, stdin: str | None = None) -> None:
        """Run it in the user's sight; its exit code is ours when it fails."""
        done = subprocess.run(self.command(*arguments), input=stdin, text=True, check=False)
        if done.returncode:
            sys.exit(done.returncode)

    def read(self, *arguments: str) -> str:
        """What it prints to stdout; its error text is the user's, and its exit code ours, when it fails."""
        done = subprocess.run(self.command(*arguments), stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        return done.stdout

    def wait(self, what: str, condition: str) -> None:
        """Wait until something is so."""
        self.run("wait", f"--for={condition}", f"--timeout={READY_SECONDS}s", what)

    def command(self, *arguments: str) -> list[str]:
        """Its command line.

        Raises:
            Refusal: there is no kubectl.
        """
        program = shutil.which("kubectl")
        if program is None:
            raise Refusal("kubectl is not on PATH; `ackbox up` puts one into bin/ of the home")
        return [program, *arguments, *self.options]


def at_cluster(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command kubectl's options that say where, and kubectl with them as its first argument."""

    @click.option("-n", "--namespace", help="Namespace; that of the context by default.")
    @click.option("--context", help="Context of the kubeconfig.")
    @click.option("--kubeconfig", type=click.Path(), help="The kubeconfig; KUBECONFIG by default.")
    @wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> None:
        where = {name: options.pop(name) for name in WHERE}
        function(Kubectl.at(where), *arguments, **options)

    return wrapper


def names_of(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completion by the objects of a kind, where the options that stand already say; none when they can't be had."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        try:
            command = Kubectl.at(context.params).command("get", kind, "-o", "name")
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMPLETION_SECONDS, check=False)
        except (Refusal, subprocess.TimeoutExpired):
            return []
        names = (line.partition("/")[2] for line in done.stdout.splitlines())
        return [name for name in names if name.startswith(incomplete)]

    return complete


cluster_name = click.argument("cluster", shell_complete=names_of(MANAGED_CLUSTERS))
wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is so.")
output_option = click.option("-o", "--output", help="As kubectl takes it: json, yaml, wide, name, jsonpath=…")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ackbox")
def main() -> None:
    """Work with the ACK clusters of an ackbox, in any cluster that ackbox is installed in."""


@main.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every account.")
@output_option
@at_cluster
@example("kubectl ack list", "kubectl ack list -A -o wide")
def list_clusters(kubectl: Kubectl, all_namespaces: bool, output: str | None) -> None:
    """Show the clusters."""
    kubectl.run("get", MANAGED_CLUSTERS, *["--all-namespaces"] * all_namespaces, *_format(output))


@main.command()
@cluster_name
@at_cluster
@example("kubectl ack kubeconfig demo > demo.kubeconfig")
def kubeconfig(kubectl: Kubectl, cluster: str) -> None:
    """Print the kubeconfig of a cluster's administrator."""
    text = kubectl.read("get", "secret", f"{cluster}-kubeconfig", "-o", "jsonpath={.data.value}")
    click.echo(base64.b64decode(text).decode(), nl=False)


@main.command()
@cluster_name
@click.argument("version")
@wait_option
@at_cluster
@example("kubectl ack upgrade demo 1.36.3-aliyun.1")
def upgrade(kubectl: Kubectl, cluster: str, version: str, wait: bool) -> None:
    """Upgrade the control plane of a cluster; its node pools follow by their own settings."""
    _patch(kubectl, cluster, {"kubernetesVersion": version})
    if wait:
        kubectl.wait(f"{MANAGED_CLUSTERS}/{cluster}", "condition=Ready")


@main.command()
@example("kubectl ack versions")
def versions() -> None:
    """Show the Kubernetes versions that clusters can have, the newest first."""
    from ackbox.catalog.versions import offer

    for version in offer().versions:
        click.echo(f"{version.name}{'' if version in offer().creatable else '  (not for new clusters)'}")


@main.command()
@cluster_name
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is gone.")
@at_cluster
@example("kubectl ack delete demo")
def delete(kubectl: Kubectl, cluster: str, wait: bool) -> None:
    """Delete a cluster with its node pools and load balancers. Its VPC stays."""
    kubectl.run("delete", MANAGED_CLUSTERS, cluster, f"--wait={str(wait).lower()}")


@main.command()
@cluster_name
@output_option
@at_cluster
@example("kubectl ack nodepools demo")
def nodepools(kubectl: Kubectl, cluster: str, output: str | None) -> None:
    """Show the node pools of a cluster."""
    pools = json.loads(kubectl.read("get", NODE_POOLS, "-o", "json"))["items"]
    names = [pool["metadata"]["name"] for pool in pools if pool["spec"]["clusterId"] == cluster]
    if not names:
        raise Refusal(f"no node pool has spec.clusterId: {cluster}")
    kubectl.run("get", NODE_POOLS, *names, *_format(output))


@main.command()
@cluster_name
@output_option
@at_cluster
@example("kubectl ack nodes demo")
def nodes(kubectl: Kubectl, cluster: str, output: str | None) -> None:
    """Show the machines of a cluster."""
    kubectl.run("get", "instances.ackbox.dev", "-l", f"ackbox.dev/cluster={cluster}", *_format(output))


@main.command()
@click.argument("pool", shell_complete=names_of(NODE_POOLS))
@click.argument("size", type=click.IntRange(0, 2000))
@wait_option
@at_cluster
@example("kubectl ack scale demo 5")
def scale(kubectl: Kubectl, pool: str, size: int, wait: bool) -> None:
    """Give a node pool so many machines."""
    kubectl.run("scale", f"{NODE_POOLS}/{pool}", f"--replicas={size}")
    if wait:
        kubectl.wait(f"{NODE_POOLS}/{pool}", "condition=Ready")


@main.command()
@cluster_name
@wait_option
@at_cluster
@example("kubectl ack hibernate demo")
def hibernate(kubectl: Kubectl, cluster: str, wait: bool) -> None:
    """Stop the control plane of a cluster and keep its data (ackbox's own: the cloud has no such state)."""
    _patch(kubectl, cluster, {"emulation": {"hibernated": True}})
    if wait:
        kubectl.wait(f"{MANAGED_CLUSTERS}/{cluster}", "jsonpath={.status.phase}=hibernated")


@main.command()
@cluster_name
@wait_option
@at_cluster
@example("kubectl ack wake demo")
def wake(kubectl: Kubectl, cluster: str, wait: bool) -> None:
    """Start the control plane of a cluster that hibernates."""
    _patch(kubectl, cluster, {"emulation": {"hibernated": False}})
    if wait:
        kubectl.wait(f"{MANAGED_CLUSTERS}/{cluster}", "condition=Ready")


def _patch(kubectl: Kubectl, cluster: str, spec: dict[str, Any]) -> None:
    kubectl.run("patch", MANAGED_CLUSTERS, cluster, "--type=merge", "-p", json.dumps({"spec": spec}))


def _format(output: str | None) -> list[str]:
    return ["-o", output] if output else []
