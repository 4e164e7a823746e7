"""ValidatingAdmissionPolicies of load balancers, their listeners, server groups and access control lists.

Pure, as `policy` is. What SLB would refuse of a request is refused here; what depends on other objects, such as a
vSwitch that may still come, is told by conditions instead.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ackbox.resources.acl import ACCESS_CONTROL_LIST
from ackbox.resources.base import Kind
from ackbox.resources.cloudquota import CLOUD_QUOTA
from ackbox.resources.listener import LISTENER
from ackbox.resources.loadbalancer import SERVICE_LOAD_BALANCER
from ackbox.resources.policy import SPEC, Check, policy, text, texts
from ackbox.resources.servergroup import SERVER_GROUP

EDITOR = "kubectl-edit"
"""The field manager of `kubectl edit`: changes that somebody types by hand, as in the cloud's console."""

CLASSIC = f"{SPEC}.loadBalancerType == 'clb'"
INTRANET = f"{SPEC}.addressType == 'intranet'"


def charge_policy(specs: Sequence[str]) -> list[dict[str, Any]]:
    """Charge types and what they go with, and the specification that PayBySpec names."""
    by_bandwidth = f"has({SPEC}.internetChargeType) && {SPEC}.internetChargeType == 'paybybandwidth'"
    by_spec = f"{SPEC}.instanceChargeType == 'PayBySpec'"
    checks = [
        Check(
            f"!({by_spec}) || !has({SPEC}.loadBalancerSpec) || {SPEC}.loadBalancerSpec in variables.specs",
            f"'spec.loadBalancerSpec: ' + {SPEC}.loadBalancerSpec + ' is not a specification; allowed: '"
            " + variables.specs.join(', ')",
        ),
        Check(
            f"!({by_bandwidth}) || !({INTRANET})",
            "'spec.internetChargeType: paybybandwidth is for spec.addressType internet; an intranet load balancer has no"
            " Internet traffic to pay for'",
        ),
        Check(
            f"!({by_bandwidth}) || {by_spec}",
            f"'spec.internetChargeType: paybybandwidth needs spec.instanceChargeType PayBySpec; with '"
            f" + {SPEC}.instanceChargeType + ' allowed: paybytraffic'",
        ),
    ]
    return policy("load-balancer-charges", (SERVICE_LOAD_BALANCER,), checks, {"specs": texts(specs)})


def kind_policy(minimum_zones: Mapping[str, int]) -> list[dict[str, Any]]:
    """Each kind of load balancer has its own fields, versions of IP and least number of zones."""
    minimum = "{" + ", ".join(f"{text(kind)}: {count}" for kind, count in minimum_zones.items()) + "}"
    versions = "{'clb': ['ipv4', 'ipv6'], 'nlb': ['ipv4', 'DualStack'], 'alb': ['ipv4', 'DualStack']}"
    variables = {
        "kind": f"{SPEC}.loadBalancerType",
        "minimum": f"variables.kind in {minimum} ? {minimum}[variables.kind] : 0",
        "versions": f"{versions}[variables.kind]",
        "count": f"has({SPEC}.zoneMappings) ? {SPEC}.zoneMappings.size() : 0",
    }
    checks = [
        Check(
            "variables.count >= variables.minimum",
            "'spec.zoneMappings: zone mappings are required (ParameterMissing): spec.loadBalancerType '"
            " + variables.kind + ' needs at least ' + string(variables.minimum) + ', got ' + string(variables.count)",
        ),
        Check(
            f"{SPEC}.addressIPVersion in variables.versions",
            f"'spec.addressIPVersion: ' + {SPEC}.addressIPVersion + ' is not for spec.loadBalancerType '"
            " + variables.kind + '; allowed: ' + variables.versions.join(', ')",
        ),
        Check(
            f"!({CLASSIC}) || {SPEC}.addressIPVersion == 'ipv4' || !({INTRANET})",
            "'spec.addressIPVersion: ipv6 needs spec.addressType internet'",
        ),
        *(_only(field, filled, CLASSIC, "clb") for field, filled in _filled("vSwitchId", "eips", "masterZoneId")),
        *(
            _only(field, filled, f"!({CLASSIC})", "nlb and alb")
            for field, filled in _filled("zoneMappings", "securityGroupIds", "bandwidthPackageId")
        ),
        Check(
            f"!has({SPEC}.eips) || {SPEC}.eips.size() == 0 || {INTRANET}",
            "'spec.eips: an elastic IP address can only be bound to a load balancer of spec.addressType intranet'",
        ),
    ]
    return policy("load-balancer-kinds", (SERVICE_LOAD_BALANCER,), checks, variables)


