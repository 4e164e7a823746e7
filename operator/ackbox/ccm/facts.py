"""What the controllers of one workload cluster need to know of its ManagedCluster."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from urllib.parse import urlsplit

from ackbox.catalog.versions import offer
from ackbox.resources import ManagedCluster

PROVIDER_ID = re.compile(r"(?:alicloud://)?(?P<region>[a-z0-9-]+)\.(?P<instance>i-[a-z0-9]+)")
LOAD_BALANCER_CLASS = "ackbox.dev/clb"
"""`spec.loadBalancerClass` by which a Service of a registered cluster asks for a load balancer."""


@dataclass(frozen=True)
class ClusterFacts:
    """A workload cluster.

    Attributes:
        namespace, name, uid: its ManagedCluster.
        cluster_id: the cloud's id, part of every name that the CCM gives.
        vpc_id: reference to its VPC, if it has one.
        v_switch_id: reference to the vSwitch that private load balancers take their address from.
        external: a registered cluster: only the service controller runs, and backends are real.
        service_labels: labels by which Services of a registered cluster are chosen; empty chooses none.
        routed: whether pods are reached by routes in the VPC (Flannel) or have addresses of the VPC (Terway).
        kubelet_address: where the emulated nodes' kubelet port is served.
        kubelet_version: what emulated nodes say they run, such as `v1.36.3-aliyun.1`.
        pod_network: where the nodes' pod CIDRs are taken from; None when pods have addresses of the VPC.
    """

    namespace: str
    name: str
    uid: str
    cluster_id: str
    region: str
    vpc_id: str | None
    v_switch_id: str | None
    external: bool
    service_labels: Mapping[str, str]
    routed: bool
    kubelet_address: str
    kubelet_version: str
    pod_network: IPv4Network | None


def facts_of(cluster: ManagedCluster, server: str) -> ClusterFacts:
    """The facts of a ManagedCluster that has its cloud id; `server` is the URL of its API server."""
    assert cluster.status.cluster_id is not None
    spec = cluster.spec
    external = spec.cluster_type == "ExternalKubernetes"
    routed = not external and spec.network_plugin == "flannel"
    selector = spec.external_cluster.service_selector if spec.external_cluster else None
    return ClusterFacts(
        namespace=cluster.metadata.namespace,
        name=cluster.metadata.name,
        uid=cluster.metadata.uid,
        cluster_id=cluster.status.cluster_id,
        region=spec.region_id,
        vpc_id=spec.vpc_id,
        v_switch_id=next(iter(spec.vswitch_ids), None),
        external=external,
        service_labels=selector.match_labels if external and selector else {},
        routed=routed,
        kubelet_address=cluster.status.kubelet_address or urlsplit(server).hostname or "",
        kubelet_version="v" + (cluster.status.current_version or offer().versions[0].name).removeprefix("v"),
        pod_network=IPv4Network(spec.container_cidr) if routed and spec.container_cidr else None,
    )


def instance_id(provider_id: str | None, region: str | None = None) -> str | None:
    """The instance that a Node's providerID names; None when it isn't an ECS instance (of the region)."""
    match = PROVIDER_ID.fullmatch(provider_id or "")
    if match is None or (region is not None and match["region"] != region):
        return None
    return match["instance"]
