"""What can go wrong on the machine; each message is meant for the user and says what to do.

RuntimeProblem
├── HomeProblem        the folder of this ackbox, or its loopback range, can't be used
│   └── NoHome         there is no ackbox in it
├── ArchiveProblem     a snapshot or a bundle can't be written, read or used here
├── BinaryMissing      a program was not found, not downloaded and not built
└── SupervisorProblem  supervisord, or a program under it, doesn't do what it was told
"""


class RuntimeProblem(Exception):
    """A failure that the user can do something about."""


class HomeProblem(RuntimeProblem):
    """The home can't be used."""


class NoHome(HomeProblem):
    """There is no ackbox in the folder."""


class ArchiveProblem(RuntimeProblem):
    """A snapshot or a bundle can't be written, read or used here."""


class BinaryMissing(RuntimeProblem):
    """Every way to get a program failed."""


class SupervisorProblem(RuntimeProblem):
    """The supervisor or a program under it failed."""
