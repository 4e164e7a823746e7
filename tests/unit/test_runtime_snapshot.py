"""A home in a file, and a home from it: whole or not at all, and never in the way of another home."""

import asyncio
import base64
import io
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
from ackbox.runtime.moving import moved_reservations, moved_secret, moved_status
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
    assert archive.describe(again, "snapshot", dict)["loopback"] == str(home.loopback), "what is inside didn't move yet"
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


def with_members(saved: Path, *members: tarfile.TarInfo) -> Path:
    """A snapshot of nothing but these, which are empty."""
    made = saved.with_name("made.tar.gz")
    with tarfile.open(made, "w:gz") as target, tarfile.open(saved) as source:
        first = source.next()
        assert first is not None
        target.addfile(first, source.extractfile(first))
        for member in members:
            target.addfile(member)
    return made


def member(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o600, to: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.mode, found.linkname = kind, mode, to
    return found


HARMFUL = {
    "up and out": member("pki/../../escaped"),
    "a link out": member("pki/link", tarfile.SYMTYPE, to="/"),
    "another name of a file out there": member("pki/link", tarfile.LNKTYPE, to="../thesis.txt"),
    "a device": member("pki/null", tarfile.CHRTYPE),
    "a pipe": member("pki/pipe", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_what_would_land_elsewhere_or_is_no_file_is_refused(harm: str, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ArchiveProblem, match="outside"):
        restore(with_members(saved, member("pki", tarfile.DIRTYPE), HARMFUL[harm]), tmp_path / "copy")
    assert not list(tmp_path.rglob("escaped"))
    assert nothing_left(tmp_path / "copy")


def test_what_is_unpacked_is_its_owners_alone_whatever_the_file_says(saved: Path, tmp_path: Path) -> None:
    open_to_all = member("pki", tarfile.DIRTYPE, mode=0o777), member("pki/ca.key", mode=0o4777), member("/etc/cron.d/x")
    copy = restore(with_members(saved, *open_to_all), tmp_path / "copy")
    assert copy.pki.stat().st_mode & 0o7777 == 0o700
    assert (copy.pki / "ca.key").stat().st_mode & 0o7777 == 0o600
    assert {path.name for path in copy.path.iterdir()} == {"pki", "state.json"}, "other names are none of a home's"


@pytest.mark.parametrize(
    "change",
    [
        {"loopback": "10.0.0.0/16"},
        {"loopback": "127.0.0.0/8"},
        {"loopback": None},
        {"ownEtcd": 7},
        {"version": None},
        {"format": 0},
        {"kind": "bundle"},
    ],
)
def test_a_manifest_that_ackbox_did_not_write_is_refused(
    change: dict[str, object], saved: Path, tmp_path: Path
) -> None:
    text = json.dumps(archive.describe(saved, "snapshot", dict) | change).encode()
    file = tmp_path / "strange.tar.gz"
    with tarfile.open(file, "w:gz") as target:
        head = tarfile.TarInfo(archive.MANIFEST)
        head.size = len(text)
        target.addfile(head, io.BytesIO(text))
    with pytest.raises(ArchiveProblem):
        restore(file, tmp_path / "copy")
    assert nothing_left(tmp_path / "copy")


def test_a_restore_that_was_killed_can_be_repeated(saved: Path, tmp_path: Path) -> None:
    left = tmp_path / ".copy.restoring"
    (left / "pki").mkdir(parents=True)
    (left / "pki" / "ca.key").write_text("half")
    assert (restore(saved, tmp_path / "copy").pki / "ca.key").read_text() == "secret"
    assert not left.exists()


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


def test_every_address_that_is_dialled_moves_and_the_rest_stays() -> None:
    members = [{"name": "a", "address": "127.200.1.1", "version": "v"}, {"name": "b", "address": "127.201.1.2"}]
    status = {"controlPlane": members, "internalEndpoint": "https://127.200.1.1:6443", "nodeCidr": "10.127.200.0/24"}
    after = moved_status({"status": status}, A, B)
    assert after is not None
    assert after["controlPlane"] == [members[0] | {"address": "127.201.1.1"}, members[1]]
    assert after["internalEndpoint"] == "https://127.201.1.1:6443"
    assert after["nodeCidr"] == "10.127.200.0/24"
    assert moved_status({"status": after}, A, B) is None, "twice is once"
    assert moved_status({}, A, B) is None


def test_a_kubeconfig_in_a_secret_leads_to_the_new_address() -> None:
    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    kubeconfig, certificate = b"server: https://127.200.16.1:6443\n", b"\x00\xff 127.200"
    secret = {"data": {"value": encoded(kubeconfig), "tls.crt": encoded(certificate)}}
    assert moved_secret(secret, A, B) == {"value": encoded(kubeconfig.replace(b"127.200", b"127.201"))}
    assert moved_secret({**secret, "immutable": True}, A, B) == {}
    assert moved_secret({}, A, B) == {}
