"""What was done to a node pool by hand, or around it, and how many machines it can still have. Pure."""

from collections.abc import Collection, Sequence

from ackbox.catalog.high_risk import Operation, operations
from ackbox.cloud.nodepools.plan import Machine
from ackbox.kube.conditions import Aspect
from ackbox.resources import NodePool
from ackbox.resources.instance import Harm

NODES_MISSING = "NodesMissing"
"""Condition of a pool some of whose machines have no Node."""


def wanted_size(pool: NodePool) -> int:
    """How many machines a pool gets: what is desired, as far as the scaler and the scaling group let it.

    The scaling group's bounds go before the scaler's: it is the scaling group that makes machines.
    """
    group, scaler = pool.spec.scaling_group, pool.spec.auto_scaling
    wanted = group.desired_size
    if scaler.enable:
        wanted = min(max(wanted, scaler.min_instances), scaler.max_instances)
    return min(max(wanted, group.min_size), group.max_size)


def hindrance(pool: NodePool) -> str | None:
    """Why a pool can't be scaled as it should: the bounds of its scaling group are not those that ACK gave it."""
    row, group, scaler = operations()["scaling-group-bounds-changed"], pool.spec.scaling_group, pool.spec.auto_scaling
    usual = row.figures["defaultMin"], row.figures["defaultMax"]
    right = (scaler.min_instances, scaler.max_instances) if scaler.enable else usual
    bounds = group.min_size, group.max_size
    if bounds in (usual, right):
        return None
    return row.told(f"spec.scalingGroup: minSize {bounds[0]}, maxSize {bounds[1]} instead of {right[0]} and {right[1]}")


def pool_aspects(pool: NodePool, machines: Sequence[Machine], released: Collection[str]) -> list[Aspect]:
    """The conditions that tell of it; those that don't hold are taken away.

    Args:
        pool: the pool.
        machines: its machines that are not being released.
        released: machines that somebody released and that the pool hasn't made up for yet.
    """
    missing = [each.name for each in machines if Harm.NODE_COUNT_DIFFERS in each.harms]
    found = [
        _told("scaling-group-bounds-changed", hindrance(pool)),
        _told("scaled-by-hand", _scaled_by_hand(pool)),
        _told("instance-released", _released(released)),
    ]
    row = operations()["node-deleted"]
    text = row.told(f"{', '.join(sorted(missing))}: {len(missing)} of {len(machines)} instances have no Node")
    counted = Aspect(NODES_MISSING, "True", row.reason or "", text, warn=True) if missing else None
    held = [each for each in [*found, counted] if each is not None]
    known = {NODES_MISSING, *(row.condition for row in operations().values() if row.kind == pool.KIND.kind)}
    left = {each.type for each in pool.status.conditions} & known - {each.type for each in held}
    return [*held, *(Aspect(kind, None) for kind in sorted(left))]


def _scaled_by_hand(pool: NodePool) -> str | None:
    row, scaler, desired = operations()["scaled-by-hand"], pool.spec.auto_scaling, pool.spec.scaling_group.desired_size
    if not scaler.enable or scaler.min_instances <= desired <= scaler.max_instances:
        return None
    bounds = f"{scaler.min_instances} to {scaler.max_instances}"
    return row.told(f"spec.scalingGroup.desiredSize: {desired}, and auto scaling keeps {bounds}")


def _released(names: Collection[str]) -> str | None:
    if not names:
        return None
    return operations()["instance-released"].told(f"{', '.join(sorted(names))} was released")


def _told(row_id: str, message: str | None) -> Aspect | None:
    row: Operation = operations()[row_id]
    return Aspect(row.condition or "", "True", row.reason or "", message, warn=True) if message is not None else None
