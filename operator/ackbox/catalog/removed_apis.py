"""API versions that Kubernetes stops serving (`removed_apis.yaml`)."""

from dataclasses import dataclass
from functools import cache

from ackbox.catalog.data import read_yaml
from ackbox.catalog.versions import KubernetesVersion


@dataclass(frozen=True)
class RemovedApi:
    """A version of an API that a minor no longer serves.

    Attributes:
        removed_in: the first minor without it, as `(1, 37)`.
        api_version: group and version.
        kinds: what it served.
        use: what to use instead; None when that is not known yet.
    """

    removed_in: tuple[int, ...]
    api_version: str
    kinds: tuple[str, ...]
    use: str | None = None


@cache
def removed_apis() -> tuple[RemovedApi, ...]:
    """Every row."""
    return tuple(
        RemovedApi(_minor(row["removedIn"]), row["apiVersion"], tuple(row["kinds"]), row.get("use"))
        for row in read_yaml("removed_apis.yaml")["removed"]
    )


def removed_between(running: KubernetesVersion, target: KubernetesVersion) -> tuple[RemovedApi, ...]:
    """What one version serves and the other doesn't."""
    return tuple(row for row in removed_apis() if running.order[:2] < row.removed_in <= target.order[:2])


def _minor(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
