"""supervisord for real, with small programs under it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

import ackbox
from ackbox.runtime import processes
from ackbox.runtime.errors import SupervisorProblem
from ackbox.runtime.home import Home, prepare, remove
from ackbox.runtime.probe import wait_until
from ackbox.runtime.programs import Group, Program, quote_command, render_group, single
from ackbox.runtime.supervisor import State, Supervisor

DEADLINE = 60.0
PYTHON = sys.executable


def sleeper(name: str, *arguments: str, files: tuple[Path, ...] = ()) -> Program:
    command = (PYTHON, "-c", "import time; time.sleep(1000)", *arguments)
    return Program(name, command, files, stop_seconds=2)


def arguments_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")[:-1]


def variables_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/environ").read_text().split("\0")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def soon(condition: Callable[[], Awaitable[bool]]) -> None:
    await wait_until(condition, DEADLINE, lambda: "it did not come to that")


async def pid(supervisor: Supervisor, name: str) -> int:
    await soon(lambda: supervisor.group_running(name))
    found = next(status.pid for status in await supervisor.statuses() if status.group == name)
    assert found
    return found


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    # A blank and a percent sign, which mean something to supervisor.
    home = prepare(tmp_path / "a home at 100%")
    yield home
    await Supervisor(home).stop()
    remove(home)


async def test_programs_start_and_stop(home: Home) -> None:
    supervisor = Supervisor(home)
    assert not await supervisor.running()
    await supervisor.start()
    await supervisor.ensure(single(sleeper("one", "a b", "50%", 'q"u', "it's"), 1))
    first = await pid(supervisor, "one")
    assert arguments_of(first)[3:] == ["a b", "50%", 'q"u', "it's"]
    assert mode(home.run / "supervisor.sock") == 0o600
    await supervisor.stop(last=("one",))
    assert processes.of_home(home) == []
    assert not await supervisor.running()


async def test_ensure_touches_only_what_has_changed(home: Home) -> None:
    supervisor = Supervisor(home)
    await supervisor.start()
    config = home.path / "config"
    config.write_text("first")
    await supervisor.ensure(single(sleeper("kept"), 1))
    await supervisor.ensure(single(sleeper("changed", files=(config,)), 1))
    kept, changed = await pid(supervisor, "kept"), await pid(supervisor, "changed")
    await supervisor.start()
    await supervisor.ensure(single(sleeper("changed", files=(config,)), 1))
    assert await pid(supervisor, "changed") == changed
    config.write_text("second")
    await supervisor.ensure(single(sleeper("changed", files=(config,)), 1))
    assert await pid(supervisor, "changed") != changed
    assert await pid(supervisor, "kept") == kept


async def test_several_groups_are_given_at_once_and_found_by_prefix(home: Home) -> None:
    supervisor = Supervisor(home)
    await supervisor.start()
    config = home.path / "config"
    config.write_text("first")
    first, second = single(sleeper("c1-a", files=(config,)), 1), single(sleeper("c1-b"), 1)
    assert not supervisor.changed(first)
    await supervisor.ensure(first, second, single(sleeper("c2-a"), 1))
    assert await supervisor.groups("c1") == {"c1-a", "c1-b"}
    config.write_text("second")
    assert (supervisor.changed(first), supervisor.changed(second)) == (True, False)
    kept = await pid(supervisor, "c1-a")
    await supervisor.ensure(second)
    assert await pid(supervisor, "c1-a") == kept
    await supervisor.remove("c1-b")
    assert await supervisor.groups("c1") == {"c1-a"}


async def test_a_program_gets_its_environment(home: Home) -> None:
    supervisor = Supervisor(home)
    await supervisor.start()
    zone = {"TZ": "Asia/Shanghai", "ODD": "100% 'of it', and more"}
    await supervisor.ensure(single(replace(sleeper("one"), environment=zone), 1))
    found = variables_of(await pid(supervisor, "one"))
    assert {"TZ=Asia/Shanghai", "ODD=100% 'of it', and more"} <= set(found)
    assert supervisor.changed(single(sleeper("one"), 1))


async def test_a_removed_group_does_not_come_back(home: Home) -> None:
    supervisor = Supervisor(home)
    await supervisor.start()
    await supervisor.ensure(Group("pair", (sleeper("a"), sleeper("b")), 1))
    await pid(supervisor, "pair")
    await supervisor.remove("pair")
    await supervisor.remove("pair")
    assert await supervisor.statuses() == []
    await supervisor.stop()
    await supervisor.start()
    assert await supervisor.statuses() == []


async def test_groups_can_be_made_at_the_same_time(home: Home) -> None:
    await Supervisor(home).start()
    names = [f"g{number}" for number in range(8)]
    await asyncio.gather(*(Supervisor(home).ensure(single(sleeper(name), 1)) for name in names))
    assert sorted(status.group for status in await Supervisor(home).statuses()) == names


async def test_a_program_that_dies_starts_again(home: Home) -> None:
    supervisor = Supervisor(home)
    await supervisor.start()
    await supervisor.ensure(single(sleeper("one"), 1))
    first = await pid(supervisor, "one")
    os.kill(first, signal.SIGKILL)

    async def another() -> bool:
        return any(s.state is State.RUNNING and s.pid != first for s in await supervisor.statuses())

    await soon(another)


async def test_nothing_survives_supervisord(home: Home) -> None:
    supervisor = Supervisor(home)
    await supervisor.start()
    await supervisor.ensure(Group("pair", (sleeper("a"), sleeper("b")), 1))
    await pid(supervisor, "pair")
    os.kill(int((home.run / "supervisord.pid").read_text()), signal.SIGKILL)

    async def gone() -> bool:
        return processes.of_home(home) == []

    await soon(gone)
    await supervisor.start()
    await pid(supervisor, "pair")


async def test_a_supervisord_that_lost_its_socket_is_replaced(home: Home) -> None:
    supervisor = Supervisor(home)
    await supervisor.start()
    before = set(processes.of_home(home))
    (home.run / "supervisor.sock").unlink()
    await supervisor.start()
    after = set(processes.of_home(home))
    assert after
    assert not before & after


async def test_without_supervisord_the_error_says_so(home: Home) -> None:
    with pytest.raises(SupervisorProblem, match="can't be reached"):
        await Supervisor(home).statuses()


async def test_what_ignores_its_signal_is_killed(home: Home) -> None:
    supervisor = Supervisor(home)
    await supervisor.start()
    ready = home.path / "ready"
    deaf = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(1000)"
    )
    await supervisor.ensure(single(Program("deaf", (PYTHON, "-c", deaf), stop_seconds=1), 1))

    async def listening() -> bool:
        return ready.exists()

    await soon(listening)
    started = time.monotonic()
    await supervisor.stop()
    assert processes.of_home(home) == []
    assert time.monotonic() - started < DEADLINE


def test_the_launcher_refuses_a_parent_that_is_not_the_supervisor(tmp_path: Path) -> None:
    import subprocess

    from ackbox.runtime.programs import LAUNCHER

    pid_file = tmp_path / "pid"
    pid_file.write_text("1\n")
    command = [PYTHON, "-I", "-S", str(LAUNCHER), str(pid_file), "--", "/bin/echo", "never"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the supervisor is gone\n")


def test_nothing_that_starts_a_program_is_in_a_virtual_environment(tmp_path: Path) -> None:
    """Else `ackbox up` of an ackbox that is installed elsewhere would restart every program."""
    text = render_group(single(Program("one", ("/bin/one",)), 7), tmp_path / "launcher", tmp_path / "pid", tmp_path)
    assert sys.prefix not in text
    assert str(Path(ackbox.__file__).parent) not in text


def test_what_supervisor_would_cut_is_refused() -> None:
    assert quote_command(("a", "b c", "%")) == "a 'b c' %%"
    with pytest.raises(SupervisorProblem, match="' ;'"):
        quote_command(("a", "b ;c"))


def test_logs_rotate(tmp_path: Path) -> None:
    text = render_group(single(sleeper("one"), 7), tmp_path / "launcher", tmp_path / "pid", tmp_path)
    assert "stdout_logfile_maxbytes=5242880" in text
    assert "stdout_logfile_backups=2" in text
    assert "redirect_stderr=true" in text
    assert "priority=7" in text
