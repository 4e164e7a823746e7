"""Quotas in force, who has a place under them, and what a refusal says.

Defaults come from the catalog, `CloudQuota.spec.hard` overrides them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ackbox.catalog import quotas as catalog
from ackbox.catalog.instance_types import InstanceType, vcpus
from ackbox.catalog.quotas import QuotaName, RaisedBy, quotas
from ackbox.cloud.allocation.book import Book, Page, places
from ackbox.cloud.allocation.ids import INSTANCE_PREFIX
from ackbox.kube.cache import Cache
from ackbox.kube.client import Object
from ackbox.resources import Vpc
from ackbox.resources.cloudquota import QUOTA_NAME

Charge: TypeAlias = Literal["Spot", "PrePaid"] | None
"""How a machine is paid for, as its reservation says it; None is pay-as-you-go."""

SPOT: Charge = "Spot"
SUBSCRIPTION: Charge = "PrePaid"


def raised(quota: Object | None) -> Mapping[str, int]:
    """The figures that a CloudQuota, or none, sets."""
    return ((quota or {}).get("spec") or {}).get("hard") or {}


def refusal(name: QuotaName, used: int, limit: int, of: str | None = None) -> tuple[str, str]:
    """The cloud's code and a message, for a limit that is reached."""
    quota = quotas()[name]
    fields = [f"spec.hard.{each}" for each in (name, quota.within) if each]
    how = f"Raise {' and '.join(fields)} of the CloudQuota {QUOTA_NAME} to get more."
    if quota.raised_by is RaisedBy.NONE:
        how = "It can't be raised."
    return quota.code, f"{quota.message} {catalog.key(name, of)}: {used} used of {limit}. {how}"


def one(_kind: InstanceType) -> int:
    """What a machine of any type counts where machines are counted."""
    return 1


@dataclass(frozen=True)
class Budget:
    """How much more of something a quota allows.

    Attributes:
        cost: what a machine of a type takes of it.
        of: what the limit differs by.
    """

    name: QuotaName
    used: int
    limit: int
    cost: Callable[[InstanceType], int] = one
    of: str | None = None

    def allows(self, kind: InstanceType, spent: int) -> bool:
        """Whether a machine fits when others took `spent` already."""
        return self.used + spent + self.cost(kind) <= self.limit

    def refusal(self, spent: int) -> tuple[str, str]:
        """What to say when none fits."""
        return refusal(self.name, self.used + spent, self.limit, self.of)


def charge(charge_type: str, spot_strategy: str) -> Charge:
    """How a machine is paid for, by the fields of a scaling group."""
    if charge_type == SUBSCRIPTION:
        return SUBSCRIPTION
    return None if spot_strategy == "NoSpot" else SPOT


def account_use(entries: Iterable[Object]) -> dict[str, int]:
    """What reservations (as on the wire) use of the quotas that span the account's VPCs, by quota name."""
    used: Counter[str] = Counter()
    for entry in entries:
        if not entry["owner"].startswith(INSTANCE_PREFIX):
            continue
        paid = entry.get("charge")
        if paid != SUBSCRIPTION:
            name = QuotaName.SPOT_VCPUS if paid == SPOT else QuotaName.VCPUS
            used[name.value] += vcpus(entry.get("instanceType"))
            used[QuotaName.DISKS.value] += 1
        used[QuotaName.SECONDARY_ENIS.value] += entry.get("secondaryEnis") or 0
    return {name: count for name, count in used.items() if count}


def allocations(vpc: Object) -> list[Object]:
    """The reservations of a stored VPC."""
    return (vpc.get("status") or {}).get("allocations") or []


