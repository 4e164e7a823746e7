"""What a managed cluster waits for and what is wrong with it. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from ackbox.catalog.network import NetworkRules, network_rules
from ackbox.catalog.regions import edition, regions
from ackbox.catalog.versions import accepted, resolve
from ackbox.cloud.allocation.ledger import find_subnet, subnets
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.resources import ManagedCluster, Vpc
from ackbox.resources.managedcluster import ClusterPhase
from ackbox.resources.nodepool import NodePoolPhase

FLANNEL = "flannel"
INVALID_CIDR = "InvalidCIDR"


def problem(cluster: ManagedCluster, vpc: Vpc | None, neighbours: Sequence[ManagedCluster]) -> State | None:
    """Why the cluster can't be made now; None when it can.

    Args:
        vpc: what `spec.vpcId` names, if it is there.
        neighbours: other clusters of the VPC that have their place already.
    """
    return _unknown(cluster) or _network(cluster, vpc) or _cidrs(cluster, vpc, neighbours)


def _unknown(cluster: ManagedCluster) -> State | None:
    spec = cluster.spec
    region = regions().get(spec.region_id)
    if region is None:
        allowed = ", ".join(regions())
        return stalled("InvalidRegionId.NotFound", f"spec.regionId: {spec.region_id}; allowed: {allowed}")
    form = edition(spec.cluster_type, spec.cluster_spec)
    if form not in region.editions:
        offered = ", ".join(sorted(region.editions)) or "none"
        message = f"spec.regionId: {region.id} does not offer the edition {form}; it offers: {offered}"
        return stalled("InvalidRegionId.NotSupported", message)
    if spec.cluster_type == "ManagedKubernetes" and resolve(spec.kubernetes_version) is None:
        message = f"spec.kubernetesVersion: {spec.kubernetes_version}; allowed: {', '.join(accepted())}"
        return stalled("InvalidKubernetesVersion", message)
    return None


def _network(cluster: ManagedCluster, vpc: Vpc | None) -> State | None:
    spec = cluster.spec
    if vpc is None:
        return progressing("WaitingForVPC", f"spec.vpcId: {spec.vpc_id}: no such VPC in this namespace yet")
    if vpc.deleting:
        return progressing("WaitingForVPC", f"spec.vpcId: {spec.vpc_id} is being deleted")
    if vpc.spec.region_id != spec.region_id:
        message = f"spec.vpcId: VPC {vpc.metadata.name} is in {vpc.spec.region_id}, spec.regionId is {spec.region_id}"
        return stalled("InvalidVpcId.RegionMismatch", message)
    if vpc.status.vpc_id is None:
        return progressing("WaitingForVPC", f"spec.vpcId: VPC {vpc.metadata.name} is being made")
    for field, references in (("vswitchIds", spec.vswitch_ids), ("podVswitchIds", spec.pod_vswitch_ids)):
        missing = [reference for reference in references if find_subnet(vpc, reference) is None]
        if missing:
            known = ", ".join(subnet.name for subnet in subnets(vpc)) or "none"
            message = f"spec.{field}: {', '.join(missing)} not in VPC {vpc.metadata.name}; it has: {known}"
            return progressing("InvalidVSwitchId.NotFound", message)
    return None


def _cidrs(cluster: ManagedCluster, vpc: Vpc | None, neighbours: Sequence[ManagedCluster]) -> State | None:
    spec, rules = cluster.spec, network_rules()
    if spec.container_cidr is None and spec.network_plugin == FLANNEL:
        return stalled("EmptyCIDR", "spec.containerCidr: pod or service cidr is empty; flannel needs one")
    try:
        service = IPv4Network(spec.service_cidr)
        container = IPv4Network(spec.container_cidr) if spec.container_cidr else None
        own = IPv4Network(vpc.spec.cidr_block) if vpc else None
    except ValueError as error:
        return stalled(INVALID_CIDR, f"spec.containerCidr, spec.serviceCidr: {error}")
    wrong = _shape(service, container, spec.node_cidr_mask, rules)
    if wrong:
        return stalled(INVALID_CIDR, wrong)
    named = [("spec.serviceCidr", service)] + ([("spec.containerCidr", container)] if container else [])
    others = [("the VPC's cidrBlock", own)] if own else []
    if container and service.overlaps(container):
        return _overlap(named[0], named[1])
    for mine in named:
        for other in others:
            if mine[1].overlaps(other[1]):
                return _overlap(mine, other)
    for neighbour in neighbours if container else ():
        theirs = neighbour.spec.container_cidr
        if theirs and container and container.overlaps(IPv4Network(theirs)):
            return _overlap(named[1], (f"containerCidr of cluster {neighbour.metadata.name}", IPv4Network(theirs)))
    return None


def _shape(service: IPv4Network, container: IPv4Network | None, node_mask: int, rules: NetworkRules) -> str | None:
    shortest, longest = rules.service_masks
    ranges = ", ".join(map(str, rules.service_ranges))
    if (
        not any(service.subnet_of(each) for each in rules.service_ranges)
        or not shortest <= service.prefixlen <= longest
    ):
        return f"spec.serviceCidr: {service}; allowed: a mask of /{shortest} to /{longest} inside {ranges}"
    if container is None:
        return None
    if not any(container.subnet_of(each) for each in rules.container_ranges):
        return f"spec.containerCidr: {container}; allowed: inside {', '.join(map(str, rules.container_ranges))}"
    if container.prefixlen > node_mask:
        return f"spec.containerCidr: {container} holds no block of spec.nodeCidrMask {node_mask}"
    return None


def _overlap(left: tuple[str, IPv4Network], right: tuple[str, IPv4Network]) -> State:
    return stalled(INVALID_CIDR, f"{left[0]} {left[1]} overlaps {right[0]} {right[1]}")


def running_phase(pool_phases: Sequence[str | None]) -> ClusterPhase:
    """The state word of a cluster whose control plane works, by what its node pools do."""
    if NodePoolPhase.SCALING in pool_phases:
        return ClusterPhase.SCALING
    if NodePoolPhase.REMOVING in pool_phases or NodePoolPhase.DELETING in pool_phases:
        return ClusterPhase.UPDATING
    return ClusterPhase.RUNNING
