"""What a managed cluster waits for and what is wrong with it. Pure."""

from collections.abc import Sequence

from ackbox.catalog.regions import edition, regions
from ackbox.catalog.versions import offer, wanted
from ackbox.cloud.allocation.ledger import find_subnet, subnets
from ackbox.cloud.allocation.security_groups import groups_problem
from ackbox.cloud.clusters.cidrs import cidr_problem
from ackbox.kube.conditions import State, progressing, stalled
from ackbox.resources import ManagedCluster, Vpc
from ackbox.resources.managedcluster import ClusterPhase
from ackbox.resources.nodepool import NodePoolPhase


def problem(cluster: ManagedCluster, vpc: Vpc | None, neighbours: Sequence[ManagedCluster]) -> State | None:
    """Why the cluster can't be made now; None when it can.

    Args:
        vpc: what `spec.vpcId` names, if it is there.
        neighbours: other clusters of the VPC that have their place already.
    """
    return _unknown(cluster) or _network(cluster, vpc) or cidr_problem(cluster, vpc, neighbours)


def _unknown(cluster: ManagedCluster) -> State | None:
    spec = cluster.spec
    region = regions().get(spec.region_id)
    if region is None:
        allowed = ", ".join(regions())
        return stalled("InvalidRegionId.NotFound", f"spec.regionId: {spec.region_id}; allowed: {allowed}")
    form = edition(spec)
    if form not in region.editions and cluster.status.edition != form:
        offered = ", ".join(sorted(region.editions))
        when = "is to be opened, it is not yet there" if form in region.pending else "is not offered"
        message = f"spec.regionId: {form} {when} in {region.id}; open there: {offered}"
        return stalled("InvalidRegionId.NotOpen" if form in region.pending else "InvalidRegionId.NotSupported", message)
    running = cluster.status.current_version
    if spec.cluster_type != "ExternalKubernetes" and wanted(spec.kubernetes_version, running) is None:
        message = f"spec.kubernetesVersion: {spec.kubernetes_version}; allowed: {', '.join(offer().accepted)}"
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
    groups = [spec.security_group_id] if spec.security_group_id else []
    return groups_problem("spec.securityGroupId", groups, cluster, vpc)


def running_phase(pool_phases: Sequence[str | None]) -> ClusterPhase:
    """The state word of a cluster whose control plane works, by what its node pools do."""
    if NodePoolPhase.SCALING in pool_phases:
        return ClusterPhase.SCALING
    if NodePoolPhase.REMOVING in pool_phases or NodePoolPhase.DELETING in pool_phases:
        return ClusterPhase.UPDATING
    return ClusterPhase.RUNNING
