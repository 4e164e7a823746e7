"""Whose kubeconfig it is, how long it is good for, and which bindings it needs. Pure.

As in ACK, the name in a kubeconfig's certificate is the sub-account and a number, and the roles are bound to that name.
A certificate can't be called back; the bindings of its name can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ackbox.cloud.allocation import ids
from ackbox.kube.client import Object
from ackbox.resources import ClusterUser, Kind
from ackbox.resources.base import GROUP
from ackbox.runtime.certificates import RENEW_BEFORE

_RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLE = Kind(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDING = Kind(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
ROLE_BINDING = Kind(_RBAC, "v1", "rolebindings", "RoleBinding")

USER_LABEL = f"{GROUP}/cluster-user"
"""On bindings in a workload cluster: the uid of the ClusterUser that they are of."""

LIFETIME = timedelta(days=3 * 365)
"""Of a kubeconfig that is not temporary (ACK, DescribeClusterUserKubeconfig: three years)."""


@dataclass(frozen=True)
class Grant:
    """A kubeconfig that is to be out.

    Attributes:
        user_name: common name of its certificate.
        until: when the certificate ends; of a temporary one the bindings end then too.
    """

    user_name: str
    until: datetime

    @property
    def expiration(self) -> str:
        """As the status shows it."""
        return self.until.strftime("%Y-%m-%dT%H:%M:%SZ")


def grant(user: ClusterUser, now: datetime) -> Grant:
    """The kubeconfig of a sub-account: the one that is out, or a new one for another revision.

    The end of a temporary one stays what it was when it was first given out, however often its Secret is made anew.
    """
    name = f"{user.spec.uid}-{ids.kubeconfig_serial(user.metadata.uid, user.spec.kubeconfig_revision)}"
    minutes = user.spec.temporary_duration_minutes
    lifetime = LIFETIME if minutes is None else timedelta(minutes=minutes)
    fresh = Grant(name, (now + lifetime).replace(microsecond=0))
    if user.status.user_name != name or user.status.expiration is None:
        return fresh
    given = Grant(name, datetime.strptime(user.status.expiration, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))
    return fresh if minutes is None and given.until - now < RENEW_BEFORE else given


def secret_name(user: ClusterUser) -> str:
    """The Secret with the kubeconfig."""
    return f"{user.metadata.name}-kubeconfig"


def bindings(user: ClusterUser, user_name: str) -> list[Object]:
    """The bindings that give a sub-account its permissions."""
    return list({_place(each): each for each in (_binding(user, user_name, *each) for each in _roles(user))}.values())


def _roles(user: ClusterUser) -> Sequence[tuple[str | None, str]]:
    return [(each.namespace, each.cluster_role) for each in user.spec.permissions]


def _binding(user: ClusterUser, user_name: str, namespace: str | None, role: str) -> Object:
    kind = ROLE_BINDING if namespace else CLUSTER_ROLE_BINDING
    metadata: Object = {"name": f"{user_name}:{role}", "labels": {USER_LABEL: user.metadata.uid}}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": metadata | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": _RBAC, "kind": CLUSTER_ROLE.kind, "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user_name}],
    }


@dataclass(frozen=True)
class Changes:
    """What is to be done to the bindings of a sub-account; deletions first."""

    delete: tuple[Object, ...]
    create: tuple[Object, ...]


def changes(there: Sequence[Object], wanted: Sequence[Object]) -> Changes:
    """The way from the bindings that are there to those that are wanted; what a binding gives can't be edited."""
    kept = {_place(each) for each in there if any(_same(each, other) for other in wanted)}
    return Changes(
        delete=tuple(each for each in there if _place(each) not in kept),
        create=tuple(each for each in wanted if _place(each) not in kept),
    )


def _place(binding: Object) -> tuple[str, str, str]:
    return binding["kind"], binding["metadata"].get("namespace") or "", binding["metadata"]["name"]


def _same(left: Object, right: Object) -> bool:
    return _place(left) == _place(right) and all(left.get(part) == right.get(part) for part in ("roleRef", "subjects"))
