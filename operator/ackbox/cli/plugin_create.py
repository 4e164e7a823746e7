"""`kubectl ack create`: the manifests of a cluster from a few options, as ACK's console makes it from a form."""

from typing import Any

import click

from ackbox.cli.base import Refusal, example
from ackbox.cli.plugin import MANAGED_CLUSTERS, NODE_POOLS, Kubectl, at_cluster, cluster_name, main, wait_option

EDITIONS = ("ack.standard", "ack.pro.small", "ack.pro.xlarge", "ack.pro.2xlarge", "ack.pro.4xlarge")
API_VERSION = "ackbox.dev/v1alpha1"
OWN_NETWORK, OWN_SUBNET = "192.168.0.0/16", "192.168.0.0/20"
"""Of the VPC that is made for a cluster when none is named."""


@main.command()
@cluster_name
@click.option("--region", default="cn-hangzhou", show_default=True, help="Id of the region.")
@click.option("--version", help="Kubernetes version; the newest one by default. See `kubectl ack versions`.")
@click.option("--edition", type=click.Choice(EDITIONS), default="ack.pro.small", show_default=True)
@click.option("--vpc", help="Name or id of a VPC; by default one is made, with the cluster's name.")
@click.option("--vswitch", "vswitches", multiple=True, help="Name or id of a vSwitch of that VPC; can be repeated.")
@click.option("--pod-cidr", default="10.32.0.0/16", show_default=True, help="Block of pod addresses (Flannel).")
@click.option("--service-cidr", default="172.19.0.0/20", show_default=True, help="Block of cluster IPs.")
@click.option("--nodes", type=click.IntRange(0, 2000), default=0, show_default=True, help="Size of a first node pool.")
@click.option("--instance-type", default="ecs.g6.xlarge", show_default=True, help="Of its machines.")
@click.option("--dry-run", is_flag=True, help="Print the manifests and make nothing.")
@wait_option
@at_cluster
@example("kubectl ack create demo --nodes 3", "kubectl ack create demo --vpc net --vswitch net-h --dry-run > demo.yaml")
def create(kubectl: Kubectl, cluster: str, dry_run: bool, wait: bool, **options: Any) -> None:
    """Create a managed cluster, and a VPC and a node pool for it if that is asked for."""
    import yaml

    made = manifests(cluster, **options)
    text = yaml.safe_dump_all(made, sort_keys=False)
    if dry_run:
        click.echo(text, nl=False)
        return
    kubectl.run("create", "-f", "-", stdin=text)
    if wait:
        kubectl.wait(f"{MANAGED_CLUSTERS}/{cluster}", "condition=Ready")
        if options["nodes"]:
            kubectl.wait(f"{NODE_POOLS}/{cluster}", "condition=Ready")


def manifests(
    name: str,
    region: str,
    version: str | None,
    edition: str,
    vpc: str | None,
    vswitches: tuple[str, ...],
    pod_cidr: str,
    service_cidr: str,
    nodes: int,
    instance_type: str,
) -> list[dict[str, Any]]:
    """The objects to create: the VPC if none is named, the cluster, and the pool if it is to have nodes.

    Raises:
        Refusal: the options don't go together.
    """
    if vpc is None and vswitches:
        raise Refusal("--vswitch names a part of a VPC: say which by --vpc")
    if vpc is not None and not vswitches and nodes:
        raise Refusal("--nodes needs a place for them: name a vSwitch of the VPC by --vswitch")
    made = []
    if vpc is None:
        vpc, vswitches = name, (name,)
        made.append(_vpc(name, region))
    spec: dict[str, Any] = {
        "clusterSpec": edition,
        "regionId": region,
        "vpcId": vpc,
        "vswitchIds": list(vswitches),
        "containerCidr": pod_cidr,
        "serviceCidr": service_cidr,
    }
    if version is not None:
        spec["kubernetesVersion"] = version
    made.append(_object("ManagedCluster", name, spec))
    if nodes:
        group = {"desiredSize": nodes, "instanceTypes": [instance_type], "vswitchIds": list(vswitches)}
        made.append(_object("NodePool", name, {"clusterId": name, "scalingGroup": group}))
    return made


def _vpc(name: str, region: str) -> dict[str, Any]:
    from ackbox.catalog.regions import regions

    if region not in regions():
        raise Refusal(f"--region {region}; allowed: {', '.join(regions())}")
    vswitch = {"vSwitchName": name, "zoneId": regions()[region].zones[0], "cidrBlock": OWN_SUBNET}
    return _object("VPC", name, {"regionId": region, "cidrBlock": OWN_NETWORK, "vswitches": [vswitch]})


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
