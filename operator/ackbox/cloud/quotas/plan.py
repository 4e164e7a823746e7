"""Counts what a namespace uses of its quotas. Pure.

For a quota that each cluster, load balancer or route table has, the figure is that of the fullest one, so that `used`
and `hard` can be compared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ackbox.catalog.instance_types import vcpus
from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation.ids import INSTANCE_PREFIX
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, ready


def used(
    *,
    clusters: Sequence[Object],
    node_pools: Sequence[Object],
    vpcs: Sequence[Object],
    load_balancers: Sequence[Object],
    listeners: Sequence[Object],
    server_groups: Sequence[Object],
    route_tables: Sequence[Object],
) -> dict[str, int]:
    """What the objects of one namespace use, by quota name."""
    entries = [entry for vpc in vpcs for entry in (vpc.get("status") or {}).get("allocations", ())]
    machines = [entry for entry in entries if entry["owner"].startswith(INSTANCE_PREFIX)]
    backends: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for group in server_groups:
        servers = group["spec"].get("backendServers") or ()
        backends[group["spec"]["loadBalancerId"]] |= {(each["serverId"], each["serverIp"]) for each in servers}
    return {
        QuotaName.CLUSTERS: _with_id(clusters, "clusterId"),
        QuotaName.NODE_POOLS: _fullest(obj["spec"]["clusterId"] for obj in _having(node_pools, "nodepoolId")),
        QuotaName.NODES: _fullest(entry.get("cluster", "") for entry in machines),
        QuotaName.VCPUS: sum(vcpus(entry.get("instanceType")) for entry in machines),
        QuotaName.LOAD_BALANCERS: _with_id(load_balancers, "loadBalancerId"),
        QuotaName.LISTENERS: _fullest(obj["spec"]["loadBalancerId"] for obj in listeners),
        QuotaName.BACKENDS: max(map(len, backends.values()), default=0),
        QuotaName.ROUTE_ENTRIES: max((len(obj["spec"].get("routeEntries") or ()) for obj in route_tables), default=0),
    }


def quota_state(hard: dict[QuotaName, int], counted: dict[str, int]) -> State:
    """Always ready; the message names quotas that are used up."""
    full = [f"{name}: {counted[name]} of {limit}" for name, limit in hard.items() if counted[name] >= limit]
    return ready("QuotaUsedUp" if full else "Available", ", ".join(full))


def _having(objects: Iterable[Object], field: str) -> list[Object]:
    return [obj for obj in objects if (obj.get("status") or {}).get(field)]


def _with_id(objects: Iterable[Object], field: str) -> int:
    return len(_having(objects, field))


def _fullest(names: Iterable[str]) -> int:
    return max(Counter(names).values(), default=0)
