"""Takes the addresses of a restored home into its own loopback range, where it couldn't get the one it had.

Reservations and the addresses of API servers are moved here, before ackbox's own processes start; everything else that
shows an address (certificates, kubeconfigs, status, Services, Nodes) follows from these when they run. Running it twice
changes nothing.
"""

from ipaddress import IPv4Address, IPv4Network

from ackbox.kube.client import CONFIG_MAP, Client, Object
from ackbox.kube.errors import NotFound
from ackbox.resources import MANAGED_CLUSTER
from ackbox.runtime.loopback import RESERVATIONS
from ackbox.runtime.manifests import SYSTEM_NAMESPACE


async def move_addresses(client: Client, before: IPv4Network, network: IPv4Network) -> None:
    """Move every reservation and every API server of the management cluster.

    Raises:
        ApiError: the API server refuses something.
    """
    try:
        found = await client.get(CONFIG_MAP, RESERVATIONS, SYSTEM_NAMESPACE)
        change = moved_reservations(found.get("data") or {}, before, network)
        if change:
            await client.patch(CONFIG_MAP, RESERVATIONS, SYSTEM_NAMESPACE, {"data": change})
    except NotFound:
        pass  # no cluster was ever made
    for cluster in (await client.list(MANAGED_CLUSTER))[0]:
        members = moved_members(cluster, before, network)
        if members is not None:
            metadata = cluster["metadata"]
            body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": {"controlPlane": members}}
            await client.patch(MANAGED_CLUSTER, metadata["name"], metadata["namespace"], body, "status")


def moved_reservations(data: dict[str, str], before: IPv4Network, network: IPv4Network) -> dict[str, str | None]:
    """The merge patch that moves reservations, which are named by their address with dashes."""
    change: dict[str, str | None] = {}
    for key, owner in data.items():
        address = IPv4Address(key.replace("-", "."))
        if address in before:
            change[key] = None
            change[str(moved(address, before, network)).replace(".", "-")] = owner
    return change


def moved_members(cluster: Object, before: IPv4Network, network: IPv4Network) -> list[Object] | None:
    """The API servers of a cluster at their new addresses; None when they all are there."""
    members = (cluster.get("status") or {}).get("controlPlane") or []
    if not any(IPv4Address(member["address"]) in before for member in members):
        return None
    return [{**each, "address": str(moved(IPv4Address(each["address"]), before, network))} for each in members]


def moved(address: IPv4Address, before: IPv4Network, network: IPv4Network) -> IPv4Address:
    """An address at the same place in the other range; one of neither stays."""
    if address not in before:
        return address
    return network[int(address) - int(before.network_address)]
