"""The masters of dedicated clusters: Instances of the user's, made once with the cluster.

A master that is gone isn't made again: neither ACK nor its users can add one to a cluster that is there. Rule source:
ACK, high-risk operations on masters (Product Introduction of 2022-07-08).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from ackbox.catalog.control_planes import control_planes
from ackbox.catalog.instance_types import InstanceType, instance_types
from ackbox.catalog.quotas import QuotaName
from ackbox.catalog.regions import edition
from ackbox.cloud.allocation.addresses import free_addresses, free_blocks, integers
from ackbox.cloud.allocation.ids import INSTANCE_PREFIX, new_instance_id
from ackbox.cloud.allocation.ledger import Draft, Subnet, find_subnet, subnets
from ackbox.cloud.allocation.machine import working
from ackbox.cloud.allocation.quota import Budget, secondary_enis
from ackbox.cloud.allocation.security_groups import FLANNEL, cluster_group
from ackbox.cloud.clusters.members import first_names
from ackbox.cloud.reconciling import Cloud
from ackbox.kube.client import Object
from ackbox.kube.conditions import Aspect, State, progressing, stalled
from ackbox.kube.errors import AlreadyExists
from ackbox.kube.refs import resolve
from ackbox.resources import INSTANCE, Instance, ManagedCluster, Vpc
from ackbox.resources.base import CLUSTER_LABEL, INSTANCE_FINALIZER, NODE_FINALIZER, ObjectMeta
from ackbox.resources.instance import InstanceRole, InstanceSpec, NodeConfig, VpcAttributes
from ackbox.resources.managedcluster import ControlPlaneMember
from ackbox.resources.network import Allocation
from ackbox.resources.nodepool import Label, Taint

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
LABELS = (CONTROL_PLANE, "node-role.kubernetes.io/master", "node.kubernetes.io/exclude-from-external-load-balancers")
"""On the Nodes of masters: who has them gets no traffic of Services."""

MAX_PODS = 256


@dataclass(frozen=True)
class Ground:
    """Where masters are made, and what quotas leave.

    Attributes:
        subnets: the cluster's vSwitches, in its order; the masters take turns in them.
        types: what they may be, in order of preference.
        taken: addresses that are given out in the VPC, as integers.
        blocks: free pod CIDRs; None where the network plug-in needs none.
        terway: whether they get network interfaces for their pods.
    """

    subnets: Sequence[Subnet]
    types: Sequence[InstanceType]
    taken: frozenset[int]
    blocks: Iterator[IPv4Network] | None
    budgets: Sequence[Budget]
    terway: bool


def owner_of(cluster: str, member: str) -> str:
    """What the reservation of a master has in place of a node pool; no node pool has a slash in its name."""
    return f"{cluster}/{member}"


def allocate(cluster: str, names: Sequence[str], ground: Ground) -> list[Allocation] | State:
    """Reservations for all masters; a state when one can't be had, for a part of them is of no use."""
    found: list[Allocation] = []
    free = [free_addresses(subnet.cidr, ground.taken) for subnet in ground.subnets]
    spent = dict.fromkeys(range(len(ground.budgets)), 0)
    for index, name in enumerate(names):
        kind = next((each for each in ground.types if _refusal(each, ground, spent) is None), None)
        if kind is None:
            refused = _refusal(ground.types[0], ground, spent)
            assert refused is not None
            return progressing(*refused)
        for number, budget in enumerate(ground.budgets):
            spent[number] += budget.cost(kind)
        turn = index % len(free)
        subnet, address = ground.subnets[turn], next(free[turn], None)
        if address is None:
            message = f"spec.vswitchIds: no free address is left in vSwitch {subnet.name} for the masters"
            return progressing("InvalidVSwitchId.IpNotEnough", message)
        block = next(ground.blocks, None) if ground.blocks is not None else None
        if ground.blocks is not None and block is None:
            return progressing("InvalidCIDR.PodCidrNotEnough", "spec.containerCidr has no free block for the masters")
        entry = Allocation(
            owner=new_instance_id(),
            v_switch_id=subnet.id,
            address=str(IPv4Address(address)),
            pod_cidr=str(block) if block else None,
            cluster=cluster,
            node_pool=owner_of(cluster, name),
            instance_type=kind.name,
            secondary_enis=secondary_enis(kind) if ground.terway else None,
        )
        found.append(entry)
    return found


