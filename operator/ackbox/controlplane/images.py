"""The container images of a control plane, and what else whoever installs ackbox decides about its Pods."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ackbox.runtime import tools

ETCD_IMAGE_BUILD = "-0"
"""What the tags of etcd's official images end with: the number of the image's build."""


@dataclass(frozen=True)
class Images:
    """Where images come from; `{program}` and `{version}` in a name stand for what is wanted.

    Attributes:
        own: ackbox's, which the operator itself runs (`ACKBOX_IMAGE`).
        kubernetes: of Kubernetes' programs (`ACKBOX_IMAGE_KUBERNETES`).
        etcd: of etcd (`ACKBOX_IMAGE_ETCD`).
        kwok: of KWOK (`ACKBOX_IMAGE_KWOK`).
        pull_policy: `Always`, `IfNotPresent` or `Never` (`ACKBOX_IMAGE_PULL_POLICY`).
    """

    own: str
    kubernetes: str = "registry.k8s.io/{program}:{version}"
    etcd: str = "registry.k8s.io/etcd:{version}"
    kwok: str = "registry.k8s.io/kwok/kwok:{version}"
    pull_policy: str = "IfNotPresent"

    def of_kubernetes(self, program: str, minor: str) -> str:
        """The image of a program of a Kubernetes minor, such as `1.36`."""
        return _filled(self.kubernetes, program=program, version=tools.kubernetes(minor).version)

    def of_etcd(self) -> str:
        """The image of etcd."""
        return _filled(self.etcd, program="etcd", version=tools.etcd().version.removeprefix("v") + ETCD_IMAGE_BUILD)

    def of_kwok(self) -> str:
        """The image of KWOK."""
        return _filled(self.kwok, program="kwok", version=tools.kwok().version)


@dataclass(frozen=True)
class PodOptions:
    """What holds for the Pods of every control plane.

    Attributes:
        images: what they run.
        pull_secrets: names of Secrets of their namespace to fetch these with (`ACKBOX_IMAGE_PULL_SECRETS`, by commas).
        priority_class: their PriorityClass; None for the cluster's default (`ACKBOX_PRIORITY_CLASS`).
        etcd_storage: how much an etcd asks for, such as `4Gi` (`ACKBOX_ETCD_STORAGE`).
        etcd_storage_class: of what kind; None for the cluster's default (`ACKBOX_ETCD_STORAGE_CLASS`).
    """

    images: Images
    pull_secrets: tuple[str, ...] = ()
    priority_class: str | None = None
    etcd_storage: str = "4Gi"
    etcd_storage_class: str | None = None


def from_environment(own: str, environment: Mapping[str, str] = os.environ) -> PodOptions:
    """Read the options; a variable that is empty counts as missing. `own` is the operator's image.

    Raises:
        ValueError: an image's name has another placeholder than those allowed.
    """
    names = {"kubernetes": "KUBERNETES", "etcd": "ETCD", "kwok": "KWOK", "pull_policy": "PULL_POLICY"}
    given = {field: environment.get(f"ACKBOX_IMAGE_{name}") for field, name in names.items()}
    images = Images(own, **{field: value for field, value in given.items() if value})
    for field in ("kubernetes", "etcd", "kwok"):
        _filled(getattr(images, field), program="", version="")
    return PodOptions(
        images,
        pull_secrets=tuple(filter(None, environment.get("ACKBOX_IMAGE_PULL_SECRETS", "").split(","))),
        priority_class=environment.get("ACKBOX_PRIORITY_CLASS") or None,
        etcd_storage=environment.get("ACKBOX_ETCD_STORAGE") or PodOptions.etcd_storage,
        etcd_storage_class=environment.get("ACKBOX_ETCD_STORAGE_CLASS") or None,
    )


def _filled(template: str, program: str, version: str) -> str:
    try:
        return template.format(program=program, version=version)
    except (KeyError, IndexError, ValueError):
        raise ValueError(
            f"image {template!r}: allowed placeholders are {{program}} and {{version}}, such as "
            "registry.example.com/{program}:{version}"
        ) from None
