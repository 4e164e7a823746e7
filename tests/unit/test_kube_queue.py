import asyncio
from collections import Counter
from contextlib import asynccontextmanager

from ackbox.kube.queue import Retry, WorkQueue


@asynccontextmanager
async def running(queue: WorkQueue):
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_marked_many_times_while_it_waits_runs_once():
    runs: Counter[str] = Counter()
    done = asyncio.Event()

    async def reconcile(key: str) -> None:
        runs[key] += 1
        if key == "last":
            done.set()

    queue = WorkQueue(reconcile, "test", workers=1)
    for key in ("a", "a", "a", "last"):
        queue.add(key)
    async with running(queue), asyncio.timeout(5):
        await done.wait()
    assert runs == {"a": 1, "last": 1}


async def test_a_key_is_worked_on_by_one_worker_at_a_time_and_again_if_marked_meanwhile():
    at_once, most, runs = 0, 0, 0
    started, go_on, again = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reconcile(_: str) -> None:
        nonlocal at_once, most, runs
        runs += 1
        at_once += 1
        most = max(most, at_once)
        started.set()
        await go_on.wait()
        at_once -= 1
        if runs == 2:
            again.set()

    queue = WorkQueue(reconcile, "test", workers=4)
    async with running(queue), asyncio.timeout(5):
        queue.add("a")
        await started.wait()
        queue.add("a")
        queue.add("a")
        go_on.set()
        await again.wait()
    assert (most, runs) == (1, 2)


async def test_a_failure_is_tried_again_and_does_not_stop_other_keys():
    runs: Counter[str] = Counter()
    recovered, other = asyncio.Event(), asyncio.Event()

    async def reconcile(key: str) -> None:
        runs[key] += 1
        if key == "other":
            other.set()
        elif runs[key] < 3:
            raise ValueError("not yet")
        else:
            recovered.set()

    queue = WorkQueue(reconcile, "test", workers=1, first_back_off=0.01)
    async with running(queue), asyncio.timeout(5):
        queue.add("bad")
        queue.add("other")
        await other.wait()
        await recovered.wait()
    assert runs["bad"] == 3


async def test_the_sooner_of_two_delays_wins():
    done = asyncio.Event()

    async def reconcile(_: str) -> None:
        done.set()

    queue = WorkQueue(reconcile, "test")
    async with running(queue), asyncio.timeout(5):
        queue.add("a", after=3600)
        queue.add("a", after=0.01)
        queue.add("a", after=3600)
        await done.wait()


async def test_a_retry_comes_back_after_its_delay():
    runs = 0
    done = asyncio.Event()

    async def reconcile(_: str) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise Retry("half way", after=0.01)
        done.set()

    queue = WorkQueue(reconcile, "test")
    async with running(queue), asyncio.timeout(5):
        queue.add("a")
        await done.wait()
