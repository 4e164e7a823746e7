"""The reference page of the command line, made from the commands themselves."""

import pkgutil
from collections.abc import Iterator, Mapping

import click

_WIDTH = 100
"""Columns of the help texts."""

_INTRODUCTION = """# The command line

What `--help` says. State is kept in `.ackbox` of the working directory, or in the folder that `ACKBOX_HOME` names.
"""


def commands(scripts: Mapping[str, str]) -> dict[str, click.Command]:
    """The programs that are click commands, by their names; `scripts` is `[project.scripts]` of `pyproject.toml`."""
    found = {name: pkgutil.resolve_name(where) for name, where in scripts.items()}
    return {name: command for name, command in found.items() if isinstance(command, click.Command)}


def cli_page(scripts: Mapping[str, str]) -> str:
    """The page as Markdown."""
    sections = [_INTRODUCTION]
    for name, command in commands(scripts).items():
        for path, context in walk(command, name):
            level = "##" if context.parent is None else "###"
            sections.append(f"{level} {path}\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(sections)


def walk(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, click.Context]]:
    """A command and all below it, each with the words that call it."""
    settings = {"terminal_width": _WIDTH, "max_content_width": _WIDTH, "color": False, **command.context_settings}
    context = click.Context(command, parent, name, **settings)
    yield context.command_path, context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            if found is not None and not found.hidden:
                yield from walk(found, each, context)
