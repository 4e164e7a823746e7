"""NodePool: an ACK node pool and its ESS scaling group. Field names follow CreateClusterNodePool."""

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
    Scale,
    Status,
    Tag,
    ackbox_kind,
    immutable,
    keyed,
)

NODE_POOL = ackbox_kind("nodepools", "NodePool")


class NodePoolPhase(StrEnum):
    """ACK's own state words."""

    INITIAL = "initial"
    ACTIVE = "active"
    SCALING = "scaling"
    UPDATING = "updating"
    REMOVING = "removing"
    DELETING = "deleting"


class SpotPriceLimit(Model):
    """The highest price to be paid for a preemptible machine."""

    instance_type: Annotated[str, Field(max_length=64)]
    """One of instanceTypes."""
    price_limit: Annotated[str, Field(max_length=16)]
    """CNY an hour: more than 0, at most three decimals."""


class ScalingGroup(Model):
    """The machines: how many, of which type, where."""

    desired_size: Annotated[int, Field(ge=0, le=5000)] = 0
    """How many machines; what `kubectl scale` changes."""
    min_size: Annotated[int, Field(ge=0, le=5000)] = 0
    """Least size of the ESS scaling group, which goes before desiredSize; leave it at 0, ACK's own."""
    max_size: Annotated[int, Field(ge=0, le=5000)] = 2000
    """Greatest size of it, likewise; leave it at 2000. Other bounds are told of, as they hinder scaling."""
    instance_types: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=10)]
    """Types of the machines, such as `ecs.g6.xlarge`, the first that can be had is taken."""
    vswitch_ids: Annotated[list[str], Field(min_length=1, max_length=8)]
    """Names or ids of vSwitches of the VPC that machines may be in."""
    instance_charge_type: Literal["PostPaid", "PrePaid"] = "PostPaid"
    """Pay-as-you-go or subscription."""
    spot_strategy: Literal["NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo"] = "NoSpot"
    """Whether the machines are preemptible, up to a price or at any."""
    multi_az_policy: Literal["PRIORITY", "COST_OPTIMIZED", "BALANCE"] = "PRIORITY"
    """`BALANCE` spreads machines evenly over zones; otherwise the first vSwitch that has room takes them."""
    spot_price_limit: Annotated[list[SpotPriceLimit], keyed("instanceType", max_length=10)] = []
    """With SpotWithPriceLimit, which needs it: the limit of each instance type; kept and shown."""
    image_type: str | None = None
    """Operating system of the nodes, such as `AliyunLinux3`."""
    system_disk_category: (
        Literal[
            "cloud_efficiency", "cloud_ssd", "cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud", "ephemeral_ssd"
        ]
        | None
    ) = None
    """Kind of the system disks, kept and shown."""
    system_disk_size: Annotated[int, Field(ge=20, le=2048)] | None = None
    """Size of the system disks in GiB, kept and shown."""
    security_group_ids: Annotated[list[str], Field(max_length=5)] = []
    """Groups of the machines, in place of the cluster's."""
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []
    """Tags of the machines, kept and shown; keys and values must not begin with `http://` or `https://`, nor keys with
    `aliyun` or `acs:`."""


class Taint(Model):
    """A Node taint."""

    key: str
    """Key of the taint."""
    value: str = ""
    """Its value; empty when left out."""
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"]
    """What it does to pods that don't tolerate it."""


class Label(Model):
    """A Node label."""

    key: str
    """Key of the label."""
    value: str = ""
    """Its value; empty when left out."""


class KubernetesConfig(Model):
    """What the nodes carry in Kubernetes."""

    labels: Annotated[list[Label], keyed("key", max_length=64)] = []
    """Labels of new nodes, beside those that the cloud gives."""
    taints: Annotated[list[Taint], keyed("key", "effect", max_length=64)] = []
    """Taints of new nodes."""
    runtime: Literal["containerd", "Sandboxed-Container.runv"] = "containerd"
    """`Sandboxed-Container.runv` gives each pod a virtual machine of its own; it needs bare metal."""
    unschedulable: bool = False
    """Whether new nodes are cordoned."""


