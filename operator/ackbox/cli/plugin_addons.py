"""`kubectl ack addons`: what is installed, installing and taking away, as ACK's InstallClusterAddons and its like do."""

import json
from typing import Any

import click

from ackbox.cli.base import example
from ackbox.cli.plugin import MANAGED_CLUSTERS, Kubectl, at_cluster, cluster_name, main


@main.group()
def addons() -> None:
    """The components of a cluster."""


@addons.command("list")
@cluster_name
@at_cluster
@example("kubectl ack addons list demo")
def list_addons(kubectl: Kubectl, cluster: str) -> None:
    """Show the addons of a cluster with their versions and states."""
    for each in _read(kubectl, cluster).get("status", {}).get("addons", ()):
        click.echo(f"{each['name']:32} {each['version']:24} {each['state']} {each.get('message', '')}".rstrip())


@addons.command()
@cluster_name
@click.argument("addon")
@click.option("--version", help="The newest one that goes with the cluster by default.")
@click.option("--config", help="JSON.")
@at_cluster
@example("kubectl ack addons install demo metrics-server")
def install(kubectl: Kubectl, cluster: str, addon: str, version: str | None, config: str | None) -> None:
    """Install an addon, or change its version or configuration."""
    given = {"name": addon, "version": version, "config": config}
    _write(kubectl, cluster, {key: value for key, value in given.items() if value is not None})


@addons.command()
@cluster_name
@click.argument("addon")
@at_cluster
@example("kubectl ack addons uninstall demo metrics-server")
def uninstall(kubectl: Kubectl, cluster: str, addon: str) -> None:
    """Take an addon away, even one that comes by itself."""
    _write(kubectl, cluster, {"name": addon, "disabled": True})


def replaced(addons: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """The addons with this row in the place of that of the same name, or at the end."""
    if any(each["name"] == row["name"] for each in addons):
        return [row if each["name"] == row["name"] else each for each in addons]
    return [*addons, row]


def _read(kubectl: Kubectl, cluster: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl.read("get", MANAGED_CLUSTERS, cluster, "-o", "json"))
    return found


def _write(kubectl: Kubectl, cluster: str, row: dict[str, Any]) -> None:
    found = _read(kubectl, cluster)
    # The list is replaced whole, so it must still be the one that was read.
    version = {"resourceVersion": found["metadata"]["resourceVersion"]}
    patch = {"metadata": version, "spec": {"addons": replaced(found["spec"].get("addons", []), row)}}
    kubectl.run("patch", MANAGED_CLUSTERS, cluster, "--type=merge", "-p", json.dumps(patch))