def _filled(*fields: str) -> list[tuple[str, str]]:
    lists = ("eips", "zoneMappings", "securityGroupIds")
    return [
        (field, f"has({SPEC}.{field})" + (f" && {SPEC}.{field}.size() > 0" if field in lists else ""))
        for field in fields
    ]


def _only(field: str, filled: str, condition: str, kinds: str) -> Check:
    return Check(
        f"!({filled}) || {condition}",
        f"'spec.{field} is for spec.loadBalancerType {kinds}, not for ' + {SPEC}.loadBalancerType",
    )


def zone_policy(zones: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Zones are of the region, if one is named, and addresses of a zone never change."""
    table = "{" + ", ".join(f"{text(region)}: {texts(names)}" for region, names in zones.items()) + "}"
    mappings = f"has({SPEC}.zoneMappings) ? {SPEC}.zoneMappings : []"
    variables = {
        "zones": f"has({SPEC}.regionId) && {SPEC}.regionId in {table} ? {table}[{SPEC}.regionId] : []",
        "mappings": mappings,
        "before": f"oldObject == null ? [] : ({mappings.replace('object.', 'oldObject.')})",
        "named": "variables.mappings.map(m, m.zoneId)"
        f" + (has({SPEC}.masterZoneId) ? [{SPEC}.masterZoneId] : [])"
        f" + (has({SPEC}.slaveZoneId) ? [{SPEC}.slaveZoneId] : [])",
        "stray": "variables.zones == [] ? [] : variables.named.filter(z, !(z in variables.zones))",
        "moved": "variables.mappings.filter(m, variables.before.exists(b, b.zoneId == m.zoneId"
        " && b.vSwitchId == m.vSwitchId && (b.?privateIPv4Address != m.?privateIPv4Address"
        " || b.?allocationId != m.?allocationId)))",
    }
    checks = [
        Check(
            "variables.stray.size() == 0",
            f"'spec.zoneMappings, spec.masterZoneId or spec.slaveZoneId: ' + variables.stray[0] + ' is not a zone of '"
            f" + {SPEC}.regionId + '; allowed: ' + variables.zones.join(', ')",
        ),
        Check(
            f"!has({SPEC}.masterZoneId) || !has({SPEC}.slaveZoneId) || {SPEC}.masterZoneId != {SPEC}.slaveZoneId",
            f"'spec.slaveZoneId: ' + {SPEC}.slaveZoneId + ' is spec.masterZoneId too; the two must differ'",
        ),
        Check(
            "variables.moved.size() == 0",
            "'spec.zoneMappings[' + variables.moved[0].zoneId + ']: privateIPv4Address and allocationId cannot be"
            " changed after the zone was added'",
        ),
    ]
    return policy("load-balancer-zones", (SERVICE_LOAD_BALANCER,), checks, variables)


ELASTIC = "^(eip-[A-Za-z0-9-]+|[a-z0-9]([a-z0-9-]*[a-z0-9])?)$"
"""The id of an elastic IP address, or the name of one (names without dots, lest an address looks like one)."""


def identifier_policy() -> list[dict[str, Any]]:
    """Ids of what ackbox has no objects for look like the cloud's, and source ranges are CIDR blocks."""
    variables = {
        "eips": f"(has({SPEC}.eips) ? {SPEC}.eips.map(e, e.allocationId) : [])"
        f" + (has({SPEC}.zoneMappings) ? {SPEC}.zoneMappings.filter(m, has(m.allocationId)).map(m, m.allocationId) : [])",
        "groups": f"has({SPEC}.securityGroupIds) ? {SPEC}.securityGroupIds : []",
        "packages": f"has({SPEC}.bandwidthPackageId) && {SPEC}.bandwidthPackageId != '' ? [{SPEC}.bandwidthPackageId] : []",
        "ranges": f"has({SPEC}.sourceRanges) ? {SPEC}.sourceRanges : []",
        "badEips": f"variables.eips.filter(i, !i.matches('{ELASTIC}'))",
        "badGroups": _unlike("groups", "sg"),
        "badPackages": _unlike("packages", "cbwp"),
        "badRanges": "variables.ranges.filter(r, !isCIDR(r))",
    }
    checks = [
        _shaped(
            "spec.eips or spec.zoneMappings: allocationId", "badEips", "eip-bp1xxx, or the name of an ElasticIPAddress"
        ),
        _shaped("spec.securityGroupIds", "badGroups", "sg-bp1xxx"),
        _shaped("spec.bandwidthPackageId", "badPackages", "cbwp-bp1xxx"),
        _shaped("spec.sourceRanges", "badRanges", "CIDR blocks such as 10.0.0.0/8"),
    ]
    return policy("load-balancer-ids", (SERVICE_LOAD_BALANCER,), checks, variables)


def _unlike(variable: str, prefix: str) -> str:
    return f"variables.{variable}.filter(i, !i.matches('^{prefix}-[A-Za-z0-9-]+$'))"


def _shaped(field: str, variable: str, example: str) -> Check:
    return Check(
        f"variables.{variable}.size() == 0",
        f"'{field} ' + variables.{variable}[0] + ' has the wrong form; allowed: {example}'",
    )


def modification_policy() -> list[dict[str, Any]]:
    """ConsoleProtection keeps people from changing a load balancer by hand; programs and files may, as in the cloud."""
    protected = "{object}.spec.modificationProtectionStatus == 'ConsoleProtection'"
    check = Check(
        f"!({protected.format(object='oldObject')} && {protected.format(object='object')}"
        f" && has(request.options.fieldManager) && request.options.fieldManager == {text(EDITOR)})",
        "'spec.modificationProtectionStatus of ' + oldObject.metadata.name + ' is ConsoleProtection"
        " (OperationDenied.ConsoleProtection): kubectl edit may only set it to NonProtection'",
        "Forbidden",
    )
    return policy("load-balancer-modification", (SERVICE_LOAD_BALANCER,), [check], operations=("UPDATE",))


def acl_policy() -> list[dict[str, Any]]:
    """The entries of an access control list are addresses or CIDR blocks of its version of IP."""
    version = f"({SPEC}.addressIPVersion == 'ipv6' ? 6 : 4)"
    fits = f"isIP(e.entry) && ip(e.entry).family() == {version}"
    fits_block = f"isCIDR(e.entry) && cidr(e.entry).ip().family() == {version}"
    variables = {
        "wrong": f"has({SPEC}.aclEntries) ? {SPEC}.aclEntries.filter(e, !({fits}) && !({fits_block})) : []",
    }
    check = Check(
        "variables.wrong.size() == 0",
        f"'spec.aclEntries: ' + variables.wrong[0].entry + ' is no ' + {SPEC}.addressIPVersion + ' address or CIDR"
        " block; allowed: such as ' + "
        f"({SPEC}.addressIPVersion == 'ipv6' ? '2001:db8::/32' : '10.0.0.0/8')",
    )
    return policy("acl-entries", (ACCESS_CONTROL_LIST,), [check], variables)


def listener_quota_policy() -> list[dict[str, Any]]:
    """A load balancer whose listeners are as many as its quota takes no further one.

    The operator's count in the CloudQuota decides, as admission can't count other objects. It lags a second behind.
    """
    check = Check(
        f"!({SPEC}.loadBalancerId in variables.full)",
        f"'spec.loadBalancerId: the number of listeners of ' + {SPEC}.loadBalancerId + ' has reached its quota: '"
        f" + string(variables.full[{SPEC}.loadBalancerId]) + ' (ListenerNumberOverLimit; listeners of the CloudQuota"
        " default)'",
    )
    return _counted("listener-quota", LISTENER, {"full": _figures("fullLoadBalancers")}, check, ("CREATE",))


def attachment_quota_policy() -> list[dict[str, Any]]:
    """An instance that is behind as many load balancers as its quota takes gets behind no further one."""
    variables = {
        "full": _figures("fullInstances"),
        "serving": _figures("servingLoadBalancers"),
        "before": "oldObject == null || !has(oldObject.spec.backendServers) ? []"
        " : oldObject.spec.backendServers.map(s, s.serverId)",
        "servers": f"has({SPEC}.backendServers) ? {SPEC}.backendServers.filter(s, s.serverId in variables.full) : []",
        "new": f"{SPEC}.loadBalancerId in variables.serving ? []"
        " : variables.servers.filter(s, !(s.serverId in variables.before))",
    }
    check = Check(
        "variables.new.size() == 0",
        "'spec.backendServers: ' + variables.new[0].serverId + ' is a backend server of '"
        " + string(variables.full[variables.new[0].serverId]) + ' load balancers already, which is its quota"
        " (BackendServerAttachmentOverLimit; attachments of the CloudQuota default)'",
    )
    return _counted("attachment-quota", SERVER_GROUP, variables, check, ("CREATE", "UPDATE"))


def _figures(field: str) -> str:
    return f"has(params.status) && has(params.status.{field}) ? params.status.{field} : {{}}"


def _counted(
    name: str, kind: Kind, variables: Mapping[str, str], check: Check, operations: Sequence[str]
) -> list[dict[str, Any]]:
    return policy(name, (kind,), [check], variables, operations=operations, parameter=CLOUD_QUOTA)
