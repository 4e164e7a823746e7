"""Default quotas (`quotas.yaml`), and which figure is in force for an account that has some of them raised."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

from ackbox.catalog.data import read_yaml

UNLIMITED = 1_000_000
"""The limit where the cloud has none; more than ackbox can hold of anything."""


class QuotaName(StrEnum):
    """The quotas that ackbox knows; keys of a CloudQuota's `hard` and `used`, alone or behind `<of>/`."""

    CLUSTERS = "clusters"
    NODE_POOLS = "nodepools"
    SCALING_GROUPS = "scalinggroups"
    NODES = "nodes"
    PODS = "pods"
    PODS_PER_NODE = "podspernode"
    VCPUS = "vcpus"
    SPOT_VCPUS = "spotvcpus"
    INSTANCE_VCPUS = "instancevcpus"
    SCALING_GROUP_INSTANCES = "scalinggroupinstances"
    DISKS = "disks"
    VPCS = "vpcs"
    V_SWITCHES = "vswitches"
    ROUTE_ENTRIES = "routeentries"
    PRIVATE_ADDRESSES = "privateaddresses"
    SECONDARY_ENIS = "secondaryenis"
    ELASTIC_IP_ADDRESSES = "eips"
    LOAD_BALANCERS = "loadbalancers"
    LISTENERS = "listeners"
    BACKENDS = "backends"
    ATTACHMENTS = "attachments"


class RaisedBy(StrEnum):
    """How an account gets more than the default."""

    QUOTA_CENTER = "quota_center"
    TICKET = "ticket"
    NONE = "none"


@dataclass(frozen=True)
class Quota:
    """A limit.

    Attributes:
        hard: the default figure; None where each edition has its own.
        editions: the default figures by edition; an edition that is not there has no such limit.
        counts: what one figure covers: the whole account, or each edition, region, cluster, kind of load balancer, load
            balancer, instance, VPC or route table. `used` of a CloudQuota is then the fullest one's, so that used and
            hard can be compared.
        raised_by: how the figure is raised; `none`: it can only be lowered.
        per_instance: what each instance of the account adds to it, once that is more than `hard`.
        within: another quota whose figure it can't exceed.
        code: the cloud's error code when it is exceeded.
        message: the cloud's own words.
    """

    name: QuotaName
    hard: int | None
    editions: Mapping[str, int] = field(default_factory=dict)
    counts: str = "account"
    raised_by: RaisedBy = RaisedBy.TICKET
    per_instance: int = 0
    within: QuotaName | None = None
    code: str = ""
    message: str = ""

    @property
    def by_edition(self) -> bool:
        """Whether the figure goes by the edition of a cluster."""
        return self.hard is None

    @property
    def by_region(self) -> bool:
        """Whether each region has the figure for itself."""
        return self.counts == "region"

    def default(self, of: str | None = None, instances: int = 0) -> int:
        """The figure of an account that never asked for more."""
        if self.hard is None:
            return self.editions.get(of or "", UNLIMITED)
        return max(self.hard, self.per_instance * instances)


@cache
def quotas() -> dict[QuotaName, Quota]:
    """Every quota, by name."""
    return {quota.name: quota for quota in map(_quota, read_yaml("quotas.yaml")["quotas"])}


def _quota(row: Mapping[str, Any]) -> Quota:
    hard, within = row["hard"], row.get("within")
    by_edition = isinstance(hard, dict)
    return Quota(
        name=QuotaName(row["name"]),
        hard=None if by_edition else hard,
        editions=hard if by_edition else {},
        counts=row["counts"],
        raised_by=RaisedBy(row["raise"]),
        per_instance=row.get("per_instance", 0),
        within=QuotaName(within) if within else None,
        code=row["code"],
        message=row["message"],
    )


@cache
def subscription_excludes() -> tuple[str, ...]:
    """Families of instance types that can't be changed from pay-as-you-go to subscription."""
    return tuple(read_yaml("quotas.yaml")["subscription_excludes"])


def key(name: QuotaName, of: str | None = None) -> str:
    """How a CloudQuota names the figure of a quota, or that of one edition or region."""
    return f"{of}/{name.value}" if of else name.value


def limit(raised: Mapping[str, int], name: QuotaName, of: str | None = None, instances: int = 0) -> int:
    """The figure in force.

    Args:
        raised: `spec.hard` of the CloudQuota. The figure of an edition or region goes before the one for all.
        name: the quota.
        of: what the figure differs by: an edition or a region.
        instances: how many instances the account has, where the figure grows with them.
    """
    quota = quotas()[name]
    default = quota.default(of, instances)
    wanted = int(raised.get(key(name, of), raised.get(name.value, default)))
    if quota.raised_by is RaisedBy.NONE:
        wanted = min(wanted, default)
    return min(wanted, limit(raised, quota.within, of)) if quota.within else wanted


def limits(raised: Mapping[str, int], regions: Iterable[str] = (), instances: int = 0) -> dict[str, int]:
    """Every figure in force by its key: alone, of each edition that has one, of each of the regions."""
    found: dict[str, int] = {}
    for name, quota in quotas().items():
        if quota.by_edition:
            found |= {key(name, edition): limit(raised, name, edition) for edition in quota.editions}
            continue
        found[name.value] = limit(raised, name, instances=instances)
        if quota.by_region:
            found |= {key(name, region): limit(raised, name, region) for region in regions}
    return found
