"""The life of a machine, by the clock it is given. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ackbox.kube.conditions import State, progressing, ready, timestamp
from ackbox.resources import Instance
from ackbox.resources.instance import InstancePhase, PowerState


@dataclass(frozen=True)
class Step:
    """What the status should say now, and after how many seconds there is more to do."""

    phase: InstancePhase
    start_time: str | None
    state: State
    again_after: float | None = None


def step(instance: Instance, now: datetime) -> Step:
    """The next step of a machine: one transition at a time, so that every state is seen."""
    phase, wanted = instance.status.phase, instance.spec.status
    started = instance.status.start_time
    if phase in (None, InstancePhase.PENDING):
        return _booting(instance, InstancePhase.PENDING, instance.metadata.creation_timestamp, now)
    if phase == InstancePhase.STARTING:
        return _booting(instance, InstancePhase.STARTING, started, now)
    if phase == InstancePhase.STOPPING:
        return _stopped(started)
    if phase == InstancePhase.RUNNING and wanted is PowerState.STOPPED:
        return Step(InstancePhase.STOPPING, started, progressing("Stopping"), again_after=0)
    if phase == InstancePhase.STOPPED and wanted is PowerState.RUNNING:
        return Step(InstancePhase.STARTING, timestamp(now), progressing("Starting"), again_after=0)
    return _stopped(started) if phase == InstancePhase.STOPPED else _running(started)


def _booting(instance: Instance, phase: InstancePhase, since: str | None, now: datetime) -> Step:
    since = since or timestamp(now)
    left = (_time(since) + timedelta(seconds=instance.spec.boot_delay_seconds) - now).total_seconds()
    # Times are kept in whole seconds, so a machine without a delay may seem to start a moment in the future.
    if instance.spec.boot_delay_seconds == 0 or left <= 0:
        return _running(since)
    return Step(phase, since, progressing(phase.value, f"boots for {instance.spec.boot_delay_seconds} s"), left)


def _running(since: str | None) -> Step:
    return Step(InstancePhase.RUNNING, since, ready("Running"))


def _stopped(since: str | None) -> Step:
    return Step(InstancePhase.STOPPED, since, ready("Stopped"))


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
