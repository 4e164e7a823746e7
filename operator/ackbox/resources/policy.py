"""ValidatingAdmissionPolicies: what can never become right is refused before it is stored.

Pure: catalog values come in as arguments, objects go out as dictionaries. Updates that leave `spec` alone (status
fields, finalizers, labels) always pass, so that a stored object can be finished and deleted whatever the catalog says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from ackbox.resources.base import GROUP, VERSION, Kind
from ackbox.resources.cloudquota import CLOUD_QUOTA, QUOTA_NAME
from ackbox.resources.loadbalancer import SERVICE_LOAD_BALANCER
from ackbox.resources.managedcluster import MANAGED_CLUSTER
from ackbox.resources.network import VPC
from ackbox.resources.nodepool import NODE_POOL
from ackbox.resources.servergroup import SERVER_GROUP

ADMISSION = "admissionregistration.k8s.io/v1"

SPEC_CHANGED = {
    "name": "spec-changed",
    "expression": "has(object.spec) && (oldObject == null || !has(oldObject.spec) || object.spec != oldObject.spec)",
}
"""A match condition: the request creates an object with a spec, or changes its spec."""

SPEC = "object.spec"


@dataclass(frozen=True)
class Check:
    """A CEL expression that must hold, and a CEL expression of the message when it doesn't."""

    expression: str
    message: str
    reason: str = "Invalid"

    def rendered(self) -> dict[str, str]:
        """As a `validations` entry."""
        return {"expression": self.expression, "messageExpression": self.message, "reason": self.reason}


def text(value: str) -> str:
    """A CEL string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def texts(values: Iterable[str]) -> str:
    """A CEL list of string literals."""
    return "[" + ", ".join(map(text, values)) + "]"


def policy(
    name: str,
    kinds: Sequence[Kind],
    checks: Sequence[Check],
    variables: Mapping[str, str] | None = None,
    operations: Sequence[str] = ("CREATE", "UPDATE"),
    parameter: Kind | None = None,
) -> list[dict[str, Any]]:
    """A policy and its binding. `parameter` is read from the object `default` of the request's namespace."""
    full_name = f"{name}.{GROUP}"
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
        "validations": [check.rendered() for check in checks],
    }
    binding: dict[str, Any] = {"policyName": full_name, "validationActions": ["Deny"]}
    if "DELETE" not in operations:
        spec["matchConditions"] = [SPEC_CHANGED]
    if variables:
        spec["variables"] = [{"name": key, "expression": value} for key, value in variables.items()]
    if parameter is not None:
        spec["paramKind"] = {"apiVersion": parameter.api_version, "kind": parameter.kind}
        binding["paramRef"] = {"name": QUOTA_NAME, "parameterNotFoundAction": "Allow"}
    return [
        _object("ValidatingAdmissionPolicy", full_name, spec),
        _object("ValidatingAdmissionPolicyBinding", full_name, binding),
    ]


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def region_policy(regions: Sequence[str]) -> list[dict[str, Any]]:
    """`regionId` names a region."""
    known = Check(
        f"!has({SPEC}.regionId) || {SPEC}.regionId in variables.regions",
        f"'spec.regionId: ' + {SPEC}.regionId + ' is not a region; allowed: ' + variables.regions.join(', ')",
    )
    return policy("regions", (MANAGED_CLUSTER, VPC, SERVICE_LOAD_BALANCER), [known], {"regions": texts(regions)})


