"""Where servers that are no stand-ins are dialled: those of registered clusters, and API servers. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

from ackbox.dataplane.model import Targets
from ackbox.kube.conditions import State, stalled
from ackbox.resources import ManagedCluster, ServerGroup
from ackbox.resources.servergroup import BackendServer
from ackbox.runtime.loopback import API_PORT, AddressUse

EXTERNAL = "ExternalKubernetes"
"""The cluster type whose backend servers are real."""

API_SERVER = "apiserver"
"""The type of backend servers that are API servers."""

SHOWN = 5
"""How many servers a message names before it only counts them."""


def real_targets(group: ServerGroup, cluster: ManagedCluster) -> Targets:
    """Where the servers of a registered cluster are dialled: only inside what the cluster's admin allows."""
    external = cluster.spec.external_cluster
    cidrs = external.allowed_cidrs if external else []
    networks, wrong = _networks(cidrs)
    refused = [server for server in group.spec.backend_servers if not _inside(server.server_ip, networks)]
    addresses = {
        server.identity: (server.server_ip, server.port)
        for server in group.spec.backend_servers
        if server not in refused
    }
    return Targets(real=True, addresses=addresses, problem=_refusal(refused, cluster, cidrs, wrong))


def is_of_api_servers(group: ServerGroup) -> bool:
    """Whether a group is that of an API server's load balancer."""
    return any(server.type == API_SERVER for server in group.spec.backend_servers)


def api_server_targets(group: ServerGroup, home: IPv4Network | None) -> Targets:
    """Where API servers are dialled: only where this home has its own, and only at their port.

    Args:
        group: nobody but the operator writes such a one: the policy `api-servers.ackbox.dev` sees to it.
        home: this home's own /16; None in a cluster, where an API server has an address of a Service.
    """
    servers = [server for server in group.spec.backend_servers if server.type == API_SERVER]
    good = [server for server in servers if server.port == API_PORT and _is_own(server.server_ip, home)]
    problem = None
    if len(good) < len(group.spec.backend_servers):
        others = sorted({f"{each.server_ip}:{each.port}" for each in group.spec.backend_servers if each not in good})
        text = f"not sent to {', '.join(others[:SHOWN])}: no API server of this home, at port {API_PORT}"
        problem = stalled("AddressNotAllowed", text)
    return Targets(True, {server.identity: (server.server_ip, server.port) for server in good}, problem)


def _is_own(text: str, home: IPv4Network | None) -> bool:
    try:
        address = IPv4Address(text)
    except ValueError:
        return False
    if home is None:
        return not (address.is_loopback or address.is_link_local or address.is_unspecified)
    return AddressUse.API_SERVER.holds(home, address)


def _networks(cidrs: Iterable[str]) -> tuple[list[IPv4Network | IPv6Network], list[str]]:
    networks, wrong = [], []
    for cidr in cidrs:
        try:
            networks.append(ip_network(cidr, strict=False))
        except ValueError:
            wrong.append(cidr)
    return networks, wrong


def _inside(text: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _refusal(refused: list[BackendServer], cluster: ManagedCluster, cidrs: list[str], wrong: list[str]) -> State | None:
    if not refused:
        return None
    field = f"spec.externalCluster.allowedCidrs of ManagedCluster {cluster.metadata.name}"
    addresses = sorted({server.server_ip for server in refused})
    more = f" and {len(addresses) - SHOWN} more" if len(addresses) > SHOWN else ""
    text = f"not sent to {', '.join(addresses[:SHOWN])}{more}: outside {field} ({', '.join(cidrs) or 'none'})"
    if wrong:
        text += f"; not a CIDR block: {', '.join(wrong)}"
    return stalled("AddressNotAllowed", text)
