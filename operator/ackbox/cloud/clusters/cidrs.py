"""Which address blocks a cluster may have: of a usable size, in private ranges, and apart from all others. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from ackbox.catalog.network import NetworkRules, network_rules
from ackbox.cloud.allocation.ledger import find_subnet
from ackbox.kube.conditions import State, stalled
from ackbox.resources import ManagedCluster, Vpc

FLANNEL, SERVERLESS = "flannel", "Serverless"
INVALID_CIDR = "InvalidCIDR"

Named = tuple[str, IPv4Network]
"""A block, and what has it."""


def cidr_problem(cluster: ManagedCluster, vpc: Vpc | None, neighbours: Sequence[ManagedCluster]) -> State | None:
    """What is wrong with the blocks of a cluster, all of it; None when nothing is.

    Args:
        cluster: the cluster.
        vpc: its VPC, if that is there.
        neighbours: other clusters of the VPC that have their place already.
    """
    spec, rules = cluster.spec, network_rules()
    if spec.container_cidr is None and spec.network_plugin == FLANNEL and spec.profile != SERVERLESS:
        return stalled("EmptyCIDR", "spec.containerCidr: pod or service cidr is empty; flannel needs one")
    try:
        service = IPv4Network(spec.service_cidr)
        container = IPv4Network(spec.container_cidr) if spec.container_cidr else None
    except ValueError as error:
        return stalled(INVALID_CIDR, f"spec.containerCidr, spec.serviceCidr: {error}")
    wrong = [
        *_shape(service, container, spec.node_cidr_mask, rules),
        *_overlaps(("spec.serviceCidr", service), container, vpc, neighbours),
    ]
    if wrong:
        return stalled(INVALID_CIDR, "; ".join(wrong))
    return _pod_zones(cluster, vpc) if vpc else None


def _shape(service: IPv4Network, container: IPv4Network | None, node_mask: int, rules: NetworkRules) -> list[str]:
    shortest, longest = rules.service_masks
    wrong = []
    if (
        not any(service.subnet_of(each) for each in rules.service_ranges)
        or not shortest <= service.prefixlen <= longest
    ):
        ranges = ", ".join(map(str, rules.service_ranges))
        wrong.append(f"spec.serviceCidr: {service}; allowed: a mask of /{shortest} to /{longest} inside {ranges}")
    if container is not None and not any(container.subnet_of(each) for each in rules.container_ranges):
        ranges = ", ".join(map(str, rules.container_ranges))
        wrong.append(f"spec.containerCidr: {container}; allowed: inside {ranges}")
    if container is not None and container.prefixlen > node_mask:
        wrong.append(f"spec.containerCidr: {container} holds no block of spec.nodeCidrMask {node_mask}")
    return wrong


def _overlaps(
    service: Named, container: IPv4Network | None, vpc: Vpc | None, neighbours: Sequence[ManagedCluster]
) -> list[str]:
    """Blocks that overlap. Services of several clusters may: nobody outside a cluster dials them."""
    pods: list[Named] = [("spec.containerCidr", container)] if container else []
    around: list[Named] = [("the VPC's cidrBlock", IPv4Network(vpc.spec.cidr_block))] if vpc else []
    their_pods, their_services = [], []
    for each in neighbours:
        name = each.metadata.name
        if each.spec.container_cidr:
            their_pods.append((f"containerCidr of cluster {name}", IPv4Network(each.spec.container_cidr)))
        their_services.append((f"serviceCidr of cluster {name}", IPv4Network(each.spec.service_cidr)))
    pairs = [
        *((service, other) for other in [*pods, *around, *their_pods]),
        *((own, other) for own in pods for other in [*around, *their_pods, *their_services]),
    ]
    return [f"{own[0]} {own[1]} overlaps {other[0]} {other[1]}" for own, other in pairs if own[1].overlaps(other[1])]


def _pod_zones(cluster: ManagedCluster, vpc: Vpc) -> State | None:
    """With Terway a node's pods have addresses of a vSwitch in the node's own zone."""
    if not cluster.spec.pod_vswitch_ids:
        return None
    nodes, pods = (
        {subnet.zone for reference in references if (subnet := find_subnet(vpc, reference)) is not None}
        for references in (cluster.spec.vswitch_ids, cluster.spec.pod_vswitch_ids)
    )
    bare = sorted(nodes - pods)
    if not bare:
        return None
    message = (
        f"spec.podVswitchIds: no vSwitch in {', '.join(bare)}, where spec.vswitchIds puts nodes; name one of each zone"
    )
    return stalled("InvalidVSwitchId.ZoneMismatch", message)
