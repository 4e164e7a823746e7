"""Counts what a namespace uses of its quotas. Pure.

For a quota that each cluster, region, load balancer or route table has, the figure is that of the fullest one, so that
`used` and `hard` can be compared. What the figure differs by has a key of its own: `ack_pro/nodes`, `cn-hangzhou/vcpus`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ackbox.catalog.instance_types import vcpus
from ackbox.catalog.quotas import QuotaName, key, quotas
from ackbox.catalog.regions import edition
from ackbox.cloud.allocation.ids import INSTANCE_PREFIX
from ackbox.cloud.allocation.quota import account_use, allocations
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, ready
from ackbox.resources import ManagedCluster


@dataclass(frozen=True)
class Account:
    """The objects of one namespace that count."""

    clusters: Sequence[Object] = ()
    node_pools: Sequence[Object] = ()
    vpcs: Sequence[Object] = ()
    load_balancers: Sequence[Object] = ()
    listeners: Sequence[Object] = ()
    server_groups: Sequence[Object] = ()
    route_tables: Sequence[Object] = ()
    elastic_ip_addresses: Sequence[Object] = ()

    def editions(self) -> dict[str, str]:
        """The editions of the clusters, by name and by id."""
        found: dict[str, str] = {}
        for obj in self.clusters:
            form = edition(ManagedCluster.model_validate(obj).spec).value
            found |= dict.fromkeys(references(obj), form)
        return found

    def machines(self) -> list[Object]:
        """The reservations of machines."""
        entries = [entry for vpc in self.vpcs for entry in allocations(vpc)]
        return [entry for entry in entries if entry["owner"].startswith(INSTANCE_PREFIX)]

    def regions(self) -> set[str]:
        """The regions that something is in."""
        return {obj["spec"]["regionId"] for obj in self.vpcs}


def used(account: Account) -> dict[str, int]:
    """What the objects of one namespace use, by the keys of a CloudQuota."""
    figures = _clusters(account) | _machines(account) | _load_balancing(account)
    figures[QuotaName.ELASTIC_IP_ADDRESSES] = _with_id(account.elastic_ip_addresses, "allocationId")
    figures |= _each(QuotaName.VPCS, Counter(obj["spec"]["regionId"] for obj in _having(account.vpcs, "vpcId")))
    figures[QuotaName.V_SWITCHES] = max((len(obj["spec"].get("vswitches") or ()) for obj in account.vpcs), default=0)
    figures[QuotaName.ROUTE_ENTRIES] = max(
        (len(obj["spec"].get("routeEntries") or ()) for obj in account.route_tables), default=0
    )
    return figures


def _clusters(account: Account) -> dict[str, int]:
    """Clusters by edition, and what the fullest cluster of each has."""
    editions = account.editions()
    names = {each: obj["metadata"]["name"] for obj in account.clusters for each in references(obj)}
    pools = Counter(names.get(obj["spec"]["clusterId"], "") for obj in _having(account.node_pools, "nodepoolId"))
    nodes = Counter(entry.get("cluster", "") for entry in account.machines())
    clusters = Counter(editions[obj["metadata"]["name"]] for obj in _having(account.clusters, "clusterId"))
    found = _by_edition(QuotaName.CLUSTERS, clusters.items())
    for name, counted in (
        (QuotaName.NODE_POOLS, pools),
        (QuotaName.SCALING_GROUPS, pools),
        (QuotaName.NODES, nodes),
    ):
        found |= _by_edition(name, [(editions.get(cluster, ""), count) for cluster, count in counted.items()])
    return found


def _machines(account: Account) -> dict[str, int]:
    regional: dict[str, Counter[str]] = defaultdict(Counter)
    for vpc in account.vpcs:
        regional[vpc["spec"]["regionId"]].update(account_use(allocations(vpc)))
    names = (QuotaName.VCPUS, QuotaName.SPOT_VCPUS, QuotaName.SECONDARY_ENIS)
    found: dict[str, int] = {}
    for name in names:
        found |= _each(name, {region: use[name.value] for region, use in regional.items()})
    machines = account.machines()
    bought = [vcpus(entry.get("instanceType")) for entry in machines if not entry.get("charge")]
    return found | {
        QuotaName.DISKS: sum(use[QuotaName.DISKS.value] for use in regional.values()),
        QuotaName.INSTANCE_VCPUS: max(bought, default=0),
        QuotaName.SCALING_GROUP_INSTANCES: _fullest(each["nodePool"] for each in machines if each.get("nodePool")),
        QuotaName.PRIVATE_ADDRESSES: max((len(allocations(vpc)) for vpc in account.vpcs), default=0),
    }


def _load_balancing(account: Account) -> dict[str, int]:
    names = _names(account.load_balancers)
    backends: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for group in account.server_groups:
        servers = group["spec"].get("backendServers") or ()
        backends[_balancer(group, names)] |= {(each["serverId"], each["serverIp"]) for each in servers}
    having = _having(account.load_balancers, "loadBalancerId")
    kinds = Counter(obj.get("spec", {}).get("loadBalancerType", "clb") for obj in having)
    return {
        **_each(QuotaName.LOAD_BALANCERS, kinds),
        QuotaName.LISTENERS: _fullest(_balancer(obj, names) for obj in account.listeners),
        QuotaName.BACKENDS: max(map(len, backends.values()), default=0),
        QuotaName.ATTACHMENTS: max(map(len, _attachments(account.server_groups, names).values()), default=0),
    }


def _by_edition(name: QuotaName, counted: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The fullest of each edition that has a figure, and the fullest of all."""
    rows = list(counted)
    found = {key(name, form): max((n for of, n in rows if of == form), default=0) for form in quotas()[name].editions}
    return {**found, name.value: max((count for _, count in rows), default=0)}


def _each(name: QuotaName, counted: Mapping[str, int]) -> dict[str, int]:
    """What each region or kind has, and the fullest of all."""
    found = {key(name, region): count for region, count in counted.items()}
    return {**found, name.value: max(counted.values(), default=0)}


def references(obj: Object) -> list[str]:
    """What may stand for a cluster in a reference."""
    names = [obj["metadata"]["name"], (obj.get("status") or {}).get("clusterId")]
    return [name for name in names if name]


def full(hard: Mapping[str, int], counted: Mapping[str, int], account: Account) -> dict[str, dict[str, int]]:
    """What admission has to know of load balancers and instances that have reached their quota, as status fields."""
    crowded: dict[str, int] = {}
    attached: dict[str, int] = {}
    serving: Counter[str] = Counter()
    names = _names(account.load_balancers)
    if counted[QuotaName.LISTENERS] >= hard[QuotaName.LISTENERS]:
        figures = Counter(_balancer(obj, names) for obj in account.listeners)
        crowded = {name: count for name, count in figures.items() if count >= hard[QuotaName.LISTENERS]}
    if counted[QuotaName.ATTACHMENTS] >= hard[QuotaName.ATTACHMENTS]:
        for instance, balancers in _attachments(account.server_groups, names).items():
            if len(balancers) >= hard[QuotaName.ATTACHMENTS]:
                attached[instance] = len(balancers)
                serving.update(balancers)
    return {
        "fullLoadBalancers": _with_ids(crowded, account.load_balancers),
        "fullInstances": attached,
        "servingLoadBalancers": _with_ids(serving, account.load_balancers),
    }


def quota_state(hard: Mapping[str, int], counted: Mapping[str, int]) -> State:
    """Always ready; the message names quotas that are used up."""
    full = [f"{name}: {counted[name]} of {limit}" for name, limit in hard.items() if counted.get(name, 0) >= limit]
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
