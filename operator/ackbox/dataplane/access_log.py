"""Where a listener's access log goes and what it says of the listener. Pure but for making the folder."""

from dataclasses import dataclass
from pathlib import Path

from ackbox.kube.cache import Key
from ackbox.resources import Listener


@dataclass(frozen=True)
class AccessLog:
    """The access log of a listener: JSON lines, one a request, connection or UDP session.

    Attributes:
        path: the file.
        balancer: the load balancer's id, as the listener names it.
        port: the listener's own port, whatever is dialled; for a range of ports the first.
    """

    path: str
    balancer: str
    port: int


def folder(home: Path) -> Path:
    """Where a home keeps access logs."""
    return home / "logs" / "access"


def prepare(home: Path) -> Path:
    """Make the folder; Envoy refuses a listener whose log it can't open."""
    found = folder(home)
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def file(folder: Path, key: Key) -> Path:
    """The access log of a listener."""
    namespace, name = key
    return folder / f"{namespace}_{name}.log"


def access_log(listener: Listener, folder: Path) -> AccessLog | None:
    """The access log that a listener asks for."""
    if listener.spec.access_log != "on":
        return None
    spec = listener.spec
    return AccessLog(str(file(folder, listener.key)), spec.load_balancer_id, spec.ports.start)
