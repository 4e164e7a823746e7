"""Gathers what a pool's plan needs and reserves what it asks for."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network

from ackbox.catalog.instance_types import InstanceType, vcpus
from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation.addresses import integers
from ackbox.cloud.allocation.ids import INSTANCE_PREFIX, new_instance_id
from ackbox.cloud.allocation.ledger import Draft, Subnet, find_subnet, subnets
from ackbox.cloud.nodepools import birth
from ackbox.cloud.nodepools.plan import Budget, Machine, PoolPlan, Site, plan, usable_types
from ackbox.cloud.reconciling import Cloud
from ackbox.cloud.world import BY_POOL
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.kube.refs import resolve
from ackbox.resources import ManagedCluster, NodePool, Vpc
from ackbox.resources.network import Allocation

FLANNEL = "flannel"


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
    vpc = Vpc.model_validate({**found, "status": {**(found.get("status") or {}), "allocations": []}})
    types, wrong_types = usable_types(pool.spec.scaling_group.instance_types)
    code = "InvalidInstanceType.ValueNotSupported"
    if not types:
        return stalled(code, wrong_types or "")
    references = pool.spec.scaling_group.vswitch_ids
    resolved = {reference: find_subnet(vpc, reference) for reference in references}
    unknown = [reference for reference, subnet in resolved.items() if subnet is None]
    problem = stalled(code, wrong_types) if wrong_types else None
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
        desired = context.pool.spec.scaling_group.desired_size
        made = plan(desired, machines(), mine, lambda: _site(cloud, context, draft), new_instance_id)
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


def _site(cloud: Cloud, context: Context, draft: Draft) -> Site:
    key: Key = context.pool.key
    cluster, quotas = context.cluster, cloud.quotas
    entries = list(draft.entries.values())
    flannel = cluster.spec.network_plugin == FLANNEL and cluster.spec.container_cidr is not None
    nodes = sum(entry.cluster == cluster.metadata.name and entry.owner.startswith(INSTANCE_PREFIX) for entry in entries)
    blocks = {entry.pod_cidr for entry in entries if entry.pod_cidr}
    used_vcpus = quotas.used_vcpus(key[0], without=draft.vpc.metadata.name)
    used_vcpus += sum(vcpus(entry.instance_type) for entry in entries)
    return Site(
        cluster=cluster.metadata.name,
        pool=context.pool.metadata.name,
        subnets=context.subnets,
        balanced=context.pool.spec.scaling_group.multi_az_policy == "BALANCE",
        types=context.types,
        held=Counter(entry.v_switch_id for entry in entries if entry.node_pool == context.pool.metadata.name),
        taken=draft.taken() | _addresses_in_use(cloud, context.vpc),
        pod_network=IPv4Network(cluster.spec.container_cidr) if flannel and cluster.spec.container_cidr else None,
        pod_mask=cluster.spec.node_cidr_mask,
        pod_taken=[IPv4Network(block) for block in blocks],
        nodes=Budget(QuotaName.NODES, nodes, quotas.limit(key[0], QuotaName.NODES)),
        vcpus=Budget(QuotaName.VCPUS, used_vcpus, quotas.limit(key[0], QuotaName.VCPUS)),
        routes=Budget(
            QuotaName.ROUTE_ENTRIES,
            len(blocks | _routes(cloud, key[0], context.vpc)),
            quotas.limit(key[0], QuotaName.ROUTE_ENTRIES),
        ),
    )


def _routes(cloud: Cloud, namespace: str, vpc: Vpc) -> set[str]:
    table = cloud.world.route_tables.get(namespace, vpc.metadata.name)
    entries = ((table or {}).get("spec") or {}).get("routeEntries") or []
    return {entry["destinationCidrBlock"] for entry in entries}


def _addresses_in_use(cloud: Cloud, vpc: Vpc) -> set[int]:
    """Addresses of Instances that a user made without a reservation."""
    found = cloud.world.vpcs.get(*vpc.key)
    instances = cloud.world.instances_in(found) if found else []
    return integers(obj["spec"]["vpcAttributes"]["privateIpAddress"] for obj in instances)