def _refusal(kind: InstanceType, ground: Ground, spent: dict[int, int]) -> tuple[str, str] | None:
    for number, budget in enumerate(ground.budgets):
        if not budget.allows(kind, spent[number]):
            return budget.refusal(spent[number])
    return None


def instance(cluster: ManagedCluster, vpc: Vpc, entry: Allocation) -> Object:
    """The Instance of a master, to be created."""
    kind = instance_types()[entry.instance_type or ""]
    block = 1 << (32 - cluster.spec.node_cidr_mask)
    group = cluster_group(cluster, vpc)
    spec = InstanceSpec(
        region_id=vpc.spec.region_id,
        zone_id=next(subnet.zone for subnet in subnets(vpc) if subnet.id == entry.v_switch_id),
        instance_type=kind.name,
        cpu=kind.vcpu,
        memory=int(kind.memory),
        cluster_id=cluster.metadata.name,
        instance_role=InstanceRole.MASTER,
        security_group_ids=[group.security_group_id] if group else [],
        vpc_attributes=VpcAttributes(
            vpc_id=vpc.status.vpc_id or "", v_switch_id=entry.v_switch_id, private_ip_address=entry.address
        ),
        node=NodeConfig(
            pod_cidr=entry.pod_cidr,
            labels=[Label(key=key, value="") for key in LABELS],
            taints=[Taint(key=CONTROL_PLANE, value="", effect="NoSchedule")],
            max_pods=min(MAX_PODS, block if entry.pod_cidr else kind.terway_pods or MAX_PODS),
        ),
    )
    metadata = ObjectMeta(
        name=entry.owner,
        labels={CLUSTER_LABEL: cluster.metadata.name},
        finalizers=[INSTANCE_FINALIZER, NODE_FINALIZER],
    )
    return Instance(metadata=metadata, spec=spec).wire()


