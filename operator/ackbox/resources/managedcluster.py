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
from ackbox.resources.cluster_settings import (
    Addon,
    AuditLogConfig,
    ClusterEmulation,
    ControlPlaneConfig,
    DeleteOption,
    ExternalCluster,
    LogComponent,
    MaintenanceWindow,
    OperationPolicy,
)

MANAGED_CLUSTER = ackbox_kind("managedclusters", "ManagedCluster")

NETWORK_PLUGINS = ("flannel", "terway-eniip")
"""Addons that are network plug-ins; a cluster has exactly one and keeps it."""

STORAGE_PLUGINS = ("csi-plugin", "flexvolume")
"""Addons that are storage plug-ins; CSI is ACK's default, and a cluster keeps the one it was made with."""

EMULATION_FIXED = {"footprint": "'single'", "ephemeral": "false"}
"""Fields of `emulation` that are chosen once, with their defaults as CEL writes them."""

MASTER_TYPE = "ecs.g6.xlarge"
"""What masters are when nobody says it: the smallest size of a general family that may be one."""


class ClusterPhase(StrEnum):
    """ACK's own state words."""

    INITIAL = "initial"
    RUNNING = "running"
    UPDATING = "updating"
    UPGRADING = "upgrading"
    MIGRATING = "migrating"
    SCALING = "scaling"
    UNAVAILABLE = "unavailable"
    WAITING = "waiting"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    DELETING = "deleting"
    HIBERNATED = "hibernated"
    """ackbox's own: the cloud doesn't let a cluster's control plane sleep."""


class ManagedClusterSpec(Model):
    """What the user wants."""

    cluster_type: Literal["Kubernetes", "ManagedKubernetes", "ExternalKubernetes"] = "ManagedKubernetes"
    profile: Literal["Default", "Edge", "Serverless"] = "Default"
    cluster_spec: Literal["ack.standard", "ack.pro.small", "ack.pro.xlarge", "ack.pro.2xlarge", "ack.pro.4xlarge"] = (
        "ack.standard"
    )
    region_id: str
    kubernetes_version: str | None = None
    vpc_id: Annotated[str, Field(min_length=1)] | None = None
    vswitch_ids: Annotated[list[str], Field(max_length=5)] = []
    pod_vswitch_ids: Annotated[list[str], Field(max_length=5)] = []
    container_cidr: Annotated[str, Field(max_length=43)] | None = None
    service_cidr: Annotated[str, Field(max_length=43)] = "172.19.0.0/20"
    node_cidr_mask: Annotated[int, Field(ge=24, le=28)] = 26
    ip_stack: Literal["ipv4", "dual"] = "ipv4"
    proxy_mode: Literal["ipvs", "iptables", "nftables"] = "ipvs"
    cluster_domain: Annotated[str, Field(max_length=253)] = "cluster.local"
    security_group_id: str | None = None
    is_enterprise_security_group: bool = False
    snat_entry: bool = False
    endpoint_public_access: bool = False
    extra_sans: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=20)] = []
    api_audiences: Annotated[str, Field(max_length=512)] | None = None
    service_account_issuer: Annotated[str, Field(max_length=512)] | None = None
    encryption_provider_key: Annotated[str, Field(max_length=128)] | None = None
    """Id of a KMS key: Secrets are encrypted at rest. Pro editions only."""
    audit_log_config: AuditLogConfig = AuditLogConfig()
    controlplane_log_components: Annotated[list[LogComponent], Field(max_length=10)] = []
    controlplane_log_project: Annotated[str, Field(max_length=63)] | None = None
    controlplane_log_ttl: Annotated[int, Field(ge=1, le=3650)] = 30
    maintenance_window: MaintenanceWindow = MaintenanceWindow()
    operation_policy: OperationPolicy = OperationPolicy()
    deletion_protection: bool = False
    delete_options: Annotated[list[DeleteOption], keyed("resourceType", max_length=5)] = []
    timezone: Annotated[str, Field(max_length=64)] | None = None
    """IANA name; the controllers of the control plane, CronJobs with them, go by it."""
    resource_group_id: str | None = None
    control_plane_config: ControlPlaneConfig | None = None
    addons: Annotated[list[Addon], keyed("name", max_length=64)] = []
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []
    external_cluster: ExternalCluster | None = None
    emulation: ClusterEmulation = ClusterEmulation()

    @property
    def network_plugin(self) -> str:
        """The network plug-in among the addons; Flannel is ACK's default. Serverless clusters have none: ""."""
        if self.profile == "Serverless":
            return ""
        return next((addon.name for addon in self.addons if addon.name in NETWORK_PLUGINS), "flannel")

    @property
    def pro(self) -> bool:
        """Whether it is a Pro edition."""
        return self.cluster_spec.startswith("ack.pro")

    @property
    def masters(self) -> ControlPlaneConfig | None:
        """The masters of a dedicated cluster, an instance type always among what is said of them; None elsewhere."""
        if self.cluster_type != "Kubernetes":
            return None
        config = self.control_plane_config or ControlPlaneConfig()
        return config if config.instance_types else config.model_copy(update={"instance_types": [MASTER_TYPE]})


