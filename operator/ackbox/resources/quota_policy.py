"""ValidatingAdmissionPolicies of quotas: what an account asks for beyond them is refused with the cloud's code.

Pure, as `policy` is. Limits are read from the CloudQuota's spec, so that a raise counts at once; what is used from its
status, for admission can't count other objects. That count lags a second behind, and whoever comes in between is refused
when machines and ids are given out. Without a CloudQuota, which comes with the account's first object, all pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ackbox.resources.base import Kind
from ackbox.resources.cloudquota import CLOUD_QUOTA, QUOTA_NAME
from ackbox.resources.cluster_policy import form_of
from ackbox.resources.eip import ELASTIC_IP_ADDRESS
from ackbox.resources.loadbalancer import SERVICE_LOAD_BALANCER
from ackbox.resources.managedcluster import MANAGED_CLUSTER
from ackbox.resources.network import ROUTE_TABLE, VPC
from ackbox.resources.nodepool import NODE_POOL
from ackbox.resources.policy import SPEC, Check, policy, text, texts
from ackbox.resources.servergroup import SERVER_GROUP

GROUP = f"{SPEC}.scalingGroup"
SCALE = replace(NODE_POOL, plural=f"{NODE_POOL.plural}/scale")
"""What `kubectl scale` and autoscalers change: its object is an autoscaling/v1 Scale of the pool's name."""

ACCOUNT = {
    "raised": "has(params.spec) && has(params.spec.hard) ? params.spec.hard : {}",
    "status": "has(params.status) ? params.status : {}",
    "used": "'used' in variables.status ? variables.status.used : {}",
    "asked": "'asked' in variables.status ? variables.status.asked : {}",
    "clusters": "'clusters' in variables.status ? variables.status.clusters : {}",
    "pools": "'nodePools' in variables.status ? variables.status.nodePools : {}",
}
"""Variables of every policy here."""


@dataclass(frozen=True)
class Figure:
    """A quota of the catalog.

    Attributes:
        default: the figure, or one for each edition; an edition that isn't there has no limit.
        fixed: nobody raises it.
        within: another quota that bounds it.
    """

    name: str
    code: str
    message: str
    default: int | Mapping[str, int]
    fixed: bool = False
    within: "Figure | None" = None

    def limit(self, of: str | None = None) -> str:
        """The figure in force, as a CEL expression; `of` is the expression of what it differs by."""
        plain = text(self.name)
        own = f"({of} + {text('/' + self.name)})" if of else plain
        found = (
            f"({own} in variables.raised ? variables.raised[{own}]"
            f" : {plain} in variables.raised ? variables.raised[{plain}] : {self._default(of)})"
        )
        if self.fixed:
            found = _least(found, self._default(of))
        return _least(found, self.within.limit(of)) if self.within else found

    def check(self, fits: str, field: str, used: str, limit: str, of: str | None = None) -> Check:
        """The check of a quota.

        Args:
            fits: the expression that must hold.
            field: what of the object asks for it.
            used: the expression of what is used.
            limit: the variable that holds the limit.
            of: the expression of what the limit differs by.
        """
        key = f"' + {of} + '/{self.name}" if of else self.name
        names = " and ".join(f"spec.hard.{each.name}" for each in (self, self.within) if each)
        how = "it cannot be raised" if self.fixed else f"raise {names} of the CloudQuota {QUOTA_NAME} to get more"
        message = (
            f"'{field}: {self.message} {key}: ' + string({used}) + ' used of ' + string(variables.{limit})"
            f" + ' ({self.code}); {how}'"
        )
        return Check(fits, message)

    def _default(self, of: str | None) -> str:
        if isinstance(self.default, int):
            return str(self.default)
        rows = "{" + ", ".join(f"{text(form)}: {figure}" for form, figure in self.default.items()) + "}"
        return f"({of} in {rows} ? {rows}[{of}] : {UNLIMITED})"


UNLIMITED = 1_000_000
"""The limit where the cloud has none."""


def _least(left: str, right: str) -> str:
    return f"({left} < {right} ? {left} : {right})"


