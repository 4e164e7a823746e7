"""The ports of load balancers' Services, where the data plane runs in Pods: a target port for each port of a listener."""

from collections.abc import Iterable, Mapping

from ackbox.cloud.allocation.addresses_in_cluster import service_name
from ackbox.cloud.allocation.listener_ports import COUNT, ListenerPorts
from ackbox.cloud.reconciling import Cloud, Controller, deleting, paused
from ackbox.kube.cache import Cache, Key, key_of
from ackbox.kube.client import SERVICE, Object
from ackbox.kube.queue import Retry
from ackbox.kube.refs import resolve
from ackbox.resources import SERVICE_LOAD_BALANCER, Listener
from ackbox.resources.balancer_service import MAX_PORTS, Door, balancer_of, owner_name, service_ports, target_ports
from ackbox.runtime.manifests import SYSTEM_NAMESPACE

EXHAUSTED_RETRY = 30.0
"""Seconds until a port is looked for again, when all were taken."""


def doors(listeners: Iterable[Listener]) -> list[Door]:
    """The ports that a load balancer's listeners ask for; of a range the first ones only."""
    found = {
        (port, listener.spec.transport): None for listener in listeners for port in listener.spec.ports[:MAX_PORTS]
    }
    return list(found)


class BalancerServices(Controller):
    """Gives every port of a load balancer its target port, and writes them into the load balancer's Service.

    Args:
        cloud: the cloud side.
        services: the Services of the data plane's namespace.
        ports: reserves target ports.
    """

    def __init__(self, cloud: Cloud, services: Cache, ports: ListenerPorts) -> None:
        super().__init__(cloud, SERVICE_LOAD_BALANCER, "balancer-services")
        self._services = services
        self._ports = ports
        services.subscribe(self._on_service)
        cloud.world.listeners.subscribe(self._on_listener)
        cloud.world.load_balancers.subscribe(self._on_balancer)

    async def run(self) -> None:
        """See `Controller.run`; a load balancer may have gone while nobody looked."""
        for key in await self._ports.holders():
            self.queue.add(key)
        await super().run()

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        balancer = self.cloud.world.load_balancers.get(*key)
        if balancer is None:
            # Its finalizer has seen to the Service, unless somebody else took that off.
            await self.cloud.addresses.release(owner_name(*key))
            await self._ports.release_others(key, ())
            return
        service = self._services.get(SYSTEM_NAMESPACE, service_name(owner_name(*key)))
        if service is None or deleting(service) or paused(balancer):
            return  # The load balancer's own controller makes the Service, and we hear of it.
        asked = [Listener.model_validate(each) for each in self.cloud.world.listeners_of(balancer)]
        wanted = doors(each for each in asked if not each.deleting)
        targets = await self._ports.assign(key, wanted, target_ports(service))
        await self._write(service, targets)
        # After that: as long as the Service leads to a port, nobody else may have it.
        await self._ports.release_others(key, wanted)
        if len(targets) < len(wanted):
            text = f"{len(wanted) - len(targets)} of {len(wanted)} ports wait: all {COUNT} of the data plane are taken"
            await self.cloud.events.warning(balancer, "ListenerPortsExhausted", text)
            raise Retry(text, EXHAUSTED_RETRY)
        self.resync(key)

    async def _write(self, service: Object, targets: Mapping[Door, int]) -> None:
        before = service["spec"].get("ports") or []
        ports = service_ports(before, targets)
        if ports != before:
            version = {"resourceVersion": service["metadata"]["resourceVersion"]}
            body = {"metadata": version, "spec": {"ports": ports}}
            await self.cloud.client.patch(SERVICE, service["metadata"]["name"], SYSTEM_NAMESPACE, body)

    def _on_service(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        key = balancer_of(obj) if obj is not None else None
        if key is not None:
            self.queue.add(key)

    def _on_listener(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is None or (old is not None and new is not None and _asked(old) == _asked(new)):
            return
        found = resolve(self.cloud.world.load_balancers, obj["metadata"]["namespace"], obj["spec"]["loadBalancerId"])
        if found is not None:
            self.queue.add(key_of(found))

    def _on_balancer(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None and (old is None or new is None or _identity(old) != _identity(new)):
            self.queue.add(key_of(obj))


def _asked(listener: Object) -> tuple[object, ...]:
    return listener["metadata"].get("generation"), deleting(listener)


def _identity(balancer: Object) -> tuple[object, ...]:
    """What listeners find a load balancer by."""
    return balancer["metadata"]["uid"], (balancer.get("status") or {}).get("loadBalancerId"), paused(balancer)
