"""ACK's addons (`addons.yaml`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from ackbox.catalog.data import read_yaml


class Proof(StrEnum):
    """What shows that an addon works."""

    METRICS_API = "metrics-api"
    """`metrics.k8s.io` answers."""


@dataclass(frozen=True)
class AddonVersion:
    """A version of an addon.

    Attributes:
        name: as ACK spells it.
        minimum: oldest Kubernetes minor version that it runs on, as a pair; None when ACK says none.
    """

    name: str
    minimum: tuple[int, int] | None = None


@dataclass(frozen=True)
class Workload:
    """What runs of an addon in `kube-system`.

    Attributes:
        kind: Deployment or DaemonSet.
        cpu, memory: what a pod of it requests.
        placed: whether a DaemonSet has pods on emulated nodes.
    """

    kind: str
    name: str
    image: str
    cpu: str
    memory: str
    replicas: int = 1
    placed: bool = True


@dataclass(frozen=True)
class AddonService:
    """A Service of an addon in `kube-system`.

    Attributes:
        workload: whose pods it leads to.
        address: its place in the cluster's service CIDR; None for any.
        ports: name to `<port>/<protocol>`.
    """

    name: str
    workload: str
    ports: Mapping[str, str]
    address: int | None = None


Values = str | tuple[str, ...]
"""What a key of `config` takes: a word for a kind of value, or the values allowed."""


@dataclass(frozen=True)
class Addon:
    """An addon; the fields are explained in `addons.yaml`."""

    name: str
    category: str
    versions: tuple[AddonVersion, ...]
    default: tuple[str, ...] = ()
    required: bool = False
    managed: bool = False
    instead: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    config: Mapping[str, Values] | None = None
    workloads: tuple[Workload, ...] = ()
    services: tuple[AddonService, ...] = ()
    proof: Proof | None = None

    @property
    def version_names(self) -> tuple[str, ...]:
        """Every version, the oldest first."""
        return tuple(version.name for version in self.versions)

    def newest(self, minor: tuple[int, int]) -> AddonVersion | None:
        """The newest version that runs on a Kubernetes minor version; None when none does."""
        fitting = [each for each in self.versions if each.minimum is None or each.minimum <= minor]
        return fitting[-1] if fitting else None


@cache
def addons() -> dict[str, Addon]:
    """Every addon by its name."""
    return {row["name"]: _addon(row) for row in read_yaml("addons.yaml")["addons"]}


def minor_of(version: str) -> tuple[int, int]:
    """Major and minor of a Kubernetes version, such as `v1.36.3-aliyun.1`."""
    major, minor = version.removeprefix("v").split(".")[:2]
    return int(major), int(minor)


def _addon(row: dict[str, Any]) -> Addon:
    lists = {name: tuple(row.get(name, ())) for name in ("default", "instead", "requires")}
    return Addon(
        name=row["name"],
        category=row["category"],
        versions=tuple(_version(each) for each in row["versions"]),
        required=row.get("required", False),
        managed=row.get("managed", False),
        config={key: tuple(values) if isinstance(values, list) else values for key, values in row["config"].items()}
        if "config" in row
        else None,
        workloads=tuple(Workload(**each) for each in row.get("workloads", ())),
        services=tuple(AddonService(**each) for each in row.get("services", ())),
        proof=Proof(row["proof"]) if "proof" in row else None,
        **lists,
    )


def _version(row: dict[str, Any]) -> AddonVersion:
    return AddonVersion(str(row["version"]), minor_of(row["minimum"]) if "minimum" in row else None)
