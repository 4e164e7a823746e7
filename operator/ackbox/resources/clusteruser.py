"""ClusterUser: what a sub-account may do in a cluster, and its kubeconfig. Field names follow GrantPermissions."""

from collections.abc import Iterable
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
    ackbox_kind,
    immutable,
)

CLUSTER_USER = ackbox_kind("clusterusers", "ClusterUser")

CLUSTER_ROLES = {
    "admin": "cs:admin",
    "admin-view": "cs:admin-view",
    "ops": "cs:ops",
    "dev": "cs:ns:dev",
    "restricted": "cs:ns:restricted",
}
"""ACK's own roles for a whole cluster, and the ClusterRole of each (ACK, "Grant RBAC permissions to RAM users")."""

NAMESPACE_ROLES = {role: CLUSTER_ROLES[role] for role in ("dev", "restricted")}
"""Those that can be given for a namespace."""


_OF_NAMESPACE = "(has(p.roleType) && p.roleType == 'namespace')"
"""CEL; defaults of list items are not written into an object, so a field may be missing."""


def _cel(names: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


class Permission(Model):
    """A role in the cluster, or in one of its namespaces."""

    role_type: Literal["cluster", "namespace"] = "cluster"
    """Whether the role is given for the whole cluster or for one namespace; `cluster` when left out."""
    namespace: Annotated[str, Field(max_length=63)] | None = None
    """The namespace; for roleType `namespace` only, which needs it."""
    role_name: Annotated[str, Field(min_length=1, max_length=253)]
    """`admin`, `admin-view`, `ops`, `dev`, `restricted`; with isCustom the name of a ClusterRole."""
    is_custom: bool = False
    """Whether roleName is a ClusterRole of the cluster's own instead of one of ACK's roles; false when left out."""

    @property
    def cluster_role(self) -> str:
        """The ClusterRole that is bound."""
        return self.role_name if self.is_custom else CLUSTER_ROLES[self.role_name]


class ClusterUserSpec(Model):
    """What is granted."""

    cluster_id: Annotated[str, Field(min_length=1)]
    """Name or id of the ManagedCluster, of the same namespace; not a registered one."""
    uid: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$")]
    """Id of the sub-account; the user name in its kubeconfig begins with it."""
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=32)]
    """The roles that it gets; each is bound by a ClusterRoleBinding or RoleBinding in the cluster."""
    temporary_duration_minutes: Annotated[int, Field(ge=15, le=4320)] | None = None
    """Minutes that the kubeconfig is valid; three years when left out."""
    kubeconfig_revision: Annotated[int, Field(ge=1)] = 1
    """Raise it to revoke the kubeconfig that is out and to get another one."""


class ClusterUserStatus(Status):
    """What ackbox made of it."""

    phase: str | None = None
    """`pending` until the kubeconfig is out, then `active`; `expired` after a temporary one's end, `deleting` at
    last."""
    user_name: str | None = None
    """Whom the API server sees: the sub-account and a serial number; the roles are bound to this name."""
    secret_name: str | None = None
    """The Secret with the kubeconfig, key `value`."""
    expiration: str | None = None
    """When the kubeconfig ends: RFC 3339."""


class ClusterUser(Resource):
    """A sub-account's access to a cluster."""

    KIND: ClassVar = CLUSTER_USER
    SHORT_NAMES: ClassVar = ("cu",)
    COLUMNS: ClassVar = (
        Column("Cluster", ".spec.clusterId"),
        Column("Uid", ".spec.uid"),
        Column("State", ".status.phase"),
        READY_COLUMN,
        Column("Roles", ".spec.permissions[*].roleName"),
        Column("Expires", ".status.expiration"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        immutable("clusterId"),
        immutable("uid"),
        Rule(
            "self.kubeconfigRevision >= oldSelf.kubeconfigRevision",
            "kubeconfigRevision only ever grows: a kubeconfig that was revoked stays so",
            "kubeconfigRevision",
        ),
        Rule(
            "(has(self.temporaryDurationMinutes) ? self.temporaryDurationMinutes : 0) =="
            " (has(oldSelf.temporaryDurationMinutes) ? oldSelf.temporaryDurationMinutes : 0)"
            " || self.kubeconfigRevision > oldSelf.kubeconfigRevision",
            "temporaryDurationMinutes is that of the kubeconfig which is out; raise kubeconfigRevision to get another one",
            "temporaryDurationMinutes",
        ),
        Rule(
            f"self.permissions.all(p, (has(p.isCustom) && p.isCustom) || p.roleName in ({_OF_NAMESPACE}"
            f" ? {_cel(NAMESPACE_ROLES)} : {_cel(CLUSTER_ROLES)}))",
            f"permissions: without isCustom, roleName is one of {', '.join(CLUSTER_ROLES)} for roleType cluster,"
            f" one of {', '.join(NAMESPACE_ROLES)} for roleType namespace",
            "permissions",
        ),
        Rule(
            f"self.permissions.all(p, {_OF_NAMESPACE} == has(p.namespace))",
            "permissions with roleType namespace name a namespace, those with roleType cluster don't",
            "permissions",
        ),
    )

    spec: ClusterUserSpec
    status: ClusterUserStatus = ClusterUserStatus()