def _used(of: str | None, name: str) -> str:
    own = f"({of} + {text('/' + name)})" if of else text(name)
    return f"({own} in variables.used ? variables.used[{own}] : 0)"


@dataclass(frozen=True)
class QuotaRules:
    """The catalog's part.

    Attributes:
        figures: every quota, by name.
        editions, regions: what a figure may differ by.
        vcpus: of each instance type.
        subscription_excludes: families that can't be changed from pay-as-you-go to subscription.
    """

    figures: Mapping[str, Figure]
    editions: Sequence[str]
    regions: Sequence[str]
    vcpus: Mapping[str, int]
    subscription_excludes: Sequence[str]


def quota_policies(rules: QuotaRules) -> list[dict[str, Any]]:
    """Every policy that goes by the account's quotas."""
    figures = rules.figures
    region = f"{SPEC}.regionId"
    return [
        *_figure_policy(rules),
        *_cluster_policy(figures["clusters"]),
        *_pool_policy(rules),
        *_scale_policy(rules),
        *_places("load-balancer-quota", SERVICE_LOAD_BALANCER, figures["loadbalancers"], f"{SPEC}.loadBalancerType"),
        *_places("elastic-ip-quota", ELASTIC_IP_ADDRESS, figures["eips"], None),
        *_places("vpc-quota", VPC, figures["vpcs"], region, by_region=True),
        *_sizes("vswitch-quota", VPC, figures["vswitches"], "vswitches"),
        *_sizes("route-entry-quota", ROUTE_TABLE, figures["routeentries"], "routeEntries"),
        *_sizes("backends", SERVER_GROUP, figures["backends"], "backendServers"),
    ]


def _policy(
    name: str,
    kind: Kind,
    checks: Sequence[Check],
    variables: Mapping[str, str],
    operations: Sequence[str] = ("CREATE", "UPDATE"),
) -> list[dict[str, Any]]:
    return policy(name, (kind,), checks, {**ACCOUNT, **variables}, operations, parameter=CLOUD_QUOTA)


def _figure_policy(rules: QuotaRules) -> list[dict[str, Any]]:
    """A CloudQuota has one name, sets quotas that there are, and raises none that nobody raises."""
    by_edition = [name for name, figure in rules.figures.items() if not isinstance(figure.default, int)]
    others = [name for name in rules.figures if name not in by_edition]
    fixed = {name: figure.default for name, figure in rules.figures.items() if figure.fixed}
    flat = {name: default for name, default in fixed.items() if isinstance(default, int)}
    flat |= {
        f"{form}/{name}": default
        for name, defaults in fixed.items()
        if not isinstance(defaults, int)
        for form, default in defaults.items()
    }
    most = "{" + ", ".join(f"{text(name)}: {figure}" for name, figure in flat.items()) + "}"
    known = "k.split('/').size() == 1 ? k in variables.names : k.split('/').size() == 2 && ("
    known += "(k.split('/')[0] in variables.editions && k.split('/')[1] in variables.byEdition)"
    known += " || (k.split('/')[0] in variables.regions && k.split('/')[1] in variables.others))"
    variables = {
        "names": texts(rules.figures),
        "editions": texts(rules.editions),
        "byEdition": texts(by_edition),
        "regions": texts(rules.regions),
        "others": texts(others),
        "most": most,
        "hard": f"has({SPEC}.hard) ? {SPEC}.hard : {{}}",
        "unknown": f"variables.hard.filter(k, !({known}))",
        "fixed": "variables.hard.filter(k, k in variables.most && variables.hard[k] > variables.most[k])",
    }
    checks = [
        Check(
            f"object.metadata.name == {text(QUOTA_NAME)}",
            f"'metadata.name: ' + object.metadata.name + ' has no effect (spec.hard); allowed: {QUOTA_NAME}'",
        ),
        Check(
            "variables.unknown.size() == 0",
            "'spec.hard: ' + variables.unknown.join(', ') + ' is no quota; allowed: ' + variables.names.join(', ')"
            " + ', and <edition>/ before ' + variables.byEdition.join(', ') + ', <region>/ before the others'",
        ),
        Check(
            "variables.fixed.size() == 0",
            "'spec.hard.' + variables.fixed[0] + ': ' + string(variables.hard[variables.fixed[0]])"
            " + ' (QuotaNotAdjustable): the cloud raises it for nobody; allowed: at most '"
            " + string(variables.most[variables.fixed[0]])",
        ),
    ]
    return policy("quota-figures", (CLOUD_QUOTA,), checks, variables)


