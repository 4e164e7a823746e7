"""Families of instance types: accelerators, bare metal, Intel SGX (`instance_families.yaml`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ackbox.catalog.data import read_yaml
from ackbox.catalog.instance_types import instance_types

GPU_RESOURCE = "nvidia.com/gpu"
NPU_RESOURCE = "aliyun.com/npu"
"""Extended resources that ACK's device plug-ins report."""


@dataclass(frozen=True)
class Accelerators:
    """The accelerators of an instance type.

    Attributes:
        resource: the extended resource that pods ask for.
        labels: what the Node carries of them.
    """

    resource: str
    count: int
    labels: dict[str, str]


def bare_metal(instance_type: str) -> bool:
    """Whether the machine is a whole one, without a hypervisor."""
    return _prefix(instance_type, _families()["bare_metal"]) is not None


def confidential(instance_type: str) -> bool:
    """Whether it has Intel SGX."""
    return _prefix(instance_type, _families()["sgx"]) is not None


def accelerators(instance_type: str) -> Accelerators | None:
    """The GPUs or NPUs of an instance type; None for one without."""
    npu = _prefix(instance_type, _families()["npu"])
    if npu is not None:
        return Accelerators(NPU_RESOURCE, _families()["npu"][npu], {})
    kind = instance_types().get(instance_type)
    card = _prefix(instance_type, _families()["gpus"])
    if kind is None or not kind.gpu or card is None:
        return None
    row = _families()["gpus"][card]
    labels = {"name": row["name"], "count": str(kind.gpu), "mem": row["memory"]}
    return Accelerators(
        GPU_RESOURCE, kind.gpu, {f"aliyun.accelerator/nvidia_{name}": value for name, value in labels.items()}
    )


@cache
def _families() -> Any:
    return read_yaml("instance_families.yaml")


def _prefix(instance_type: str, families: Iterable[str]) -> str | None:
    family = instance_type.removeprefix("ecs.").partition(".")[0]
    return max((each for each in families if family.startswith(each)), key=len, default=None)
