"""ValidatingAdmissionPolicies of clusters: what each type of cluster allows, and how its fields are to be written.

Pure, as `policy` is: the catalog's values come in as arguments. What never changes is kept by the CRD itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from ackbox.resources.cluster_settings import NETWORK_PLUGINS
from ackbox.resources.managedcluster import MANAGED_CLUSTER
from ackbox.resources.policy import SPEC, Check, policy, table, text, texts

EXTERNAL = f"{SPEC}.clusterType == 'ExternalKubernetes'"
DEDICATED = f"{SPEC}.clusterType == 'Kubernetes'"
SERVERLESS = f"{SPEC}.profile == 'Serverless'"
TERWAY = f"(has({SPEC}.addons) && {SPEC}.addons.exists(a, a.name.startsWith('terway')))"

FAMILIES = "{'Default': 'ack', 'Edge': 'edge', 'Serverless': 'ask'}"

DNS_NAME = r"^([*][.])?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?[.])*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
DATE_TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
DAYS = "(MO|TU|WE|TH|FR|SA|SU)"
RECURRENCE = f"^FREQ=WEEKLY(;INTERVAL=[1-9][0-9]?)?;BYDAY={DAYS}(,{DAYS})*$"
"""ACK takes weekly rules only, and neither COUNT nor UNTIL (CreateCluster, maintenance_window)."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class ClusterRules:
    """The catalog's part in what a cluster may be.

    Attributes:
        offered: what a region offers, by region.
        pending: what is to be opened there.
        time_zones: every name of a time zone.
        misspelled: the right name of those that are often written wrong.
        master_types: instance types that a master can have.
        minimum: what a master needs, in words.
    """

    offered: Mapping[str, Sequence[str]]
    pending: Mapping[str, Sequence[str]]
    time_zones: Sequence[str]
    misspelled: Mapping[str, str]
    master_types: Sequence[str]
    minimum: str
    container_ranges: Sequence[IPv4Network]
    service_ranges: Sequence[IPv4Network]
    service_masks: tuple[int, int]


def cluster_policy(rules: ClusterRules) -> list[dict[str, Any]]:
    """Everything that a ManagedCluster can be refused for by itself, told in one message."""
    variables = {
        "regions": texts(rules.offered),
        "offered": table(rules.offered),
        "pending": table(rules.pending),
        "form": form_of(SPEC),
        "formBefore": f"oldObject == null ? '' : {form_of('oldObject.spec')}",
        "pro": "variables.form.endsWith('_pro')",
        "timeZones": texts(rules.time_zones),
        "misspelled": "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in rules.misspelled.items()) + "}",
        "masterTypes": texts(rules.master_types),
    }
    checks = [
        *_forms(),
        *_fields_of_types(rules.minimum),
        *_network_fields(),
        *_cidrs(rules.container_ranges, rules.service_ranges, rules.service_masks),
        *_spellings(),
        *tag_checks(f"{SPEC}.tags", "spec.tags"),
        name_check(),
    ]
    return policy("clusters", (MANAGED_CLUSTER,), checks, variables)


def form_of(spec: str) -> str:
    """The column of ACK's table of regions that a cluster belongs to."""
    return (
        f"{spec}.clusterType == 'ExternalKubernetes' ? 'registered' : {spec}.clusterType == 'Kubernetes' ? 'ack_dedicated'"
        f" : {FAMILIES}[{spec}.profile] + ({spec}.clusterSpec.startsWith('ack.pro') ? '_pro' : '_standard')"
    )


def _forms() -> list[Check]:
    """The region offers what is asked for. A cluster that is there already stays, whatever becomes of the table."""
    region = f"{SPEC}.regionId"
    asked = (
        f"variables.form + ' (spec.clusterType ' + {SPEC}.clusterType + ', spec.profile ' + {SPEC}.profile"
        f" + ', spec.clusterSpec ' + {SPEC}.clusterSpec + ')'"
    )
    known = f"{region} in variables.offered"
    kept = "variables.form == variables.formBefore"
    pending = f"{known} && variables.form in variables.pending[{region}]"
    open_there = f"variables.offered[{region}].join(', ')"
    return [
        Check(
            known,
            f"'spec.regionId: ' + {region} + ' is not a region (InvalidRegionId.NotFound); allowed: '"
            " + variables.regions.join(', ')",
        ),
        Check(
            f"{kept} || !({pending})",
            f"'spec.regionId: ' + {asked} + ' is to be opened in ' + {region} + ' and not there yet"
            f" (InvalidRegionId.NotOpen); open there: ' + {open_there}",
        ),
        Check(
            f"{kept} || !({known}) || ({pending}) || variables.form in variables.offered[{region}]",
            f"'spec.regionId: ' + {region} + ' does not offer ' + {asked}"
            f" + ' (InvalidRegionId.NotSupported); it offers: ' + {open_there}",
        ),
    ]


