"""Kubernetes versions (`versions.yaml`): what ACK offers, to whom, and from where to where a cluster may be upgraded."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from ackbox.catalog.data import read_yaml


@dataclass(frozen=True)
class KubernetesVersion:
    """A version that ACK offers, or once did.

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
    def order(self) -> tuple[int, ...]:
        """Sorts versions by age, such as `(1, 36, 3, 1)`."""
        return tuple(map(int, re.findall(r"\d+", self.name)))

    @property
    def minor_number(self) -> int:
        """The second number, such as 36."""
        return self.order[1]

    @property
    def spellings(self) -> tuple[str, ...]:
        """What `kubernetesVersion` takes for it."""
        return self.minor, self.git_version.removeprefix("v"), self.name


class Minors(StrEnum):
    """Which minors ACK releases."""

    ALL = "all"
    EVEN = "even"


class Expiry(StrEnum):
    """Why ACK no longer supports a version."""

    MINOR = "MinorExpired"
    """Older than the supported minors: nobody vouches for it, and there is no upgrade from it."""
    PATCH = "PatchExpired"
    """A newer patch of its minor is out."""


@dataclass(frozen=True)
class VersionPolicy:
    """By which rules minors come and go.

    Attributes:
        creatable: how many of the newest minors new clusters can have.
        supported: how many of the newest minors are supported, and upgraded from.
    """

    minors: Minors
    creatable: int
    supported: int


@dataclass(frozen=True)
class VersionOffer:
    """What ACK offers under a policy.

    Attributes:
        versions: the newest first.
        kubelet_skew: how many minors a kubelet may be older than the API server.
    """

    policy: VersionPolicy
    versions: tuple[KubernetesVersion, ...]
    kubelet_skew: int

    @property
    def minors(self) -> tuple[str, ...]:
        """Every minor, the newest first."""
        return tuple(dict.fromkeys(version.minor for version in self.versions))

    @property
    def creatable(self) -> tuple[KubernetesVersion, ...]:
        """What new clusters can have: the newest patch of each of the newest minors."""
        return tuple(self._newest_of(minor) for minor in self.minors[: self.policy.creatable])

    @property
    def accepted(self) -> tuple[str, ...]:
        """Every spelling that names a version for a new cluster, each once."""
        return tuple(dict.fromkeys(spelling for version in self.creatable for spelling in version.spellings))

    @property
    def ages(self) -> dict[str, int]:
        """Every spelling of every version with its version's place from the newest, which has 0."""
        rows = [(spelling, age) for age, version in enumerate(self.versions) for spelling in version.spellings]
        return dict(reversed(rows))

    @property
    def upgrades(self) -> dict[str, tuple[str, ...]]:
        """By the name of every version that can be upgraded, or is the newest, the spellings of what to."""
        return {
            version.name: tuple(dict.fromkeys(each for target in self.targets(version) for each in target.spellings))
            for version in self.versions
            if self.expiry(version) is not Expiry.MINOR
        }

    def resolve(self, spelling: str | None) -> KubernetesVersion | None:
        """The newest version that a spelling names; without one ACK takes the newest of all. None when unknown."""
        if spelling is None:
            return self.versions[0]
        return next((version for version in self.versions if spelling in version.spellings), None)

    def parse(self, name: str) -> KubernetesVersion:
        """The version that a cluster or a node says it runs, offered or not; a leading `v` is left out.

        Raises:
            ValueError: that is no version.
        """
        name = name.removeprefix("v")
        if not re.match(r"\d+\.\d+\.\d+", name):
            raise ValueError(f"{name} is not a Kubernetes version")
        known = next((version for version in self.versions if version.name == name), None)
        return known or KubernetesVersion(name, f"v{name.partition('-')[0]}")

    def wanted(self, spelling: str | None, running: str | None) -> KubernetesVersion | None:
        """The version that a cluster shall have; None when a new one asks for an unknown version.

        A cluster that runs keeps its version unless a newer one is asked for: a spelling that names what runs asks for
        nothing, even if a newer patch would fit it, and what is older can't be had back.
        """
        asked = self.resolve(spelling)
        if running is None:
            return asked
        version = self.parse(running)
        if spelling is None or asked is None or spelling in version.spellings or asked.order <= version.order:
            return version
        return asked

    def expiry(self, version: KubernetesVersion) -> Expiry | None:
        """Why ACK no longer supports a version; None while it does."""
        if len(self._newer_minors(version)) >= self.policy.supported:
            return Expiry.MINOR
        return Expiry.PATCH if self._newer_patches(version) else None

    def targets(self, version: KubernetesVersion) -> tuple[KubernetesVersion, ...]:
        """What a cluster can be upgraded to, the newest first: newer patches, and the neighbouring minor."""
        if self.expiry(version) is Expiry.MINOR:
            return ()
        neighbour = self._newer_minors(version)[-1:]
        return tuple(each for each in self.versions if each.minor in neighbour) + self._newer_patches(version)

    def _newest_of(self, minor: str) -> KubernetesVersion:
        return next(version for version in self.versions if version.minor == minor)

    def _newer_minors(self, version: KubernetesVersion) -> list[str]:
        newer = [each for each in self.versions if each.order[:2] > version.order[:2]]
        return list(dict.fromkeys(each.minor for each in newer))

    def _newer_patches(self, version: KubernetesVersion) -> tuple[KubernetesVersion, ...]:
        return tuple(each for each in self.versions if each.minor == version.minor and each.order > version.order)


def offer_of(table: dict[str, Any]) -> VersionOffer:
    """The offer that a table describes."""
    chosen = table["policies"][table["policy"]]
    policy = VersionPolicy(Minors(chosen["minors"]), chosen["creatable"], chosen["supported"])
    rows = [KubernetesVersion(str(row["version"]), row["gitVersion"]) for row in table["versions"]]
    released = [row for row in rows if policy.minors is Minors.ALL or row.minor_number % 2 == 0]
    return VersionOffer(policy, tuple(_newest_first(released)), table["kubeletSkew"])


def _newest_first(rows: Sequence[KubernetesVersion]) -> list[KubernetesVersion]:
    return sorted(rows, key=lambda row: row.order, reverse=True)


@cache
def offer() -> VersionOffer:
    """What ACK offers now."""
    return offer_of(read_yaml("versions.yaml"))


def resolve(spelling: str | None) -> KubernetesVersion | None:
    """See `VersionOffer.resolve`."""
    return offer().resolve(spelling)


def wanted(spelling: str | None, running: str | None) -> KubernetesVersion | None:
    """See `VersionOffer.wanted`."""
    return offer().wanted(spelling, running)
