"""Every command of README and docs, run as a reader would: page by page, in a folder that looks like a clone.

One ackbox serves all pages, the one that other suites use, too; what pages need of the quickstart is there by the README's demo.
A page is one shell, so its blocks share variables.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ackbox.catalog.reasons import reasons, reasons_of_tables
from documents import ROOT, RUN, Block, blocks, pages
from e2e.stack import CORE, Api, Stack

pytestmark = pytest.mark.e2e

NOT_OURS = {".ackbox", ".git", ".venv", "build", "site"}
"""What a clone doesn't bring along."""
INSTALLED = {"pyproject.toml", "requirements.txt"}
"""What hack/setup compares with what is installed; it must not change while the test runs."""
SPEAKERS = {"ackbox-operator", "ackbox-slb", "service-controller", "route-controller", "ingress"}
"""Components whose events nobody but ackbox writes."""
DEADLINE = 420.0
"""Seconds that one page may take on a slow machine."""


def runnable(path: Path) -> list[Block]:
    return [block for block in blocks(path) if block.language == RUN and not block.not_run]


def whole(block: Block) -> bool:
    """Whether a block shows objects of ackbox, not a part of one or something of another program."""
    shown = block.language == "yaml" and not block.not_run and "apiVersion: ackbox.dev/" in block.text
    return shown and all("kind" in (each or {}) for each in yaml.safe_load_all(block.text))


SAMPLES = [block for path in pages() for block in blocks(path) if whole(block)]
OTHERS = [path for path in pages()[1:] if runnable(path)]


@pytest.fixture(scope="module")
def clone(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the repository that is set up already."""
    folder = tmp_path_factory.mktemp("clone")
    for entry in ROOT.iterdir():
        if entry.name in INSTALLED:
            shutil.copy(entry, folder)
        elif entry.name not in NOT_OURS:
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").mkdir()
    for entry in (ROOT / ".venv").iterdir():
        if entry.name != ".installed":
            (folder / ".venv" / entry.name).symlink_to(entry)
    # hack/setup installs nothing when this is the sum of what is to be installed.
    wanted = hashlib.sha256((folder / "requirements.txt").read_bytes() + (folder / "pyproject.toml").read_bytes())
    (folder / ".venv" / ".installed").write_text(f"{wanted.hexdigest()}\n")
    (folder / ".ackbox").symlink_to(stack.home)
    return folder


@pytest.fixture(scope="module")
def started(stack: Stack, clone: Path) -> Iterator[Path]:
    """The README has been followed; afterwards the account is as it was."""
    follow(stack, clone, ROOT / "README.md")
    yield clone
    sample = ROOT / "manifests" / "samples" / "quickstart.yaml"
    api = stack.api
    api.kubectl("delete", "cloudquotas,clusterusers,rolebindings", "--all")
    api.kubectl("delete", "-f", str(sample), "--timeout=180s")


def script(block: Block) -> str:
    """A block as a script that ends with the first command that goes wrong, or that doesn't although it must."""
    lines = block.text.splitlines()
    return "\n".join(refused(line) if line.endswith("# refused") else line for line in lines)


def refused(line: str) -> str:
    command = line.removesuffix("# refused").strip()
    return f"if {command}; then echo 'not refused: {command.split()[0]}' >&2; exit 1; fi"


def follow(stack: Stack, clone: Path, path: Path) -> None:
    """Run the blocks of a page in one shell."""
    scripts = map(script, runnable(path))
    own = {
        "PATH": f"{clone}/.ackbox/bin:{clone}/.venv/bin:{os.environ['PATH']}",
        "KUBECONFIG": f"{clone}/.ackbox/kubeconfig",
        "KUBECACHEDIR": f"{clone}/.ackbox/kubectl-cache",
    }
    done = subprocess.run(
        ["bash", "-eux", "-o", "pipefail", "-c", "\n".join(scripts)],
        cwd=clone,
        env=stack.environment | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"{path} ended with {done.returncode}:\n{done.stdout[-6000:]}"


def test_the_readme(started):
    assert (started / ".ackbox" / "demo.kubeconfig").exists()


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page(stack, started, path):
    follow(stack, started, path)


@pytest.mark.parametrize("block", SAMPLES, ids=lambda block: block.where)
def test_an_api_server_takes_what_a_page_shows(stack, block):
    stack.api.kubectl("apply", "--dry-run=server", "-f", "-", stdin=block.text)


def test_every_reason_that_was_told_is_listed(started):
    """What the code says by ways that the unit test can't read is seen here."""
    known = {*reasons(), *reasons_of_tables()}
    home = started / ".ackbox"
    events = [e for name in ("kubeconfig", "demo.kubeconfig") for e in Api(home / name).items(f"{CORE}/events")]
    told = {event["reason"] for event in events if event["source"].get("component") in SPEAKERS}
    assert {"EnsuredLoadBalancer", "SyncLoadBalancerFailed"} <= told
    assert told - known == set()
