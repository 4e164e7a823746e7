"""Allocates elastic IP addresses, tells what they are bound to, and releases them once they are bound to nothing."""

from collections.abc import Iterable

from ackbox.catalog.quotas import QuotaName
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.account import account_problem
from ackbox.cloud.allocation.eips import ElasticAddresses
from ackbox.cloud.reconciling import (
    Cloud,
    Controller,
    add_finalizer,
    deleting,
    is_ready,
    paused,
    remove_finalizers,
    spec_changed,
)
from ackbox.kube.cache import Key, key_of
from ackbox.kube.client import Object
from ackbox.kube.conditions import progressing, ready
from ackbox.resources import ELASTIC_IP_ADDRESS
from ackbox.resources.account import ACCOUNT_NAME
from ackbox.resources.base import RESOURCE_FINALIZER
from ackbox.resources.eip import ElasticIPAddressPhase

ALLOCATE = "vpc:AllocateEipAddress"
"""RAM's name of buying one."""

GATHER = 0.2
"""Seconds in which changes of what addresses are bound to are gathered."""

LOAD_BALANCER, NAT_GATEWAY = "SlbInstance", "Nat"
"""What an address can be bound to, in the VPC API's words."""


class ElasticIPAddresses(Controller):
    """Reconciles ElasticIPAddresses."""

    def __init__(self, cloud: Cloud, addresses: ElasticAddresses) -> None:
        super().__init__(cloud, ELASTIC_IP_ADDRESS, "elasticipaddresses", workers=4)
        self._addresses = addresses
        cloud.world.elastic_ip_addresses.subscribe(self._on_address)
        cloud.world.load_balancers.subscribe(self._on_user)
        cloud.world.vpcs.subscribe(self._on_user)
        cloud.world.cloud_quotas.subscribe(self._on_shared)
        cloud.world.accounts.subscribe(self._on_shared)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        obj = self.cloud.world.elastic_ip_addresses.get(*key)
        if obj is None or paused(obj):
            return
        allocation_id = ids.elastic_ip_address_id(obj["metadata"]["uid"])
        bound = self._bound(key[0], allocation_id)
        if deleting(obj):
            await self._finish(obj, allocation_id, bound)
            return
        obj = await add_finalizer(self.cloud.client, ELASTIC_IP_ADDRESS, obj, RESOURCE_FINALIZER)
        refused = None if _address(obj) else self._unpaid(key[0])
        refused = refused or await self._seat(obj)
        address = None if refused else await self._addresses.reserve(allocation_id, _address(obj))
        if address is None:
            state = progressing(*(refused or ("ReserveIpFail", "every elastic IP address is taken")))
            await self.report(obj, {"phase": ElasticIPAddressPhase.ALLOCATING.value}, state, warn=True)
        else:
            phase = ElasticIPAddressPhase.IN_USE if bound else ElasticIPAddressPhase.AVAILABLE
            user, kind = bound or (None, None)
            fields = {"allocationId": allocation_id, "ipAddress": address, "instanceId": user, "instanceType": kind}
            await self.report(obj, {**fields, "phase": phase.value}, ready(phase.value))
        self.resync(key)

    def _unpaid(self, namespace: str) -> tuple[str, str] | None:
        return account_problem(self.cloud.world.accounts.get(namespace, ACCOUNT_NAME), ALLOCATE)

    async def _seat(self, obj: Object) -> tuple[str, str] | None:
        """Take a place under the quota; why there is none."""
        every = self.cloud.world.elastic_ip_addresses.all(obj["metadata"]["namespace"])
        holders = {each["metadata"]["uid"] for each in every if _address(each)}
        return await self.cloud.quotas.take(obj, QuotaName.ELASTIC_IP_ADDRESSES, holders)

    async def _finish(self, obj: Object, allocation_id: str, bound: tuple[str, str] | None) -> None:
        if RESOURCE_FINALIZER not in (obj["metadata"].get("finalizers") or []):
            return
        if bound is not None:
            message = f"it is bound to {bound[0]}; unbind it there first"
            await self.report(obj, {}, progressing("IncorrectEipStatus", message), warn=True)
            return
        await self._addresses.release(allocation_id)
        await self.cloud.quotas.leave(obj)
        await remove_finalizers(self.cloud.client, ELASTIC_IP_ADDRESS, obj, RESOURCE_FINALIZER)

    def _bound(self, namespace: str, allocation_id: str) -> tuple[str, str] | None:
        """Id and kind of what an address is bound to."""
        for cache, kind in ((self.cloud.world.load_balancers, LOAD_BALANCER), (self.cloud.world.vpcs, NAT_GATEWAY)):
            for obj in cache.all(namespace):
                if allocation_id in (uses := _uses(obj)):
                    return uses[allocation_id], kind
        return None

    def _on_address(self, old: Object | None, new: Object | None) -> None:
        if new is not None and spec_changed(old, new):
            self.queue.add(key_of(new))
        if new is None and old is not None:
            self._add_waiting(old["metadata"]["namespace"])

    def _on_user(self, old: Object | None, new: Object | None) -> None:
        """A load balancer or a NAT gateway took an address or gave it up."""
        obj, before, after = new or old, _uses(old), _uses(new)
        if obj is None or before == after:
            return
        named = before.keys() | after.keys()
        for each in self.cloud.world.elastic_ip_addresses.all(obj["metadata"]["namespace"]):
            if ids.elastic_ip_address_id(each["metadata"]["uid"]) in named:
                self.queue.add(key_of(each), after=GATHER)

    def _on_shared(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None and spec_changed(old, new):
            self._add_waiting(obj["metadata"]["namespace"])

    def _add_waiting(self, namespace: str) -> None:
        for obj in self.cloud.world.elastic_ip_addresses.all(namespace):
            if not is_ready(obj):
                self.queue.add(key_of(obj), after=GATHER)


def _uses(obj: Object | None) -> dict[str, str]:
    """The elastic IP addresses that a load balancer or a VPC's NAT gateway has: the id of what has it, by its id."""
    status = (obj or {}).get("status") or {}
    balancer, gateways = status.get("loadBalancerId"), status.get("natGateways") or ()
    held: Iterable[Object] = status.get("eips") or ()
    return {
        **{eip["allocationId"]: balancer for eip in held if balancer},
        **{each["allocationId"]: each["natGatewayId"] for each in gateways if each.get("allocationId")},
    }


def _address(obj: Object) -> str | None:
    found: str | None = (obj.get("status") or {}).get("ipAddress")
    return found
