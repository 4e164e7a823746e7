"""The NAT gateway of a VPC, by which the machines of clusters with `snatEntry` reach the Internet. Pure."""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address

from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.addresses import free_addresses
from ackbox.cloud.allocation.ledger import Subnet, find_subnet
from ackbox.kube.conditions import Aspect
from ackbox.resources import ElasticIPAddress, ManagedCluster, Vpc
from ackbox.resources.network import Allocation, NatGatewayStatus, SnatEntry

ASPECT = "NatGateway"
OWNER_PREFIX = "nat/"


def owner_of(vpc: str) -> str:
    """How the reservations of a VPC name its NAT gateway."""
    return f"{OWNER_PREFIX}{vpc}"


def address_name(vpc: str) -> str:
    """The name of the gateway's ElasticIPAddress."""
    return f"{vpc}-nat"


def sources(clusters: Sequence[ManagedCluster], vpc: Vpc) -> list[Subnet]:
    """The vSwitches whose machines and pods are to reach the Internet, each once."""
    references = [
        reference
        for cluster in clusters
        if cluster.spec.snat_entry
        for reference in (*cluster.spec.vswitch_ids, *cluster.spec.pod_vswitch_ids)
    ]
    found = [find_subnet(vpc, reference) for reference in references]
    return list({subnet.id: subnet for subnet in found if subnet is not None}.values())


def place(vpc: str, held: Allocation | None, subnets: Sequence[Subnet], taken: Collection[int]) -> Allocation | None:
    """The gateway's own reservation, in the first of the vSwitches with a free address; None when there is none."""
    if held is not None:
        return held
    for subnet in subnets:
        address = next(free_addresses(subnet.cidr, taken), None)
        if address is not None:
            return Allocation(owner=owner_of(vpc), v_switch_id=subnet.id, address=str(IPv4Address(address)))
    return None


def gateway(vpc: Vpc, entry: Allocation, eip: ElasticIPAddress | None, subnets: Sequence[Subnet]) -> NatGatewayStatus:
    """The gateway; it has its SNAT entries once its elastic IP address is there."""
    uid = vpc.metadata.uid
    address = eip.status.ip_address if eip else None
    return NatGatewayStatus(
        nat_gateway_id=ids.nat_gateway_id(uid),
        v_switch_id=entry.v_switch_id,
        private_ip_address=entry.address,
        allocation_id=eip.status.allocation_id if eip and address else None,
        ip_address=address,
        snat_entries=[
            SnatEntry(snat_entry_id=ids.snat_entry_id(uid, subnet.id), source_v_switch_id=subnet.id, snat_ip=address)
            for subnet in subnets
        ]
        if address
        else [],
    )


def aspect(made: NatGatewayStatus | None, eip: ElasticIPAddress | None, subnets: Sequence[Subnet]) -> Aspect:
    """How it stands with the gateway; no condition where nobody asks for one."""
    if not subnets:
        return Aspect(ASPECT, None)
    if made is None:
        names = ", ".join(subnet.name for subnet in subnets)
        message = f"the NAT gateway of spec.snatEntry finds no free address in vSwitch {names}"
        return Aspect(ASPECT, "False", "InvalidVSwitchId.IpNotEnough", message, warn=True)
    if made.ip_address is None:
        told = next((each for each in eip.status.conditions if each.type == "Ready"), None) if eip else None
        reason, message = (told.reason, told.message) if told else ("Allocating", "its elastic IP address is to come")
        return Aspect(ASPECT, "False", reason, message)
    return Aspect(ASPECT, "True", "Available", f"SNAT by {made.ip_address} for {len(subnets)} vSwitches")
