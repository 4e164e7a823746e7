"""A supervised program as data, and its text in a supervisor configuration."""

import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ackbox.runtime.errors import SupervisorProblem

LAUNCHER = Path(__file__).with_name("parent_death.py")
"""Each home has a copy, so that programs run on unchanged when ackbox is installed elsewhere."""

PYTHON = Path(sys.executable).resolve()
"""What runs it: the interpreter itself, which stays when a virtual environment goes."""

LOG_BYTES = 5 * 1024 * 1024
LOG_BACKUPS = 2
STOP_SECONDS = 15
# supervisor waits one second longer after each failed start and gives up after this many; the next `ackbox up`, or the
# next look of the operator at a cluster, starts such a program anew.
START_RETRIES = 100


@dataclass(frozen=True)
class Program:
    """A program that supervisord keeps running.

    Attributes:
        name: unique in the home, also the name of its log.
        command: absolute path of the executable and its arguments.
        files: what it reads when it starts; it is restarted when one of them changes.
        stop_seconds: how long it may take to stop before it is killed.
        environment: variables beside those that every program gets.
    """

    name: str
    command: tuple[str, ...]
    files: tuple[Path, ...] = ()
    stop_seconds: int = STOP_SECONDS
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Programs that start and stop together.

    Attributes:
        priority: groups start in rising and stop in falling order.
    """

    name: str
    programs: tuple[Program, ...]
    priority: int


def single(program: Program, priority: int) -> Group:
    """A group of one, of the program's name."""
    return Group(program.name, (program,), priority)


def render_group(group: Group, launcher: Path, pid_file: Path, logs: Path) -> str:
    """The configuration file of a group."""
    sections = [
        f"[group:{group.name}]",
        f"programs={','.join(program.name for program in group.programs)}",
        f"priority={group.priority}",
        "",
    ]
    for program in group.programs:
        command = (str(PYTHON), "-I", "-S", str(launcher), str(pid_file), "--", *program.command)
        sections += [*_render_program(program, command, logs), ""]
    return "\n".join(sections)


def _render_program(program: Program, command: Sequence[str], logs: Path) -> list[str]:
    return [
        f"[program:{program.name}]",
        f"command={quote_command(command)}",
        # For supervisor a program has changed when its text here has.
        f"environment={_environment({**program.environment, 'ACKBOX_REVISION': _revision(program)})}",
        "autostart=true",
        "autorestart=true",
        "startsecs=1",
        f"startretries={START_RETRIES}",
        f"stopwaitsecs={program.stop_seconds}",
        "redirect_stderr=true",
        # Twice, because supervisor expands this one twice.
        f"stdout_logfile={escape(escape(str(logs / program.name)))}.log",
        f"stdout_logfile_maxbytes={LOG_BYTES}",
        f"stdout_logfile_backups={LOG_BACKUPS}",
    ]


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{escape(value)}"' for name, value in variables.items())


def _revision(program: Program) -> str:
    digest = hashlib.sha256()
    for path in program.files:
        digest.update(path.read_bytes())
    return f"r{digest.hexdigest()[:16]}"


def quote_command(command: Sequence[str]) -> str:
    """A command line as supervisor splits it."""
    line = shlex.join(command)
    if any(mark in line for mark in ("\n", " ;", " #")):
        # Its configuration parser cuts a line there, quotes or not.
        raise SupervisorProblem(f"supervisor can't run a command with a line break, ' ;' or ' #' in it: {line}")
    return escape(line)


def escape(value: str) -> str:
    """Text in which supervisor sees no expansion, which begins with `%`."""
    return value.replace("%", "%%")


def arguments(flags: Mapping[str, object]) -> tuple[str, ...]:
    """Flags as they stand on a command line."""
    return tuple(f"--{name}={value}" for name, value in flags.items())
