"""Which members of a control plane are restarted now, and which wait."""

from collections.abc import Iterable

import pytest

from ackbox.controlplane.turns import Ask, Members, postponed, waiting


@pytest.mark.parametrize(
    ("changed", "well", "waits"),
    [
        ([], "ab", ""),
        (["a"], "ab", ""),
        (["a", "b"], "ab", "b"),
        (["a", "b", "c"], "abc", "bc"),
        (["b"], "b", "b"),
        (["a"], "bc", ""),
        (["a", "b"], "b", "b"),
        (["a", "b"], "", ""),
    ],
)
def test_members_restart_one_at_a_time_while_the_others_answer(changed: list[str], well: str, waits: str) -> None:
    answers = {name: name in well for name in sorted({*"ab", *changed, *well})}
    assert postponed(changed, answers, answers) == set(waits)


def asked(names: str, good: Iterable[str]) -> dict[str, Ask]:
    async def ask(name: str) -> bool:
        return name in good

    return {name: lambda name=name: ask(name) for name in names}  # type: ignore[misc]


NOBODY = Members((), {})


@pytest.mark.parametrize(
    ("works", "runs", "waits"),
    [
        ("abc", "abc", "bc"),  # one goes
        ("", "abc", "abc"),  # they elect a leader: whoever is restarted now may be missing for the majority
        ("ab", "ab", "ab"),  # the one that is down has to come first
        ("", "", ""),  # nothing can get worse
    ],
)
async def test_an_etcd_keeps_its_majority(works: str, runs: str, waits: str) -> None:
    etcd = Members("abc", asked("abc", works), asked("abc", runs))
    assert await waiting(etcd, NOBODY) == (set(waits), set())


async def test_api_servers_wait_for_the_etcd() -> None:
    servers = Members(["x", "y"], asked("xy", "xy"))
    restarting, electing, well = (
        Members(["a"], asked("abc", "abc"), asked("abc", "abc")),
        Members((), asked("abc", ""), asked("abc", "abc")),
        Members((), asked("abc", "abc"), asked("abc", "abc")),
    )
    assert await waiting(restarting, servers) == (set(), {"x", "y"})
    assert await waiting(electing, servers) == (set(), {"x", "y"})
    assert await waiting(well, servers) == (set(), {"y"})
    assert await waiting(NOBODY, servers) == (set(), {"y"})


async def test_a_single_member_waits_for_nobody() -> None:
    alone = Members(["a"], asked("a", ""), asked("a", "a"))
    assert await waiting(alone, alone) == (set(), set())


async def test_nobody_is_asked_while_nothing_changes() -> None:
    async def ask() -> bool:
        raise AssertionError("asked")

    quiet = Members((), {"a": ask, "b": ask}, {"a": ask, "b": ask})
    assert await waiting(quiet, quiet) == (set(), set())
