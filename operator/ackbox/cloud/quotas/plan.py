"""Counts what a namespace uses of its quotas. Pure.

For a quota that each cluster, load balancer or route table has, the figure is that of the fullest one, so that `used`
and `hard` can be compared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

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
    names = _names(load_balancers)
    backends: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for group in server_groups:
        servers = group["spec"].get("backendServers") or ()
        backends[_balancer(group, names)] |= {(each["serverId"], each["serverIp"]) for each in servers}
    kinds = (obj.get("spec", {}).get("loadBalancerType", "clb") for obj in _having(load_balancers, "loadBalancerId"))
    return {
        QuotaName.CLUSTERS: _with_id(clusters, "clusterId"),
        QuotaName.NODE_POOLS: _fullest(obj["spec"]["clusterId"] for obj in _having(node_pools, "nodepoolId")),
        QuotaName.NODES: _fullest(entry.get("cluster", "") for entry in machines),
        QuotaName.VCPUS: sum(vcpus(entry.get("instanceType")) for entry in machines),
        QuotaName.LOAD_BALANCERS: _fullest(kinds),
        QuotaName.LISTENERS: _fullest(_balancer(obj, names) for obj in listeners),
        QuotaName.BACKENDS: max(map(len, backends.values()), default=0),
        QuotaName.ATTACHMENTS: max(map(len, _attachments(server_groups, names).values()), default=0),
        QuotaName.ROUTE_ENTRIES: max((len(obj["spec"].get("routeEntries") or ()) for obj in route_tables), default=0),
    }


def full(
    hard: Mapping[QuotaName, int],
    counted: Mapping[str, int],
    *,
    load_balancers: Sequence[Object],
    listeners: Sequence[Object],
    server_groups: Sequence[Object],
) -> dict[str, dict[str, int]]:
    """What admission has to know of load balancers and instances that have reached their quota, as status fields."""
    crowded: dict[str, int] = {}
    attached: dict[str, int] = {}
    serving: Counter[str] = Counter()
    names = _names(load_balancers)
    if counted[QuotaName.LISTENERS] >= hard[QuotaName.LISTENERS]:
        figures = Counter(_balancer(obj, names) for obj in listeners)
        crowded = {name: count for name, count in figures.items() if count >= hard[QuotaName.LISTENERS]}
    if counted[QuotaName.ATTACHMENTS] >= hard[QuotaName.ATTACHMENTS]:
        for instance, balancers in _attachments(server_groups, names).items():
            if len(balancers) >= hard[QuotaName.ATTACHMENTS]:
                attached[instance] = len(balancers)
                serving.update(balancers)
    return {
        "fullLoadBalancers": _with_ids(crowded, load_balancers),
        "fullInstances": attached,
        "servingLoadBalancers": _with_ids(serving, load_balancers),
    }


def replacement(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, int | None]:
    """The merge patch that makes one map of another."""
    return {**{name: None for name in old if name not in new}, **new}


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


def _names(load_balancers: Iterable[Object]) -> dict[str, str]:
    """The names of load balancers by their ids."""
    return {
        obj["status"]["loadBalancerId"]: obj["metadata"]["name"] for obj in _having(load_balancers, "loadBalancerId")
    }


def _balancer(part: Object, names: Mapping[str, str]) -> str:
    """The name of the load balancer that a listener or a server group belongs to."""
    reference: str = part["spec"]["loadBalancerId"]
    return names.get(reference, reference)


def _attachments(server_groups: Iterable[Object], names: Mapping[str, str]) -> dict[str, set[str]]:
    """The load balancers that each ECS instance is behind."""
    behind: dict[str, set[str]] = defaultdict(set)
    for group in server_groups:
        balancer = _balancer(group, names)
        for server in group["spec"].get("backendServers") or ():
            if server.get("type", "ecs") == "ecs":
                behind[server["serverId"]].add(balancer)
    return behind


def _with_ids(figures: Mapping[str, int], load_balancers: Iterable[Object]) -> dict[str, int]:
    """Figures of load balancers under their names and their ids, whichever a reference uses."""
    by_id = {key: figures[name] for key, name in _names(load_balancers).items() if name in figures}
    return {**figures, **by_id}
