"""ClusterUser: what a sub-account may do in a cluster, and its kubeconfig. Field names follow GrantPermissions."""

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


class Permission(Model):
    """A role in the cluster, or in one of its namespaces."""

    role_type: Literal["cluster", "namespace"] = "cluster"
    namespace: Annotated[str, Field(max_length=63)] | None = None
    role_name: Annotated[str, Field(min_length=1, max_length=253)]
    """`admin`, `admin-view`, `ops`, `dev`, `restricted`; with isCustom the name of a ClusterRole."""
    is_custom: bool = False


class ClusterUserSpec(Model):
    """What is granted."""

    cluster_id: Annotated[str, Field(min_length=1)]
    uid: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$")]
    """The sub-account."""
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=32)]
    temporary_duration_minutes: Annotated[int, Field(ge=15, le=4320)] | None = None
    """How long the kubeconfig is valid; three years when it is left out."""
    kubeconfig_revision: Annotated[int, Field(ge=1)] = 1
    """Raise it to revoke the kubeconfig that is out and to get another one."""


class ClusterUserStatus(Status):
    """What ackbox made of it."""

    user_name: str | None = None
    """Whom the API server sees: the sub-account and a serial number; the roles are bound to this name."""
    secret_name: str | None = None
    """The Secret with the kubeconfig, key `value`."""
    expiration: str | None = None


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
        Column("Expires", ".status.expiration", "date"),
        REASON_COLUMN,
        AGE_COLUMN,
    )
    RULES: ClassVar = (
        immutable("clusterId"),
        immutable("uid"),
        Rule(
            "self.permissions.all(p, (p.roleType == 'namespace') == has(p.namespace))",
            "permissions with roleType namespace name a namespace, those with roleType cluster don't",
            "permissions",
        ),
    )

    spec: ClusterUserSpec
    status: ClusterUserStatus = ClusterUserStatus()
