"""ValidatingAdmissionPolicies: what can never become right is refused before it is stored.

Pure: catalog values come in as arguments, objects go out as dictionaries. Updates that leave `spec` alone (status
fields, finalizers, labels) always pass, so that a stored object can be finished and deleted whatever the catalog says.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ackbox.resources.base import GROUP, VERSION, Kind
from ackbox.resources.cloudquota import QUOTA_NAME
from ackbox.resources.loadbalancer import SERVICE_LOAD_BALANCER
from ackbox.resources.managedcluster import MANAGED_CLUSTER
from ackbox.resources.network import VPC

ADMISSION = "admissionregistration.k8s.io/v1"

SPEC_CHANGED = {
    "name": "spec-changed",
    "expression": "has(object.spec) && (oldObject == null || !has(oldObject.spec) || object.spec != oldObject.spec)",
}
"""A match condition: the request creates an object with a spec, or changes its spec."""

SPEC = "object.spec"

REFUSALS = "refusals"
"""The variable of a policy that lists what is wrong with the object."""


@dataclass(frozen=True)
class Check:
    """A CEL expression that must hold, and a CEL expression of the message when it doesn't."""

    expression: str
    message: str
    reason: str = "Invalid"


def text(value: str) -> str:
    """A CEL string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def texts(values: Iterable[str]) -> str:
    """A CEL list of string literals."""
    return "[" + ", ".join(map(text, values)) + "]"


def table(rows: Mapping[str, Iterable[str]]) -> str:
    """A CEL map from strings to lists of strings."""
    return "{" + ", ".join(f"{text(key)}: {texts(values)}" for key, values in rows.items()) + "}"


def policy(
    name: str,
    kinds: Sequence[Kind],
    checks: Sequence[Check],
    variables: Mapping[str, str] | None = None,
    operations: Sequence[str] = ("CREATE", "UPDATE"),
    parameter: Kind | None = None,
) -> list[dict[str, Any]]:
    """A policy and its binding. `parameter` is read from the object `default` of the request's namespace.

    The API server tells of one failed validation only, so all checks are one validation, whose message is the messages
    of every check that failed, and whose reason is Forbidden when that of all is.
    """
    full_name = f"{name}.{GROUP}"
    told = ", ".join(f"({check.expression}) ? '' : ({check.message})" for check in checks)
    reason = "Forbidden" if all(check.reason == "Forbidden" for check in checks) else "Invalid"
    known = {**(variables or {}), REFUSALS: f"[{told}].filter(m, m != '')"}
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": [
                {
                    "apiGroups": [GROUP],
                    "apiVersions": [VERSION],
                    "operations": list(operations),
                    "resources": [kind.plural for kind in kinds],
                }
            ],
        },
        "variables": [{"name": key, "expression": value} for key, value in known.items()],
        "validations": [
            {
                "expression": f"variables.{REFUSALS}.size() == 0",
                "messageExpression": f"variables.{REFUSALS}.join('; ')",
                "reason": reason,
            }
        ],
    }
    binding: dict[str, Any] = {"policyName": full_name, "validationActions": ["Deny"]}
    if "DELETE" not in operations:
        spec["matchConditions"] = [SPEC_CHANGED]
    if parameter is not None:
        spec["paramKind"] = {"apiVersion": parameter.api_version, "kind": parameter.kind}
        binding["paramRef"] = {"name": QUOTA_NAME, "parameterNotFoundAction": "Allow"}
    return [
        _object("ValidatingAdmissionPolicy", full_name, spec),
        _object("ValidatingAdmissionPolicyBinding", full_name, binding),
    ]


def merged(name: str, policies: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One policy of several on the same kind and without parameters, so that their refusals are told together."""
    specs = [one["spec"] for one, _ in policies]
    variables: list[dict[str, str]] = []
    for number, spec in enumerate(specs):
        for variable in spec["variables"]:
            expression = re.sub(r"\bvariables\.(\w+)", rf"variables.\g<1>{number}", variable["expression"])
            variables.append({"name": f"{variable['name']}{number}", "expression": expression})
    every = " + ".join(f"variables.{REFUSALS}{number}" for number in range(len(specs)))
    spec = {**specs[0], "variables": [*variables, {"name": REFUSALS, "expression": every}]}
    binding = {"policyName": f"{name}.{GROUP}", "validationActions": ["Deny"]}
    return [
        _object("ValidatingAdmissionPolicy", f"{name}.{GROUP}", spec),
        _object("ValidatingAdmissionPolicyBinding", f"{name}.{GROUP}", binding),
    ]


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def region_policy(kind: Kind, regions: Sequence[str]) -> list[dict[str, Any]]:
    """`regionId` names a region."""
    known = Check(
        f"!has({SPEC}.regionId) || {SPEC}.regionId in variables.regions",
        f"'spec.regionId: ' + {SPEC}.regionId + ' is not a region; allowed: ' + variables.regions.join(', ')",
    )
    return policy("regions", (kind,), [known], {"regions": texts(regions)})


def v_switch_policy(zones: Mapping[str, Sequence[str]], masks: tuple[int, int]) -> list[dict[str, Any]]:
    """The vSwitches of a VPC lie in zones of its region and have a size that the cloud offers."""
    variables = {
        "every": table(zones),
        "zones": f"{SPEC}.regionId in variables.every ? variables.every[{SPEC}.regionId] : []",
        "switches": f"has({SPEC}.vswitches) ? {SPEC}.vswitches : []",
        "stray": "variables.zones == [] ? [] : variables.switches.filter(v, !(v.zoneId in variables.zones))",
        "odd": "variables.switches.filter(v, isCIDR(v.cidrBlock) && ("
        f"cidr(v.cidrBlock).prefixLength() < {masks[0]} || cidr(v.cidrBlock).prefixLength() > {masks[1]}))",
    }
    stray = Check(
        "variables.stray.size() == 0",
        "'spec.vswitches[' + variables.stray[0].vSwitchName + '].zoneId: ' + variables.stray[0].zoneId"
        f" + ' is not a zone of ' + {SPEC}.regionId + '; allowed: ' + variables.zones.join(', ')",
    )
    odd = Check(
        "variables.odd.size() == 0",
        "'spec.vswitches[' + variables.odd[0].vSwitchName + '].cidrBlock: ' + variables.odd[0].cidrBlock"
        f" + ' has a mask outside /{masks[0]} to /{masks[1]}'",
    )
    return policy("vswitches", (VPC,), [stray, odd], variables)


def deletion_policy() -> list[dict[str, Any]]:
    """Protected clusters and load balancers can't be deleted.

    The deletion of their whole namespace stays possible: it stands for closing the account, and must converge.
    """
    closing = "namespaceObject != null && has(namespaceObject.metadata.deletionTimestamp)"
    cluster = Check(
        f"{closing} || !has(oldObject.spec) || !has(oldObject.spec.deletionProtection) || !oldObject.spec.deletionProtection",
        "'spec.deletionProtection of ' + oldObject.metadata.name + ' is true; set it to false first'",
        "Forbidden",
    )
    balancer = Check(
        f"{closing} || !has(oldObject.spec) || !has(oldObject.spec.deleteProtection) || oldObject.spec.deleteProtection != 'on'",
        "'spec.deleteProtection of ' + oldObject.metadata.name + ' is on; set it to off first'",
        "Forbidden",
    )
    return [
        *policy("cluster-deletion", (MANAGED_CLUSTER,), [cluster], operations=("DELETE",)),
        *policy("load-balancer-deletion", (SERVICE_LOAD_BALANCER,), [balancer], operations=("DELETE",)),
    ]
