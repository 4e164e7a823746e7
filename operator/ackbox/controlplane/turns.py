"""Members that take turns, and which of them is asked first, wherever they run."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ackbox.controlplane.spec import Member


def postponed(changed: Sequence[str], well: Mapping[str, bool]) -> set[str]:
    """Which of the changed members are not to be restarted now, so that others go on serving meanwhile.

    Args:
        changed: members that should run differently.
        well: whether a member answers, of all that should run.
    """
    idle = [name for name in changed if not well[name]]
    if idle:
        return set(changed).difference(idle)  # nothing is lost by restarting these; the others wait for them
    now, later = changed[:1], changed[1:]
    others_answer = all(answers for name, answers in well.items() if name not in now)
    return set(later if others_answer else changed)


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
