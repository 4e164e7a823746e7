"""`ackbox doctor` calls a problem what is one, nothing else, and says what to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from ackbox.runtime import doctor_home, loopback
from ackbox.runtime import home as homes
from ackbox.runtime.doctor import GIB, Finding, Level, Machine, get_missing, judge, look
from ackbox.runtime.supervisor import State, Status

GOOD = Machine("linux", "x86_64", 65536, 8 * GIB, 100 * GIB, 100 * GIB, None, True)


def worst(findings: list[Finding]) -> dict[str, Level]:
    return {each.check: each.level for each in findings if each.level is not Level.OK}


def test_a_good_machine_has_nothing_to_tell() -> None:
    assert worst(list(judge(GOOD))) == {}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"system": "darwin"}, {"system": Level.PROBLEM}),
        ({"processor": "riscv64"}, {"system": Level.PROBLEM}),
        ({"loopback_error": "Cannot assign requested address"}, {"loopback": Level.PROBLEM}),
        ({"open_files": 1024}, {"open files": Level.WARNING}),
        ({"memory": GIB}, {"memory": Level.WARNING}),
        ({"home_room": GIB}, {"room for the home": Level.WARNING}),
        ({"cache_room": GIB}, {"room for programs": Level.WARNING}),
        ({"low_ports": False}, {}),
        ({"memory": None}, {}),
    ],
)
def test_each_lack_is_told_with_what_to_do(facts: dict[str, object], expected: dict[str, Level]) -> None:
    findings = list(judge(replace(GOOD, **facts)))
    assert worst(findings) == expected
    assert all(each.advice for each in findings if each.level is not Level.OK)


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    machine = look(tmp_path / "not" / "there" / "yet")
    assert machine.system == "linux"
    assert machine.home_room > 0


def test_missing_programs_are_a_problem_only_when_there_is_no_way_to_them() -> None:
    assert get_missing(["etcd v3"], {"download": None, "build": "no Go"}).level is Level.WARNING
    assert "some minutes" in get_missing(["etcd v3"], {"download": "no route", "build": None}).advice
    both = get_missing(["etcd v3"], {"download": "no route", "build": "no Go"})
    assert both.level is Level.PROBLEM
    assert "etcd v3 can't be had: download: no route; build: no Go" in both.message
    assert "ackbox bundle load" in both.advice


def status(name: str, state: State, log: Path) -> Status:
    return Status(name, name, state, None, "", log)


def test_a_process_that_does_not_run_is_told_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    log.write_text("one\ntwo\nno room\nthe end\n")
    findings = doctor_home.processes([status("etcd", State.RUNNING, log), status("operator", State.BACKOFF, log)])
    assert [each.level for each in findings] == [Level.OK, Level.PROBLEM]
    assert findings[1].message == "operator is backoff; it said: two | no room | the end"
    assert "ackbox logs operator" in findings[1].advice


def test_objects_that_are_not_ready_are_told_with_their_reason() -> None:
    metadata = {"name": "demo", "namespace": "n"}
    ready = {"kind": "VPC", "metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    said = {"type": "Ready", "status": "False", "reason": "WaitingForVPC", "message": "no such VPC"}
    waiting = {"kind": "ManagedCluster", "metadata": metadata, "status": {"conditions": [said]}}
    new = {"kind": "NodePool", "metadata": metadata}
    count, *findings = doctor_home.objects([ready, waiting, new])
    assert count.message == "1 of 3 are Ready"
    assert [each.message for each in findings] == [
        "ManagedCluster n/demo: WaitingForVPC: no such VPC",
        "NodePool n/demo: not looked at yet",
    ]
    assert findings[0].advice == "`kubectl describe managedcluster/demo -n n`"


async def test_a_home_that_is_down_is_no_problem_and_a_copied_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    assert worst(await doctor_home.examine(tmp_path / "home")) == {}
    home = homes.prepare(tmp_path / "home")
    assert worst(await doctor_home.examine(home.path)) == {}
    monkeypatch.setattr(loopback, "_owner", lambda network: Path("/other"))
    (finding,) = await doctor_home.examine(home.path)
    assert finding.level is Level.PROBLEM
    assert f"{home.loopback} is used by the home /other too" in finding.message


async def test_a_home_of_a_newer_ackbox_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    home = homes.prepare(tmp_path / "home")
    monkeypatch.setattr(homes, "__version__", "0.0.1")
    (finding,) = await doctor_home.examine(home.path)
    assert finding.level is Level.PROBLEM
    assert "was last used by ackbox" in finding.message