class Masters:
    """Makes masters and tells how they are."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def make(self, cluster: ManagedCluster) -> dict[str, Instance] | State:
        """The masters of a new cluster, by the name of their API server; a state when they can't be had now.

        All are reserved in one write, so a creation that was cut short goes on with the same ones.
        """
        found = resolve(self._cloud.world.vpcs, cluster.metadata.namespace, cluster.spec.vpc_id)
        if found is None:
            return progressing("WaitingForVPC", f"spec.vpcId: {cluster.spec.vpc_id}: no such VPC in this namespace")
        vpc, names = Vpc.model_validate(found), first_names(cluster)
        result: list[Allocation] | State = []

        def change(draft: Draft) -> None:
            nonlocal result
            owners = {owner_of(cluster.metadata.name, name) for name in names}
            result = [entry for entry in draft.entries.values() if entry.node_pool in owners]
            if result:
                return
            ground = self._ground(cluster, draft)
            result = ground if isinstance(ground, State) else allocate(cluster.metadata.name, names, ground)
            if not isinstance(result, State):
                draft.reserve(result)

        await self._cloud.ledgers.update(vpc.key, change)
        if isinstance(result, State):
            return result
        by_owner = {entry.node_pool: entry for entry in result}
        return {name: await self._born(cluster, vpc, by_owner[owner_of(cluster.metadata.name, name)]) for name in names}

    async def _born(self, cluster: ManagedCluster, vpc: Vpc, entry: Allocation) -> Instance:
        namespace = cluster.metadata.namespace
        there = self._cloud.world.instances.get(namespace, entry.owner)
        if there is None:
            body = instance(cluster, vpc, entry)
            try:
                there = await self._cloud.client.create(INSTANCE, body, namespace)
            except AlreadyExists:
                there = await self._cloud.client.get(INSTANCE, entry.owner, namespace)
        return Instance.model_validate(there)

    def _ground(self, cluster: ManagedCluster, draft: Draft) -> Ground | State:
        vpc, spec = draft.vpc, cluster.spec
        config = spec.control_plane_config
        names = (config.instance_types if config else None) or control_planes().master_instance_types
        types = [instance_types()[name] for name in names if name in instance_types()]
        if not types:
            message = f"spec.controlPlaneConfig.instanceTypes: {', '.join(names)}: no such instance type"
            return stalled("InvalidInstanceType.ValueNotSupported", message)
        references = [find_subnet(vpc, reference) for reference in spec.vswitch_ids] or list(subnets(vpc))
        switches = [subnet for subnet in references if subnet is not None]
        if not switches:
            return progressing("InvalidVSwitchId.NotFound", f"spec.vswitchIds: VPC {vpc.metadata.name} has no vSwitch")
        entries = list(draft.entries.values())
        there = self._cloud.world.vpcs.get(*vpc.key)
        machines = self._cloud.world.instances_in(there) if there else []
        used = integers(machine["spec"]["vpcAttributes"]["privateIpAddress"] for machine in machines)
        flannel = spec.network_plugin == FLANNEL and spec.container_cidr is not None
        given = [IPv4Network(entry.pod_cidr) for entry in entries if entry.pod_cidr]
        blocks = free_blocks(IPv4Network(spec.container_cidr or ""), spec.node_cidr_mask, given) if flannel else None
        terway = spec.network_plugin != FLANNEL
        budgets = self._budgets(cluster, draft, entries, terway)
        return Ground(switches, types, frozenset(draft.taken() | used), blocks, budgets, terway)

    def _budgets(
        self, cluster: ManagedCluster, draft: Draft, entries: Sequence[Allocation], terway: bool
    ) -> list[Budget]:
        quotas, namespace, form = self._cloud.quotas, cluster.metadata.namespace, edition(cluster.spec).value
        nodes = sum(e.cluster == cluster.metadata.name and e.owner.startswith(INSTANCE_PREFIX) for e in entries)
        count = len(first_names(cluster))
        return [
            Budget(QuotaName.NODES, nodes, quotas.limit(namespace, QuotaName.NODES, form), of=form),
            *quotas.account_budgets(draft.vpc, draft.use(), None, terway, count),
        ]

    def off(self, cluster: ManagedCluster, plane: Sequence[ControlPlaneMember]) -> frozenset[str]:
        """The masters, by instance id, that don't work."""
        return frozenset(each for each in _machines(plane) if not self._works(cluster, each))

    def gone(self, cluster: ManagedCluster, plane: Sequence[ControlPlaneMember]) -> list[str]:
        """The masters that were released."""
        return [each for each in _machines(plane) if self._find(cluster, each) is None]

    def aspects(
        self, cluster: ManagedCluster, plane: Sequence[ControlPlaneMember], down: Sequence[str]
    ) -> tuple[Aspect, ...]:
        """What is to be said of masters that don't work, and of API servers that don't answer though they should."""
        gone, off = self.gone(cluster, plane), self.off(cluster, plane)
        stopped = sorted(off - set(gone))
        texts = []
        if gone:
            texts.append(f"{', '.join(gone)}: released; there is no way to get it back or to add another one")
        if stopped:
            texts.append(f"{', '.join(stopped)}: not at work; its own conditions say why, if it isn't only stopped")
        reason = "MasterReleased" if gone else "MasterStopped"
        masters = Aspect("MasterUnavailable", "True" if texts else None, reason, "; ".join(texts), warn=True)
        message = f"API servers that don't answer: {', '.join(down)}; the others serve"
        degraded = Aspect("ControlPlaneDegraded", "True" if down else None, "ApiServerDown", message)
        return masters, degraded

    def _works(self, cluster: ManagedCluster, name: str) -> bool:
        found = self._find(cluster, name)
        return found is not None and working(Instance.model_validate(found))

    def _find(self, cluster: ManagedCluster, name: str) -> Object | None:
        return self._cloud.world.instances.get(cluster.metadata.namespace, name)


def _machines(plane: Sequence[ControlPlaneMember]) -> list[str]:
    return [member.instance_id for member in plane if member.instance_id]
