"""Binds elastic IP addresses to load balancers."""

from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.eips import ElasticAddresses
from ackbox.cloud.loadbalancers.attributes import bound_elsewhere, busy, elastic_ids, missing, with_ids
from ackbox.cloud.world import World
from ackbox.kube.client import Object
from ackbox.kube.conditions import State
from ackbox.resources import ServiceLoadBalancer


class ElasticBinding:
    """Which elastic IP addresses a load balancer has.

    Ids that no ElasticIPAddress has were bought elsewhere, or come from the cloud itself: the load balancer that names one
    reserves its address.
    """

    def __init__(self, world: World, addresses: ElasticAddresses) -> None:
        self._world = world
        self._addresses = addresses

    def named(self, balancer: ServiceLoadBalancer) -> ServiceLoadBalancer:
        """The load balancer with the ids of the ElasticIPAddresses that it names."""
        return with_ids(balancer, self._names(balancer.metadata.namespace))

    async def bind(self, balancer: ServiceLoadBalancer) -> tuple[dict[str, str], State | None]:
        """The addresses that a load balancer has now, by id, and why it lacks some."""
        namespace = balancer.metadata.namespace
        wanted = list(elastic_ids(balancer).values())
        objects = self._objects(namespace)
        known = {key: (obj.get("status") or {}).get("ipAddress") for key, obj in objects.items()}
        others = self._world.load_balancers.all(namespace) if wanted else []
        bound = bound_elsewhere(balancer, wanted, others, self._names(namespace)) | _gateways(wanted, objects)
        told = busy(bound) or missing(wanted, known)
        await self._give_up(balancer, {eip.allocation_id for eip in balancer.status.eips} - set(wanted))
        held = {eip.allocation_id: eip.ip_address for eip in balancer.status.eips}
        found: dict[str, str] = {}
        for each in wanted:
            if each in bound or (told and missing([each], known)):
                continue
            address = known[each] if each in known else await self._addresses.reserve(each, held.get(each))
            if address is not None:
                found[each] = address
        return found, told

    async def release(self, balancer: ServiceLoadBalancer) -> None:
        """Give up what a load balancer has that is going away."""
        await self._give_up(balancer, {eip.allocation_id for eip in balancer.status.eips})

    async def _give_up(self, balancer: ServiceLoadBalancer, unwanted: set[str]) -> None:
        """Free the addresses of ids that have no ElasticIPAddress; nobody else has one of them while this status does."""
        for each in unwanted - self._objects(balancer.metadata.namespace).keys():
            await self._addresses.release(each)

    def _objects(self, namespace: str) -> dict[str, Object]:
        every = self._world.elastic_ip_addresses.all(namespace)
        return {ids.elastic_ip_address_id(obj["metadata"]["uid"]): obj for obj in every}

    def _names(self, namespace: str) -> dict[str, str]:
        return {obj["metadata"]["name"]: key for key, obj in self._objects(namespace).items()}


def _gateways(wanted: list[str], objects: dict[str, Object]) -> dict[str, str]:
    """The NAT gateways that have some of the addresses, by its id."""
    users = {each: (objects[each].get("status") or {}).get("instanceId") or "" for each in wanted if each in objects}
    return {each: f"NAT gateway {user}" for each, user in users.items() if user.startswith(ids.NAT_GATEWAY_PREFIX)}
