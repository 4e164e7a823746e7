"""`ackbox doctor`: the machine, the programs, the home and what is in it."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ackbox.cli.base import ExitCode, example, output, print_json, run

if TYPE_CHECKING:
    from ackbox.runtime.doctor import Finding

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command()
@click.argument("minors", nargs=-1, metavar="[MINOR]...")
@output
@example("ackbox doctor", "ackbox doctor 1.35", "ackbox doctor -o json | jq '.[] | select(.level == \"problem\")'")
def doctor(minors: Sequence[str], output: str) -> None:
    """Look for what keeps ackbox from working, and say what to do. Ends with 4 when there is a problem.

    It looks at the machine, at the programs (of the Kubernetes minor versions that are named, too), at the home, its processes and
    the objects in its management cluster.
    """
    from ackbox.cli.archives import check_minors
    from ackbox.runtime.doctor import Level

    check_minors(minors)
    findings = run(_examine(minors))
    if output == "json":
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            _show(finding)
    sys.exit(ExitCode.UNWELL if any(each.level is Level.PROBLEM for each in findings) else ExitCode.DONE)


async def _examine(minors: Sequence[str]) -> "list[Finding]":
    from ackbox.runtime import tools
    from ackbox.runtime.doctor import judge, look, programs
    from ackbox.runtime.doctor_home import examine
    from ackbox.runtime.home import home_path

    machine = look(home_path())
    findings = list(judge(machine))
    if machine.supported:
        findings += await programs(dict.fromkeys((tools.MANAGEMENT_MINOR, *minors)))
        findings += await examine(home_path())
    return findings


def _show(finding: "Finding") -> None:
    mark, color = MARKS[finding.level]
    click.echo(f"{click.style(mark, fg=color, bold=True)} {finding.check}: {finding.message}")
    if finding.advice:
        click.echo(f"  → {finding.advice}")
