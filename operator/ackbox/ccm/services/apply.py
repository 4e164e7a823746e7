"""Carries out changes in the management cluster: in parallel, bounded, every one attempted."""

import asyncio
from collections.abc import Sequence

from ackbox.ccm.services.changes import Change, Create, Delete, Patch
from ackbox.ccm.store import Store
from ackbox.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from ackbox.kube.queue import Retry

PARALLEL = 10


async def apply(store: Store, namespace: str, changes: Sequence[Change]) -> list[ApiError]:
    """Make the changes; answers the ones that were refused (a quota, a rule), which don't stop the others.

    Raises:
        Retry: something had changed meanwhile; look again.
        Exception: the first that failed otherwise, after all others were attempted.
    """
    slots = asyncio.Semaphore(PARALLEL)

    async def one(change: Change) -> None:
        async with slots:
            await _make(store, namespace, change)

    results = await asyncio.gather(*(one(change) for change in changes), return_exceptions=True)
    stale: BaseException | None = None
    refused: list[ApiError] = []
    for change, result in zip(changes, results, strict=True):
        if _is_stale(change, result):
            stale = result
        elif isinstance(result, (Forbidden, Invalid)):
            refused.append(result)
        elif isinstance(result, BaseException):
            raise result
    if stale is not None:
        raise Retry(f"changed meanwhile: {stale}", 0.05)
    return refused


def _is_stale(change: Change, result: BaseException | None) -> bool:
    """Whether a change failed only because what it was planned on is no more."""
    return isinstance(result, (AlreadyExists, Conflict)) or (isinstance(change, Patch) and isinstance(result, NotFound))


async def _make(store: Store, namespace: str, change: Change) -> None:
    match change:
        case Create():
            await store.create(change.kind, change.body, namespace)
        case Patch():
            await store.patch(change.kind, change.name, namespace, change.patch)
        case Delete():
            await store.delete(change.kind, change.name, namespace, change.uid)
