"""The program `kubectl-ack`, and `kubectl_complete-ack`, which kubectl asks when somebody presses Tab behind it."""

import sys

import click
from click.shell_completion import ShellComplete

from ackbox.cli import plugin_addons, plugin_create
from ackbox.cli.plugin import main

__all__ = ["complete", "main", "plugin_addons", "plugin_create"]

FILES, NO_FILES = ":0", ":4"
"""What kubectl expects at the end: complete files, or nothing else (Cobra's ShellCompDirectives)."""


def complete() -> None:
    """Print how the words on the command line can go on."""
    *words, incomplete = sys.argv[1:] or [""]
    items = ShellComplete(main, {}, "kubectl ack", "").get_completions(words, incomplete)
    for item in items:
        if item.type == "plain":
            click.echo(item.value)
    click.echo(FILES if any(item.type == "file" for item in items) else NO_FILES)
