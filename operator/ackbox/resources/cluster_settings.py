"""The settings of a ManagedCluster that are more than a value. Field names and limits follow ACK's CreateCluster."""

from typing import Annotated, Literal

from pydantic import Field

from ackbox.resources.base import Model

LogComponent = Literal[
    "apiserver", "kcm", "scheduler", "ccm", "controlplane-events", "alb", "ack-goatscaler", "coredns", "gatekeeper"
]
"""Components of the control plane whose logs can be collected (CreateCluster, controlplane_log_components)."""


NETWORK_PLUGINS = ("flannel", "terway-eniip")
"""Addons that are network plug-ins; a cluster has exactly one and keeps it."""

STORAGE_PLUGINS = ("csi-plugin", "flexvolume")
"""Addons that are storage plug-ins; CSI is ACK's default, and a cluster keeps the one it was made with."""


class Addon(Model):
    """A component to install."""

    name: Annotated[str, Field(max_length=63)]
    """Name of an addon of the catalog, such as `metrics-server`."""
    version: Annotated[str, Field(max_length=64)] | None = None
    """A version of the catalog, never an older one than is installed; when left out the newest that fits Kubernetes, or
    what is installed."""
    config: Annotated[str, Field(max_length=4096)] | None = None
    """Settings of the addon: an object of JSON."""
    disabled: bool = False
    """Leave out an addon that comes by itself, or take it away."""


class SecretReference(Model):
    """A Secret of the same namespace."""

    name: str
    """Name of the Secret."""
    key: str = "value"
    """Key of its data that holds the kubeconfig."""


class ServiceSelector(Model):
    """Which Services of a registered cluster ackbox serves, beside those that ask by `loadBalancerClass`."""

    match_labels: Annotated[dict[str, str], Field(max_length=16)] = {}
    """Labels that a Service must have, all of them; empty chooses none."""


class ExternalCluster(Model):
    """How a registered cluster is reached. The kubeconfig is its owner's, so it is not trusted."""

    kubeconfig_secret_ref: SecretReference
    allowed_cidrs: Annotated[list[str], Field(max_length=32)] = []
    """Addresses that ackbox may dial for this cluster: its API server and its backends. None by default."""
    service_selector: ServiceSelector | None = None


class MaintenanceWindow(Model):
    """When ACK may work on a cluster by itself."""

    enable: bool = False
    """Whether there are windows; automatic upgrades wait for one."""
    maintenance_time: Annotated[str, Field(max_length=40)] | None = None
    """When a window begins: RFC 3339, such as `2026-11-19T03:00:00+08:00`; of a recurring one the first."""
    duration: Annotated[str, Field(pattern=r"^([1-9]|1[0-9]|2[0-4])h$")] = "3h"
    """How long a window is: `1h` to `24h`."""
    weekly_period: Annotated[str, Field(max_length=80)] = "Thursday"
    """Days of the week, with commas between them."""
    recurrence: Annotated[str, Field(max_length=200)] | None = None
    """RFC 5545, such as `FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,TU`; it goes before weeklyPeriod."""


class ClusterAutoUpgrade(Model):
    """Upgrades that ACK makes by itself, in the maintenance window."""

    enabled: bool = False
    """Whether it upgrades by itself; Pro editions only, and only with `maintenanceWindow.enable`."""
    channel: Literal["patch", "stable", "rapid"] = "stable"
    """How far: to the newest patch of its minor version (`patch`), up to the second newest minor (`stable`), or up to
    the newest (`rapid`)."""


class OperationPolicy(Model):
    """What ACK does by itself."""

    cluster_auto_upgrade: ClusterAutoUpgrade = ClusterAutoUpgrade()


class AuditLogConfig(Model):
    """Whether the API server writes an audit log."""

    enabled: bool = False
    """Whether it does."""
    sls_project_name: Annotated[str, Field(max_length=63)] | None = None
    """Project of Log Service; kept and shown, for the log is a file or the API server's output."""


class DeleteOption(Model):
    """What happens to a kind of resource when the cluster is deleted."""

    resource_type: Literal["SLB", "ALB", "SLS_Data", "SLS_ControlPlane", "PrivateZone"]
    """`SLB`: CLB and NLB of Services, deleted by default; `ALB`: those of Ingresses, retained by default; the others
    have nothing here."""
    delete_mode: Literal["delete", "retain"]
    """Whether they go with the cluster or stay; those that stay keep their id and addresses, and lose their
    listeners."""


class ControlPlaneConfig(Model):
    """The masters of a dedicated cluster."""

    size: Literal[3, 5] = 3
    """How many masters."""
    instance_types: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=10)] = []
    """ECS instance types of the masters, in order of preference; `ecs.g6.xlarge` when left out."""
    system_disk_category: str | None = None
    """Kind of their system disks, kept and shown."""
    system_disk_size: Annotated[int, Field(ge=40, le=500)] = 120
    """Size of their system disks in GiB, kept and shown."""


class ClusterEmulation(Model):
    """How a control plane is emulated; the cloud has no such fields."""

    footprint: Literal["single", "ha"] = "single"
    """`single`: one API server on a shared etcd; `ha`: what ACK runs, two API servers and three etcd members."""
    ephemeral: bool = False
    """For control planes in Pods: whether the cluster's objects are lost with its etcd's Pod, and the cluster is to be
    created again then. Otherwise etcd keeps them in a PersistentVolumeClaim."""
    hibernated: bool = False
    """The control plane is stopped and its data kept, until this is false again."""
