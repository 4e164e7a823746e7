"""Members that take turns, and which of them is asked first, wherever they run."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ackbox.controlplane.spec import Member

Ask: TypeAlias = Callable[[], Awaitable[bool]]

ETCD_WORKS = "/health?exclude=NOSPACE"
"""Where a member of an etcd says whether it works together with the others; one that is full is no reason to wait."""

ETCD_RUNS = f"{ETCD_WORKS}&serializable=true"
"""Where it says whether it runs, also while no leader is elected."""


@dataclass(frozen=True)
class Members:
    """Members of one kind, of those that should run.

    Attributes:
        changed: those that should run differently.
        answers: asks each of them whether it works.
        present: asks each whether others can count on it, though it may not work for a moment: no member of an etcd
            works while a leader is elected, and restarting them all then would end its majority. None: as `answers`.
    """

    changed: Sequence[str]
    answers: Mapping[str, Ask]
    present: Mapping[str, Ask] | None = None


async def waiting(etcd: Members, api_servers: Members) -> tuple[set[str], set[str]]:
    """Which changed members of the etcd, and which changed API servers, are not to be restarted now.

    One goes at a time and only while the others work, the etcd's before the API servers, which don't work without it.
    Nobody is asked as long as nothing has changed.
    """
    late = await _late(etcd)
    servers = api_servers.changed
    if servers and len(api_servers.answers) > 1 and (etcd.changed or not all((await _asked(etcd.answers)).values())):
        return late, set(servers)
    return late, await _late(api_servers)


async def _late(members: Members) -> set[str]:
    if not members.changed or len(members.answers) == 1:
        return set()
    well = await _asked(members.answers)
    return postponed(members.changed, well, await _asked(members.present) if members.present else well)


async def _asked(questions: Mapping[str, Ask]) -> dict[str, bool]:
    answers = await asyncio.gather(*(ask() for ask in questions.values()))
    return dict(zip(questions, answers, strict=True))


def postponed(changed: Sequence[str], well: Mapping[str, bool], present: Mapping[str, bool]) -> set[str]:
    """Which of the changed members are not to be restarted now, so that others go on serving meanwhile.

    Args:
        changed: members that should run differently.
        well: whether a member works, of all that should run.
        present: whether others can count on it.
    """
    idle = [name for name in changed if not present[name]]
    if idle:
        return set(changed).difference(idle)  # nothing is lost by restarting these; the others wait for them
    now, later = changed[:1], changed[1:]
    others_work = all(works for name, works in well.items() if name not in now)
    return set(later if others_work else changed)


async def first(members: Sequence[Member], answers: Callable[[Member], Awaitable[bool]]) -> Member | None:
    """The member that answers first; the only one unasked."""
    if len(members) == 1:
        return members[0]
    asked = {asyncio.ensure_future(answers(member)): member for member in members}
    waiting = set(asked)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.result():
                    return asked[task]
    finally:
        for task in waiting:
            task.cancel()
    return None
