"""Gives load balancers their id and addresses, and takes their listeners along when they go."""

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation.account import account_problem, create_load_balancer, forbidden
from ackbox.cloud.allocation.addresses import integers
from ackbox.cloud.allocation.eips import ElasticAddresses
from ackbox.cloud.allocation.ledger import Draft, without_allocations
from ackbox.cloud.allocation.loopback import AddressesExhausted
from ackbox.cloud.allocation.quota import loosened
from ackbox.cloud.loadbalancers.attributes import SETTLED, crowding, shown
from ackbox.cloud.loadbalancers.elastic import ElasticBinding
from ackbox.cloud.loadbalancers.plan import Places, assign, owned, places
from ackbox.cloud.reconciling import (
    Cloud,
    Controller,
    add_finalizer,
    condition,
    delete_all,
    deleting,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.kube.cache import Key, key_of
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing
from ackbox.kube.refs import resolve
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, ServiceLoadBalancer, Vpc
from ackbox.resources.account import ACCOUNT_NAME
from ackbox.resources.balancer_service import balancer_of, owner_name
from ackbox.resources.base import RESOURCE_FINALIZER
from ackbox.resources.loadbalancer import LoadBalancerPhase, LoadBalancerType
from ackbox.resources.network import Allocation
from ackbox.runtime.loopback import AddressUse

GATHER = 0.2
"""Seconds in which changes of VPCs are gathered before waiting load balancers are looked at."""


class LoadBalancers(Controller):
    """Reconciles ServiceLoadBalancers."""

    def __init__(self, cloud: Cloud, addresses: ElasticAddresses) -> None:
        super().__init__(cloud, SERVICE_LOAD_BALANCER, "loadbalancers", workers=16)
        self._elastic = ElasticBinding(cloud.world, addresses)
        cloud.world.load_balancers.subscribe(self._on_balancer)
        cloud.world.listeners.subscribe(self._on_part)
        cloud.world.server_groups.subscribe(self._on_part)
        cloud.world.vpcs.subscribe(self._on_shared)
        cloud.world.elastic_ip_addresses.subscribe(self._on_shared)
        cloud.world.cloud_quotas.subscribe(self._on_quota)
        cloud.world.accounts.subscribe(self._on_shared)
        if cloud.services is not None:
            cloud.services.subscribe(self._on_service)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.load_balancers.get(*key)
        if obj is None or paused(obj):
            return
        if deleting(obj):
            await self._finish(obj)
            return
        obj = await add_finalizer(self.cloud.client, SERVICE_LOAD_BALANCER, obj, RESOURCE_FINALIZER)
        balancer = self._elastic.named(ServiceLoadBalancer.model_validate(obj))
        state = await self._admit(obj, balancer) or await self._give_addresses(obj, balancer)
        if state is not None:
            # One that serves goes on as it is: the cloud too refuses a wrong change and leaves the rest alone.
            fields = {} if balancer.status.address else {"phase": LoadBalancerPhase.INACTIVE.value}
            await self.report(obj, fields, state, warn="Quota" in state.reason or forbidden(state))
        self.resync(key)

    async def _admit(self, obj: Object, balancer: ServiceLoadBalancer) -> State | None:
        namespace, kind = balancer.metadata.namespace, balancer.spec.load_balancer_type
        every = [each for each in self.cloud.world.load_balancers.all(namespace) if kind_of(each) == kind]
        holders = {each["metadata"]["uid"] for each in every if (each.get("status") or {}).get("loadBalancerId")}
        if balancer.metadata.uid not in holders:
            account = self.cloud.world.accounts.get(namespace, ACCOUNT_NAME)
            unpaid = account_problem(account, create_load_balancer(kind))
            if unpaid is not None:
                return progressing(*unpaid)
        refused = await self.cloud.quotas.take(obj, QuotaName.LOAD_BALANCERS, holders, kind)
        return progressing(*refused) if refused else None

    async def _give_addresses(self, obj: Object, balancer: ServiceLoadBalancer) -> State | None:
        """Give a load balancer what it needs; a state when that isn't possible now."""
        world = self.cloud.world
        where = places(balancer, [_slim(vpc) for vpc in world.vpcs.all(balancer.metadata.namespace)])
        if isinstance(where, State):
            return where
        try:
            owner, use = owner_name(*balancer.key), AddressUse.LOAD_BALANCER
            reachable = await self.cloud.addresses.reserve(owner, use, balancer.status.reachable)
            number = await self.cloud.addresses.number(owner)
        except AddressesExhausted as error:
            return progressing("ObtainIpFail", str(error))
        given = [] if where is None else await self._reserve(balancer, where)
        if isinstance(given, State):
            return given
        zones = [place.zone for place in where.each] if where else []
        private = {zone: (entry.address, entry.v_switch_id) for zone, entry in zip(zones, given, strict=True)}
        region = where.vpc.spec.region_id if where else None
        elastic, lacking = await self._elastic.bind(balancer)
        state = lacking or self._crowding(obj)
        fields = shown(balancer, reachable, number, private, elastic, region)
        await self.report(obj, fields, state, warn=bool(state.message))
        return None

    async def _reserve(self, balancer: ServiceLoadBalancer, where: Places) -> list[Allocation] | State:
        """The reservations of a load balancer, one a place; those it doesn't need any more go."""
        world, name = self.cloud.world, balancer.metadata.name
        held = self._reserved(where.vpc.key, name)
        if held.keys() == {place.owner for place in where.each} and all(p.fits(held[p.owner]) for p in where.each):
            return [held[place.owner] for place in where.each]
        result: list[Allocation] | State = []

        def change(draft: Draft) -> None:
            nonlocal result
            vpc = world.vpcs.get(*where.vpc.key)
            machines = world.instances_in(vpc) if vpc else []
            used = integers(machine["spec"]["vpcAttributes"]["privateIpAddress"] for machine in machines)
            result = assign(where.each, draft.entries, draft.taken() | used)
            if isinstance(result, State):
                return
            draft.free(set(owned(name, draft.entries)) - {entry.owner for entry in result})
            draft.reserve([entry for entry in result if draft.entries.get(entry.owner) != entry])

        await self.cloud.ledgers.update(where.vpc.key, change)
        return result

    def _reserved(self, vpc_key: Key, name: str) -> dict[str, Allocation]:
        vpc = self.cloud.world.vpcs.get(*vpc_key) or {}
        entries = {entry["owner"]: entry for entry in (vpc.get("status") or {}).get("allocations", ())}
        return {owner: Allocation.model_validate(entries[owner]) for owner in owned(name, entries)}

    def _crowding(self, obj: Object) -> State:
        servers = [
            (server["serverId"], server["serverIp"])
            for group in self.cloud.world.server_groups_of(obj)
            for server in group["spec"].get("backendServers") or ()
        ]
        names, namespace = (QuotaName.LISTENERS, QuotaName.BACKENDS), obj["metadata"]["namespace"]
        limits = {name: self.cloud.quotas.limit(namespace, name) for name in names}
        return crowding(len(self.cloud.world.listeners_of(obj)), len(set(servers)), limits)

    async def _finish(self, obj: Object) -> None:
        if RESOURCE_FINALIZER not in (obj["metadata"].get("finalizers") or []):
            return
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        listeners, groups = self.cloud.world.listeners_of(obj), self.cloud.world.server_groups_of(obj)
        await delete_all(self.cloud.client, LISTENER, listeners)
        await delete_all(self.cloud.client, SERVER_GROUP, groups)
        if listeners or groups:
            message = f"{len(listeners)} listeners and {len(groups)} server groups are being deleted"
            await self.report(obj, {}, progressing("Deleting", message))
            return
        for vpc in self.cloud.world.vpcs.all(namespace):
            key = (namespace, vpc["metadata"]["name"])
            if self._reserved(key, name):
                await self.cloud.ledgers.update(key, lambda draft: draft.free(owned(name, draft.entries)))
        await self._elastic.release(ServiceLoadBalancer.model_validate(obj))
        await self.cloud.addresses.release(owner_name(namespace, name))
        await self.cloud.quotas.leave(obj)
        await remove_finalizers(self.cloud.client, SERVICE_LOAD_BALANCER, obj, RESOURCE_FINALIZER)

    def _on_balancer(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self.queue.add(key_of(new))
        if old is not None and (new is None or _eips(old) != _eips(new)):
            self._add_waiting(old["metadata"]["namespace"])

    def _on_part(self, old: Object | None, new: Object | None) -> None:
        """A listener or server group came or went, or a group has more or fewer servers."""
        obj = new or old
        if obj is None or (old is not None and new is not None and _size(old) == _size(new)):
            return
        found = resolve(self.cloud.world.load_balancers, obj["metadata"]["namespace"], obj["spec"]["loadBalancerId"])
        if found is not None:
            self.queue.add(key_of(found), after=0 if deleting(found) else GATHER)

    def _on_service(self, old: Object | None, new: Object | None) -> None:
        """A Service came, went, or got an address."""
        obj = new or old
        key = balancer_of(obj) if obj is not None else None
        if key is not None and (old is None or new is None or old.get("status") != new.get("status")):
            self.queue.add(key)

    def _on_quota(self, old: Object | None, new: Object | None) -> None:
        if loosened(old, new):
            self._on_shared(old, new)

    def _on_shared(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None:
            self._add_waiting(obj["metadata"]["namespace"])

    def _add_waiting(self, namespace: str) -> None:
        for obj in self.cloud.world.load_balancers.all(namespace):
            if condition(obj, "Ready").get("reason") != SETTLED:
                self.queue.add(key_of(obj), after=GATHER)


def kind_of(obj: Object) -> str:
    """Whether a stored object is a CLB, an NLB or an ALB."""
    kind: str = (obj.get("spec") or {}).get("loadBalancerType", LoadBalancerType.CLB.value)
    return kind


def _eips(obj: Object) -> list[Object]:
    return list((obj.get("status") or {}).get("eips") or ())


def _size(part: Object) -> int:
    return len(part["spec"].get("backendServers") or ())


def _slim(vpc: Object) -> Vpc:
    """A VPC without its many reservations."""
    return without_allocations(vpc)
