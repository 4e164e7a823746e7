"""Kubernetes versions (`versions.yaml`)."""

from dataclasses import dataclass
from functools import cache

from ackbox.catalog.data import read_yaml


@dataclass(frozen=True)
class KubernetesVersion:
    """A version that ACK offers.

    Attributes:
        name: as ACK spells it, such as `1.36.3-aliyun.1`.
        git_version: of the binaries, such as `v1.36.3`.
    """

    name: str
    git_version: str

    @property
    def minor(self) -> str:
        """Major and minor, such as `1.36`."""
        return ".".join(self.name.split(".")[:2])

    @property
    def spellings(self) -> tuple[str, ...]:
        """What `kubernetesVersion` takes for it."""
        return self.minor, self.git_version.removeprefix("v"), self.name


@cache
def versions() -> tuple[KubernetesVersion, ...]:
    """Every version, the newest first."""
    rows = read_yaml("versions.yaml")["versions"]
    return tuple(KubernetesVersion(str(row["version"]), row["gitVersion"]) for row in rows)


def resolve(spelling: str | None) -> KubernetesVersion | None:
    """The newest version that a spelling names; without one ACK takes the newest of all. None when unknown."""
    if spelling is None:
        return versions()[0]
    return next((version for version in versions() if spelling in version.spellings), None)


def accepted() -> tuple[str, ...]:
    """Every spelling that names a version, each once."""
    return tuple(dict.fromkeys(spelling for version in versions() for spelling in version.spellings))
