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
    Status,
    Tag,
    ackbox_kind,
    keyed,
)
from ackbox.resources.cluster_rules import RULES
from ackbox.resources.cluster_settings import (
    NETWORK_PLUGINS,
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
    """Dedicated, managed or registered."""
    profile: Literal["Default", "Edge", "Serverless"] = "Default"
    """Whether nodes are machines of the cloud, machines at the edge too, or none."""
    cluster_spec: Literal["ack.standard", "ack.pro.small", "ack.pro.xlarge", "ack.pro.2xlarge", "ack.pro.4xlarge"] = (
        "ack.standard"
    )
    """Standard or Pro, and how large; dedicated and registered clusters have none."""
    region_id: str
    """Region, such as `cn-hangzhou`."""
    kubernetes_version: str | None = None
    """Such as `1.36` or `1.36.3-aliyun.1`; the newest one when left out. A newer one upgrades."""
    vpc_id: Annotated[str, Field(min_length=1)] | None = None
    """Name or id of the VPC, of the same namespace."""
    vswitch_ids: Annotated[list[str], Field(max_length=5)] = []
    """Names or ids of vSwitches for the control plane; of a serverless cluster for its pods, too."""
    pod_vswitch_ids: Annotated[list[str], Field(max_length=5)] = []
    """With Terway: vSwitches that pods take their addresses from."""
    container_cidr: Annotated[str, Field(max_length=43)] | None = None
    """With Flannel: the block of the pods."""
    service_cidr: Annotated[str, Field(max_length=43)] = "172.19.0.0/20"
    """The block of Services' addresses."""
    node_cidr_mask: Annotated[int, Field(ge=24, le=28)] = 26
    """With Flannel: how large the part of `containerCidr` is that a node gets."""
    ip_stack: Literal["ipv4", "dual"] = "ipv4"
    """IPv4, or IPv4 and IPv6 (`dual`, with Terway only); kept and shown, for pods of emulated nodes have IPv4
    addresses."""
    proxy_mode: Literal["ipvs", "iptables", "nftables"] = "ipvs"
    """How nodes lead Services to pods; kept and shown, for no container runs."""
    cluster_domain: Annotated[str, Field(max_length=253)] = "cluster.local"
    """Domain of the cluster's Services."""
    security_group_id: str | None = None
    """A group of the VPC for the nodes; without it the cluster gets one of its own."""
    is_enterprise_security_group: bool = False
    """Whether its own group is an enterprise one."""
    snat_entry: bool = False
    """Whether its nodes get a way to the Internet: a NAT gateway."""
    endpoint_public_access: bool = False
    """Whether the API server's load balancer gets an elastic IP address."""
    extra_sans: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=20)] = []
    """Further names and addresses in the API server's certificate."""
    api_audiences: Annotated[str, Field(max_length=512)] | None = None
    """Audiences of ServiceAccount tokens, with commas between them."""
    service_account_issuer: Annotated[str, Field(max_length=512)] | None = None
    """Issuer of ServiceAccount tokens."""
    encryption_provider_key: Annotated[str, Field(max_length=128)] | None = None
    """Id of a KMS key: Secrets are encrypted at rest. Pro editions only."""
    audit_log_config: AuditLogConfig = AuditLogConfig()
    controlplane_log_components: Annotated[list[LogComponent], Field(max_length=10)] = []
    """Components whose logs Log Service is to collect; kept and shown."""
    controlplane_log_project: Annotated[str, Field(max_length=63)] | None = None
    """Project of Log Service that they go to; kept and shown."""
    controlplane_log_ttl: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days that they are kept there; kept and shown."""
    maintenance_window: MaintenanceWindow = MaintenanceWindow()
    operation_policy: OperationPolicy = OperationPolicy()
    deletion_protection: bool = False
    """Whether deleting it is refused."""
    delete_options: Annotated[list[DeleteOption], keyed("resourceType", max_length=5)] = []
    """What becomes of load balancers when the cluster is deleted."""
    timezone: Annotated[str, Field(max_length=64)] | None = None
    """IANA name; the controllers of the control plane, CronJobs with them, go by it."""
    resource_group_id: str | None = None
    """Resource group (`rg-…`) that the cloud config of a new cluster names, and so its Services' load balancers."""
    control_plane_config: ControlPlaneConfig | None = None
    addons: Annotated[list[Addon], keyed("name", max_length=64)] = []
    """Addons to install, beside those that come by themselves; one of the network plug-ins (`flannel` when none is
    named) and of the storage plug-ins, for good."""
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []
    """Tags in the cloud, kept and shown; keys and values must not begin with `http://` or `https://`, nor keys with
    `aliyun` or `acs:`."""
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


class ControlPlaneMember(Model):
    """An API server and what runs beside it."""

    name: str
    """Name of the API server, unique in the cluster."""
    address: str
    """Where ackbox dials it."""
    version: str
    """Kubernetes version of its API server, as ACK spells it."""
    zone_id: str | None = None
    """Zone that it stands in."""
    instance_id: str | None = None
    """The master that it runs on, in a dedicated cluster."""


class AddonStatus(Model):
    """An installed addon."""

    name: str
    """Name of the addon."""
    version: str
    """The version that is installed; empty when none is."""
    state: str
    """ACK's own word: active, updating, upgrading, deleting; `failed` with a message when it doesn't come up."""
    running: bool | None = None
    """Whether named behaviour proves that it works; null for addons of which ackbox plays the state only."""
    message: str | None = None
    """What is wrong with it, if anything is."""


class UpgradeFinding(Model):
    """Something that a pre-check found."""

    code: str
    """What kind of thing, in one word, such as `NodeNotReady`."""
    message: str
    """What it is, and what to do."""


class UpgradeStatus(Model):
    """The upgrade under way, or the last one."""

    next_version: str
    """The version that it goes to, as ACK spells it."""
    status: str
    """ACK's own word: running, success, fail."""
    upgrade_step: str
    """ACK's own word: upgrading, success, or not_start when the pre-check blocks it."""
    findings: Annotated[list[UpgradeFinding], Field(max_length=100)] = []
    """What the pre-check found; the upgrade begins once there is nothing left."""


class ManagedClusterStatus(Status):
    """What ackbox made of it."""

    phase: str | None = None
    """ACK's own word, such as `initial`, `running`, `upgrading`, `unavailable`; `hibernated` is ackbox's own."""
    cluster_id: str | None = None
    """Id in the cloud: `c` and 32 hexadecimal digits."""
    edition: str | None = None
    """Which form of ACK it is, such as `ack_standard`, `ack_pro`, `registered`: quotas differ by it."""
    current_version: str | None = None
    """Kubernetes version that it runs, as ACK spells it: that of its oldest API server."""
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
    """Id of the security group of its machines."""
    vpc_id: str | None = None
    """Id of its VPC."""
    size: int | None = None
    """How many machines it has, masters of a dedicated cluster too."""
    control_plane: Annotated[list[ControlPlaneMember], keyed("name", max_length=16)] = []
    """Its API servers; none of a registered cluster."""
    addons: Annotated[list[AddonStatus], keyed("name", max_length=64)] = []
    """The addons that are installed, or failed to be."""
    upgrade: UpgradeStatus | None = None


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
    RULES: ClassVar = RULES

    spec: ManagedClusterSpec
    status: ManagedClusterStatus = ManagedClusterStatus()
