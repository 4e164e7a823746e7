"""Starts a program that dies with its supervisor: `python parent_death.py PIDFILE -- COMMAND…`.

Standard library only, and little of it: this runs before every supervised program. PIDFILE is supervisord's.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Ask the kernel for SIGKILL at the parent's death, then become the command."""
    pid_file, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit("usage: parent_death.py PIDFILE -- COMMAND…")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the call above; then the parent is another process by now.
    with open(pid_file, encoding="ascii") as file:  # noqa: PTH123 (pathlib takes longer to import)
        if int(file.read()) != os.getppid():
            sys.exit("the supervisor is gone")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
