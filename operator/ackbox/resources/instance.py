"""Instance: an ECS machine. Field names follow ECS DescribeInstances."""

from enum import StrEnum
from typing import Annotated, ClassVar

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
    immutable,
    keyed,
)
from ackbox.resources.nodepool import Label, Taint

INSTANCE = ackbox_kind("instances", "Instance")


class InstancePhase(StrEnum):
    """ECS's own state words."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    STOPPED = "Stopped"


class PowerState(StrEnum):
    """What the user wants of the machine."""

    RUNNING = "Running"
    STOPPED = "Stopped"


class VpcAttributes(Model):
    """Where the machine is in the network. Ids are the cloud's."""

    vpc_id: str
    v_switch_id: str
    private_ip_address: str


class NodeConfig(Model):
    """What the Node of this machine is born with."""

    pod_cidr: str | None = None
    labels: Annotated[list[Label], keyed("key", max_length=64)] = []
    taints: Annotated[list[Taint], keyed("key", "effect", max_length=64)] = []
    unschedulable: bool = False
    max_pods: int = 256
    kubelet_version: Annotated[str, Field(max_length=40)] | None = None
    """As ACK spells it, such as `1.36.3-aliyun.1`; the cluster's when it is left out."""


class InstanceRole(StrEnum):
    """What the machine is in its cluster."""

    MASTER = "Master"
    WORKER = "Worker"


class OperatingSystem(Model):
    """What was done to the machine's operating system by hand; nothing, unless somebody says so here."""

    sysctls: Annotated[dict[str, Annotated[str, Field(max_length=64)]], Field(max_length=32)] = {}
    """Kernel parameters that were changed, such as `net.ipv4.ip_forward: "0"`."""
    packages: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=32)] = []
    """Software that was installed, such as `firewalld`."""
    changed_files: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=32)] = []
    """Files and folders that were changed, moved or deleted, such as `/etc/kubernetes`."""


class InstanceSpec(Model):
    """The machine; its id is the object's name."""

    status: PowerState = PowerState.RUNNING
    region_id: str
    zone_id: str
    instance_type: str
    cpu: int
    memory: Annotated[int, Field(description="GiB")]
    cluster_id: str | None = None
    """Name of the ManagedCluster."""
    nodepool_id: str | None = None
    """Cloud id of the NodePool."""
    vpc_attributes: VpcAttributes
    instance_role: InstanceRole = InstanceRole.WORKER
    security_group_ids: Annotated[list[str], Field(max_length=16)] = []
    image_id: Annotated[str, Field(max_length=64)] | None = None
    """Another image means that the system disk was replaced."""
    operating_system: OperatingSystem = OperatingSystem()
    instance_charge_type: str = "PostPaid"
    expired_time: Annotated[str, Field(max_length=40)] | None = None
    """When a subscription ends: RFC 3339."""
    spot_strategy: str = "NoSpot"
    boot_delay_seconds: int = 0
    node: NodeConfig = NodeConfig()
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []


class InstanceStatus(Status):
    """What ackbox made of it."""

    start_time: str | None = None


class Instance(Resource):
    """An ECS machine."""

    KIND: ClassVar = INSTANCE
    SHORT_NAMES: ClassVar = ("ecs",)
    COLUMNS: ClassVar = (
        Column("State", ".status.phase"),
        READY_COLUMN,
        Column("Type", ".spec.instanceType"),
        Column("Zone", ".spec.zoneId"),
        Column("IP", ".spec.vpcAttributes.privateIpAddress"),
        Column("Cluster", ".spec.clusterId"),
        Column("NodePool", ".metadata.labels.ackbox\\.dev/nodepool"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (immutable("regionId"), immutable("zoneId"), immutable("vpcAttributes"), immutable("clusterId"))

    spec: InstanceSpec
    status: InstanceStatus = InstanceStatus()
