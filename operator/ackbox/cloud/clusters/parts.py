"""What a managed cluster consists of beside its control plane: each part is brought up by a module of its own.

The controller of clusters calls every part whenever it looks at a cluster whose API server answers. It alone writes the
cluster's status, from what the parts report.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ackbox.kube.client import Client, Object
from ackbox.kube.conditions import Aspect, State
from ackbox.resources import ManagedCluster


@dataclass(frozen=True)
class Outcome:
    """What a part makes known.

    Attributes:
        fields: status fields of the part, as on the wire.
        state: what the cluster's Ready condition says instead of Ready, when the part is not as it should be.
        phase: the state word of the cluster while the part is at work, such as `upgrading`.
        aspects: further conditions.
        again: seconds after which the part wants to be called again.
    """

    fields: Object = field(default_factory=dict)
    state: State | None = None
    phase: str | None = None
    aspects: tuple[Aspect, ...] = ()
    again: float | None = None


class Part(Protocol):
    """A part of a cluster."""

    async def ensure(self, obj: Object, cluster: ManagedCluster, workload: Client) -> Outcome:
        """Bring the part a step further; called again and again, so it does nothing where nothing is to be done.

        Args:
            obj: the ManagedCluster as it was read.
            workload: the cluster's API server, as its administrator.
        """

    def forget(self, uid: str) -> None:
        """Drop what is remembered of a cluster that is gone, or whose control plane was made anew."""


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of many; of states and phases the first one counts."""
    fields = {name: value for outcome in outcomes for name, value in outcome.fields.items()}
    waits = [outcome.again for outcome in outcomes if outcome.again is not None]
    return Outcome(
        fields=fields,
        state=next((outcome.state for outcome in outcomes if outcome.state is not None), None),
        phase=next((outcome.phase for outcome in outcomes if outcome.phase is not None), None),
        aspects=tuple(aspect for outcome in outcomes for aspect in outcome.aspects),
        again=min(waits, default=None),
    )