class Quotas:
    """Limits and places of every account."""

    def __init__(self, book: Book, cloud_quotas: Cache, vpcs: Cache) -> None:
        self.book = book
        self._cloud_quotas = cloud_quotas
        self._vpcs = vpcs

    def limit(self, namespace: str, name: QuotaName, of: str | None = None, instances: int = 0) -> int:
        """The limit in force; see `catalog.quotas.limit`."""
        return catalog.limit(raised(self._cloud_quotas.get(namespace, QUOTA_NAME)), name, of, instances)

    async def take(
        self,
        obj: Object,
        name: QuotaName,
        holders: Collection[str],
        scope: str | None = None,
        of: str | None = None,
    ) -> tuple[str, str] | None:
        """Have a place for an object under a quota that is counted by objects; the refusal when there is none.

        Args:
            obj: who wants it, or has it already.
            name: the quota.
            holders: uids of those objects that have a place by what their status says.
            scope: what one figure covers, such as a cluster; None for the whole account.
            of: what the figure differs by: an edition or a region.
        """
        metadata = obj["metadata"]
        namespace, uid = metadata["namespace"], metadata["uid"]
        place = f"{name.value}/{scope}" if scope else name.value
        quota = self._cloud_quotas.get(namespace, QUOTA_NAME)
        if places(_claims(quota), place, uid) == [place]:
            return None
        refused: tuple[str, str] | None = None

        def change(page: Page) -> None:
            nonlocal refused
            limit = catalog.limit(page.raised, name, of)
            taken = page.take(place, uid, metadata["name"], holders, limit)
            refused = None if taken is None else refusal(name, taken, limit, of)

        await self.book.update(namespace, change)
        return refused

    async def leave(self, obj: Object) -> None:
        """Give the places of an object back; before its last finalizer goes."""
        namespace, uid = obj["metadata"]["namespace"], obj["metadata"]["uid"]
        quota = self._cloud_quotas.get(namespace, QUOTA_NAME)
        if any(uid in holders for holders in _claims(quota).values()):
            await self.book.update(namespace, lambda page: page.leave(uid))

    def account_budgets(self, vpc: Vpc, here: Mapping[str, int], paid: Charge, enis: bool, wanted: int) -> list[Budget]:
        """What the quotas that span the account's VPCs leave to new machines of a VPC.

        Args:
            vpc: where they are to be.
            here: what the VPC's reservations use; see `account_use`.
            paid: how the machines are paid for; see `charge`.
            enis: whether they take network interfaces for pods.
            wanted: how many machines at most.
        """
        namespace, region = vpc.metadata.namespace, vpc.spec.region_id
        others = self._elsewhere(vpc)

        def budget(name: QuotaName, cost: Callable[[InstanceType], int]) -> Budget:
            regional = quotas()[name].by_region
            where = [used for there, used in others if there == region or not regional]
            used = sum(each.get(name.value, 0) for each in [*where, here])
            of = region if regional else None
            # Each machine brings room for its own disks.
            return Budget(name, used, self.limit(namespace, name, of, used + wanted), cost, of)

        found = [budget(QuotaName.SECONDARY_ENIS, secondary_enis)] if enis else []
        if paid != SUBSCRIPTION:
            found.append(budget(QuotaName.SPOT_VCPUS if paid == SPOT else QuotaName.VCPUS, lambda kind: kind.vcpu))
            found.append(budget(QuotaName.DISKS, one))
        return found

    def _elsewhere(self, vpc: Vpc) -> list[tuple[str, Mapping[str, int]]]:
        """Region and use of the account's other VPCs: what is reserved for them, and what they have."""
        namespace, uid = vpc.metadata.namespace, vpc.metadata.uid
        quota = self._cloud_quotas.get(namespace, QUOTA_NAME)
        reserved: dict[str, Object] = ((quota or {}).get("status") or {}).get("reserved") or {}
        found = [(entry["regionId"], entry["used"]) for other, entry in reserved.items() if other != uid]
        unreserved = [
            obj
            for obj in self._vpcs.all(namespace)
            if obj["metadata"]["uid"] not in reserved and obj["metadata"]["uid"] != uid
        ]
        return found + [(obj["spec"]["regionId"], account_use(allocations(obj))) for obj in unreserved]


def _claims(quota: Object | None) -> Mapping[str, Mapping[str, str]]:
    return ((quota or {}).get("status") or {}).get("claims") or {}


def loosened(old: Object | None, new: Object | None) -> bool:
    """Whether a CloudQuota may let in now what it refused before: other figures, or places and reservations given back."""
    if old is None or new is None:
        return True
    before, after = ((each.get("status") or {}) for each in (old, new))
    reserved = after.get("reserved") or {}
    return (
        raised(old) != raised(new)
        or any(not set(holders) <= set(_claims(new).get(place, ())) for place, holders in _claims(old).items())
        or any(
            count > ((reserved.get(uid) or {}).get("used") or {}).get(name, 0)
            for uid, entry in (before.get("reserved") or {}).items()
            for name, count in entry["used"].items()
        )
    )


def secondary_enis(kind: InstanceType) -> int:
    """Network interfaces of a machine beside its own one."""
    return max(0, kind.enis - 1)


def within_reach(types: Sequence[InstanceType], paid: Charge, limit: int) -> tuple[list[InstanceType], str | None]:
    """The instance types that the account may buy, and what is wrong with the others.

    Args:
        types: in the order of preference.
        paid: how they are paid for; large ones are only kept from pay-as-you-go.
        limit: vCPUs of the largest one.
    """
    large = [kind for kind in types if paid is None and kind.vcpu > limit]
    if not large:
        return list(types), None
    code, message = refusal(QuotaName.INSTANCE_VCPUS, max(kind.vcpu for kind in large), limit)
    names = ", ".join(kind.name for kind in large)
    return [
        kind for kind in types if kind not in large
    ], f"spec.scalingGroup.instanceTypes: {names}: {message} ({code})"
