"""Quotas in force, and what a refusal says. Defaults come from the catalog, `CloudQuota.spec.hard` overrides them."""

from ackbox.catalog.instance_types import vcpus
from ackbox.catalog.quotas import QuotaName, quotas
from ackbox.kube.cache import Cache
from ackbox.kube.client import Object
from ackbox.resources.cloudquota import QUOTA_NAME


def hard(quota: Object | None) -> dict[QuotaName, int]:
    """The limits that a CloudQuota, or none, puts in force."""
    raised = ((quota or {}).get("spec") or {}).get("hard") or {}
    return {name: int(raised.get(name, default.hard)) for name, default in quotas().items()}


def refusal(name: QuotaName, used: int, limit: int) -> tuple[str, str]:
    """The cloud's code and a message, for a limit that is reached."""
    quota = quotas()[name]
    how = f"Raise spec.hard.{name} of the CloudQuota {QUOTA_NAME} to get more."
    return quota.code, f"{quota.message} {name}: {used} used of {limit}. {how}"


class Quotas:
    """Limits and account-wide use of a namespace, read from the caches."""

    def __init__(self, cloud_quotas: Cache, vpcs: Cache) -> None:
        self._cloud_quotas = cloud_quotas
        self._vpcs = vpcs

    def limit(self, namespace: str, name: QuotaName) -> int:
        """The limit in force."""
        return hard(self._cloud_quotas.get(namespace, QUOTA_NAME))[name]

    def used_vcpus(self, namespace: str, without: str | None = None) -> int:
        """VCPUs of every reserved machine of the account, leaving out one VPC if asked to."""
        return sum(
            vcpus(entry.get("instanceType"))
            for vpc in self._vpcs.all(namespace)
            if vpc["metadata"]["name"] != without
            for entry in (vpc.get("status") or {}).get("allocations", ())
        )


class Seats:
    """Who holds a place under a quota that is kept by the holders' own status.

    A place is promised at once and remembered until the holder's status shows it, so that two that ask at the same
    time can't both get the last one.
    """

    def __init__(self) -> None:
        self._promised: dict[str, set[str]] = {}

    def take(self, scope: str, uid: str, holders: set[str], limit: int) -> bool:
        """Whether `uid` has a place; `holders` are those whose status shows one."""
        promised = self._promised.setdefault(scope, set())
        promised -= holders
        if uid in holders or uid in promised:
            return True
        if len(holders) + len(promised) >= limit:
            return False
        promised.add(uid)
        return True

    def leave(self, scope: str, uid: str) -> None:
        """Give a promised place back."""
        self._promised.get(scope, set()).discard(uid)
