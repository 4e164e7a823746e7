"""The command line as programs see it: exit codes, JSON, completion."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ackbox.cli import ENDINGS, main
from ackbox.cli.base import ExitCode
from ackbox.cli.clusters import reached
from ackbox.runtime import home as homes
from ackbox.runtime.supervisor import State, Status, Supervisor


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ACKBOX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ACKBOX_KUBECONFIG", raising=False)
    return tmp_path / "home"


def ackbox(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="ackbox")


@pytest.mark.parametrize("command", [("status",), ("logs",), ("kubeconfig", "demo"), ("hibernate", "demo")])
def test_without_a_home_a_command_ends_with_3_and_names_the_way_to_one(command: tuple[str, ...]) -> None:
    done = ackbox(*command)
    assert done.exit_code == ExitCode.DOWN
    assert "start one with `ackbox up`" in done.stderr


def test_status_of_a_home_that_is_down_ends_with_3_and_is_json_all_the_same(own_folders: Path) -> None:
    home = homes.prepare(own_folders)
    done = ackbox("status", "-o", "json")
    assert done.exit_code == ExitCode.DOWN
    document = json.loads(done.stdout)
    assert document["up"] is False
    assert document["home"] == str(home.path)
    assert document["processes"] == []


@pytest.mark.parametrize(("state", "code"), [(State.RUNNING, ExitCode.DONE), (State.FATAL, ExitCode.UNWELL)])
def test_status_ends_with_4_when_a_process_does_not_run(
    state: State, code: ExitCode, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = homes.prepare(own_folders)
    running = Status("etcd", "etcd", State.RUNNING, 7, "pid 7, uptime 0:00:01", home.logs / "etcd.log")
    other = Status("operator", "operator", state, None, "", home.logs / "operator.log")

    async def answers(self: Supervisor) -> bool:
        return True

    async def statuses(self: Supervisor) -> list[Status]:
        return [running, other]

    monkeypatch.setattr(Supervisor, "running", answers)
    monkeypatch.setattr(Supervisor, "statuses", statuses)
    done = ackbox("status", "-o", "json")
    assert done.exit_code == code
    rows = json.loads(done.stdout)["processes"]
    assert [(row["name"], row["state"]) for row in rows] == [("etcd", "running"), ("operator", state.name.lower())]
    assert ackbox("status").exit_code == code


def test_what_the_files_of_the_user_are_not_is_told_without_a_traceback(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACKBOX_KUBECONFIG", "/not/there")
    done = ackbox("kubeconfig", "demo")
    assert (done.exit_code, done.stderr) == (ExitCode.REFUSED, "error: /not/there: No such file or directory\n")
    own_folders.mkdir()
    (own_folders / "state.json").write_text("{half")
    for command in ("status", "up", "clean"):
        done = ackbox(command)
        assert done.exit_code == ExitCode.REFUSED
        assert f"{own_folders}/state.json is damaged" in done.stderr


def test_an_interrupted_command_ends_with_130(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ackbox.cli.home.this_home", interrupted)
    assert ackbox("status").exit_code == ExitCode.INTERRUPTED


def test_the_doctor_ends_with_4_where_nothing_can_run_and_looks_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    done = ackbox("doctor", "-o", "json")
    assert done.exit_code == ExitCode.UNWELL
    findings = json.loads(done.stdout)
    assert [each["check"] for each in findings if each["level"] == "problem"] == ["system"]
    assert "programs" not in {each["check"] for each in findings}


def test_every_exit_code_is_documented() -> None:
    told = {int(line.split()[0]) for line in ENDINGS.splitlines()[2:]}
    assert told == set(map(int, ExitCode))
    assert "130  when it was interrupted" in ackbox("--help").stdout


def test_a_wrong_command_line_ends_with_2() -> None:
    assert ackbox("no-such-command").exit_code == ExitCode.USAGE


def test_minors_that_ackbox_does_not_run_are_refused_with_those_that_it_does() -> None:
    for command in (("fetch", "1.2"), ("doctor", "1.2"), ("bundle", "save", "file", "1.2")):
        done = ackbox(*command)
        assert done.exit_code == ExitCode.REFUSED
        assert "no such minor version: 1.2; allowed: 1.36" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_asks_ackbox(shell: str) -> None:
    done = ackbox("completion", shell)
    assert done.exit_code == 0
    assert f"_ACKBOX_COMPLETE={shell}_complete" in done.stdout.replace(" ", "").replace("\\", "")


def test_the_script_completes_programs_that_have_a_log(own_folders: Path) -> None:
    home = homes.prepare(own_folders)
    (home.logs / "operator.log").touch()
    (home.logs / "slb.log").touch()
    environment = os.environ | {
        "_ACKBOX_COMPLETE": "bash_complete",
        "COMP_WORDS": "ackbox logs op",
        "COMP_CWORD": "2",
    }
    command = [sys.executable, "-c", "from ackbox.cli import main; main(prog_name='ackbox')"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plain,operator"]


def cluster(phase: str, status: str = "True", observed: int = 2) -> dict[str, object]:
    ready = {"type": "Ready", "status": status, "observedGeneration": observed}
    return {"metadata": {"generation": 2}, "status": {"phase": phase, "conditions": [ready]}}


def test_a_cluster_is_asleep_or_awake_when_it_says_so_of_its_present_spec() -> None:
    assert reached(cluster("hibernated"), hibernated=True)
    assert not reached(cluster("running"), hibernated=True)
    assert not reached(cluster("running", observed=1), hibernated=False)
    assert not reached(cluster("hibernated", status="False"), hibernated=False)
    assert reached(cluster("running"), hibernated=False)
    assert not reached({"metadata": {"generation": 1}}, hibernated=False)