def _fields_of_types(minimum: str) -> list[Check]:
    """Fields that one type of cluster has and another has not."""
    masters = f"has({SPEC}.controlPlaneConfig) && has({SPEC}.controlPlaneConfig.instanceTypes)"
    types = f"({masters} ? {SPEC}.controlPlaneConfig.instanceTypes : [])"
    wrong = f"{types}.filter(t, !(t in variables.masterTypes))"
    return [
        Check(
            f"{SPEC}.profile == 'Default' || {SPEC}.clusterType == 'ManagedKubernetes'",
            f"'spec.profile: ' + {SPEC}.profile + ' is for spec.clusterType ManagedKubernetes, not for '"
            f" + {SPEC}.clusterType + '; allowed: Default'",
        ),
        Check(
            f"{SPEC}.clusterSpec == 'ack.standard' || {SPEC}.clusterType == 'ManagedKubernetes'",
            f"'spec.clusterSpec: ' + {SPEC}.clusterSpec + ' is for spec.clusterType ManagedKubernetes, not for '"
            f" + {SPEC}.clusterType + '; leave it out'",
        ),
        Check(
            f"!has({SPEC}.encryptionProviderKey) || variables.pro",
            "'spec.encryptionProviderKey: Secrets are encrypted at rest in Pro clusters only; this one is '"
            " + variables.form + '. Set spec.clusterSpec to ack.pro.small or leave the key out'",
        ),
        Check(
            f"!has({SPEC}.controlPlaneConfig) || {DEDICATED}",
            f"'spec.controlPlaneConfig: only a dedicated cluster (spec.clusterType Kubernetes) has masters of its own,"
            f" not ' + {SPEC}.clusterType",
        ),
        Check(
            f"{wrong}.size() == 0",
            f"'spec.controlPlaneConfig.instanceTypes: ' + {wrong}.join(', ') + ' can not be a master"
            f" (InvalidInstanceType.ValueNotSupported); allowed: ECS types with at least {minimum}, such as"
            " ecs.g6.xlarge'",
        ),
        Check(
            f"!({DEDICATED} || {SERVERLESS}) || (has({SPEC}.vswitchIds) && {SPEC}.vswitchIds.size() > 0)",
            f"'spec.vswitchIds: ' + ({SERVERLESS} ? 'the pods of a serverless cluster' : 'the masters of a dedicated"
            " cluster') + ' take their addresses from a vSwitch; name at least one'",
        ),
        Check(
            f"!({SERVERLESS}) || !has({SPEC}.containerCidr)",
            "'spec.containerCidr: the pods of a serverless cluster have addresses of its vSwitches; leave it out'",
        ),
        Check(
            f"!({SERVERLESS}) || !has({SPEC}.addons) || !{SPEC}.addons.exists(a, a.name in {texts(NETWORK_PLUGINS)})",
            "'spec.addons: a serverless cluster has no nodes and so no network plug-in; leave out '"
            f" + {SPEC}.addons.filter(a, a.name in {texts(NETWORK_PLUGINS)}).map(a, a.name).join(', ')",
        ),
    ]


def _network_fields() -> list[Check]:
    return [
        Check(
            f"!has({SPEC}.podVswitchIds) || {SPEC}.podVswitchIds.size() == 0 || {TERWAY}",
            "'spec.podVswitchIds: pods have addresses of a vSwitch with the network plug-in terway-eniip only; add it"
            " to spec.addons or leave them out'",
        ),
        Check(
            f"{SPEC}.ipStack != 'dual' || {TERWAY}",
            "'spec.ipStack: dual needs the network plug-in terway-eniip in spec.addons; allowed: ipv4'",
        ),
        Check(
            f"{SPEC}.proxyMode != 'nftables' || !has({SPEC}.kubernetesVersion)"
            f" || !{SPEC}.kubernetesVersion.matches('^1[.]([0-9]|[12][0-9]|3[0-4])([.].*)?$')",
            f"'spec.proxyMode: nftables needs Kubernetes 1.35, spec.kubernetesVersion is ' + {SPEC}.kubernetesVersion"
            " + '; allowed: ipvs, iptables'",
        ),
        Check(
            f"!{SPEC}.isEnterpriseSecurityGroup || !has({SPEC}.securityGroupId)",
            "'spec.isEnterpriseSecurityGroup: ACK makes a security group only where spec.securityGroupId is left out;"
            " keep one of the two'",
        ),
    ]


