"""What a process of ackbox is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

POD_DEFAULTS = {
    "ACKBOX_HOME": "/var/lib/ackbox",
    "ACKBOX_RUN": "/run/ackbox",
    # A Pod has a loopback interface to itself, so every Pod takes the same range.
    "ACKBOX_LOOPBACK": "127.16.0.0/16",
}
"""Where a process works in a Pod, unless the Pod says otherwise."""


@dataclass(frozen=True)
class Pod:
    """The Pod that a process runs in.

    Attributes:
        name: `ACKBOX_POD_NAME`, as by the downward API.
        namespace: `ACKBOX_POD_NAMESPACE`.
        image: what the Pod runs, for Pods that are made to run the same (`ACKBOX_IMAGE`).
        service_account: as whom it comes to the management cluster (`ACKBOX_SERVICE_ACCOUNT`).
    """

    name: str
    namespace: str
    image: str
    service_account: str


@dataclass(frozen=True)
class Settings:
    """Where a process works.

    Attributes:
        home: state of this ackbox (`ACKBOX_HOME`).
        kubeconfig: how the management cluster is reached, and as whom (`--kubeconfig`, `ACKBOX_KUBECONFIG`);
            None in a Pod: by the Pod's ServiceAccount.
        loopback: this home's own /16 of 127/8 (`ACKBOX_LOOPBACK`).
        run: folder of the unix sockets (`ACKBOX_RUN`).
        cluster: for the ccm, the only cluster to serve, as `namespace/name`.
        pod: in a cluster, the process's own Pod (read when `ACKBOX_IN_CLUSTER` is `true`).
    """

    home: Path
    kubeconfig: Path | None
    loopback: IPv4Network
    run: Path
    cluster: str | None = None
    pod: Pod | None = None

    @property
    def in_cluster(self) -> bool:
        """Whether the process runs in a Pod of the management cluster."""
        return self.pod is not None


def from_environment(
    kubeconfig: Path | None = None, cluster: str | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """Read the settings, but for what is given; `KeyError` names the variable that is missing."""
    in_cluster = environment.get("ACKBOX_IN_CLUSTER") == "true"
    values = {**POD_DEFAULTS, **environment} if in_cluster else environment
    if kubeconfig is None and not in_cluster:
        kubeconfig = Path(values["ACKBOX_KUBECONFIG"])
    return Settings(
        home=Path(values["ACKBOX_HOME"]),
        kubeconfig=kubeconfig,
        loopback=IPv4Network(values["ACKBOX_LOOPBACK"]),
        run=Path(values["ACKBOX_RUN"]),
        cluster=cluster,
        pod=_pod(values) if in_cluster else None,
    )


def _pod(values: Mapping[str, str]) -> Pod:
    return Pod(
        name=values["ACKBOX_POD_NAME"],
        namespace=values["ACKBOX_POD_NAMESPACE"],
        image=values["ACKBOX_IMAGE"],
        service_account=values["ACKBOX_SERVICE_ACCOUNT"],
    )
