"""The reservations of a VPC: every address, pod CIDR and instance id that is given out, in `VPC.status.allocations`.

A reservation is written before what it is for is made, and goes after that is gone. All changes that wait for one VPC go
out in one resourceVersion-checked write.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.addresses import block_addresses, integers, usable
from ackbox.cloud.allocation.batches import Batches
from ackbox.cloud.allocation.quota import Quotas, account_use, allocations
from ackbox.kube.cache import Cache, Key
from ackbox.kube.client import Client, Object
from ackbox.kube.conditions import merge_difference
from ackbox.kube.errors import Conflict, NotFound
from ackbox.resources import VPC, Vpc
from ackbox.resources.network import Allocation

logger = logging.getLogger(__name__)

ATTEMPTS = 8


@dataclass(frozen=True)
class Subnet:
    """A vSwitch with the id it has from the start."""

    name: str
    id: str
    zone: str
    cidr: IPv4Network


def without_allocations(vpc: Object) -> Vpc:
    """A VPC without its reservations, which may be thousands and which most don't look at."""
    return Vpc.model_validate({**vpc, "status": {**(vpc.get("status") or {}), "allocations": []}})


def subnets(vpc: Vpc) -> list[Subnet]:
    """The vSwitches of a VPC whose address block can be read."""
    found = []
    for switch in vpc.spec.vswitches:
        try:
            cidr = IPv4Network(switch.cidr_block)
        except ValueError:
            continue  # The VPC's own condition says so.
        switch_id = ids.v_switch_id(vpc.metadata.uid, switch.v_switch_name)
        found.append(Subnet(switch.v_switch_name, switch_id, switch.zone_id, cidr))
    return found


def find_subnet(vpc: Vpc, reference: str) -> Subnet | None:
    """The vSwitch that a reference names, by its name or its id."""
    return next((subnet for subnet in subnets(vpc) if reference in (subnet.name, subnet.id)), None)


class Draft:
    """A VPC's reservations while they are changed."""

    def __init__(self, vpc: Object) -> None:
        self.vpc = Vpc.model_validate(vpc)
        self.entries = {entry.owner: entry for entry in self.vpc.status.allocations}
        self.fields: dict[str, Any] = {}
        """Other status fields to be written with the reservations."""
        self._before: Object = vpc.get("status") or {}
        self._raw: dict[str, Any] = {entry["owner"]: entry for entry in self._before.get("allocations", ())}
        self._changed = False

    def taken(self) -> set[int]:
        """Addresses that are given out, as integers."""
        taken = integers(entry.address for entry in self.entries.values())
        for entry in self.entries.values():
            if entry.pod_block is not None:
                taken.update(block_addresses(entry.pod_block))
        return taken

    def use(self) -> dict[str, int]:
        """What the reservations use of the quotas that span the account's VPCs."""
        return account_use(self._raw.values())

    def reserve(self, entries: Iterable[Allocation]) -> None:
        """Add reservations."""
        for entry in entries:
            self._put(entry)

    def free(self, owners: Iterable[str]) -> None:
        """Drop reservations; owners without one are fine."""
        for owner in owners:
            if self.entries.pop(owner, None) is not None:
                del self._raw[owner]
                self._changed = True

    def retire(self, owners: Iterable[str]) -> None:
        """Mark that no node pool wants these machines any more: their reservations go as soon as they are gone."""
        for owner in owners:
            entry = self.entries.get(owner)
            if entry is not None and entry.node_pool is not None:
                fields = entry.model_dump()
                self._put(Allocation.model_validate({**fields, "node_pool": None}))

    def difference(self) -> Object:
        """The merge patch of the status; empty when nothing changed."""
        wanted = {**self.fields, "vswitches": self._switches()}
        if self._changed:
            wanted["allocations"] = list(self._raw.values())
        return merge_difference(self._before, wanted)

    def _switches(self) -> list[Object]:
        used = Counter(entry.v_switch_id for entry in self.entries.values())
        for entry in self.entries.values():
            if entry.pod_block is not None:
                used[entry.pod_v_switch_id or ""] += len(block_addresses(entry.pod_block))
        return [
            {
                "vSwitchName": switch.name,
                "vSwitchId": switch.id,
                "availableIpAddressCount": max(0, len(usable(switch.cidr)) - used[switch.id]),
            }
            for switch in subnets(self.vpc)
        ]

    def _put(self, entry: Allocation) -> None:
        self.entries[entry.owner] = entry
        self._raw[entry.owner] = entry.model_dump(by_alias=True, exclude_none=True)
        self._changed = True