def _cidrs(
    container_ranges: Sequence[IPv4Network], service_ranges: Sequence[IPv4Network], service_masks: tuple[int, int]
) -> list[Check]:
    """Container and service CIDR lie in private ranges, have a usable size, and Flannel has its container CIDR."""
    container = f"{EXTERNAL} || !has({SPEC}.containerCidr) || !isCIDR({SPEC}.containerCidr)"
    service = f"{EXTERNAL} || !isCIDR({SPEC}.serviceCidr)"
    inside = "{ranges}.exists(r, cidr(r).containsCIDR({field}))"
    shortest, longest = service_masks
    return [
        Check(
            f"{EXTERNAL} || {SERVERLESS} || has({SPEC}.containerCidr) || {TERWAY}",
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


def _spellings() -> list[Check]:
    zone, window = f"{SPEC}.timezone", f"{SPEC}.maintenanceWindow"
    bad_names = f"{SPEC}.extraSans.filter(n, !isIP(n) && !n.matches({text(DNS_NAME)}))"
    # By its right name if it is a known slip, else whatever differs in its case or lacks the continent.
    meant = (
        f"({zone} in variables.misspelled ? [variables.misspelled[{zone}]] : variables.timeZones.filter(z,"
        f" z.lowerAscii() == {zone}.lowerAscii() || z.lowerAscii().endsWith('/' + {zone}.lowerAscii())))"
    )
    return [
        Check(
            f"!has({zone}) || {zone} in variables.timeZones",
            f"'spec.timezone: ' + {zone} + ' is not a name of the IANA database' + ({meant}.size() > 0"
            f" ? '; did you mean ' + {meant}.join(' or ') + '?' : '; allowed are names such as Asia/Shanghai, UTC')",
        ),
        Check(
            f"!has({SPEC}.extraSans) || {bad_names}.size() == 0",
            f"'spec.extraSans: ' + {bad_names}.join(', ') + ' is neither an IP address nor a DNS name'",
        ),
        Check(
            f"!has({window}) || !has({window}.maintenanceTime) || {window}.maintenanceTime.matches({text(DATE_TIME)})",
            f"'spec.maintenanceWindow.maintenanceTime: ' + {window}.maintenanceTime + ' is not a time of RFC 3339, such"
            " as 2026-11-19T03:00:00+08:00'",
        ),
        Check(
            f"!has({window}) || !{window}.enable || has({window}.maintenanceTime)",
            "'spec.maintenanceWindow.maintenanceTime: a window that is switched on needs the time at which it begins'",
        ),
        Check(
            f"!has({window}) || {window}.weeklyPeriod.split(',').all(d, d in {texts(WEEKDAYS)})",
            f"'spec.maintenanceWindow.weeklyPeriod: ' + {window}.weeklyPeriod + ' does not list days of the week with"
            f" commas between them; allowed: {', '.join(WEEKDAYS)}'",
        ),
        Check(
            f"!has({window}) || !has({window}.recurrence) || {window}.recurrence.matches({text(RECURRENCE)})",
            f"'spec.maintenanceWindow.recurrence: ' + {window}.recurrence + ' is not a weekly rule of RFC 5545 without"
            " COUNT and UNTIL, such as FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,TU'",
        ),
    ]


def name_check() -> Check:
    """A name of ACK has 63 characters at most; ackbox puts it into labels too, which hold no more."""
    return Check(
        "object.metadata.name.size() <= 63",
        "'metadata.name: ' + object.metadata.name + ' has ' + string(object.metadata.name.size())"
        " + ' characters; allowed: 63 at most'",
    )


def tag_checks(path: str, name: str) -> list[Check]:
    """Tags don't begin with what the cloud keeps for itself (ACK, CreateCluster, tags).

    Args:
        path: CEL of the list of tags; it may be absent.
        name: how the message calls it.
    """
    taken = "['aliyun', 'acs:', 'http://', 'https://']"
    bad = f"{path}.filter(t, {taken}.exists(p, t.key.lowerAscii().startsWith(p)))"
    links = f"{path}.filter(t, has(t.value) && (t.value.startsWith('http://') || t.value.startsWith('https://')))"
    return [
        Check(
            f"!has({path}) || {bad}.size() == 0",
            f"'{name}: ' + {bad}.map(t, t.key).join(', ') + ' begins with a reserved prefix (InvalidTagKey.Malformed);"
            " not allowed: aliyun, acs:, http://, https://'",
        ),
        Check(
            f"!has({path}) || {links}.size() == 0",
            f"'{name}: the value of ' + {links}.map(t, t.key).join(', ') + ' begins with http:// or https://"
            " (InvalidTagValue.Malformed)'",
        ),
    ]
