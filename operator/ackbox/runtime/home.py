"""The folder of one ackbox, its loopback range and its sockets.

- state.json: the range and the socket folder, chosen once; the version of the ackbox that came up here last
- kubeconfig: admin of the management cluster
- bin/: kubectl, for the user's PATH
- pki/, etcd/: certificates and data of the management plane; a kubeconfig for each process of ackbox
- clusters/<id>/: a workload control plane
- conf.d/, logs/: supervisor's program files, a log of every program
- parent_death.py, envoy: what starts programs, and a link to Envoy, at paths that stay when ackbox is installed elsewhere
- run/: unix sockets (elsewhere when the path is too long for one)
"""

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from ackbox import __version__
from ackbox.runtime import loopback
from ackbox.runtime.errors import HomeProblem, NoHome
from ackbox.runtime.files import private_folder, write_private

DEFAULT_HOME = ".ackbox"
STATE = "state.json"

# A unix socket's path holds 107 bytes. The longest of ours is the one supervisord binds before it renames it:
# "/supervisor.sock.<pid>".
MAX_RUN_PATH = 107 - len("/supervisor.sock.4194304")

FOLDERS = ("bin", "pki", "clusters", "conf.d", "logs", "failpoints")


@dataclass(frozen=True)
class Home:
    """A prepared home.

    Attributes:
        path: absolute path of the folder.
        loopback: the /16 of 127/8 that this home alone uses on this machine.
        run: folder of the unix sockets.
        moved_from: the range in which its addresses still are, for a home that was restored into another one.
    """

    path: Path
    loopback: IPv4Network
    run: Path
    moved_from: IPv4Network | None = None

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the management cluster's admin."""
        return self.path / "kubeconfig"

    def process_kubeconfig(self, process: str) -> Path:
        """Kubeconfig of the management cluster for one of ackbox's own processes."""
        return self.pki / f"{process}.kubeconfig"

    @property
    def up_lock(self) -> Path:
        """Held by whoever starts the home, or must be sure that nobody does."""
        return self.path / "up.lock"

    @property
    def bin(self) -> Path:
        """Links to the command-line tools that go with this home, for the user's PATH."""
        return self.path / "bin"

    @property
    def pki(self) -> Path:
        """Certificates of the management plane."""
        return self.path / "pki"

    @property
    def clusters(self) -> Path:
        """One folder a workload control plane."""
        return self.path / "clusters"

    @property
    def programs(self) -> Path:
        """Supervisor's program files."""
        return self.path / "conf.d"

    @property
    def logs(self) -> Path:
        """One log a program."""
        return self.path / "logs"

    @property
    def management_address(self) -> IPv4Address:
        """Where the management plane listens."""
        return self.loopback[1]

    @property
    def workload_etcd_address(self) -> IPv4Address:
        """Where the etcd of all workload clusters listens."""
        return self.loopback[2]

    @property
    def environment(self) -> dict[str, str]:
        """What every process of ackbox is told (`ackbox.kube.settings`)."""
        return {
            "ACKBOX_HOME": str(self.path),
            "ACKBOX_LOOPBACK": str(self.loopback),
            "ACKBOX_RUN": str(self.run),
        }


def home_path() -> Path:
    """`ACKBOX_HOME`, or `.ackbox` in the working directory."""
    return Path(os.environ.get("ACKBOX_HOME") or DEFAULT_HOME).absolute()


def prepare(path: Path) -> Home:
    """Open a home, making it on the first call.

    Raises:
        HomeProblem: the folder holds something else or is of a newer ackbox, or no loopback range is free.
    """
    if not (path / STATE).exists():
        check_empty(path)
        private_folder(path)
        write_state(path, loopback.claim(path))
    home = load(path)
    check_version(path)
    loopback.confirm(path, home.loopback)
    write_private(path / STATE, _json(_read_state(path) | {"version": __version__}))
    for folder in (*(home.path / name for name in FOLDERS), home.run):
        _own_folder(folder)
    return home


def load(path: Path) -> Home:
    """Open a home that is there.

    Raises:
        NoHome: there is none.
        HomeProblem: what makes it a home is damaged.
    """
    state = _read_state(path)
    moved = IPv4Network(state["movedFrom"]) if "movedFrom" in state else None
    return Home(path, IPv4Network(state["loopback"]), Path(state["run"]), moved)


def check_version(path: Path) -> None:
    """Make sure that no newer ackbox has worked on a home.

    Raises:
        HomeProblem: one has.
    """
    version = _read_state(path).get("version", __version__)
    if is_newer(version):
        raise HomeProblem(
            f"{path} was last used by ackbox {version}, and this is {__version__}, which may not understand what that"
            " one has written: use that version or a newer one, or another home (ACKBOX_HOME)"
        )


def check_empty(path: Path) -> None:
    """Make sure that a home can be made in a folder.

    Raises:
        HomeProblem: something is there.
    """
    if (path / STATE).exists():
        raise HomeProblem(f"there is an ackbox in {path}; remove it with `ackbox clean`, or set ACKBOX_HOME")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise HomeProblem(f"{path} holds files that are not ackbox's; choose another folder with ACKBOX_HOME")


def write_state(
    path: Path, network: IPv4Network, moved_from: IPv4Network | None = None, at: Path | None = None
) -> None:
    """Write what makes a folder the home `path`; into the folder `at` if that is to become it."""
    state = {"loopback": str(network), "run": str(_run_folder(path)), "version": __version__}
    if moved_from is not None:
        state["movedFrom"] = str(moved_from)
    write_private((at or path) / STATE, _json(state))


def settle(home: Home) -> None:
    """Note that the addresses of a restored home are all in its own range now."""
    state = _read_state(home.path)
    state.pop("movedFrom", None)
    write_private(home.path / STATE, _json(state))


def is_newer(version: str) -> bool:
    """Whether a version of ackbox is newer than this one; what follows its numbers, such as `.dev1`, doesn't count."""
    return _numbers(version) > _numbers(__version__)


def remove(home: Home) -> None:
    """Delete the home with everything in it, its socket folder and its claim on the loopback range."""
    if home.run.exists():
        shutil.rmtree(home.run)
    shutil.rmtree(home.path)
    loopback.release(home.path, home.loopback)


def _read_state(path: Path) -> dict[str, str]:
    try:
        state: dict[str, str] = json.loads((path / STATE).read_text())
    except FileNotFoundError:
        raise NoHome(f"there is no ackbox in {path}; start one with `ackbox up`") from None
    except ValueError as error:
        raise HomeProblem(
            f"{path / STATE} is damaged ({error}): put it right, or remove {path} once nothing of it runs"
        ) from None
    return state


def _json(state: dict[str, str]) -> str:
    return json.dumps(state, indent=2) + "\n"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[^\d.]", version)[0]))


def _run_folder(path: Path) -> Path:
    run = path / "run"
    if len(os.fsencode(run)) <= MAX_RUN_PATH:
        return run
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"ackbox-{os.getuid()}-{digest}"


def _own_folder(path: Path) -> None:
    """Make a folder that nobody else can enter. In a shared temp folder somebody else may have been there first."""
    private_folder(path)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise HomeProblem(f"{path} belongs to somebody else; remove it or set TMPDIR to a folder of your own")
    path.chmod(0o700)
