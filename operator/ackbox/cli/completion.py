"""Completion of the command line in shells."""

import click
from click.shell_completion import get_completion_class

from ackbox.cli.base import example

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@example(
    "ackbox completion bash > ~/.local/share/bash-completion/completions/ackbox",
    'eval "$(ackbox completion zsh)"',
    "ackbox completion fish > ~/.config/fish/completions/ackbox.fish",
)
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options, programs and clusters."""
    kind = get_completion_class(shell)
    assert kind is not None, "click completes in all of these"
    click.echo(kind(context.find_root().command, {}, "ackbox", "_ACKBOX_COMPLETE").source())
