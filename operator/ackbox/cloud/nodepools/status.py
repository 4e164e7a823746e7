"""What a node pool says of itself. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from ackbox.cloud.nodepools.plan import Machine, PoolPlan
from ackbox.kube.conditions import State, progressing, ready
from ackbox.resources.instance import InstancePhase
from ackbox.resources.nodepool import NodePoolPhase

BOOTING = (None, InstancePhase.PENDING, InstancePhase.STARTING)


@dataclass(frozen=True)
class PoolStatus:
    """Phase and conditions."""

    phase: str
    state: State


def pool_status(
    desired: int,
    machines: Mapping[str, Machine],
    plan: PoolPlan,
    problem: State | None = None,
    upgrading: State | None = None,
) -> PoolStatus:
    """The status of a pool whose next steps are `plan`.

    Args:
        problem: what is wrong with a part of its spec.
        upgrading: how far an upgrade of its nodes is.
    """
    live = [machine for machine in machines.values() if not machine.deleting]
    leaving = len(machines) - len(live) + len(plan.delete)
    booting = sum(machine.phase in BOOTING for machine in live)
    counts = f"{len(live)} of {desired} instances"
    if plan.shortage is not None:
        message = f"{plan.shortage.message} {plan.shortage.missing} of {desired} instances are missing."
        busy = NodePoolPhase.SCALING if plan.create or booting else NodePoolPhase.ACTIVE
        return PoolStatus(busy.value, progressing(plan.shortage.code, message))
    if plan.create or booting:
        return PoolStatus(NodePoolPhase.SCALING.value, progressing("ScalingOut", counts))
    if leaving:
        return PoolStatus(NodePoolPhase.REMOVING.value, progressing("ScalingIn", counts))
    if problem is not None:
        return PoolStatus(NodePoolPhase.ACTIVE.value, problem)
    if upgrading is not None:
        return PoolStatus(NodePoolPhase.UPDATING.value, upgrading)
    return PoolStatus(NodePoolPhase.ACTIVE.value, ready("Active", counts))
