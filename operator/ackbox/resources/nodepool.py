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
    price_limit: Annotated[str, Field(max_length=16)]


class ScalingGroup(Model):
    """The machines: how many, of which type, where."""

    desired_size: Annotated[int, Field(ge=0, le=5000)] = 0
    min_size: Annotated[int, Field(ge=0, le=5000)] = 0
    max_size: Annotated[int, Field(ge=0, le=5000)] = 2000
    """Bounds of the ESS scaling group. ACK keeps them; who changes them by hand hinders scaling."""
    instance_types: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=10)]
    vswitch_ids: Annotated[list[str], Field(min_length=1, max_length=8)]
    instance_charge_type: Literal["PostPaid", "PrePaid"] = "PostPaid"
    spot_strategy: Literal["NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo"] = "NoSpot"
    multi_az_policy: Literal["PRIORITY", "COST_OPTIMIZED", "BALANCE"] = "PRIORITY"
    spot_price_limit: Annotated[list[SpotPriceLimit], keyed("instanceType", max_length=10)] = []
    image_type: str | None = None
    """Operating system of the nodes, such as `AliyunLinux3`."""
    system_disk_category: (
        Literal[
            "cloud_efficiency", "cloud_ssd", "cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud", "ephemeral_ssd"
        ]
        | None
    ) = None
    system_disk_size: Annotated[int, Field(ge=20, le=2048)] | None = None
    security_group_ids: Annotated[list[str], Field(max_length=5)] = []
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []


class Taint(Model):
    """A Node taint."""

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"]


class Label(Model):
    """A Node label."""

    key: str
    value: str = ""


class KubernetesConfig(Model):
    """What the nodes carry in Kubernetes."""

    labels: Annotated[list[Label], keyed("key", max_length=64)] = []
    taints: Annotated[list[Taint], keyed("key", "effect", max_length=64)] = []
    runtime: Literal["containerd", "Sandboxed-Container.runv"] = "containerd"
    """`Sandboxed-Container.runv` gives each pod a virtual machine of its own; it needs bare metal."""
    unschedulable: bool = False


class UpgradeConfig(Model):
    """How the nodes of a pool are upgraded."""

    max_unavailable: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many nodes at a time."""


class AutoRepairPolicy(Model):
    """How far self-healing goes."""

    restart_node: bool = True


class Management(Model):
    """Managed node pool settings."""

    enable: bool = False
    auto_repair: bool = False
    auto_repair_policy: AutoRepairPolicy = AutoRepairPolicy()
    auto_upgrade: bool = True
    """Whether the nodes follow an upgrade of the control plane by themselves."""
    upgrade_config: UpgradeConfig = UpgradeConfig()


class AutoScaling(Model):
    """Bounds of the cluster autoscaler."""

    enable: bool = False
    min_instances: Annotated[int, Field(ge=0, le=2000)] = 0
    max_instances: Annotated[int, Field(ge=0, le=2000)] = 2000


class TeeConfig(Model):
    """Confidential computing (Intel SGX)."""

    tee_enable: bool = False


class Emulation(Model):
    """How the emulated machines behave; the cloud has no such fields."""

    boot_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 0


class NodePoolSpec(Model):
    """What the user wants."""

    cluster_id: Annotated[str, Field(min_length=1)]
    type: Literal["ess", "edge"] = "ess"
    scaling_group: ScalingGroup
    kubernetes_config: KubernetesConfig = KubernetesConfig()
    auto_scaling: AutoScaling = AutoScaling()
    tee_config: TeeConfig = TeeConfig()
    management: Management = Management()
    emulation: Emulation = Emulation()


class NodePoolStatus(Status):
    """What ackbox made of it."""

    nodepool_id: str | None = None
    scaling_group_id: str | None = None
    total_nodes: int | None = None
    serving_nodes: int | None = None
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