def _cluster_policy(figure: Figure) -> list[dict[str, Any]]:
    """An edition has a place for one more cluster."""
    variables = {
        "edition": form_of(SPEC),
        "limit": figure.limit("variables.edition"),
        "count": _used("variables.edition", figure.name),
    }
    field = "spec.clusterType, spec.profile, spec.clusterSpec"
    check = figure.check("variables.count < variables.limit", field, "variables.count", "limit", "variables.edition")
    return _policy("cluster-quota", MANAGED_CLUSTER, [check], variables, ("CREATE",))


def _places(name: str, kind: Kind, figure: Figure, of: str | None, by_region: bool = False) -> list[dict[str, Any]]:
    """There is a place for one more object; `of` is what is counted apart."""
    variables = {"limit": figure.limit(of if by_region else None), "count": _used(of, figure.name)}
    check = figure.check("variables.count < variables.limit", "spec", "variables.count", "limit", of)
    return _policy(name, kind, [check], variables, ("CREATE",))


def _sizes(name: str, kind: Kind, figure: Figure, field: str) -> list[dict[str, Any]]:
    """A list of an object holds no more than it may, unless it held as many before."""
    size = "has({0}.spec) && has({0}.spec.{1}) ? {0}.spec.{1}.size() : 0"
    variables = {
        "limit": figure.limit(),
        "size": size.format("object", field),
        "before": "oldObject == null ? 0 : (" + size.format("oldObject", field) + ")",
    }
    fits = "variables.size <= variables.limit || variables.size <= variables.before"
    return _policy(name, kind, [figure.check(fits, f"spec.{field}", "variables.size", "limit")], variables)


def _growth(rules: QuotaRules) -> tuple[dict[str, str], list[Check]]:
    """What holds when a pool is to have more machines, however that is asked for.

    The variables `wanted`, `more`, `cluster` (its use, or an empty map), `vcpus` (of one machine) and `paid` (the quota
    that they count against) come before these.
    """
    nodes, group = rules.figures["nodes"], rules.figures["scalinggroupinstances"]
    cores, spot = rules.figures["vcpus"], rules.figures["spotvcpus"]
    form, region = "variables.edition", "variables.region"
    variables = {
        "edition": "'edition' in variables.cluster ? variables.cluster.edition : ''",
        "region": "'regionId' in variables.cluster ? variables.cluster.regionId : ''",
        "nodes": "'nodes' in variables.cluster ? variables.cluster.nodes : 0",
        "nodeLimit": nodes.limit(form),
        "groupLimit": group.limit(),
        "coreLimit": cores.limit(region),
        "spotLimit": spot.limit(region),
        "coreKey": f"{region} + '/' + variables.paid",
        "cores": "variables.coreKey in variables.asked ? variables.asked[variables.coreKey]"
        " : variables.coreKey in variables.used ? variables.used[variables.coreKey] : 0",
        "coresMore": "variables.more * variables.vcpus",
    }
    field = "spec.scalingGroup.desiredSize"
    stays = "variables.more <= 0 || "
    here = f"{stays}variables.region == '' || variables.paid != '{{}}' || variables.cores + variables.coresMore <= {{}}"
    checks = [
        nodes.check(
            f"{stays}{form} == '' || variables.nodes + variables.more <= variables.nodeLimit",
            field,
            "variables.nodes + variables.more",
            "nodeLimit",
            form,
        ),
        group.check(f"{stays}variables.wanted <= variables.groupLimit", field, "variables.wanted", "groupLimit"),
        cores.check(
            here.format("vcpus", "variables.coreLimit"),
            field,
            "variables.cores + variables.coresMore",
            "coreLimit",
            region,
        ),
        spot.check(
            here.format("spotvcpus", "variables.spotLimit"),
            field,
            "variables.cores + variables.coresMore",
            "spotLimit",
            region,
        ),
    ]
    return variables, checks


