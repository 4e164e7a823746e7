"""Gathers what a pool's plan needs and reserves what it asks for."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from ackbox.catalog.instance_types import InstanceType
from ackbox.catalog.quotas import QuotaName, quotas
from ackbox.catalog.regions import edition
from ackbox.cloud.allocation.account import RUN_INSTANCES, account_problem
from ackbox.cloud.allocation.addresses import integers
from ackbox.cloud.allocation.ids import INSTANCE_PREFIX, new_instance_id
from ackbox.cloud.allocation.ledger import Draft, Subnet, find_subnet, subnets, without_allocations
from ackbox.cloud.allocation.quota import Budget, charge, within_reach
from ackbox.cloud.allocation.security_groups import (
    FLANNEL,
    Member,
    Room,
    groups_problem,
    pool_group_ids,
    pool_groups,
    rooms,
)
from ackbox.cloud.nodepools import birth
from ackbox.cloud.nodepools.harm import wanted_size
from ackbox.cloud.nodepools.plan import Machine, PoolPlan, Site, plan, usable_types
from ackbox.cloud.reconciling import Cloud
from ackbox.cloud.world import BY_POOL
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.kube.refs import resolve
from ackbox.resources import ManagedCluster, NodePool, Vpc
from ackbox.resources.account import ACCOUNT_NAME
from ackbox.resources.network import Allocation


@dataclass(frozen=True)
class Context:
    """A pool with everything it refers to.

    Attributes:
        problem: what is wrong with a part of the spec, when the rest is enough to go on.
    """

    pool: NodePool
    cluster: ManagedCluster
    vpc: Vpc
    subnets: tuple[Subnet, ...]
    types: tuple[InstanceType, ...]
    problem: State | None

    def instance(self, entry: Allocation) -> Object:
        """The Instance of a reservation."""
        return birth.instance(self.pool, self.cluster, self.vpc, entry)


def prepare(cloud: Cloud, pool: NodePool, cluster: ManagedCluster) -> Context | State:
    """Resolve the references of a pool, or say what is missing."""
    found = resolve(cloud.world.vpcs, pool.metadata.namespace, cluster.spec.vpc_id)
    if found is None:
        return progressing("WaitingForVPC", f"the cluster's vpcId {cluster.spec.vpc_id} is not there")
    vpc = without_allocations(found)
    terway = cluster.spec.network_plugin != FLANNEL
    types, wrong_types = usable_types(pool.spec.scaling_group.instance_types, terway)
    code = "InvalidInstanceType.ValueNotSupported"
    if not types:
        return stalled(code, wrong_types or "")
    group = pool.spec.scaling_group
    largest = cloud.quotas.limit(pool.metadata.namespace, QuotaName.INSTANCE_VCPUS)
    types, too_large = within_reach(types, charge(group.instance_charge_type, group.spot_strategy), largest)
    if not types:
        return progressing(quotas()[QuotaName.INSTANCE_VCPUS].code, too_large or "")
    wrong_groups = groups_problem("spec.scalingGroup.securityGroupIds", group.security_group_ids, cluster, vpc)
    if wrong_groups is not None:
        return wrong_groups
    references = group.vswitch_ids
    resolved = {reference: find_subnet(vpc, reference) for reference in references}
    unknown = [reference for reference, subnet in resolved.items() if subnet is None]
    wrong = "; ".join(each for each in (wrong_types, too_large) if each)
    problem = stalled(code, wrong) if wrong else None
    if unknown:
        known = ", ".join(subnet.name for subnet in subnets(vpc)) or "none"
        message = f"spec.scalingGroup.vswitchIds: {', '.join(unknown)} not in VPC {vpc.metadata.name}; it has: {known}"
        problem = progressing("InvalidVSwitchId.NotFound", message)
        if len(unknown) == len(resolved):
            return problem
    switches = tuple(subnet for subnet in resolved.values() if subnet is not None)
    return Context(pool, cluster, vpc, switches, tuple(types), problem)


async def reserve(cloud: Cloud, context: Context, machines: Callable[[], dict[str, Machine]]) -> PoolPlan:
    """Plan on fresh reservations and write what the plan reserves and forgets."""
    name = context.pool.metadata.name
    made = PoolPlan()

    def change(draft: Draft) -> None:
        nonlocal made
        mine = [entry for entry in draft.entries.values() if entry.node_pool == name]
        desired = wanted_size(context.pool)
        made = plan(desired, machines(), mine, lambda: site(cloud, context, draft), new_instance_id)
        draft.free(made.forget)
        draft.reserve(made.reserve)

    await cloud.ledgers.update(context.vpc.key, change)
    return made


async def forget_unborn(cloud: Cloud, namespace: str, pool: str) -> None:
    """Drop the reservations of a pool that is being deleted and whose Instances were never made."""
    born = {obj["metadata"]["name"] for obj in cloud.world.instances.by(BY_POOL, f"{namespace}/{pool}")}

    def change(draft: Draft) -> None:
        draft.free([e.owner for e in list(draft.entries.values()) if e.node_pool == pool and e.owner not in born])

    for vpc in cloud.world.vpcs.all(namespace):
        if any(entry.get("nodePool") == pool for entry in (vpc.get("status") or {}).get("allocations", ())):
            await cloud.ledgers.update((namespace, vpc["metadata"]["name"]), change)


def site(cloud: Cloud, context: Context, draft: Draft) -> Site:
    """Where and within which limits a pool's next machines are made."""
    cluster, group = context.cluster, context.pool.spec.scaling_group
    entries = list(draft.entries.values())
    flannel = cluster.spec.network_plugin == FLANNEL and cluster.spec.container_cidr is not None
    blocks = {entry.pod_cidr for entry in entries if entry.pod_cidr}
    return Site(
        cluster=cluster.metadata.name,
        pool=context.pool.metadata.name,
        subnets=context.subnets,
        balanced=group.multi_az_policy == "BALANCE",
        types=context.types,
        held=Counter(entry.v_switch_id for entry in entries if entry.node_pool == context.pool.metadata.name),
        taken=draft.taken() | _addresses_in_use(cloud, context.vpc),
        pod_network=IPv4Network(cluster.spec.container_cidr) if flannel and cluster.spec.container_cidr else None,
        pod_mask=cluster.spec.node_cidr_mask,
        pod_taken=[IPv4Network(block) for block in blocks],
        budgets=_budgets(cloud, context, draft, blocks if flannel else None),
        charge=charge(group.instance_charge_type, group.spot_strategy),
        rooms=_rooms(cloud, context, entries),
        pod_subnets=_pod_subnets(context),
        refused=account_problem(
            cloud.world.accounts.get(context.pool.metadata.namespace, ACCOUNT_NAME),
            RUN_INSTANCES,
            group.instance_charge_type == "PostPaid",
        ),
    )