class ControlPlaneMember(Model):
    """An API server and what runs beside it."""

    name: str
    address: str
    """Where ackbox dials it."""
    version: str
    """Kubernetes version of its API server, as ACK spells it."""
    zone_id: str | None = None
    instance_id: str | None = None
    """The master that it runs on, in a dedicated cluster."""


class AddonStatus(Model):
    """An installed addon."""

    name: str
    version: str
    state: str
    """ACK's own word: active, updating, upgrading, deleting; `failed` with a message when it doesn't come up."""
    running: bool | None = None
    """Whether named behaviour proves that it works; null for addons of which ackbox plays the state only."""
    message: str | None = None


class UpgradeFinding(Model):
    """Something that a pre-check found."""

    code: str
    message: str


class UpgradeStatus(Model):
    """The upgrade under way, or the last one."""

    next_version: str
    status: str
    """ACK's own word: running, success, fail."""
    upgrade_step: str
    """ACK's own word: prechecking, upgrading, success, or not_start when the pre-check blocks it."""
    findings: Annotated[list[UpgradeFinding], Field(max_length=100)] = []


class ManagedClusterStatus(Status):
    """What ackbox made of it."""

    cluster_id: str | None = None
    edition: str | None = None
    current_version: str | None = None
    endpoint: str | None = None
    """The API server through its load balancer, for users."""
    public_endpoint: str | None = None
    """Its public address in the cloud; nothing answers there on this machine."""
    internal_endpoint: str | None = None
    """Where ackbox's own processes dial the API server."""
    kubelet_address: str | None = None
    """Where the emulated nodes' kubelet port is served."""
    load_balancer_id: str | None = None
    """The API server's load balancer."""
    ca_fingerprint: str | None = None
    """SHA-256 of the keys in the Secret `<name>-ca` that the cluster was made with; others don't fit it."""
    security_group_id: str | None = None
    vpc_id: str | None = None
    size: int | None = None
    control_plane: Annotated[list[ControlPlaneMember], keyed("name", max_length=16)] = []
    addons: Annotated[list[AddonStatus], keyed("name", max_length=64)] = []
    upgrade: UpgradeStatus | None = None


def _has_addon(this: str, name: str) -> str:
    # Of network and of storage plug-ins one is the default, so whether the other is there tells which it is.
    return f"(has({this}.addons) && {this}.addons.exists(a, a.name == '{name}'))"


def _fixed_emulation(field: str, default: str) -> Rule:
    # Somebody may leave the emulation out at first and name it later, as `ackbox hibernate` does.
    was, now = (f"(has({this}.emulation) ? {this}.emulation.{field} : {default})" for this in ("oldSelf", "self"))
    return Rule(f"{was} == {now}", f"emulation.{field} cannot be changed after creation", "emulation")


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
            for field in (
                "clusterType",
                "profile",
                "regionId",
                "vpcId",
                "containerCidr",
                "serviceCidr",
                "nodeCidrMask",
                "ipStack",
                "proxyMode",
                "clusterDomain",
                "apiAudiences",
                "serviceAccountIssuer",
                "controlPlaneConfig",
            )
        ),
        *(_fixed_emulation(field, default) for field, default in EMULATION_FIXED.items()),
        Rule(
            "!has(self.emulation) || !self.emulation.ephemeral"
            " || (self.emulation.footprint == 'single' && self.clusterType != 'Kubernetes')",
            "emulation.ephemeral: an etcd with several members needs volumes; leave ephemeral out, or take footprint single",
            "emulation",
        ),
        Rule(
            "!has(self.emulation) || !self.emulation.hibernated || !self.emulation.ephemeral",
            "emulation.hibernated: an ephemeral cluster keeps nothing to wake with; leave hibernated out",
            "emulation",
        ),
        Rule(
            "self.clusterType != 'ExternalKubernetes' || !has(self.emulation) || !self.emulation.hibernated",
            "emulation.hibernated: the control plane of a registered cluster is its owner's; leave it out",
            "emulation",
        ),
        Rule(
            "!has(oldSelf.encryptionProviderKey)"
            " || (has(self.encryptionProviderKey) && self.encryptionProviderKey == oldSelf.encryptionProviderKey)",
            "encryptionProviderKey cannot be changed once it is set: what it encrypted could not be read any more",
            "encryptionProviderKey",
        ),
        Rule(
            "!oldSelf.clusterSpec.startsWith('ack.pro') || self.clusterSpec.startsWith('ack.pro')",
            "clusterSpec: a Pro cluster cannot be changed back to ack.standard; only the other way is open",
            "clusterSpec",
        ),
        *(
            rule
            for kind, names in (("network", NETWORK_PLUGINS), ("storage", STORAGE_PLUGINS))
            for rule in (
                Rule(
                    f"{_has_addon('self', names[1])} == {_has_addon('oldSelf', names[1])}",
                    f"the {kind} plug-in cannot be changed after creation",
                    "addons",
                ),
                Rule(
                    f"!{_has_addon('self', names[1])} || !{_has_addon('self', names[0])}",
                    f"addons name more than one {kind} plug-in; keep one of {', '.join(names)}",
                    "addons",
                ),
            )
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
