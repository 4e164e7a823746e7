"""The folders beside the package: of a checkout, and of a wheel that is unpacked anywhere."""

import subprocess
import sys
import zipfile

import pytest

from ackbox.runtime.shared import PACKAGE, shared_folder

REPOSITORY = PACKAGE.parents[1]


@pytest.mark.parametrize("name", ["crds", "tools"])
def test_a_checkout_uses_its_own_folders(name):
    assert shared_folder(name) == REPOSITORY / name


def test_a_folder_that_is_not_there_is_none(tmp_path):
    assert shared_folder("crds", tmp_path / "lib" / "ackbox") is None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # From an archive, as the tree must stay as it is while other tests run.
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "operator", "crds", "tools"):
        subprocess.run(["cp", "-r", REPOSITORY / name, source], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source],
        check=True,
    )
    return next(folder.glob("*.whl"))


def test_a_wheel_carries_every_file_of_the_folders(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    for name in ("crds", "tools"):
        found = shared_folder(name, tmp_path / "ackbox")
        assert found == tmp_path / "ackbox" / "share" / name
        expected = {path.relative_to(REPOSITORY / name) for path in (REPOSITORY / name).rglob("*")}
        assert {path.relative_to(found) for path in found.rglob("*")} == expected


def test_a_wheel_carries_the_data_files_of_the_package(wheel):
    data = {str(path.relative_to(PACKAGE.parent)) for pattern in ("*.yaml", "*.tsv") for path in PACKAGE.rglob(pattern)}
    with zipfile.ZipFile(wheel) as archive:
        assert data <= set(archive.namelist())
