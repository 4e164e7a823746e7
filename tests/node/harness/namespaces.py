"""The namespaces of a node: network, mounts and processes, held by their first process."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from node.harness.layout import Layout

CLONE_NEWNET = 0x40000000
SECONDS = 20.0
POLL_SECONDS = 0.05

FIRST_PROCESS = "catatonit"
"""Waits for ever and reaps what loses its parent; the kernel ends all others of the namespaces with it."""


def start(layout: Layout) -> None:
    """Make the namespaces, unless they are there."""
    if pid_of(layout) is not None:
        return
    kinds = ("--net", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private")
    outer = subprocess.Popen(
        ["unshare", *kinds, FIRST_PROCESS, "-P"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    wait(lambda: outer.poll() is None and _is_first(children.read_text().strip()), "the namespaces did not start")
    layout.init_pid.write_text(children.read_text().strip())


def pid_of(layout: Layout) -> int | None:
    """Process id of the first process, as the machine counts; None when the namespaces aren't there."""
    try:
        text = layout.init_pid.read_text()
    except FileNotFoundError:
        return None
    return int(text) if _is_first(text) else None


def stop(layout: Layout) -> None:
    """End every process in the namespaces and with them the namespaces."""
    pid = pid_of(layout)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        wait(lambda: not Path(f"/proc/{pid}/ns/net").exists(), "the processes of the node did not end")
    layout.init_pid.unlink(missing_ok=True)


def prefix(layout: Layout) -> tuple[str, ...]:
    """What stands before a command that runs inside.

    Raises:
        AssertionError: the node is down.
    """
    pid = pid_of(layout)
    assert pid is not None, f"no node is up in {layout.folder}"
    return ("nsenter", f"--target={pid}", "--net", "--mount", "--pid", f"--wdns={Path.cwd()}", "--")


@contextmanager
def network(layout: Layout) -> Iterator[None]:
    """Let this thread, and what it starts, use the network of the node instead of the machine's."""
    with Path("/proc/thread-self/ns/net").open("rb") as own, Path(f"/proc/{pid_of(layout)}/ns/net").open("rb") as other:
        _enter(other.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(descriptor: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _is_first(pid: str) -> bool:
    try:
        return bool(pid) and Path(f"/proc/{pid}/comm").read_text().strip() == FIRST_PROCESS
    except OSError:
        return False


def wait(condition: Callable[[], bool], complaint: str) -> None:
    """Wait until something has happened to processes.

    Raises:
        AssertionError: it hasn't in time.
    """
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(POLL_SECONDS)
