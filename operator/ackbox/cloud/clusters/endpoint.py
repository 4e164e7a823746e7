"""The load balancer of a cluster's API server: made once, then only its backend servers change.

Who deletes it can't operate the cluster any more, and it isn't made again. Rule source: ACK, high-risk operations on
clusters (Product Introduction of 2022-07-08).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ackbox.cloud.allocation import eips, ids
from ackbox.cloud.allocation.ledger import find_subnet, subnets, without_allocations
from ackbox.cloud.clusters.members import highly_available
from ackbox.cloud.clusters.tags import CLUSTER_TAG
from ackbox.cloud.reconciling import Cloud, condition, deleting, is_ready
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, merge_difference, progressing, stalled
from ackbox.kube.refs import resolve
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, ManagedCluster, Vpc
from ackbox.resources.balancer_service import owner_name
from ackbox.resources.base import CLUSTER_LABEL
from ackbox.resources.listener import listener_name
from ackbox.resources.managedcluster import ControlPlaneMember
from ackbox.runtime.loopback import API_PORT, AddressUse

GONE = "ApiServerLoadBalancerDeleted"


@dataclass(frozen=True)
class Endpoint:
    """How the API server is reached.

    Attributes:
        balancer_id: the load balancer's id.
        host: where it is dialled on this machine.
        private: its address in the VPC.
        public: its elastic IP address, if it has one.
    """

    balancer_id: str
    host: str
    private: str
    public: str | None = None

    @property
    def url(self) -> str:
        """What users dial."""
        return f"https://{self.host}:{API_PORT}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Everything that the API server's certificate must name."""
        return tuple(host for host in (self.host, self.private, self.public) if host)


def name_of(cluster: ManagedCluster) -> str:
    """The name of the load balancer, and of its server group."""
    return f"{cluster.metadata.name}-apiserver"


def balancer(cluster: ManagedCluster, cluster_id: str, vpc: Vpc) -> Object | State:
    """The load balancer to make, in the cluster's first vSwitch; a state when there is none yet."""
    reference = next(iter(cluster.spec.vswitch_ids), None)
    subnet = find_subnet(vpc, reference) if reference else next(iter(subnets(vpc)), None)
    if subnet is None:
        message = f"spec.vpcId: VPC {vpc.metadata.name} has no vSwitch for the API server's load balancer yet"
        return progressing("InvalidVSwitchId.NotFound", message)
    spec = {
        "loadBalancerName": f"apiserver-{cluster_id}",
        "regionId": cluster.spec.region_id,
        "addressType": "intranet",
        "networkType": "vpc",
        "vpcId": vpc.metadata.name,
        "vSwitchId": subnet.id,
        "tags": [{"key": CLUSTER_TAG, "value": cluster_id}],
    }
    return {"metadata": _metadata(cluster, name_of(cluster)), "spec": spec}


def listener(cluster: ManagedCluster, checked: bool) -> Object:
    """The listener to make.

    Args:
        checked: whether there are several API servers to choose among, so that their health is of interest. One that
            starts takes connections before it knows who may do what; the healthy threshold gives it that time.
    """
    name = name_of(cluster)
    health: Object = {"healthCheckSwitch": "off"}
    if checked:
        health = {
            "healthCheckSwitch": "on",
            "healthCheckInterval": 1,
            "healthCheckConnectTimeout": 1,
            "healthyThreshold": 10,
            "unhealthyThreshold": 2,
        }
    spec = {
        "loadBalancerId": name,
        "listenerPort": API_PORT,
        "listenerProtocol": "tcp",
        "vServerGroupId": name,
        "description": f"API server of {cluster.metadata.name}",
        **health,
    }
    return {"metadata": _metadata(cluster, listener_name(name, API_PORT, "tcp")), "spec": spec}


def group(cluster: ManagedCluster, members: Sequence[ControlPlaneMember]) -> Object:
    """The server group with these API servers."""
    servers = [
        {
            "serverId": member.instance_id or member.name,
            "serverIp": member.address,
            "port": API_PORT,
            "type": "apiserver",
            "description": member.name,
        }
        for member in members
    ]
    name = name_of(cluster)
    spec = {"loadBalancerId": name, "vServerGroupName": name, "backendServers": servers}
    return {"metadata": _metadata(cluster, name), "spec": {**spec, "clusterId": cluster.metadata.name}}


def _metadata(cluster: ManagedCluster, name: str) -> Object:
    return {"name": name, "labels": {CLUSTER_LABEL: cluster.metadata.name}}


def trouble(cluster: ManagedCluster, found: Object | None, cluster_id: str) -> State | None:
    """Why the load balancer can't serve the cluster; None when it can, or is still to be made.

    Args:
        cluster: the cluster.
        found: the load balancer of the right name, if there is one.
        cluster_id: the cluster's id.
    """
    known, name = cluster.status.load_balancer_id, name_of(cluster)
    if known is not None and (
        found is None or deleting(found) or ids.load_balancer_id(found["metadata"]["uid"]) != known
    ):
        message = (
            f"ServiceLoadBalancer {name} ({known}), the API server's, was deleted: the cluster can't be operated any"
            " more, and there is no way back; create the cluster again"
        )
        return stalled(GONE, message)
    if found is None:
        return None
    tags = {tag["key"]: tag.get("value") for tag in (found.get("spec") or {}).get("tags") or ()}
    if known is None and tags.get(CLUSTER_TAG) != cluster_id:
        message = f"ServiceLoadBalancer {name} is somebody else's; the API server's has that name: delete it"
        return progressing("LoadBalancerNameTaken", message)
    return None


