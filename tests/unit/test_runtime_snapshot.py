"""A home in a file, and a home from it: whole or not at all, and never in the way of another home."""

import asyncio
import json
import shutil
import subprocess
import sys
import tarfile
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from ackbox.runtime import archive, loopback, processes, snapshot
from ackbox.runtime import home as homes
from ackbox.runtime.errors import ArchiveProblem, HomeProblem
from ackbox.runtime.home import Home, load, prepare, settle
from ackbox.runtime.moving import moved_members, moved_reservations
from ackbox.runtime.progress import Silent

A, B = IPv4Network("127.200.0.0/16"), IPv4Network("127.201.0.0/16")


@pytest.fixture(autouse=True)
def two_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loopback, "FIRST", 200)
    monkeypatch.setattr(loopback, "LAST", 201)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = prepare(tmp_path / "home")
    (home.path / "etcd").mkdir()
    (home.path / "etcd" / "data").write_bytes(b"objects" * 1000)
    (home.pki / "ca.key").write_text("secret")
    (home.pki / "ca.key").chmod(0o600)
    (home.programs / "etcd.conf").write_text(f"command=/here {home.path}")
    return home


def save(home: Home, target: Path) -> Path:
    asyncio.run(snapshot.save(home, target, Silent()))
    return target


@pytest.fixture
def saved(home: Home, tmp_path: Path) -> Path:
    return save(home, tmp_path / "saved.tar.gz")


def restore(file: Path, path: Path) -> Home:
    return snapshot.restore(file, path, Silent())


def nothing_left(path: Path) -> bool:
    return not [each for each in path.parent.iterdir() if path.name in each.name]


def test_a_snapshot_is_its_owners_alone_and_holds_what_up_does_not_make(saved: Path, home: Home) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    with tarfile.open(saved) as tar:
        tops = {name.split("/")[0] for name in tar.getnames()}
    assert tops == {archive.MANIFEST, "pki", "etcd", "clusters"}


def test_a_restored_home_has_its_old_range_when_that_is_free(saved: Path, home: Home, tmp_path: Path) -> None:
    homes.remove(home)
    copy = restore(saved, tmp_path / "copy")
    assert (copy.loopback, copy.moved_from) == (home.loopback, None)
    assert (copy.path / "etcd" / "data").read_bytes() == b"objects" * 1000
    assert (copy.pki / "ca.key").stat().st_mode & 0o777 == 0o600
    assert copy.path.stat().st_mode & 0o777 == 0o700
    assert prepare(copy.path) == copy, "`ackbox up` takes it"


def test_beside_the_first_home_it_gets_another_range_and_knows_that_it_moved(
    saved: Path, home: Home, tmp_path: Path
) -> None:
    copy = restore(saved, tmp_path / "copy")
    assert {home.loopback, copy.loopback} == {A, B}
    assert copy.moved_from == home.loopback
    again = save(copy, tmp_path / "again.tar.gz")
    assert archive.describe(again, "snapshot")["loopback"] == str(home.loopback), "what is inside didn't move yet"
    settle(copy)
    assert load(copy.path).moved_from is None


def test_an_etcd_of_several_members_is_not_moved(home: Home, tmp_path: Path) -> None:
    (home.clusters / "c1" / "etcd").mkdir(parents=True)
    saved = save(home, tmp_path / "saved.tar.gz")
    with pytest.raises(ArchiveProblem, match=rf"etcd of their own \(c1\).*the home {home.path} uses that range"):
        restore(saved, tmp_path / "copy")
    assert nothing_left(tmp_path / "copy")
    homes.remove(home)
    assert restore(saved, tmp_path / "copy").loopback == home.loopback


