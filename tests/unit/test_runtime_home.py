"""The folder of an ackbox and its loopback range."""

import shutil
import socket
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from ackbox.runtime import home as homes
from ackbox.runtime import loopback
from ackbox.runtime.errors import HomeProblem
from ackbox.runtime.home import MAX_RUN_PATH, home_path, load, prepare, remove


@pytest.fixture(autouse=True)
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "homes"


def claimed(claims: Path) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in claims.iterdir() if path.name.isdecimal()}


def test_a_new_home_is_private_and_stays_the_same(tmp_path: Path, claims: Path) -> None:
    home = prepare(tmp_path / "home")
    assert prepare(home.path) == load(home.path) == home
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert (home.path / "state.json").stat().st_mode & 0o777 == 0o600
    assert home.loopback.prefixlen == 16
    assert home.loopback.subnet_of(IPv4Network("127.0.0.0/8"))
    assert claimed(claims) == {str(home.loopback.network_address.packed[1]): str(home.path)}


def test_homes_never_share_a_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "FIRST", 200)
    monkeypatch.setattr(loopback, "LAST", 202)
    found = {prepare(tmp_path / name).loopback for name in ("a", "b", "c")}
    assert found == {IPv4Network(f"127.{number}.0.0/16") for number in (200, 201, 202)}
    with pytest.raises(HomeProblem, match="all 3 loopback ranges are taken"):
        prepare(tmp_path / "d")


def test_the_range_of_a_vanished_home_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "FIRST", 200)
    monkeypatch.setattr(loopback, "LAST", 200)
    shutil.rmtree(prepare(tmp_path / "gone").path)
    assert prepare(tmp_path / "next").loopback == IPv4Network("127.200.0.0/16")


def test_a_busy_range_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "FIRST", 200)
    monkeypatch.setattr(loopback, "LAST", 201)
    with socket.create_server(("127.200.0.1", loopback.API_PORT)):
        assert prepare(tmp_path / "home").loopback == IPv4Network("127.201.0.0/16")


def test_a_claim_that_was_lost_is_made_again(tmp_path: Path, claims: Path) -> None:
    home = prepare(tmp_path / "home")
    shutil.rmtree(claims)
    assert prepare(home.path) == home
    assert list(claimed(claims).values()) == [str(home.path)]


def test_a_copied_home_is_refused(tmp_path: Path) -> None:
    home = prepare(tmp_path / "home")
    shutil.copytree(home.path, tmp_path / "copy")
    with pytest.raises(HomeProblem, match=f"{home.loopback} is used by the home {home.path} too"):
        prepare(tmp_path / "copy")


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").touch()
    with pytest.raises(HomeProblem, match="holds files that are not ackbox's"):
        prepare(tmp_path / "home")


def test_sockets_of_a_long_path_go_to_a_private_temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temp = tmp_path / "t"
    temp.mkdir()
    monkeypatch.setattr(homes.tempfile, "gettempdir", lambda: str(temp))
    home = prepare(tmp_path / ("x" * MAX_RUN_PATH))
    assert home.run.parent == temp
    assert home.run.stat().st_mode & 0o777 == 0o700
    remove(home)
    assert list(temp.iterdir()) == []


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes.tempfile, "gettempdir", lambda: str(tmp_path))
    long = tmp_path / ("x" * MAX_RUN_PATH)
    run = homes._run_folder(long)
    (tmp_path / "elsewhere").mkdir()
    run.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeProblem, match="belongs to somebody else"):
        prepare(long)


def test_remove_leaves_nothing(tmp_path: Path, claims: Path) -> None:
    home = prepare(tmp_path / "home")
    remove(home)
    assert not home.path.exists()
    assert not home.run.exists()
    assert claimed(claims) == {}


def test_without_a_home_the_way_to_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACKBOX_HOME", raising=False)
    assert home_path() == tmp_path / ".ackbox"
    with pytest.raises(HomeProblem, match="start one with `ackbox up`"):
        load(home_path())
