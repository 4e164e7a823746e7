"""ManagedCluster: an ACK cluster. Field names and limits follow ACK's CreateCluster."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ackbox.resources.base import (
    AGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    Model,
    Resource,
    Rule,
    Status,
    Tag,
    ackbox_kind,
    immutable,
    keyed,
)

MANAGED_CLUSTER = ackbox_kind("managedclusters", "ManagedCluster")

NETWORK_PLUGINS = ("flannel", "terway-eniip")
"""Addons that are network plug-ins; a cluster has exactly one and keeps it."""


class ClusterPhase(StrEnum):
    """ACK's own state words."""

    INITIAL = "initial"
    RUNNING = "running"
    UPDATING = "updating"
    SCALING = "scaling"
    WAITING = "waiting"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    DELETING = "deleting"


class Addon(Model):
    """A component to install."""

    name: Annotated[str, Field(max_length=63)]
    version: str | None = None
    config: str | None = None
    disabled: bool = False


class SecretReference(Model):
    """A Secret of the same namespace."""

    name: str
    key: str = "value"


class ServiceSelector(Model):
    """Which Services of a registered cluster ackbox serves, beside those that ask by `loadBalancerClass`."""

    match_labels: Annotated[dict[str, str], Field(max_length=16)] = {}


class ExternalCluster(Model):
    """How a registered cluster is reached. The kubeconfig is its owner's, so it is not trusted."""

    kubeconfig_secret_ref: SecretReference
    allowed_cidrs: Annotated[list[str], Field(max_length=32)] = []
    """Addresses that ackbox may dial for this cluster: its API server and its backends. None by default."""
    service_selector: ServiceSelector | None = None


class ManagedClusterSpec(Model):
    """What the user wants."""

    cluster_type: Literal["ManagedKubernetes", "ExternalKubernetes"] = "ManagedKubernetes"
    profile: Literal["Default"] = "Default"
    cluster_spec: Literal["ack.standard", "ack.pro.small"] = "ack.standard"
    region_id: str
    kubernetes_version: str | None = None
    vpc_id: Annotated[str, Field(min_length=1)] | None = None
    vswitch_ids: Annotated[list[str], Field(max_length=5)] = []
    pod_vswitch_ids: Annotated[list[str], Field(max_length=5)] = []
    container_cidr: Annotated[str, Field(max_length=43)] | None = None
    service_cidr: Annotated[str, Field(max_length=43)] = "172.19.0.0/20"
    node_cidr_mask: Annotated[int, Field(ge=24, le=28)] = 26
    proxy_mode: Literal["ipvs", "iptables", "nftables"] = "ipvs"
    cluster_domain: str = "cluster.local"
    deletion_protection: bool = False
    timezone: str | None = None
    resource_group_id: str | None = None
    addons: Annotated[list[Addon], keyed("name", max_length=64)] = []
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []
    external_cluster: ExternalCluster | None = None

    @property
    def network_plugin(self) -> str:
        """The network plug-in among the addons; Flannel is ACK's default."""
        return next((addon.name for addon in self.addons if addon.name in NETWORK_PLUGINS), "flannel")


class ManagedClusterStatus(Status):
    """What ackbox made of it."""

    cluster_id: str | None = None
    current_version: str | None = None
    endpoint: str | None = None
    vpc_id: str | None = None
    size: int | None = None


def _terway(this: str) -> str:
    # Flannel is the default, so whether Terway is there tells the plug-in.
    return f"(has({this}.addons) && {this}.addons.exists(a, a.name == 'terway-eniip'))"


class ManagedCluster(Resource):
    """An ACK cluster."""

    KIND: ClassVar = MANAGED_CLUSTER
    SHORT_NAMES: ClassVar = ("mc",)
    COLUMNS: ClassVar = (
        Column("State", ".status.phase"),
        READY_COLUMN,
        Column("Version", ".status.currentVersion"),
        Column("Region", ".spec.regionId"),
        Column("Nodes", ".status.size", "integer"),
        Column("Cluster-ID", ".status.clusterId", priority=1),
        Column("Endpoint", ".status.endpoint", priority=1),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        *(
            immutable(field)
            for field in ("clusterType", "profile", "regionId", "vpcId", "containerCidr", "serviceCidr", "nodeCidrMask")
        ),
        Rule(
            f"{_terway('self')} == {_terway('oldSelf')}",
            "the network plug-in cannot be changed after creation",
            "addons",
        ),
        Rule(
            f"!{_terway('self')} || !self.addons.exists(a, a.name == 'flannel')",
            "addons name more than one network plug-in; keep one of flannel, terway-eniip",
            "addons",
        ),
        Rule(
            "self.clusterType == 'ExternalKubernetes' ? has(self.externalCluster) : has(self.vpcId)",
            "externalCluster is required for clusterType ExternalKubernetes, vpcId for every other clusterType",
        ),
        Rule("isCIDR(self.serviceCidr)", "serviceCidr is not a CIDR block, such as 172.19.0.0/20", "serviceCidr"),
        Rule(
            "!has(self.containerCidr) || isCIDR(self.containerCidr)",
            "containerCidr is not a CIDR block, such as 10.32.0.0/16",
            "containerCidr",
        ),
        Rule(
            "!has(self.containerCidr) || !isCIDR(self.containerCidr) || !isCIDR(self.serviceCidr) || !("
            "cidr(self.containerCidr).containsCIDR(self.serviceCidr)"
            " || cidr(self.serviceCidr).containsCIDR(self.containerCidr))",
            "containerCidr and serviceCidr overlap (InvalidCIDR)",
            "containerCidr",
        ),
    )

    spec: ManagedClusterSpec
    status: ManagedClusterStatus = ManagedClusterStatus()