def test_a_home_that_is_there_is_never_overwritten(saved: Path, home: Home, tmp_path: Path) -> None:
    with pytest.raises(HomeProblem, match=f"there is an ackbox in {home.path}; remove it with `ackbox clean`"):
        restore(saved, home.path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(HomeProblem, match="holds files that are not ackbox's"):
        restore(saved, tmp_path / "other")


@pytest.mark.parametrize("harm", ["cut", "flip", "no archive"])
def test_a_damaged_file_leaves_nothing_behind(harm: str, saved: Path, tmp_path: Path) -> None:
    content = bytearray(saved.read_bytes())
    if harm == "cut":
        del content[-10:]
    elif harm == "flip":
        content[-6] ^= 1  # in the checksum at the end
    else:
        content = bytearray(b"PK not ours")
    saved.write_bytes(content)
    with pytest.raises(ArchiveProblem, match="is damaged, or no file of ackbox"):
        restore(saved, tmp_path / "copy")
    assert nothing_left(tmp_path / "copy")
    assert prepare(tmp_path / "next").loopback in (A, B), "its range is free again"


@pytest.mark.parametrize("name", ["pki/../../escaped", "pki/link"])
def test_a_file_that_would_land_elsewhere_is_refused(name: str, saved: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar.gz"
    with tarfile.open(evil, "w:gz") as target, tarfile.open(saved) as source:
        first = source.next()
        assert first is not None
        target.addfile(first, source.extractfile(first))
        folder = tarfile.TarInfo("pki")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        target.addfile(folder)
        harmful = tarfile.TarInfo(name)
        if name.endswith("link"):
            harmful.type, harmful.linkname = tarfile.SYMTYPE, "/"
        target.addfile(harmful)
    with pytest.raises(ArchiveProblem, match="outside"):
        restore(evil, tmp_path / "copy")
    assert not list(tmp_path.rglob("escaped"))
    assert nothing_left(tmp_path / "copy")


def test_a_file_that_cannot_be_finished_is_not_there(home: Home, tmp_path: Path) -> None:
    (home.path / "clusters" / "socket").symlink_to("/nowhere")
    target = tmp_path / "saved.tar.gz"
    with pytest.raises(ArchiveProblem, match="can't be written"):
        archive.write(target, "snapshot", {}, [(home.path / "gone", "gone")])
    assert nothing_left(target)
    restore(save(home, target), tmp_path / "copy")
    assert not (tmp_path / "copy" / "clusters" / "socket").is_symlink(), "links mean nothing elsewhere"


def test_a_home_that_runs_is_not_copied(home: Home, tmp_path: Path) -> None:
    environment = {processes.MARK: str(home.path)}
    running = subprocess.Popen([sys.executable, "-S", "-c", "input()"], env=environment, stdin=subprocess.PIPE)
    try:
        with pytest.raises(ArchiveProblem, match="`ackbox down` first"):
            save(home, tmp_path / "saved.tar.gz")
    finally:
        running.communicate(b"\n")
    assert not (tmp_path / "saved.tar.gz").exists()


def test_a_home_that_was_never_up_has_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(ArchiveProblem, match="was never up"):
        save(prepare(tmp_path / "fresh"), tmp_path / "saved.tar.gz")


def test_what_a_newer_ackbox_wrote_is_refused(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "__version__", "0.0.9")
    with pytest.raises(ArchiveProblem, match="use that version or a newer one"):
        restore(saved, tmp_path / "copy")


def test_a_newer_ackbox_takes_a_home_over_and_the_older_one_then_refuses_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = home.path / "state.json"
    without = {key: value for key, value in json.loads(state.read_text()).items() if key != "version"}
    state.write_text(json.dumps(without))
    assert prepare(home.path) == home, "of before versions were noted"
    monkeypatch.setattr(homes, "__version__", "2.10.0")
    assert prepare(home.path) == home
    for older in ("2.9.9", "0.1.0", "2.10"):
        monkeypatch.setattr(homes, "__version__", older)
        with pytest.raises(HomeProblem, match=r"was last used by ackbox 2\.10\.0"):
            prepare(home.path)
    monkeypatch.setattr(homes, "__version__", "2.10.0.dev1")
    assert prepare(home.path) == home
    shutil.rmtree(home.path)


def test_reservations_move_with_their_place_in_the_range() -> None:
    data = {"127-200-1-1": "apiserver/n/c/a", "127-200-16-1": "ServiceLoadBalancer/n/s", "10-0-0-1": "other"}
    change = moved_reservations(data, A, B)
    assert change == {
        "127-200-1-1": None,
        "127-201-1-1": "apiserver/n/c/a",
        "127-200-16-1": None,
        "127-201-16-1": "ServiceLoadBalancer/n/s",
    }
    assert moved_reservations({key: value for key, value in change.items() if value}, A, B) == {}, "twice is once"


def test_api_servers_move_and_keep_the_rest() -> None:
    members = [{"name": "a", "address": "127.200.1.1", "version": "v"}, {"name": "b", "address": "127.201.1.2"}]
    cluster = {"status": {"controlPlane": members}}
    after = [{"name": "a", "address": "127.201.1.1", "version": "v"}, {"name": "b", "address": "127.201.1.2"}]
    assert moved_members(cluster, A, B) == after
    assert moved_members({"status": {"controlPlane": after}}, A, B) is None
    assert moved_members({}, A, B) is None
