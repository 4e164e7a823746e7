"""Conditions by kstatus' rules, and status patches that are sent only when something differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ackbox.kube.client import Client, Object
from ackbox.resources import Kind


@dataclass(frozen=True)
class State:
    """Where an object stands: `Ready` is True, False or Unknown; `reconciling` and `stalled` are shown when true."""

    ready: str
    reason: str
    message: str = ""
    reconciling: bool = False
    stalled: bool = False


@dataclass(frozen=True)
class Aspect:
    """A condition beside kstatus' own, such as `VersionExpired`.

    Attributes:
        status: `True`, `False` or `Unknown`; None takes the condition away.
        warn: tell of it with a Warning whenever its reason or message is new.
    """

    type: str
    status: str | None
    reason: str = ""
    message: str = ""
    warn: bool = False


def ready(reason: str = "Ready", message: str = "") -> State:
    """The object is as its spec says."""
    return State("True", reason, message)


def progressing(reason: str, message: str = "") -> State:
    """Work is under way, or waits for something that may still come."""
    return State("False", reason, message, reconciling=True)


def stalled(reason: str, message: str) -> State:
    """Nothing more will happen until somebody changes something."""
    return State("False", reason, message, stalled=True)


def timestamp(now: datetime | None = None) -> str:
    """A time as the API server writes it, in whole seconds of UTC."""
    return (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(
    obj: Object, state: State, now: datetime | None = None, aspects: Sequence[Aspect] = ()
) -> list[dict[str, Any]]:
    """The conditions of an object in a state; a transition time changes only with the status."""
    wanted = [Aspect("Ready", state.ready, state.reason, state.message)]
    if state.reconciling:
        wanted.append(Aspect("Reconciling", "True", state.reason, state.message))
    if state.stalled:
        wanted.append(Aspect("Stalled", "True", state.reason, state.message))
    before = {condition["type"]: condition for condition in (obj.get("status") or {}).get("conditions") or []}
    spoken_of = {"Ready", "Reconciling", "Stalled", *(aspect.type for aspect in aspects)}
    kept = [condition for kind, condition in before.items() if kind not in spoken_of]
    return kept + [
        {
            "type": each.type,
            "status": each.status,
            "reason": each.reason,
            "message": each.message,
            "lastTransitionTime": (
                before[each.type]["lastTransitionTime"]
                if each.type in before and before[each.type]["status"] == each.status
                else timestamp(now)
            ),
            "observedGeneration": obj["metadata"].get("generation", 0),
        }
        for each in (*aspects, *wanted)
        if each.status is not None
    ]


def merge_difference(old: Any, new: dict[str, Any]) -> dict[str, Any]:
    """The smallest merge patch that gives `old` the fields of `new`; a None in `new` removes a field."""
    old = old if isinstance(old, dict) else {}
    difference: dict[str, Any] = {}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            nested = merge_difference(old[key], value)
            if nested:
                difference[key] = nested
        elif value is None:
            if key in old:
                difference[key] = None
        elif old.get(key) != value:
            difference[key] = value
    return difference


async def patch_status(
    client: Client,
    kind: Kind,
    obj: Object,
    fields: dict[str, Any],
    state: State | None = None,
    aspects: Sequence[Aspect] = (),
) -> bool:
    """Bring `status` to `fields` and, with a state, its conditions; True when something had to be written."""
    wanted = dict(fields)
    if state is not None:
        wanted["observedGeneration"] = obj["metadata"].get("generation", 0)
        wanted["conditions"] = conditions(obj, state, aspects=aspects)
    difference = merge_difference(obj.get("status"), wanted)
    if not difference:
        return False
    metadata = obj["metadata"]
    await client.patch(kind, metadata["name"], metadata.get("namespace"), {"status": difference}, "status")
    return True
