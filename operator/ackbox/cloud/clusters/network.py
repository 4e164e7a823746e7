"""The part of a cluster that is its place in the VPC: its security group and its way to the Internet."""

from ackbox.cloud.allocation.ledger import without_allocations
from ackbox.cloud.allocation.security_groups import cluster_group
from ackbox.cloud.clusters.parts import Outcome
from ackbox.cloud.world import World
from ackbox.kube.client import Client, Object
from ackbox.kube.conditions import Aspect
from ackbox.kube.refs import resolve
from ackbox.resources import ManagedCluster, Vpc

INTERNET = "InternetAccess"
LOOK_AGAIN = 5.0
"""Seconds between looks at a NAT gateway that is being made."""


class ClusterNetwork:
    """Tells of the network of managed clusters; `cloud.network` makes what there is to be made."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def ensure(self, obj: Object, cluster: ManagedCluster, workload: Client) -> Outcome:  # noqa: ARG002
        """See `Part.ensure`."""
        found = resolve(self._world.vpcs, cluster.metadata.namespace, cluster.spec.vpc_id)
        if found is None:
            return Outcome()
        vpc = without_allocations(found)
        group = cluster_group(cluster, vpc)
        internet = internet_access(cluster, vpc)
        return Outcome(
            fields={"securityGroupId": group.security_group_id if group else None},
            aspects=(internet,),
            again=LOOK_AGAIN if internet.status == "False" else None,
        )

    def forget(self, uid: str) -> None:
        """See `Part.forget`."""


def internet_access(cluster: ManagedCluster, vpc: Vpc) -> Aspect:
    """Whether SNAT gives the machines their way out; no condition where the cluster doesn't ask for it."""
    if not cluster.spec.snat_entry:
        return Aspect(INTERNET, None)
    gateway = next(iter(vpc.status.nat_gateways), None)
    if gateway is not None and gateway.ip_address is not None:
        return Aspect(INTERNET, "True", "SNAT", f"by NAT gateway {gateway.nat_gateway_id} under {gateway.ip_address}")
    told = next((each for each in vpc.status.conditions if each.type == "NatGateway"), None)
    reason, message = (told.reason, told.message) if told else ("Creating", "the NAT gateway is being made")
    return Aspect(INTERNET, "False", reason, message)
