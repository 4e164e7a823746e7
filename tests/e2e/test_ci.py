"""What users' own CI gets: the pytest plug-in, as `docs/howto/ci.md` shows it, and the GitHub Action."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ackbox.catalog.data import CATALOG_VARIABLE
from ackbox.runtime.management import OWN_PROCESSES
from documents import ROOT, blocks
from e2e.stack import CORE, Stack, eventually, gone

pytestmark = pytest.mark.e2e
pytest_plugins = ["pytester"]


@pytest.fixture
def repository(stack: Stack, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A repository of a user's. pytester gives it a home folder of its own; the programs are in the real one's cache."""
    for name in ("HOME", CATALOG_VARIABLE):
        monkeypatch.setenv(name, stack.environment[name])
    return pytester


@pytest.fixture
def users_tests(repository: pytest.Pytester) -> pytest.Pytester:
    """A repository with the tests of the CI page."""
    pytester = repository
    page = blocks(ROOT / "docs" / "howto" / "ci.md")
    pytester.makepyfile(next(block.text for block in page if block.language == "python"))
    apps = pytester.mkdir("apps")
    shutil.copy(ROOT / "manifests" / "samples" / "nginx.yaml", apps)
    return pytester


def accounts(stack: Stack) -> list[str]:
    names = [each["metadata"]["name"] for each in stack.api.items(f"{CORE}/namespaces")]
    return [name for name in names if name.startswith("pytest-")]


def test_the_tests_of_the_ci_page_pass_and_leave_nothing_in_a_home_that_is_kept(stack, users_tests):
    result = users_tests.runpytest_subprocess(f"--ackbox-home={stack.home}", timeout=400)
    result.assert_outcomes(passed=3)
    for name in accounts(stack):
        eventually(lambda name=name: gone(stack.api, f"{CORE}/namespaces/{name}"), f"account {name} gone")
    assert not list(stack.home.glob("pytest-*.kubeconfig"))
    assert all(stack.pid(name) for name in OWN_PROCESSES)


def test_a_command_that_fails_says_what_kubectl_said(stack, repository):
    repository.makepyfile("""
        def test_nothing_there(ackbox):
            ackbox.kubectl("get", "managedcluster", "nobody")
    """)
    result = repository.runpytest_subprocess(f"--ackbox-home={stack.home}", timeout=200)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*CommandFailed: kubectl get managedcluster nobody ended with 1:*", '*"nobody" not found*']
    )


class Runner:
    """Runs a composite action's own scripts as GitHub's runner does: inputs by variables, results by files."""

    def __init__(self, stack: Stack, folder: Path, **inputs: str) -> None:
        self.action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
        self.inputs = {name: row.get("default", "") for name, row in self.action["inputs"].items()}
        self.inputs |= {"home": str(stack.home)} | inputs
        self.files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")}
        self.folder = folder
        self.outputs: dict[str, dict[str, str]] = {}
        kept = {name: value for name, value in stack.environment.items() if name not in {"ACKBOX_HOME", "KUBECONFIG"}}
        self.environment = kept | {"GITHUB_ACTION_PATH": str(ROOT), "RUNNER_TEMP": str(folder), "RUNNER_OS": "Linux"}

    def step(self, name: str) -> str:
        """Run a step by its id; what it printed."""
        step = next(each for each in self.action["runs"]["steps"] if each.get("id") == name)
        assert "${{" not in step["run"], "an input must not become a part of a script"
        for path in self.files.values():
            path.write_text("")
        variables = {key: self._filled(value) for key, value in step.get("env", {}).items()}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        files = {key: str(path) for key, path in self.files.items()}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | variables | files,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.outputs[name] = _pairs(self.files["GITHUB_OUTPUT"])
        self.environment |= _pairs(self.files["GITHUB_ENV"])
        for line in self.files["GITHUB_PATH"].read_text().splitlines():
            self.environment["PATH"] = f"{line}:{self.environment['PATH']}"
        return done.stdout

    def _filled(self, text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: self.inputs[found[1]], text)


def _pairs(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_the_action_brings_ackbox_up_for_the_steps_that_follow(stack, namespace, tmp_path):
    manifests = tmp_path / "clusters"
    manifests.mkdir()
    objects = list(yaml.safe_load_all((ROOT / "manifests" / "samples" / "quickstart.yaml").read_text()))
    vpc = next(each for each in objects if each["kind"] == "VPC")
    (manifests / "vpc.yaml").write_text(yaml.safe_dump(vpc | {"metadata": {"name": "action", "namespace": namespace}}))
    runner = Runner(stack, tmp_path, apply="clusters", timeout="3m")
    # The step that installs ackbox needs a package index; its script is only read.
    install = next(each for each in runner.action["runs"]["steps"] if each.get("id") == "install")
    assert subprocess.run(["bash", "-n", "-c", install["run"]], check=False).returncode == 0
    runner.environment["PATH"] = f"{ROOT / '.venv' / 'bin'}:{runner.environment['PATH']}"
    runner.step("key")
    assert re.fullmatch("[0-9a-f]{16}", runner.outputs["key"]["programs"])
    runner.step("up")
    assert runner.outputs["up"] == {"home": str(stack.home), "kubeconfig": str(stack.home / "kubeconfig")}
    assert "vpc.ackbox.dev/action created" in runner.step("apply")
    assert stack.api.object("vpcs", "action", namespace)
    kubectl = subprocess.run(
        ["kubectl", "config", "view"], env=runner.environment, capture_output=True, text=True, check=False
    )
    assert "https://127." in kubectl.stdout


def test_an_input_of_the_action_is_never_run(stack, tmp_path):
    runner = Runner(stack, tmp_path, apply="$(touch seen) ; touch seen")
    runner.environment |= {
        "PATH": f"{stack.home / 'bin'}:{os.environ['PATH']}",
        "KUBECONFIG": str(stack.home / "kubeconfig"),
    }
    with pytest.raises(AssertionError):
        runner.step("apply")
    assert not (tmp_path / "seen").exists()
