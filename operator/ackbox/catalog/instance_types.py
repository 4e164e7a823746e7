"""ECS instance types (`instance_types.tsv`) and which of them can be nodes."""

import csv
from dataclasses import dataclass
from functools import cache

from ackbox.catalog.data import read_text

MIN_VCPU = 4
MIN_MEMORY = 8
"""A node needs at least 4 vCPUs and 8 GiB: ACK Product Introduction of 2022-07-08, limits."""


@dataclass(frozen=True)
class InstanceType:
    """A machine size.

    Attributes:
        memory: GiB.
        gpu: how many.
        terway_pods: pods that Terway's shared ENIs carry; None where the documentation gives no figure.
    """

    name: str
    vcpu: int
    memory: float
    gpu: int
    enis: int
    terway_pods: int | None

    @property
    def fits_node(self) -> bool:
        """Whether ACK takes it as a node."""
        return self.vcpu >= MIN_VCPU and self.memory >= MIN_MEMORY


@cache
def instance_types() -> dict[str, InstanceType]:
    """Every instance type, by name."""
    lines = [line for line in read_text("instance_types.tsv").splitlines() if not line.startswith("#")]
    return {
        row["instanceType"]: InstanceType(
            name=row["instanceType"],
            vcpu=int(row["vcpu"]),
            memory=float(row["memory"]),
            gpu=int(row["gpu"] or 0),
            enis=int(row["enis"]),
            terway_pods=int(row["terwayPods"]) if row["terwayPods"] else None,
        )
        for row in csv.DictReader(lines, delimiter="\t")
    }


def vcpus(name: str | None) -> int:
    """VCPUs of a type; 0 for one that is not in the table."""
    known = instance_types().get(name or "")
    return known.vcpu if known else 0
