"""What every ackbox kind shares: identity, metadata, conditions and the model base class."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "ackbox.dev"
VERSION = "v1alpha1"


@dataclass(frozen=True)
class Kind:
    """An API resource: enough to build its URLs without discovery."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of a collection, an object or a subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True)
class Column:
    """A `kubectl get` column; priority 1 columns show with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True)
class Rule:
    """A CEL rule on a kind's `spec`: the expression, the message and the field it speaks of."""

    rule: str
    message: str
    field: str | None = None


@dataclass(frozen=True)
class Scale:
    """Paths of the `scale` subresource."""

    spec_path: str
    status_path: str


def immutable(field: str) -> Rule:
    """A rule that an optional or required `spec` field never changes, nor appears or vanishes later."""
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} cannot be changed after creation",
        field,
    )


class Model(BaseModel):
    """Base of every schema: fields are snake_case in Python and camelCase on the wire."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    def wire(self) -> dict[str, Any]:
        """The object as the API server takes it: camelCase, without fields that were never set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


class Condition(Model):
    """metav1.Condition; `Ready`, `Reconciling` and `Stalled` follow kstatus."""

    type: str
    """What it tells of: `Ready`, `Reconciling`, `Stalled`, or something of the kind's own, such as `VersionExpired`."""
    status: str
    """`True`, `False` or `Unknown`."""
    reason: str
    """Why, in one word, which is the cloud's error code where it has one."""
    message: str = ""
    """Why, in words; of something wrong: the field, its value, what is allowed and what to do."""
    last_transition_time: str
    """When `status` changed last: RFC 3339."""
    observed_generation: int | None = None
    """The `metadata.generation` of the object that was looked at."""


class OwnerReference(Model):
    """The part of metav1.OwnerReference that ackbox reads."""

    api_version: str
    kind: str
    name: str
    uid: str


class ObjectMeta(Model):
    """The part of metav1.ObjectMeta that ackbox reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)
    owner_references: list[OwnerReference] = Field(default_factory=list)


class Tag(Model):
    """A cloud tag."""

    key: Annotated[str, Field(min_length=1, max_length=64)]
    """Name of the tag."""
    value: Annotated[str, Field(max_length=128)] = ""
    """Its value; empty when left out."""


class Status(Model):
    """What every status carries."""

    observed_generation: int | None = None
    """The `metadata.generation` that this status speaks of; -1 while nobody has looked at the object."""
    conditions: Annotated[
        list[Condition], Field(default_factory=list, json_schema_extra=lambda s: s.update(map_list("type")))
    ]
    """Where the object stands, by the rules of kstatus: `Ready`, and `Reconciling` or `Stalled` while they hold."""


class Resource(Model):
    """Base of the kinds; a subclass declares `spec`, `status` and the class variables below."""

    KIND: ClassVar[Kind]
    SHORT_NAMES: ClassVar[tuple[str, ...]]
    COLUMNS: ClassVar[tuple[Column, ...]]
    RULES: ClassVar[tuple[Rule, ...]] = ()
    SCALE: ClassVar[Scale | None] = None

    metadata: ObjectMeta

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name

    @property
    def deleting(self) -> bool:
        """Whether the object waits for its finalizers."""
        return self.metadata.deletion_timestamp is not None

    @property
    def paused(self) -> bool:
        """Whether the user asked ackbox to leave the object alone."""
        return self.metadata.annotations.get(PAUSED_ANNOTATION) == "true"


def map_list(*keys: str) -> dict[str, Any]:
    """Schema extension of a list whose items are told apart by these keys."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def keyed(*keys: str, **constraints: Any) -> Any:
    """A list field whose items are told apart by `keys`, so that server-side apply merges it."""
    return Field(json_schema_extra=lambda schema: schema.update(map_list(*keys)), **constraints)


PAUSED_ANNOTATION = f"{GROUP}/paused"
"""Set to `true` to stop reconciling an object."""

CLUSTER_LABEL = f"{GROUP}/cluster"
"""On Instances and Secrets: the name of the ManagedCluster."""

NODE_POOL_LABEL = f"{GROUP}/nodepool"
"""On Instances: the name of the NodePool."""

EMULATED_LABEL = f"{GROUP}/emulated"
"""On Nodes: `true` while KWOK keeps the node alive."""

NODE_DELETED_ANNOTATION = f"{GROUP}/node-deleted"
"""On Instances whose Node was deleted by hand: the machine's start time, since which its kubelet hasn't registered."""

ATTACHED_ANNOTATION = f"{GROUP}/attached"
"""On Instances that were added to their pool by hand: it counts them beside its desired size and never releases them."""

CERTIFICATE_LABEL = f"{GROUP}/certificate-id"
"""On Secrets that are certificates of the account: the certificate's id."""

INSTANCE_FINALIZER = f"{GROUP}/instance"
"""On Instances: the operator frees the reservation."""

NODE_FINALIZER = f"{GROUP}/node"
"""On Instances: the ccm removes it once the Node and its route are gone."""

RESOURCE_FINALIZER = f"{GROUP}/resources"
"""On ManagedClusters, NodePools, VPCs and ServiceLoadBalancers: the operator cleans up what belongs to them."""

SERVICES_FINALIZER = f"{GROUP}/services"
"""On ManagedClusters of registered clusters, while Services there may have something from here: the ccm removes it."""


def ackbox_kind(plural: str, kind: str) -> Kind:
    """A kind of ackbox's own group."""
    return Kind(GROUP, VERSION, plural, kind)


READY_COLUMN = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
REASON_COLUMN = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1)
AGE_COLUMN = Column("Age", ".metadata.creationTimestamp", "date")