def serving(cluster: ManagedCluster, found: Object | None) -> State | None:
    """Why nothing answers behind the listener; None when something does."""
    name = listener_name(name_of(cluster), API_PORT, "tcp")
    if found is None or deleting(found):
        message = (
            f"Listener {name} of the API server was deleted: nobody reaches the API server; make it again:"
            f" listenerProtocol tcp, listenerPort {API_PORT}, loadBalancerId and vServerGroupId {name_of(cluster)}"
        )
        return progressing("ApiServerListenerDeleted", message)
    said = condition(found, "Ready")
    if not is_ready(found):
        message = f"Listener {name} of the API server isn't served: {said.get('message') or 'not yet'}"
        return progressing("ApiServerListenerNotReady", message)
    return None


class Endpoints:
    """Makes the load balancers of API servers and points them at the API servers."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def ensure(self, obj: Object, cluster: ManagedCluster, cluster_id: str) -> Endpoint | State:
        """The way to the API server; a state while the load balancer lacks something, or when it is gone for good."""
        world, key = self._cloud.world, (cluster.metadata.namespace, name_of(cluster))
        found = world.load_balancers.get(*key)
        wrong = trouble(cluster, found, cluster_id)
        if wrong is not None:
            return wrong
        if found is None:
            made = await self._make(cluster, cluster_id)
            if isinstance(made, State):
                return made
            found = made
        if cluster.status.load_balancer_id is None:
            await self._make_listener(cluster)
        status = found.get("status") or {}
        if not status.get("address") or not status.get("loadBalancerId"):
            said = condition(found, "Ready")
            message = f"load balancer {name_of(cluster)} of the API server: {said.get('message') or 'no address yet'}"
            return progressing(said.get("reason") or "WaitingForLoadBalancer", message)
        host = await self._cloud.addresses.reserve(owner_name(*key), AddressUse.LOAD_BALANCER)
        public = await self._expose(obj, cluster, found)
        return Endpoint(status["loadBalancerId"], host, status["address"], public)

    async def point(self, cluster: ManagedCluster, members: Sequence[ControlPlaneMember]) -> bool:
        """Send users to these API servers and to no others; whether the data plane does so already."""
        namespace, name = cluster.metadata.namespace, name_of(cluster)
        wanted, found = group(cluster, members), self._cloud.world.server_groups.get(namespace, name)
        if found is None or deleting(found):
            if found is None:
                await self._cloud.client.create(SERVER_GROUP, wanted, namespace)
            return False
        difference = merge_difference(found["spec"], {"backendServers": _filled(found, wanted)})
        if difference:
            found = await self._cloud.client.patch(SERVER_GROUP, name, namespace, {"spec": difference})
        return bool((found.get("status") or {}).get("observedGeneration") == found["metadata"].get("generation"))

    def pointed_at(self, cluster: ManagedCluster) -> set[str]:
        """The addresses of the API servers that users are sent to."""
        found = self._cloud.world.server_groups.get(cluster.metadata.namespace, name_of(cluster)) or {}
        return {server["serverIp"] for server in (found.get("spec") or {}).get("backendServers") or ()}

    def serving(self, cluster: ManagedCluster) -> State | None:
        """See `serving`."""
        name = listener_name(name_of(cluster), API_PORT, "tcp")
        return serving(cluster, self._cloud.world.listeners.get(cluster.metadata.namespace, name))

    async def _make(self, cluster: ManagedCluster, cluster_id: str) -> Object | State:
        vpc = resolve(self._cloud.world.vpcs, cluster.metadata.namespace, cluster.spec.vpc_id)
        if vpc is None:
            return progressing("WaitingForVPC", f"spec.vpcId: {cluster.spec.vpc_id}: no such VPC in this namespace")
        slim = without_allocations(vpc)
        wanted = balancer(cluster, cluster_id, slim)
        if isinstance(wanted, State):
            return wanted
        return await self._cloud.client.create(SERVICE_LOAD_BALANCER, wanted, cluster.metadata.namespace)

    async def _make_listener(self, cluster: ManagedCluster) -> None:
        namespace = cluster.metadata.namespace
        wanted = listener(cluster, checked=highly_available(cluster))
        if self._cloud.world.listeners.get(namespace, wanted["metadata"]["name"]) is None:
            await self._cloud.client.create(LISTENER, wanted, namespace)

    async def _expose(self, obj: Object, cluster: ManagedCluster, found: Object) -> str | None:
        """Bind an elastic IP address to the load balancer, or take it away; the address once it is bound."""
        bound = [each["allocationId"] for each in found["spec"].get("eips") or ()]
        wanted: list[str] = []
        client, cache, name = self._cloud.client, self._cloud.world.elastic_ip_addresses, name_of(cluster)
        if not cluster.spec.endpoint_public_access:
            await eips.give_up(client, cache, obj, name)
        else:
            address = await eips.ensure(client, cache, obj, name, cluster.spec.region_id)
            if address is None or address.status.allocation_id is None:
                return None
            wanted = [address.status.allocation_id]
        if bound != wanted:
            namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
            body = {"spec": {"eips": [{"allocationId": each} for each in wanted]}}
            await self._cloud.client.patch(SERVICE_LOAD_BALANCER, name, namespace, body)
        there = {each["allocationId"]: each["ipAddress"] for each in (found.get("status") or {}).get("eips") or ()}
        return next((there[each] for each in wanted if each in there), None)


def _filled(found: Object, wanted: Object) -> list[Object]:
    """The wanted backend servers with the defaults that the API server filled in, so that they compare as equal."""
    before = {server["serverId"]: server for server in found["spec"].get("backendServers") or ()}
    filled = []
    for server in wanted["spec"]["backendServers"]:
        filled.append({**before.get(server["serverId"], {}), **server})
    return filled
