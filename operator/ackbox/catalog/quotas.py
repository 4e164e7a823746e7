"""Default quotas (`quotas.yaml`)."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from ackbox.catalog.data import read_yaml


class QuotaName(StrEnum):
    """The quotas that ackbox counts; keys of a CloudQuota's `hard` and `used`."""

    CLUSTERS = "clusters"
    NODE_POOLS = "nodepools"
    NODES = "nodes"
    VCPUS = "vcpus"
    LOAD_BALANCERS = "loadbalancers"
    LISTENERS = "listeners"
    BACKENDS = "backends"
    ATTACHMENTS = "attachments"
    ROUTE_ENTRIES = "routeentries"


@dataclass(frozen=True)
class Quota:
    """A limit.

    Attributes:
        hard: the default figure.
        counts: what one figure covers: the whole account, or each cluster, kind of load balancer, load balancer,
            instance or route table. In the latter case `used` of a CloudQuota is the fullest one's, so that used and
            hard can be compared.
        code: the cloud's error code when it is exceeded.
        message: the cloud's own words.
    """

    name: QuotaName
    hard: int
    counts: str
    code: str
    message: str


@cache
def quotas() -> dict[QuotaName, Quota]:
    """Every quota, by name."""
    rows = read_yaml("quotas.yaml")["quotas"]
    return {quota.name: quota for quota in (Quota(**{**row, "name": QuotaName(row["name"])}) for row in rows)}
