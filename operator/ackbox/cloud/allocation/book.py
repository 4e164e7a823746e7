"""The book of an account: places and reservations under its quotas, in the status of its CloudQuota.

What the account has of something scarce is spread over many objects. It is therefore written here first, with the
resourceVersion of the CloudQuota that it was decided on, and made afterwards: of two operators that see the same last
place, one gets it. What is here and never made (an operator died in between) is taken off by `cloud/quotas`.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from ackbox.cloud.allocation.batches import Batches
from ackbox.kube.cache import Cache
from ackbox.kube.client import Client, Object
from ackbox.kube.errors import AlreadyExists, Conflict, NotFound
from ackbox.resources import CLOUD_QUOTA
from ackbox.resources.cloudquota import QUOTA_NAME

logger = logging.getLogger(__name__)

ATTEMPTS = 8


class Page:
    """The places and reservations of one account while they are changed."""

    def __init__(self, quota: Object) -> None:
        self.quota = quota
        self.raised: Mapping[str, int] = (quota.get("spec") or {}).get("hard") or {}
        self._before: Object = quota.get("status") or {}
        self.claims: dict[str, dict[str, str]] = {
            place: dict(holders) for place, holders in (self._before.get("claims") or {}).items()
        }
        self.reserved: dict[str, Object] = dict(self._before.get("reserved") or {})
        self.revision: int = self._before.get("revision", 0)

    def take(self, place: str, uid: str, name: str, holders: Collection[str], limit: int) -> int | None:
        """Give somebody a place, taking any other one of the same quota; how many are taken when none is left.

        Args:
            place: the quota's name, or `<name>/<what one figure covers>`.
            uid: of the object that holds it, and `name`.
            holders: uids of those that have it by their own status; they keep it whatever the limit.
            limit: how many places there are.
        """
        taken = set(self.claims.get(place, ())) | set(holders)
        if uid not in taken and len(taken) >= limit:
            return len(taken)
        for other in places(self.claims, place, uid):
            self._drop(other, uid)
        self.claims.setdefault(place, {})[uid] = name
        return None

    def leave(self, uid: str) -> None:
        """Take somebody's places away."""
        for place in [place for place, holders in self.claims.items() if uid in holders]:
            self._drop(place, uid)

    def reserve(self, uid: str, vpc: str, region: str, used: Mapping[str, int]) -> None:
        """Raise what the machines of a VPC may use; always a change, so that whoever decided on less notices."""
        before = (self.reserved.get(uid) or {}).get("used") or {}
        most = {name: max(before.get(name, 0), used.get(name, 0)) for name in {*before, *used}}
        self.reserved[uid] = {"vpc": vpc, "regionId": region, "used": most}
        self.revision += 1

    def difference(self) -> Object:
        """The merge patch of the status; empty when nothing changed."""
        found = {
            "claims": replacement(self._before.get("claims") or {}, self.claims),
            "reserved": replacement(self._before.get("reserved") or {}, self.reserved),
        }
        changed: Object = {name: change for name, change in found.items() if change}
        if self.revision != self._before.get("revision", 0):
            changed["revision"] = self.revision
        return changed

    def _drop(self, place: str, uid: str) -> None:
        del self.claims[place][uid]
        if not self.claims[place]:
            del self.claims[place]


def places(claims: Mapping[str, Mapping[str, str]], place: str, uid: str) -> list[str]:
    """The places that somebody has under the quota of `place`."""
    quota = place.partition("/")[0]
    return [each for each, holders in claims.items() if each.partition("/")[0] == quota and uid in holders]


def replacement(old: Mapping[str, Any], new: Mapping[str, Any]) -> Object:
    """The smallest merge patch that makes one map of another."""
    patch: Object = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = replacement(before, value)
            if inner:
                patch[name] = inner
        elif before != value:
            patch[name] = value
    return patch


Change: TypeAlias = Callable[[Page], None]


class Book:
    """Changes the pages, one write at a time for each account."""

    def __init__(self, client: Client, cloud_quotas: Cache) -> None:
        self._client = client
        self._cache = cloud_quotas
        locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._batches = Batches[str, Change](self._write, locks.__getitem__)

    async def update(self, namespace: str, change: Change) -> None:
        """Change an account's page and return once it is written.

        `change` may run more than once, each time on a fresh page, and must not wait for anything.
        """
        await self._batches.add(namespace, change)

    def page(self, namespace: str) -> Page:
        """The page of an account as it was seen last; an empty one when there is none, which `write` then makes."""
        return Page(self._cache.get(namespace, QUOTA_NAME) or {"metadata": {"namespace": namespace}})

    async def write(self, page: Page) -> None:
        """Write a page as it is now.

        Raises:
            Conflict: it was changed meanwhile; the cache has the newer one by then.
        """
        metadata, difference = page.quota["metadata"], page.difference()
        if not difference:
            return
        if "resourceVersion" in metadata:
            body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": difference}
            try:
                await self._client.patch(CLOUD_QUOTA, QUOTA_NAME, metadata["namespace"], body, "status")
                return
            except (Conflict, NotFound):
                logger.debug("the CloudQuota of %s has changed", metadata["namespace"])
        await self._read(metadata["namespace"])
        raise Conflict(409, "Conflict", f"CloudQuota {QUOTA_NAME} has changed")

    async def _write(self, namespace: str, changes: list[Change]) -> None:
        for attempt in range(ATTEMPTS):
            page = self.page(namespace)
            for change in changes:
                change(page)
            try:
                await self.write(page)
                return
            except Conflict:
                if attempt == ATTEMPTS - 1:
                    raise

    async def _read(self, namespace: str) -> Object:
        """The CloudQuota as it is now, made if need be; the cache has it too."""
        try:
            quota = await self._client.get(CLOUD_QUOTA, QUOTA_NAME, namespace)
        except NotFound:
            with contextlib.suppress(AlreadyExists):
                await self._client.create(CLOUD_QUOTA, {"metadata": {"name": QUOTA_NAME}}, namespace)
            quota = await self._client.get(CLOUD_QUOTA, QUOTA_NAME, namespace)
        self._cache.upsert(quota)
        return quota
