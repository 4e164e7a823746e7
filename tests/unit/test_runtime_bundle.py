"""Programs in a file: what one machine has, another one gets, unharmed or not at all."""

import asyncio
import io
import json
import tarfile
from pathlib import Path

import pytest

from ackbox.runtime import archive, bundle, tools
from ackbox.runtime.binaries import at_hand, locate
from ackbox.runtime.errors import ArchiveProblem
from ackbox.runtime.progress import Silent

MINORS = ("1.35",)


@pytest.fixture(autouse=True)
def full_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("ACKBOX_CACHE", str(cache))
    for variable in ("ACKBOX_BIN", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(variable, raising=False)
    for tool in bundle.wanted(MINORS):
        folder = cache / tool.name / tool.version
        folder.mkdir(parents=True)
        for program in tool.programs:
            (folder / program).write_text(f"{program} {tool.version}")
            (folder / program).chmod(0o755)
    return cache


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "programs.tar.gz"
    asyncio.run(bundle.save(file, MINORS, Silent()))
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "elsewhere"))
    return file


def load(file: Path) -> list[bundle.Bundled]:
    return asyncio.run(bundle.load(file, Silent()))


def empty(tmp_path: Path) -> bool:
    return not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_machine_without_network_finds_what_was_loaded(saved: Path, tmp_path: Path) -> None:
    assert {(each.name, each.version) for each in load(saved)} == {
        (tool.name, tool.version) for tool in bundle.wanted(MINORS)
    }
    for tool in (tools.etcd(), tools.kwok(), tools.kubernetes("1.36"), tools.kubernetes("1.35")):
        found = asyncio.run(locate(tool, Silent()))
        assert found == at_hand(tool)
        for program, path in found.items():
            assert path.is_relative_to(tmp_path / "elsewhere")
            assert path.read_text() == f"{program} {tool.version}"
            assert path.stat().st_mode & 0o777 == 0o755
    assert at_hand(tools.kubernetes("1.34")) is None
    assert load(saved), "a second time changes nothing"


def changed(saved: Path, **manifest: object) -> Path:
    """The same bundle with another manifest."""
    after = saved.with_name("changed.tar.gz")
    with tarfile.open(saved) as source, tarfile.open(after, "w:gz") as target:
        for member in source:
            content = source.extractfile(member)
            data = content.read() if content else b""
            if member.name == archive.MANIFEST:
                data = json.dumps(json.loads(data) | manifest).encode()
                member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    return after


def test_programs_of_another_architecture_are_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveProblem, match="has programs for s390x, and this machine is"):
        load(changed(saved, architecture="s390x"))
    assert empty(tmp_path)


def test_a_program_that_is_not_what_was_saved_is_not_taken(saved: Path, tmp_path: Path) -> None:
    rows = archive.describe(saved, bundle.KIND, dict)["tools"]
    rows[-1]["digests"]["kube-apiserver"] = "0" * 64
    with pytest.raises(ArchiveProblem, match=r"kubernetes .*, kube-apiserver is not what was saved"):
        load(changed(saved, tools=rows))
    assert empty(tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        {"name": "..", "version": "v1", "digests": {}},
        {"name": "/etc", "version": "v1", "digests": {}},
        {"name": "etcd", "version": "../../..", "digests": {}},
        {"name": "etcd", "version": "v1", "digests": {"../../../programs/x": ""}},
        {"name": "etcd", "version": "v1", "digests": {"": ""}},
        {"name": "etcd"},
    ],
)
def test_a_program_that_would_land_elsewhere_is_refused(row: dict[str, object], saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveProblem, match=r"is damaged: ackbox\.json in it"):
        load(changed(saved, tools=[row]))
    assert empty(tmp_path)


def test_a_load_that_was_killed_can_be_repeated(saved: Path, tmp_path: Path) -> None:
    left = tmp_path / "elsewhere" / ".loading" / bundle.CONTENTS / "etcd" / tools.etcd().version
    left.mkdir(parents=True)
    (left / "etcd").write_text("half")
    assert load(saved)
    assert not (tmp_path / "elsewhere" / ".loading").exists()


def test_a_bundle_is_no_snapshot(saved: Path) -> None:
    with pytest.raises(ArchiveProblem, match="is no snapshot of ackbox"):
        archive.describe(saved, "snapshot", dict)


def test_versions_that_this_ackbox_does_not_run_are_told() -> None:
    assert bundle.known(bundle.Bundled("etcd", tools.etcd().version, {}))
    assert not bundle.known(bundle.Bundled("etcd", "v0.1.0", {}))
