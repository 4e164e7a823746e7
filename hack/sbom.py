"""Prints a software bill of materials (CycloneDX 1.6, JSON) of a root file system: what is there, not what was asked for.

Read are the Python packages (`*.dist-info`) and the Debian packages (dpkg's status file, or distroless' folder of them).
It needs Python only, and the same file system gives the same text.

Usage: sbom.py ROOT
"""

import json
import sys
import uuid
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any
from urllib.parse import quote

NAMESPACE = uuid.UUID("c1f6a0de-5c4e-5d0b-9f0e-2f0a7a4a7c55")
"""Makes the serial number of a bill of its content."""

NOT_FILES = frozenset({"dev", "proc", "run", "sys"})
"""Folders of a running system's root that hold no files of an image."""


def bill(root: Path) -> dict[str, Any]:
    """The bill of a root file system; ackbox itself is its subject."""
    found = {component["bom-ref"]: component for component in (*_python(root), *_debian(root))}
    subject = next((each for each in found.values() if each["name"] == "ackbox"), None)
    version = subject["version"] if subject is not None else "unknown"
    components = sorted((each for each in found.values() if each is not subject), key=lambda each: each["bom-ref"])
    image = {"type": "container", "bom-ref": "image", "name": "ackbox", "version": version}
    text = json.dumps([version, components])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, text)}",
        "version": 1,
        "metadata": {"component": image},
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": [each["bom-ref"] for each in components]}],
    }


def _python(root: Path) -> Iterator[dict[str, Any]]:
    folders = [path for path in root.iterdir() if path.is_dir() and path.name not in NOT_FILES]
    for path in sorted(path for folder in folders for path in folder.rglob("*.dist-info/METADATA")):
        metadata = Parser().parsestr(path.read_text(errors="replace"), headersonly=True)
        name = metadata["Name"].lower().replace("_", "-")
        component = _component(name, metadata["Version"], f"pkg:pypi/{quote(name)}@{quote(metadata['Version'])}")
        if licences := _licences(metadata):
            component["licenses"] = licences
        yield component


def _licences(metadata: Message) -> list[dict[str, Any]]:
    """What a package says of its licence; a text of more than a line is the licence itself, not its name."""
    if expression := metadata["License-Expression"]:
        return [{"expression": expression}]
    stated = metadata["License"] or ""
    names = [stated] if 0 < len(stated.splitlines()) <= 1 and stated != "UNKNOWN" else []
    names = names or [
        text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier", []) if text.startswith("License :: ")
    ]
    return [{"license": {"name": name}} for name in names]


def _debian(root: Path) -> Iterator[dict[str, Any]]:
    status = root / "var/lib/dpkg/status"
    folder = root / "var/lib/dpkg/status.d"
    files = [status] if status.is_file() else sorted(path for path in folder.glob("*") if path.suffix != ".md5sums")
    for file in files:
        for paragraph in file.read_text(errors="replace").split("\n\n"):
            fields = Parser().parsestr(paragraph)
            if fields["Package"] is None or " installed" not in (fields["Status"] or "install ok installed"):
                continue
            name, version = fields["Package"], fields["Version"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={fields['Architecture']}"
            yield _component(name, version, purl)


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    json.dump(bill(Path(sys.argv[1])), sys.stdout, indent=1)
    sys.stdout.write("\n")