def _pod_subnets(context: Context) -> Sequence[Subnet] | None:
    """Where the pods have their addresses: with Terway in the cluster's vSwitches for pods, or where its nodes are."""
    if context.cluster.spec.network_plugin == FLANNEL:
        return None
    found = [find_subnet(context.vpc, each) for each in context.cluster.spec.pod_vswitch_ids]
    return [subnet for subnet in found if subnet is not None] or context.subnets


def _budgets(cloud: Cloud, context: Context, draft: Draft, blocks: Collection[str] | None) -> list[Budget]:
    """What quotas leave to the pool; `blocks` are pod CIDRs that are given out, where nodes have such, and so routes."""
    namespace, pool = context.pool.key
    group, name = context.pool.spec.scaling_group, context.cluster.metadata.name
    entries, form = list(draft.entries.values()), edition(context.cluster.spec)
    nodes = sum(entry.cluster == name and entry.owner.startswith(INSTANCE_PREFIX) for entry in entries)
    used = {
        QuotaName.NODES: nodes,
        QuotaName.SCALING_GROUP_INSTANCES: sum(entry.node_pool == pool for entry in entries),
        QuotaName.PRIVATE_ADDRESSES: len(entries),
    }
    if blocks is not None:
        used[QuotaName.ROUTE_ENTRIES] = len({*blocks, *_routes(cloud, namespace, context.vpc)})
    of = {QuotaName.NODES: form.value}
    limits = {each: cloud.quotas.limit(namespace, each, of.get(each)) for each in used}
    paid, terway = (
        charge(group.instance_charge_type, group.spot_strategy),
        context.cluster.spec.network_plugin != FLANNEL,
    )
    return [
        *(Budget(each, count, limits[each], of=of.get(each)) for each, count in used.items()),
        *cloud.quotas.account_budgets(draft.vpc, draft.use(), paid, terway, group.desired_size),
    ]


def _rooms(cloud: Cloud, context: Context, entries: Sequence[Allocation]) -> list[Room]:
    """How full the groups are that the pool's machines join: by their Instances, and by reservations that have none."""
    namespace = context.pool.metadata.namespace
    found = cloud.world.vpcs.get(*context.vpc.key)
    born = {obj["metadata"]["name"]: obj["spec"] for obj in (cloud.world.instances_in(found) if found else ())}
    enis = {entry.owner: entry.secondary_enis or 0 for entry in entries}
    unborn = [entry for entry in entries if entry.owner.startswith(INSTANCE_PREFIX) and entry.owner not in born]
    joined = {name: _groups_of(cloud, namespace, name, context.vpc) for name in {entry.node_pool for entry in unborn}}
    members = [Member(spec.get("securityGroupIds") or (), enis.get(name, 0)) for name, spec in born.items()]
    members += [Member(joined[entry.node_pool], enis[entry.owner]) for entry in unborn]
    return rooms(pool_groups(context.pool, context.cluster, context.vpc), members)


def _groups_of(cloud: Cloud, namespace: str, name: str | None, vpc: Vpc) -> list[str]:
    """The security groups that a pool's machines join; none for a pool that is gone."""
    found = cloud.world.node_pools.get(namespace, name) if name else None
    cluster = cloud.world.cluster(namespace, found["spec"]["clusterId"]) if found else None
    if found is None or cluster is None:
        return []
    return pool_group_ids(NodePool.model_validate(found), ManagedCluster.model_validate(cluster), vpc)


def _routes(cloud: Cloud, namespace: str, vpc: Vpc) -> set[str]:
    table = cloud.world.route_tables.get(namespace, vpc.metadata.name)
    entries = ((table or {}).get("spec") or {}).get("routeEntries") or []
    return {entry["destinationCidrBlock"] for entry in entries}


def _addresses_in_use(cloud: Cloud, vpc: Vpc) -> set[int]:
    """Addresses of Instances that a user made without a reservation."""
    found = cloud.world.vpcs.get(*vpc.key)
    instances = cloud.world.instances_in(found) if found else []
    return integers(obj["spec"]["vpcAttributes"]["privateIpAddress"] for obj in instances)
