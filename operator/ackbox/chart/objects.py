"""Rights and policies as the chart has them.

Processes come as ServiceAccounts, not as users of an own cluster, and nothing is left for the API server to fill in: a tool that
applies the same objects finds no difference and no conflict.
"""

from collections.abc import Iterable
from typing import Any

from ackbox.runtime.management import OWN_PROCESSES, user_name

NAMESPACE = "ackbox-system"
USER = "request.userInfo.username"

OPERATOR = f"system:serviceaccount:{NAMESPACE}:ackbox-operator"

CCM = (
    f"({USER}.startsWith('system:serviceaccount:' + request.namespace + ':') && {USER}.endsWith('-ccm')"
    " && authorizer.group('ackbox.dev').resource('listeners').namespace(request.namespace).check('create').allowed())"
)
"""Every cluster's ccm has a ServiceAccount `<cluster>-ccm` beside it. The name alone could be that of another CCM."""

REPLACED = {
    f"{USER} == '{user_name('ccm')}'": CCM,
    f"'{user_name('operator')}'": f"'{OPERATOR}'",
}
"""What stands for a process in the expressions of policies, and what stands there in the chart."""

ROLE_BINDINGS = ("ClusterRoleBinding", "RoleBinding")

EVERYTHING_MATCHES: dict[str, Any] = {"namespaceSelector": {}, "objectSelector": {}}
"""What the API server fills into the `matchConstraints` of a policy, which have one owner as a whole."""


def in_cluster(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects with ServiceAccounts in the place of users.

    The ccm's role is bound to nobody here: each cluster's ccm gets it in the namespace of its ManagedCluster.
    """
    ccm = user_name("ccm")
    return [
        _bound(each) if each["kind"] in ROLE_BINDINGS else _renamed(_completed(each))
        for each in objects
        if each["kind"] not in ROLE_BINDINGS or each["roleRef"]["name"] != ccm
    ]


def _bound(binding: dict[str, Any]) -> dict[str, Any]:
    return binding | {"subjects": [_subject(each) for each in binding["subjects"]]}


def _subject(subject: dict[str, Any]) -> dict[str, Any]:
    accounts = {user_name(process): f"ackbox-{process}" for process in OWN_PROCESSES}
    if subject["kind"] != "User" or subject["name"] not in accounts:
        return subject
    return {"kind": "ServiceAccount", "name": accounts[subject["name"]], "namespace": NAMESPACE}


def _completed(obj: dict[str, Any]) -> dict[str, Any]:
    """A policy with the API server's defaults; any other object as it is."""
    if obj["kind"] != "ValidatingAdmissionPolicy":
        return obj
    constraints = obj["spec"]["matchConstraints"]
    rules = [rule | {"scope": "*"} for rule in constraints["resourceRules"]]
    return obj | {
        "spec": obj["spec"] | {"matchConstraints": constraints | EVERYTHING_MATCHES | {"resourceRules": rules}}
    }


def _renamed(node: Any) -> Any:
    """Every `expression` with the names that count in a cluster; messages name who it is anyway."""
    if isinstance(node, list):
        return [_renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _expression(value) if key == "expression" else _renamed(value) for key, value in node.items()}


def _expression(text: str) -> str:
    for before, after in REPLACED.items():
        text = text.replace(before, after)
    return text