class UpgradeConfig(Model):
    """How the nodes of a pool are upgraded."""

    max_unavailable: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many nodes at a time."""


class AutoRepairPolicy(Model):
    """How far self-healing goes."""

    restart_node: bool = True
    """Whether self-healing may restart a machine."""


class Management(Model):
    """Managed node pool settings."""

    enable: bool = False
    """Whether it is a managed node pool; autoRepair needs it, autoUpgrade doesn't."""
    auto_repair: bool = False
    """Whether self-healing looks after the nodes."""
    auto_repair_policy: AutoRepairPolicy = AutoRepairPolicy()
    auto_upgrade: bool = True
    """Whether the nodes follow an upgrade of the control plane by themselves."""
    upgrade_config: UpgradeConfig = UpgradeConfig()


class AutoScaling(Model):
    """Bounds of the cluster autoscaler."""

    enable: bool = False
    """Whether these bounds hold; nothing is scaled by itself."""
    min_instances: Annotated[int, Field(ge=0, le=2000)] = 0
    """Least number of machines, which goes before desiredSize."""
    max_instances: Annotated[int, Field(ge=0, le=2000)] = 2000
    """Greatest number of machines, likewise."""


class TeeConfig(Model):
    """Confidential computing (Intel SGX)."""

    tee_enable: bool = False
    """Whether the nodes are for confidential computing; needs instance types with SGX."""


class Emulation(Model):
    """How the emulated machines behave; the cloud has no such fields."""

    boot_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """Seconds that a machine takes to boot."""


class NodePoolSpec(Model):
    """What the user wants."""

    cluster_id: Annotated[str, Field(min_length=1)]
    """Name or id of the ManagedCluster, of the same namespace."""
    type: Literal["ess", "edge"] = "ess"
    """Machines of the cloud, or at the edge."""
    scaling_group: ScalingGroup
    kubernetes_config: KubernetesConfig = KubernetesConfig()
    auto_scaling: AutoScaling = AutoScaling()
    tee_config: TeeConfig = TeeConfig()
    management: Management = Management()
    emulation: Emulation = Emulation()


class NodePoolStatus(Status):
    """What ackbox made of it."""

    phase: str | None = None
    """ACK's own word: `initial`, `active`, `scaling`, `removing`, `updating` or `deleting`."""
    nodepool_id: str | None = None
    """Id in the cloud: `np` and 32 hexadecimal digits."""
    total_nodes: int | None = None
    """How many machines it has, without those that are being released."""
    serving_nodes: int | None = None
    """Machines that are on and serve as nodes."""
    offline_nodes: int | None = None
    """Machines that are on and serve as no node."""


class NodePool(Resource):
    """An ACK node pool."""

    KIND: ClassVar = NODE_POOL
    SHORT_NAMES: ClassVar = ("np",)
    COLUMNS: ClassVar = (
        Column("Cluster", ".spec.clusterId"),
        Column("State", ".status.phase"),
        READY_COLUMN,
        Column("Desired", ".spec.scalingGroup.desiredSize", "integer"),
        Column("Total", ".status.totalNodes", "integer"),
        Column("Serving", ".status.servingNodes", "integer"),
        Column("Types", ".spec.scalingGroup.instanceTypes", priority=1),
        Column("NodePool-ID", ".status.nodepoolId", priority=1),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        immutable("clusterId"),
        immutable("type"),
        Rule(
            "(has(self.teeConfig) && self.teeConfig.teeEnable) == (has(oldSelf.teeConfig) && oldSelf.teeConfig.teeEnable)",
            "teeConfig cannot be changed after creation",
            "teeConfig",
        ),
    )
    SCALE: ClassVar = Scale(".spec.scalingGroup.desiredSize", ".status.totalNodes")

    spec: NodePoolSpec
    status: NodePoolStatus = NodePoolStatus()
