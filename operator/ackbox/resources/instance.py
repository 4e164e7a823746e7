"""Instance: an ECS machine. Field names follow ECS DescribeInstances."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

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


class Harm(StrEnum):
    """What something that was done to a machine by hand does to it: reasons of its conditions that are True."""

    NODE_UNAVAILABLE = "NodeUnavailable"
    """Nothing is heard of its kubelet, or of what else runs on it."""
    COMPONENTS_GONE = "ComponentsGone"
    """Its disk is another one: nothing of the cluster is on it."""
    NETWORK_DOWN = "NetworkDown"
    """Its pods can't be reached."""
    NETWORK_UNSTABLE = "NetworkUnstable"
    HEALTH_CHECKS_FAIL = "HealthChecksFail"
    NAT_FAILS = "NATFails"
    DNS_FAILS = "DNSFails"
    NODE_AT_RISK = "NodeAtRisk"
    """It may become unavailable."""
    NODE_COUNT_DIFFERS = "NodeCountDiffers"
    """The machine counts in its pool and has no Node."""


OUT_OF_SERVICE = frozenset({Harm.NODE_UNAVAILABLE, Harm.COMPONENTS_GONE})
"""Harms with which nothing runs on the machine any more."""

UNREACHABLE = OUT_OF_SERVICE | {Harm.NETWORK_DOWN}
"""Harms with which nothing on the machine answers."""


class VpcAttributes(Model):
    """Where the machine is in the network. Ids are the cloud's."""

    vpc_id: str
    """Id of the VPC."""
    v_switch_id: str
    """Id of the vSwitch."""
    private_ip_address: str
    """Its IPv4 address there; a node that was installed with another one is out of order."""


class NodeConfig(Model):
    """What the Node of this machine is born with."""

    pod_cidr: str | None = None
    """Block of its pods' addresses."""
    labels: Annotated[list[Label], keyed("key", max_length=64)] = []
    """Labels of the Node, beside those that the cloud gives."""
    taints: Annotated[list[Taint], keyed("key", "effect", max_length=64)] = []
    """Taints of the Node."""
    unschedulable: bool = False
    """Whether the Node is cordoned from the start."""
    max_pods: int = 256
    """How many pods the Node takes: its capacity."""
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
    """Whether the machine is to be on."""
    region_id: str
    """Region, such as `cn-hangzhou`."""
    zone_id: str
    """Zone, such as `cn-hangzhou-h`."""
    instance_type: str
    """ECS instance type, such as `ecs.g6.xlarge`."""
    cpu: int
    """VCPUs: the capacity of its Node."""
    memory: int
    """GiB of memory: the capacity of its Node."""
    cluster_id: str | None = None
    """Name of the ManagedCluster; without it and nodepoolId the machine is taken out of its pool."""
    nodepool_id: str | None = None
    """Id of the NodePool, or its name; a machine outside that names one is added to it."""
    vpc_attributes: VpcAttributes
    instance_role: InstanceRole = InstanceRole.WORKER
    """Master of a dedicated cluster, or worker."""
    security_group_ids: Annotated[list[str], Field(max_length=16)] = []
    """Ids of its security groups; without one that the node was installed with, the node is unavailable."""
    image_id: Annotated[str, Field(max_length=64)] | None = None
    """Image that the system disk was made of, such as `AliyunLinux3`; another one means that the disk was replaced."""
    operating_system: OperatingSystem = OperatingSystem()
    instance_charge_type: str = "PostPaid"
    """`PostPaid`, pay-as-you-go, or `PrePaid`, subscription; a label of its Node."""
    expired_time: Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})] | None = None
    """When a subscription ends, and the machine is stopped: RFC 3339."""
    spot_strategy: str = "NoSpot"
    """`NoSpot`, or the strategy of a preemptible machine; a label of its Node."""
    boot_delay_seconds: int = 0
    """Seconds from its start to `Running`."""
    reboot_revision: Annotated[int, Field(ge=0)] = 0
    """Raise it to restart the machine."""
    system_disk_revision: Annotated[int, Field(ge=0)] = 0
    """Raise it to have the system disk replaced by a new one of imageId, and the node installed on it."""
    node: NodeConfig = NodeConfig()
    tags: Annotated[list[Tag], keyed("key", max_length=20)] = []
    """Tags of the machine, kept and shown."""


class Installation(Model):
    """What the machine was like when it was installed, which is what its node needs it to be."""

    image_id: str | None = None
    """Image of the system disk."""
    private_ip_address: str
    """Address of the machine."""
    security_group_ids: list[str] = []
    """Its security groups."""
    kubelet_version: str | None = None
    """Version of its kubelet, as ACK spells it; upgrades by ACK count as installed."""


class InstanceStatus(Status):
    """What ackbox made of it."""

    phase: str | None = None
    """ECS's own word: `Pending`, `Starting`, `Running`, `Stopping` or `Stopped`."""
    start_time: str | None = None
    """When it was started last: RFC 3339."""
    reboot_revision: int | None = None
    """The last restart that was asked for and is done."""
    system_disk_revision: int | None = None
    """The last replacement of the system disk that was asked for and is done."""
    installation: Installation | None = None


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
    RULES: ClassVar = (
        immutable("regionId"),
        immutable("zoneId"),
        immutable("vpcAttributes.vpcId"),
        immutable("vpcAttributes.vSwitchId"),
        Rule(
            "!has(self.clusterId) || !has(oldSelf.clusterId) || self.clusterId == oldSelf.clusterId",
            "clusterId cannot be changed; take the machine out of its cluster first, by removing clusterId and nodepoolId",
            "clusterId",
        ),
        Rule(
            "isIP(self.vpcAttributes.privateIpAddress) && ip(self.vpcAttributes.privateIpAddress).family() == 4",
            "privateIpAddress is not an IPv4 address, such as 192.168.0.7",
            "vpcAttributes.privateIpAddress",
        ),
    )

    spec: InstanceSpec
    status: InstanceStatus = InstanceStatus()

    @property
    def harms(self) -> frozenset[Harm]:
        """What was found to be wrong with the machine."""
        return _harms((each.status, each.reason) for each in self.status.conditions)

    @property
    def out_of_service(self) -> bool:
        """Whether nothing of the cluster runs on the machine, on as it may be."""
        return bool(self.harms & OUT_OF_SERVICE)


def harms_of(obj: Mapping[str, Any]) -> frozenset[Harm]:
    """What was found to be wrong with a machine, told by the object as it was read."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return _harms((each["status"], each["reason"]) for each in conditions)


def _harms(conditions: Iterable[tuple[str, str]]) -> frozenset[Harm]:
    return frozenset(Harm(reason) for status, reason in conditions if status == "True" and reason in _HARMS)


_HARMS = frozenset(map(str, Harm))
