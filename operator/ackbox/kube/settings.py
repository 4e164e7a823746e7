"""What a process of ackbox is told by its environment."""

import os
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where a process works.

    Attributes:
        home: state of this ackbox (`ACKBOX_HOME`).
        kubeconfig: how the management cluster is reached, and as whom (`--kubeconfig`, `ACKBOX_KUBECONFIG`).
        loopback: this home's own /16 of 127/8 (`ACKBOX_LOOPBACK`).
        run: folder of the unix sockets (`ACKBOX_RUN`).
        cluster: for the ccm, the only cluster to serve, as `namespace/name`.
    """

    home: Path
    kubeconfig: Path
    loopback: IPv4Network
    run: Path
    cluster: str | None = None


def from_environment(kubeconfig: Path | None = None, cluster: str | None = None) -> Settings:
    """Read the settings, but for what is given; `KeyError` names the variable that is missing."""
    home = Path(os.environ["ACKBOX_HOME"])
    return Settings(
        home=home,
        kubeconfig=kubeconfig or Path(os.environ["ACKBOX_KUBECONFIG"]),
        loopback=IPv4Network(os.environ["ACKBOX_LOOPBACK"]),
        run=Path(os.environ["ACKBOX_RUN"]),
        cluster=cluster,
    )
