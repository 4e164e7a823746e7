"""The site builds without a broken link and with every page in its navigation, asks nothing of other hosts, and names
commands, files and values that exist. What the pages say of the commands that are run, `tests/e2e/test_docs.py` sees."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
import yaml

from ackbox.reference_cli import commands, walk
from documents import ROOT, RUN, every_block, pages

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
SHOWN = {"console", "text", "yaml", "python"}
"""Languages of blocks that show something."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(ROOT, folder)
    return folder


def build(root: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={folder}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Loaded(HTMLParser):
    """What a page loads by itself; links that a reader may follow are something else."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        loads = {"script": "src", "img": "src", "link": "href", "iframe": "src"}.get(tag)
        if loads and values.get(loads) and values.get("rel") != "canonical":
            self.found.append(str(values[loads]))


def test_the_site_builds_strictly_and_loads_nothing_from_other_hosts(site):
    built = sorted(site.rglob("*.html"))
    assert len(built) > 30
    for path in built:
        page = Loaded()
        page.feed(path.read_text(encoding="utf-8"))
        assert not [each for each in page.found if re.match(r"(https?:)?//", each)], path


def test_a_broken_link_and_a_page_that_nothing_leads_to_fail_the_build(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    index = tmp_path / "docs" / "index.md"
    lost = "[lost](nowhere.md), [lost](quotas.md#no-such-heading)"
    index.write_text(f"{index.read_text(encoding='utf-8')}\n{lost}\n", encoding="utf-8")
    (tmp_path / "docs" / "stray.md").write_text("# Stray\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"(?s)3 warnings.*stray\.md.*nowhere\.md.*no-such-heading"):
        build(tmp_path, tmp_path / "site")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(name):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_block_says_what_it_is_and_every_command_is_run_or_says_why_not():
    found = every_block()
    assert [block.where for block in found if block.language not in {RUN, *SHOWN}] == []
    skipped = {block.where: block.not_run for block in found if block.not_run}
    assert [where for where, why in skipped.items() if len(why or "") < 8] == []
    assert len([block for block in found if block.language == RUN and not block.not_run]) > 20


def test_commands_are_no_indented_text():
    """An indented block would be shown as commands and never be run."""
    commands = re.compile(r"^    (kubectl|ackbox|make|helm|docker|curl|export|pip) ", re.MULTILINE)
    for path in pages():
        outside = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert commands.findall(outside) == [], path


def scripts() -> dict[str, click.Command]:
    return commands(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])


def spoken_of() -> set[tuple[str, ...]]:
    """The calls of our own programs in the text of pages: `ackbox logs ccm`."""
    names = "|".join(map(re.escape, scripts()))
    texts = [path.read_text(encoding="utf-8") for path in pages()]
    found = {call for text in texts for call in re.findall(rf"`((?:{names}) [^`\n]+)`", text)}
    return {tuple(shlex.split(call.split(" | ")[0], comments=True)) for call in found}


@pytest.mark.parametrize("words", sorted(spoken_of()), ids=" ".join)
def test_programs_in_the_text_of_pages_have_the_commands_and_options_that_are_named(words):
    command: click.Command = scripts()[words[0]]
    for word in words[1:]:
        if word.startswith("-"):
            options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            assert word.split("=")[0] in {*options, "--help", "--version"}, f"{words}: {word}"
        elif isinstance(command, click.Group):
            following = command.commands.get(word)
            assert following is not None, f"{words}: there is no command {word}"
            command = following


def examples() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, program in scripts().items():
        for _, context in walk(program, name):
            lines = (context.command.help or "").partition("Examples:\n")[2].splitlines()
            calls = (re.sub(r"^.*?<\((.*?)\).*$", r"\1", line.strip()) for line in lines)
            words = [tuple(re.split(r"&&|\||>", re.sub(r"^(\w+=\S+ )+", "", call))[0].split()) for call in calls]
            found += [each for each in words if each and each[0] == name]
    return sorted(set(found))


@pytest.mark.parametrize("words", examples(), ids=" ".join)
def test_examples_of_the_help_are_taken_by_the_command_line(words):
    command: click.Command = scripts()[words[0]]
    arguments = list(words[1:])
    while isinstance(command, click.Group) and arguments:
        command = command.commands[arguments.pop(0)]
    try:
        command.make_context(words[0], arguments)
    except click.BadParameter as error:
        # A path of an example need not be there; anything else about it must be right.
        assert "does not exist" in str(error)  # noqa: PT017


def test_make_targets_in_pages_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [path.read_text(encoding="utf-8") for path in (*pages(), CONTRIBUTING)]
    named = {name for text in texts for name in re.findall(r"(?:`|^|^[A-Z_]+=\S+ )make ([a-z-]+)", text, re.MULTILINE)}
    assert named <= targets


def test_files_that_pages_name_are_there():
    """By their path in the repository, or below the package."""
    places = (ROOT, ROOT / "operator" / "ackbox")
    written = re.compile(r"`([a-z_.]+/[\w./-]*\w\.(?:py|md|yaml|lua|json)|[a-z_]+(?:/[a-z_]+)+/)`")
    found = {(path, each) for path in (*pages(), CONTRIBUTING) for each in written.findall(path.read_text())}
    assert len(found) > 40
    assert {(path, each) for path, each in found if not any((place / each).exists() for place in places)} == set()


def test_every_dependency_says_what_it_is_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split("[>=]", each)[0] for each in (*project["dependencies"], *project["optional-dependencies"]["dev"])}
    rows = re.findall(r"^\| (\w[\w, -]+) \| ", (ROOT / "docs/decisions/0003-dependencies.md").read_text(), re.MULTILINE)
    assert names == {name for row in rows[1:] for name in row.split(", ")}


def test_the_workflow_of_the_ci_page_calls_the_action_as_it_is():
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    block = next(b for b in every_block() if b.page == "docs/howto/ci.md" and b.language == "yaml")
    steps = yaml.safe_load(block.text)["jobs"]["try"]["steps"]
    ours = next(step for step in steps if "ackbox@" in step.get("uses", ""))
    assert set(ours["with"]) <= set(action["inputs"])
    used = [step["uses"] for step in [*steps, *action["runs"]["steps"]] if "uses" in step and step is not ours]
    assert all(re.search(r"@[0-9a-f]{40}$", each) for each in used)


@pytest.mark.parametrize("block", [b for b in every_block() if b.language == RUN and b.not_run], ids=lambda b: b.where)
def test_commands_that_are_not_run_can_be_read_and_name_files_and_values_that_exist(block):
    read = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert read.stderr == ""
    words = shlex.split(block.text.replace("\\\n", " "), comments=True)
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    paths = [word for word in words if "/" in word and word.split("/")[0] in folders]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [path for path in re.findall(r"tests/[\w/]+\.py", block.not_run) if not (ROOT / path).exists()] == []
    if "docker" in words:
        assert (ROOT / "Dockerfile").exists()
    values = yaml.safe_load((ROOT / "charts" / "ackbox" / "values.yaml").read_text())
    for setting in re.findall(r"--set ([\w.]+)=", block.text):
        found = values
        for key in setting.split("."):
            assert key in found, f"the chart has no value {setting}"
            found = found[key]
