"""The chart's values: one model, the source of `values.yaml`, `values.schema.json` and the tables of its README."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Quantities: TypeAlias = dict[str, str | int | float]
Texts: TypeAlias = dict[str, str]
Replicas: TypeAlias = Annotated[int, Field(ge=0)]
Name: TypeAlias = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """Values that belong together.

    One that isn't known is refused, so that a typing error can't pass unseen, and so is one that is missing: Helm fills in
    the defaults, unless somebody takes one away with `null`, or reuses the values of an older chart without them.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )


class Image(Section):
    """The image that every process of ackbox runs."""

    repository: Annotated[str, Field(pattern=r"^([^\s/@:]+(:[0-9]+)?/)?[^\s@:]+$")] = "ghcr.io/ackbox/ackbox"
    """Its name, without tag and digest."""
    tag: str = ""
    """Its tag; the chart's `appVersion` when empty."""
    digest: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")] = ""
    """Its digest, `sha256:…`, which then stands in the place of the tag."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When a node fetches images, those of control planes too."""
    pull_secrets: list[Name] = Field(default_factory=list)
    """Names of Secrets with which nodes may fetch images: in the chart's namespace, and beside every ManagedCluster."""


class ControlPlaneImages(Section):
    """Images of what a ManagedCluster's control plane runs; `{version}` stands for ackbox's version of that program."""

    kubernetes: Annotated[str, Field(pattern=r"\{program\}.*\{version\}")] = "registry.k8s.io/{program}:{version}"
    """Of kube-apiserver, kube-controller-manager and kube-scheduler, for which `{program}` stands."""
    etcd: Annotated[str, Field(pattern=r"\{version\}")] = "registry.k8s.io/etcd:{version}"
    """Of etcd."""
    kwok: Annotated[str, Field(pattern=r"\{version\}")] = "registry.k8s.io/kwok/kwok:{version}"
    """Of KWOK, which plays the kubelets."""


class EtcdStorage(Section):
    """The volume of each etcd member; a cluster with `emulation.ephemeral` has none."""

    size: Annotated[str, Field(pattern="^[0-9]+(Ki|Mi|Gi|Ti)$")] = "4Gi"
    """How big it is."""
    storage_class_name: str = ""
    """Its StorageClass; the cluster's default when empty."""


class ControlPlanes(Section):
    """Control planes of ManagedClusters."""

    images: ControlPlaneImages = ControlPlaneImages()
    """Where their images come from: name a mirror where the nodes can't reach registry.k8s.io."""
    etcd_storage: EtcdStorage = EtcdStorage()
    """The volume of each etcd member; a cluster with `emulation.ephemeral` has none."""
    priority_class_name: str = ""
    """How much their Pods matter beside others."""


class Resources(Section):
    """What a container asks for, and may use at the most."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    requests: Quantities = Field(default_factory=dict)
    """What the scheduler sets aside."""
    limits: Quantities = Field(default_factory=dict)
    """What it never exceeds."""


class Workload(Section):
    """How the Pods of a process run."""

    replicas: Replicas = 2
    """How many Pods. One of them leads; another takes over within seconds."""
    resources: Resources
    """What the process needs."""
    node_selector: Texts = Field(default_factory=dict)
    """Labels of the nodes that may run it."""
    tolerations: list[dict[str, Any]] = Field(default_factory=list)
    """Taints of nodes that it bears, as in a Pod."""
    affinity: dict[str, Any] = Field(default_factory=dict)
    """What it wants to be near to or far from, as in a Pod; Pods of a kind keep apart without it."""
    priority_class_name: str = ""
    """How much it matters beside other Pods."""
    pod_annotations: Texts = Field(default_factory=dict)
    """Annotations of its Pods."""


class Operator(Workload):
    """`ackbox operator`, the cloud side: clusters, node pools, instances, load balancers."""

    resources: Resources = Resources(requests={"cpu": "100m", "memory": "192Mi"}, limits={"memory": "1Gi"})
    """What the process needs."""


class LoadBalancers(Workload):
    """`ackbox slb`, the data plane: Envoy, and what tells it where to send traffic."""

    replicas: Replicas = 2
    """How many Pods. Each serves every load balancer; one of them writes their status."""
    resources: Resources = Resources(requests={"cpu": "50m", "memory": "160Mi"}, limits={"memory": "1Gi"})
    """What the process needs, without Envoy."""
    envoy_resources: Resources = Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"})
    """What Envoy needs."""
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service that each ServiceLoadBalancer gets: ClusterIP is reached from inside the cluster only."""
    load_balancer_class: str = ""
    """For `LoadBalancer`: who serves these Services, such as a load balancer of the cluster itself."""


class Switch(Section):
    """Something that is there or not."""

    enabled: bool = True
    """Whether it is installed."""


class ServiceMonitor(Section):
    """A ServiceMonitor for the Prometheus operator, and a PodMonitor for the ccm of every cluster."""

    enabled: bool = False
    """Whether they are there; the cluster must know these kinds."""
    interval: Annotated[str, Field(pattern="^([0-9]+(ms|s|m|h))+$")] = "30s"
    """How often metrics are read."""
    labels: Texts = Field(default_factory=dict)
    """Labels by which a Prometheus chooses them."""


class Values(Section):
    """Everything that can be set."""

    image: Image = Image()
    """The image that every process of ackbox runs."""
    control_planes: ControlPlanes = ControlPlanes()
    """Control planes of ManagedClusters."""
    operator: Operator = Operator()
    """`ackbox operator`, the cloud side: clusters, node pools, instances, load balancers."""
    slb: LoadBalancers = LoadBalancers()
    """`ackbox slb`, the data plane: Envoy, and what tells it where to send traffic."""
    crds: Switch = Switch()
    """The custom resources. They are upgraded with the chart, and stay when it is uninstalled, unless it is purged."""
    admission_policies: Switch = Switch()
    """The policies that refuse what the cloud would refuse, and keep ackbox's own processes to their work."""
    rbac: Switch = Switch()
    """The rights of ackbox's processes, and the roles that people get in their namespaces."""
    network_policy: Switch = Switch()
    """Who may connect to the Pods: clients to load balancers, readers of metrics, nobody else."""
    pod_disruption_budget: Switch = Switch()
    """Whether draining a node leaves a Pod of each process running."""
    service_monitor: ServiceMonitor = ServiceMonitor()
    """A ServiceMonitor for the Prometheus operator, and a PodMonitor for the ccm of every cluster."""
    pod_labels: Texts = Field(default_factory=dict)
    """Labels of every Pod, beside the chart's own."""
    purge: bool = False
    """Whether `helm uninstall` deletes every object of ackbox, the control planes and the custom resources too. Otherwise it
    refuses while something lives that only ackbox can delete. It reads what the release was last installed or upgraded with."""
    purge_timeout_seconds: Annotated[int, Field(ge=1)] = 240
    """How long a purge waits for objects to go by themselves, before it takes their finalizers away. Give `helm uninstall`
    a longer `--timeout`, which is 5 minutes by default."""