def edition_policy(offered: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """A region offers the cluster type and edition; `offered` maps a region to its editions. Unknown regions pass."""
    table = "{" + ", ".join(f"{text(region)}: {texts(editions)}" for region, editions in offered.items()) + "}"
    variables = {
        "offered": table,
        "edition": f"{SPEC}.clusterType == 'ExternalKubernetes' ? 'registered'"
        f" : {SPEC}.clusterSpec == 'ack.pro.small' ? 'pro' : 'standard'",
    }
    check = Check(
        f"!({SPEC}.regionId in variables.offered) || variables.edition in variables.offered[{SPEC}.regionId]",
        f"'spec.regionId: ' + {SPEC}.regionId + ' does not offer the edition ' + variables.edition + '"
        f" (spec.clusterType, spec.clusterSpec); it offers: ' + variables.offered[{SPEC}.regionId].join(', ')",
    )
    return policy("editions", (MANAGED_CLUSTER,), [check], variables)


def v_switch_policy(zones: Mapping[str, Sequence[str]], masks: tuple[int, int]) -> list[dict[str, Any]]:
    """The vSwitches of a VPC lie in zones of its region and have a size that the cloud offers."""
    table = "{" + ", ".join(f"{text(region)}: {texts(names)}" for region, names in zones.items()) + "}"
    variables = {
        "zones": f"{SPEC}.regionId in {table} ? {table}[{SPEC}.regionId] : []",
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


def version_policy(accepted: Sequence[str]) -> list[dict[str, Any]]:
    """`kubernetesVersion` names a version that ACK offers."""
    check = Check(
        f"!has({SPEC}.kubernetesVersion) || {SPEC}.kubernetesVersion in variables.versions",
        f"'spec.kubernetesVersion: ' + {SPEC}.kubernetesVersion + ' is not offered; allowed: '"
        " + variables.versions.join(', ')",
    )
    return policy("versions", (MANAGED_CLUSTER,), [check], {"versions": texts(accepted)})


def cidr_policy(
    container_ranges: Sequence[IPv4Network], service_ranges: Sequence[IPv4Network], service_masks: tuple[int, int]
) -> list[dict[str, Any]]:
    """Container and service CIDR lie in private ranges, have a usable size, and Flannel has its container CIDR."""
    managed = f"{SPEC}.clusterType != 'ManagedKubernetes'"
    container = f"{managed} || !has({SPEC}.containerCidr) || !isCIDR({SPEC}.containerCidr)"
    service = f"{managed} || !isCIDR({SPEC}.serviceCidr)"
    terway = f"has({SPEC}.addons) && {SPEC}.addons.exists(a, a.name.startsWith('terway'))"
    inside = "{ranges}.exists(r, cidr(r).containsCIDR({field}))"
    shortest, longest = service_masks
    checks = [
        Check(
            f"{managed} || has({SPEC}.containerCidr) || ({terway})",
            "'spec.containerCidr: pod or service cidr is empty (EmptyCIDR); the network plug-in flannel needs one,"
            " such as 10.32.0.0/16'",
        ),
        Check(
            f"{container} || " + inside.format(ranges=texts(map(str, container_ranges)), field=f"{SPEC}.containerCidr"),
            f"'spec.containerCidr: ' + {SPEC}.containerCidr + ' is outside the private ranges (InvalidCIDR); allowed:"
            f" inside {', '.join(map(str, container_ranges))}'",
        ),
        Check(
            f"{container} || cidr({SPEC}.containerCidr).prefixLength() <= {SPEC}.nodeCidrMask",
            f"'spec.containerCidr: ' + {SPEC}.containerCidr + ' holds no block of spec.nodeCidrMask '"
            f" + string({SPEC}.nodeCidrMask) + ' (InvalidCIDR)'",
        ),
        Check(
            f"{service} || ("
            + inside.format(ranges=texts(map(str, service_ranges)), field=f"{SPEC}.serviceCidr")
            + f" && cidr({SPEC}.serviceCidr).prefixLength() >= {shortest}"
            f" && cidr({SPEC}.serviceCidr).prefixLength() <= {longest})",
            f"'spec.serviceCidr: ' + {SPEC}.serviceCidr + ' (InvalidCIDR); allowed: a mask of /{shortest} to /{longest}"
            f" inside {', '.join(map(str, service_ranges))}'",
        ),
    ]
    return policy("cidrs", (MANAGED_CLUSTER,), checks)


def instance_type_policy(allowed: Sequence[str], too_small: Sequence[str], minimum: str) -> list[dict[str, Any]]:
    """The instance types of a NodePool exist and are large enough for a node."""
    types = f"{SPEC}.scalingGroup.instanceTypes"
    variables = {
        "small": f"{types}.filter(t, t in {texts(too_small)})",
        "unknown": f"{types}.filter(t, !(t in {texts(allowed)}) && !(t in variables.small))",
    }
    unknown = Check(
        "variables.unknown.size() == 0",
        "'spec.scalingGroup.instanceTypes: ' + variables.unknown.join(', ') + ' is not an instance type that ACK"
        " offers (InvalidInstanceType.ValueNotSupported); allowed are ECS types such as ecs.c6.xlarge, ecs.g7.2xlarge'",
    )
    small = Check(
        "variables.small.size() == 0",
        "'spec.scalingGroup.instanceTypes: ' + variables.small.join(', ') + ' is too small for a node"
        f" (InvalidInstanceType.ValueNotSupported); a node needs at least {minimum}'",
    )
    return policy("instance-types", (NODE_POOL,), [unknown, small], variables)


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


def backend_policy(hard: int) -> list[dict[str, Any]]:
    """A server group holds no more backend servers than the account's quota of a load balancer lets it."""
    variables = {
        "hard": f"has(params.spec) && has(params.spec.hard) && 'backends' in params.spec.hard"
        f" ? params.spec.hard['backends'] : {hard}",
        "size": f"has({SPEC}.backendServers) ? {SPEC}.backendServers.size() : 0",
    }
    check = Check(
        "variables.size <= variables.hard",
        "'spec.backendServers: ' + string(variables.size) + ' servers; the backend server number has reached to the"
        " quota limit of this load balancer: ' + string(variables.hard) + ' (backends of the CloudQuota default)'",
    )
    return policy("backends", (SERVER_GROUP,), [check], variables, parameter=CLOUD_QUOTA)
