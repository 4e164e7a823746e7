"""The Instance that a reservation stands for. Pure."""

from ackbox.catalog.instance_types import instance_types
from ackbox.cloud.allocation.ledger import subnets
from ackbox.cloud.allocation.security_groups import pool_group_ids
from ackbox.cloud.nodepools.kinds import own_labels
from ackbox.cloud.nodepools.plan import MAX_PODS
from ackbox.kube.client import Object
from ackbox.resources import Instance, ManagedCluster, NodePool, Vpc
from ackbox.resources.base import CLUSTER_LABEL, INSTANCE_FINALIZER, NODE_FINALIZER, NODE_POOL_LABEL, ObjectMeta
from ackbox.resources.instance import InstanceSpec, NodeConfig, VpcAttributes
from ackbox.resources.network import Allocation


def instance(pool: NodePool, cluster: ManagedCluster, vpc: Vpc, entry: Allocation) -> Object:
    """The object to create."""
    kind = instance_types()[entry.instance_type or ""]
    group = pool.spec.scaling_group
    zones = {subnet.id: subnet.zone for subnet in subnets(vpc)}
    spec = InstanceSpec(
        region_id=vpc.spec.region_id,
        zone_id=zones[entry.v_switch_id],
        instance_type=kind.name,
        cpu=kind.vcpu,
        memory=int(kind.memory),
        cluster_id=cluster.metadata.name,
        nodepool_id=pool.status.nodepool_id,
        vpc_attributes=VpcAttributes(
            vpc_id=vpc.status.vpc_id or "", v_switch_id=entry.v_switch_id, private_ip_address=entry.address
        ),
        security_group_ids=pool_group_ids(pool, cluster, vpc),
        instance_charge_type=group.instance_charge_type,
        spot_strategy=group.spot_strategy,
        image_id=group.image_type,
        boot_delay_seconds=pool.spec.emulation.boot_delay_seconds,
        node=_node(pool, cluster, entry, kind.terway_pods),
        tags=group.tags,
    )
    metadata = ObjectMeta(
        name=entry.owner,
        labels={CLUSTER_LABEL: cluster.metadata.name, NODE_POOL_LABEL: pool.metadata.name},
        finalizers=[INSTANCE_FINALIZER, NODE_FINALIZER],
    )
    return Instance(metadata=metadata, spec=spec).wire()


def _node(pool: NodePool, cluster: ManagedCluster, entry: Allocation, terway_pods: int | None) -> NodeConfig:
    config = pool.spec.kubernetes_config
    block = 1 << (32 - cluster.spec.node_cidr_mask)
    return NodeConfig(
        pod_cidr=entry.pod_cidr or entry.pod_block,
        labels=[*config.labels, *own_labels(pool, cluster)],
        taints=config.taints,
        unschedulable=config.unschedulable,
        max_pods=min(MAX_PODS, block if entry.pod_cidr else terway_pods or MAX_PODS),
        kubelet_version=cluster.status.current_version,
    )