Change = Callable[[Draft], None]


class Ledgers:
    """Changes the reservations of VPCs, one write at a time in a namespace (quotas of the account span its VPCs).

    What machines use of such quotas is reserved in the account's book first, on the same look at the book that the change
    was decided on. So a VPC has to be read before the book is written: whoever lowers a reservation again changes the
    VPC first, and a writer that was held up in between finds it changed.
    """

    def __init__(self, client: Client, vpcs: Cache, quotas: Quotas) -> None:
        self._client = client
        self._vpcs = vpcs
        self._quotas = quotas
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._batches = Batches[Key, Change](self._write, lambda key: self._locks[key[0]])

    async def update(self, key: Key, change: Change) -> None:
        """Apply a change to a VPC's reservations and return once it is written.

        `change` may run more than once, each time on a fresh draft, and must not wait for anything.

        Raises:
            NotFound: the VPC isn't there.
        """
        await self._batches.add(key, change)

    async def lower(self, key: Key) -> bool:
        """Lower the account's reservation for a VPC to what its machines use; False when others were at work."""
        namespace, name = key
        async with self._locks[namespace]:
            page, vpc = self._quotas.book.page(namespace), self._vpcs.get(namespace, name)
            if vpc is None or not exceeds(page.reserved, vpc):
                return True
            metadata, revision = vpc["metadata"], (vpc.get("status") or {}).get("quotaRevision", 0)
            body = {
                "metadata": {"resourceVersion": metadata["resourceVersion"]},
                "status": {"quotaRevision": revision + 1},
            }
            try:
                vpc = await self._client.patch(VPC, name, namespace, body, "status")
                page.reserved[metadata["uid"]] = _reservation(vpc)
                await self._quotas.book.write(page)
            except Conflict:
                return False
            return True

    async def _write(self, key: Key, changes: list[Change]) -> None:
        namespace, name = key
        vpc = self._vpcs.get(namespace, name)
        if vpc is None:
            raise NotFound(404, "NotFound", f"VPC {name} is gone")
        for attempt in range(ATTEMPTS):
            page = self._quotas.book.page(namespace)
            draft = Draft(vpc)
            before = draft.use()
            for change in changes:
                change(draft)
            difference = draft.difference()
            if not difference:
                return
            body = {"metadata": {"resourceVersion": vpc["metadata"]["resourceVersion"]}, "status": difference}
            after = draft.use()
            try:
                if any(count > before.get(quota, 0) for quota, count in after.items()):
                    page.reserve(vpc["metadata"]["uid"], name, draft.vpc.spec.region_id, after)
                    await self._quotas.book.write(page)
                await self._client.patch(VPC, name, namespace, body, "status")
                return
            except Conflict:
                if attempt == ATTEMPTS - 1:
                    raise
                vpc = await self._client.get(VPC, name, namespace)
                self._vpcs.upsert(vpc)


def exceeds(reserved: Mapping[str, Object], vpc: Object) -> bool:
    """Whether more is reserved for a VPC than its machines use."""
    held = (reserved.get(vpc["metadata"]["uid"]) or {}).get("used") or {}
    used = account_use(allocations(vpc))
    return any(count > used.get(quota, 0) for quota, count in held.items())


def _reservation(vpc: Object) -> Object:
    used = account_use(allocations(vpc))
    return {"vpc": vpc["metadata"]["name"], "regionId": vpc["spec"]["regionId"], "used": used}