def _pool_policy(rules: QuotaRules) -> list[dict[str, Any]]:
    """A node pool has a place in its cluster, and its machines fit what the account may have."""
    pools, instance = rules.figures["nodepools"], rules.figures["instancevcpus"]
    growth, checks = _growth(rules)
    table = "{" + ", ".join(f"{text(name)}: {count}" for name, count in rules.vcpus.items()) + "}"
    types, former = f"{GROUP}.instanceTypes", "oldObject.spec.scalingGroup"
    bought = f"{GROUP}.instanceChargeType == 'PostPaid' && {GROUP}.spotStrategy == 'NoSpot'"
    variables = {
        "wanted": f"{GROUP}.desiredSize",
        "more": f"{GROUP}.desiredSize - (oldObject == null ? 0 : {former}.desiredSize)",
        "cluster": f"{SPEC}.clusterId in variables.clusters ? variables.clusters[{SPEC}.clusterId] : {{}}",
        "every": table,
        "sizes": f"{types}.map(t, t in variables.every ? variables.every[t] : 0)",
        "vcpus": "variables.sizes.min()",
        "paid": f"{GROUP}.instanceChargeType == 'PrePaid' ? '' : {GROUP}.spotStrategy == 'NoSpot' ? 'vcpus' : 'spotvcpus'",
        **growth,
        "poolLimit": pools.limit("variables.edition"),
        "poolCount": "'nodePools' in variables.cluster ? variables.cluster.nodePools : 0",
        "instanceLimit": instance.limit(),
        "large": f"!({bought}) ? [] : {types}.filter(t, t in variables.every"
        f" && variables.every[t] > variables.instanceLimit && (oldObject == null || !(t in {former}.instanceTypes)))",
        "bound": f"oldObject == null || {former}.instanceChargeType == 'PrePaid' || {GROUP}.instanceChargeType != 'PrePaid'"
        f" ? [] : {types}.filter(t, t.split('.').size() > 1 && t.split('.')[1] in {texts(rules.subscription_excludes)})",
    }
    place = "oldObject != null || variables.edition == '' || variables.poolCount < variables.poolLimit"
    checks = [
        pools.check(place, "spec.clusterId", "variables.poolCount", "poolLimit", "variables.edition"),
        *checks,
        instance.check(
            "variables.large.size() == 0",
            "spec.scalingGroup.instanceTypes: ' + variables.large.join(', ') + '",
            "variables.every[variables.large[0]]",
            "instanceLimit",
        ),
        Check(
            "variables.bound.size() == 0",
            "'spec.scalingGroup.instanceChargeType: PrePaid: instances of ' + variables.bound.join(', ') + ' can not be"
            " changed from pay-as-you-go to subscription (OperationDenied.ChargeType); make a new node pool'",
        ),
    ]
    return _policy("node-pool-quota", NODE_POOL, checks, variables)


def _scale_policy(rules: QuotaRules) -> list[dict[str, Any]]:
    """As for the node pool itself; the Scale names nothing but the pool."""
    growth, checks = _growth(rules)
    size = "has({0}.spec.replicas) ? {0}.spec.replicas : 0"
    variables = {
        "wanted": size.format("object"),
        "before": f"oldObject == null || !has(oldObject.spec) ? 0 : ({size.format('oldObject')})",
        "more": "variables.wanted - variables.before",
        "pool": "object.metadata.name in variables.pools ? variables.pools[object.metadata.name] : {}",
        "name": "'cluster' in variables.pool ? variables.pool.cluster : ''",
        "cluster": "variables.name in variables.clusters ? variables.clusters[variables.name] : {}",
        "vcpus": "'vcpus' in variables.pool ? variables.pool.vcpus : 0",
        "paid": "'quota' in variables.pool ? variables.pool.quota : ''",
        **growth,
    }
    return _policy("node-pool-scale-quota", SCALE, checks, variables, ("UPDATE",))
