"""Gives load balancers their id and addresses, and takes their listeners along when they go."""

from ipaddress import IPv4Address

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.addresses import integers
from ackbox.cloud.allocation.ledger import Draft
from ackbox.cloud.allocation.loopback import AddressesExhausted, AddressUse
from ackbox.cloud.allocation.quota import Seats, refusal
from ackbox.cloud.loadbalancers.plan import Place, choose, owner_of, place, public_address
from ackbox.cloud.reconciling import (
    Cloud,
    Controller,
    add_finalizer,
    delete_all,
    deleting,
    is_ready,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.kube.conditions import State, progressing, ready
from ackbox.kube.refs import resolve
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, ServiceLoadBalancer, Vpc
from ackbox.resources.base import RESOURCE_FINALIZER
from ackbox.resources.loadbalancer import LoadBalancerPhase

GATHER = 0.2
"""Seconds in which changes of VPCs are gathered before waiting load balancers are looked at."""


class LoadBalancers(Controller):
    """Reconciles ServiceLoadBalancers."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, SERVICE_LOAD_BALANCER, "loadbalancers", workers=16)
        self._seats = Seats()
        cloud.world.load_balancers.subscribe(self._on_balancer)
        cloud.world.listeners.subscribe(self._on_part)
        cloud.world.server_groups.subscribe(self._on_part)
        cloud.world.vpcs.subscribe(self._on_shared)
        cloud.world.cloud_quotas.subscribe(self._on_shared)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.load_balancers.get(*key)
        if obj is None or paused(obj):
            return
        if deleting(obj):
            await self._finish(obj)
            return
        obj = await add_finalizer(self.cloud.client, SERVICE_LOAD_BALANCER, obj, RESOURCE_FINALIZER)
        balancer = ServiceLoadBalancer.model_validate(obj)
        state = self._admit(balancer) or await self._give_addresses(obj, balancer)
        if state is not None:
            await self.report(obj, {"phase": LoadBalancerPhase.INACTIVE.value}, state, warn="Quota" in state.reason)
        self.resync(key)

    def _admit(self, balancer: ServiceLoadBalancer) -> State | None:
        namespace = balancer.metadata.namespace
        every = self.cloud.world.load_balancers.all(namespace)
        holders = {obj["metadata"]["uid"] for obj in every if (obj.get("status") or {}).get("loadBalancerId")}
        limit = self.cloud.quotas.limit(namespace, QuotaName.LOAD_BALANCERS)
        if self._seats.take(namespace, balancer.metadata.uid, holders, limit):
            return None
        return progressing(*refusal(QuotaName.LOAD_BALANCERS, len(holders), limit))

    async def _give_addresses(self, obj: Object, balancer: ServiceLoadBalancer) -> State | None:
        """Give a load balancer what it needs; a state when that isn't possible now."""
        namespace = balancer.metadata.namespace
        vpcs = [_slim(vpc) for vpc in self.cloud.world.vpcs.all(namespace)]
        where = place(balancer, vpcs)
        if isinstance(where, State):
            return where
        owner = _loopback_owner(*balancer.key)
        try:
            use = AddressUse.LOAD_BALANCER
            reachable = await self.cloud.loopback.reserve(owner, use, balancer.status.reachable)
        except AddressesExhausted as error:
            return progressing("ObtainIpFail", str(error))
        address = public_address(IPv4Address(reachable)) if where is None else await self._reserve(balancer, where)
        if isinstance(address, State):
            return address
        fields = {
            "loadBalancerId": ids.load_balancer_id(balancer.metadata.uid),
            "address": address,
            "reachable": reachable,
            "phase": LoadBalancerPhase.ACTIVE.value,
        }
        state = self._listener_state(obj)
        await self.report(obj, fields, state, warn=bool(state.message))
        return None

    async def _reserve(self, balancer: ServiceLoadBalancer, where: Place) -> str | State:
        result: str | State = ""

        def change(draft: Draft) -> None:
            nonlocal result
            vpc = self.cloud.world.vpcs.get(*where.vpc.key)
            machines = self.cloud.world.instances_in(vpc) if vpc else []
            used = integers(machine["spec"]["vpcAttributes"]["privateIpAddress"] for machine in machines)
            chosen = choose(balancer, where.subnet, draft.entries, draft.taken() | used)
            if isinstance(chosen, State):
                result = chosen
                return
            result = chosen.address
            if chosen.owner not in draft.entries:
                draft.reserve([chosen])

        entries = self._entries(where.vpc.key)
        held = entries.get(owner_of(balancer.metadata.name))
        if held is not None:
            return held
        await self.cloud.ledgers.update(where.vpc.key, change)
        return result

    def _entries(self, vpc_key: Key) -> dict[str, str]:
        vpc = self.cloud.world.vpcs.get(*vpc_key) or {}
        entries = (vpc.get("status") or {}).get("allocations", ())
        return {entry["owner"]: entry["address"] for entry in entries}

    def _listener_state(self, obj: Object) -> State:
        """Ready. More listeners than the quota allows are only told of: they are not this side's to refuse."""
        count = len(self.cloud.world.listeners_of(obj))
        limit = self.cloud.quotas.limit(obj["metadata"]["namespace"], QuotaName.LISTENERS)
        if count <= limit:
            return ready("Active")
        return State("True", *refusal(QuotaName.LISTENERS, count, limit))

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
            if owner_of(name) in self._entries((namespace, vpc["metadata"]["name"])):
                key = (namespace, vpc["metadata"]["name"])
                await self.cloud.ledgers.update(key, lambda draft: draft.free([owner_of(name)]))
        await self.cloud.loopback.release(_loopback_owner(namespace, name))
        self._seats.leave(namespace, obj["metadata"]["uid"])
        await remove_finalizers(self.cloud.client, SERVICE_LOAD_BALANCER, obj, RESOURCE_FINALIZER)

    def _on_balancer(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self.queue.add(_key(new))
        if new is None and old is not None:
            self._add_waiting(old["metadata"]["namespace"])

    def _on_part(self, old: Object | None, new: Object | None) -> None:
        """A listener or server group came or went."""
        obj = new or old
        if obj is None or (old is not None and new is not None):
            return
        found = resolve(self.cloud.world.load_balancers, obj["metadata"]["namespace"], obj["spec"]["loadBalancerId"])
        if found is not None:
            self.queue.add(_key(found), after=0 if deleting(found) else GATHER)

    def _on_shared(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None:
            self._add_waiting(obj["metadata"]["namespace"])

    def _add_waiting(self, namespace: str) -> None:
        for obj in self.cloud.world.load_balancers.all(namespace):
            if not is_ready(obj):
                self.queue.add(_key(obj), after=GATHER)


def _key(obj: Object) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _slim(vpc: Object) -> Vpc:
    """A VPC without its many reservations."""
    return Vpc.model_validate({**vpc, "status": {**(vpc.get("status") or {}), "allocations": []}})


def _loopback_owner(namespace: str, name: str) -> str:
    return f"{SERVICE_LOAD_BALANCER.kind}/{namespace}/{name}"
