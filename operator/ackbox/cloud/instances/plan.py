"""The life of a machine, by the clock it is given. Pure."""

from dataclasses import dataclass, replace
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
    if expired(instance, now):
        wanted = PowerState.STOPPED
    if phase in (None, InstancePhase.PENDING):
        return _booting(instance, InstancePhase.PENDING, instance.metadata.creation_timestamp, now)
    if phase == InstancePhase.STARTING:
        return _booting(instance, InstancePhase.STARTING, started, now)
    if phase == InstancePhase.STOPPING:
        return _stopped(started)
    if phase == InstancePhase.RUNNING and (wanted is PowerState.STOPPED or to_restart(instance)):
        return Step(InstancePhase.STOPPING, started, progressing("Stopping"), again_after=0)
    if phase == InstancePhase.STOPPED and wanted is PowerState.RUNNING:
        return Step(InstancePhase.STARTING, timestamp(now), progressing("Starting"), again_after=0)
    settled = _stopped(started) if phase == InstancePhase.STOPPED else _running(started)
    return replace(settled, again_after=_until_expiry(instance, now))


def expired(instance: Instance, now: datetime) -> bool:
    """Whether a machine's subscription has ended; the cloud then stops it."""
    end = expiry(instance)
    return end is not None and end <= now


def expiry(instance: Instance) -> datetime | None:
    """When a machine's subscription ends; a time without a zone is UTC's."""
    text = instance.spec.expired_time
    if not text:
        return None
    end = datetime.fromisoformat(text)
    return end if end.tzinfo is not None else end.replace(tzinfo=UTC)


def _until_expiry(instance: Instance, now: datetime) -> float | None:
    end = expiry(instance)
    return (end - now).total_seconds() if end is not None and end > now else None


def to_restart(instance: Instance) -> bool:
    """Whether a restart was asked for that is not done yet."""
    restart = instance.spec.reboot_revision > (instance.status.reboot_revision or 0)
    return restart or instance.spec.system_disk_revision > (instance.status.system_disk_revision or 0)


def boots(instance: Instance, phase: InstancePhase) -> bool:
    """Whether a machine that goes over to a phase has booted just now."""
    return phase is InstancePhase.RUNNING and instance.status.phase != InstancePhase.RUNNING


def revisions(instance: Instance, phase: InstancePhase) -> dict[str, int | None]:
    """The last restart and replacement of the system disk that are done in a phase: who boots has done all."""
    source = instance.spec if boots(instance, phase) else instance.status
    return {
        "rebootRevision": source.reboot_revision or None,
        "systemDiskRevision": source.system_disk_revision or None,
    }


def disk_replaced(instance: Instance, phase: InstancePhase) -> bool:
    """Whether a machine boots from another system disk than before."""
    before = instance.status.system_disk_revision or 0
    return boots(instance, phase) and instance.status.phase is not None and instance.spec.system_disk_revision > before


def _booting(instance: Instance, phase: InstancePhase, since: str | None, now: datetime) -> Step:
    since = since or timestamp(now)
    left = (moment(since) + timedelta(seconds=instance.spec.boot_delay_seconds) - now).total_seconds()
    # Times are kept in whole seconds, so a machine without a delay may seem to start a moment in the future.
    if instance.spec.boot_delay_seconds == 0 or left <= 0:
        return _running(since)
    return Step(phase, since, progressing(phase.value, f"boots for {instance.spec.boot_delay_seconds} s"), left)


def _running(since: str | None) -> Step:
    return Step(InstancePhase.RUNNING, since, ready("Running"))


def _stopped(since: str | None) -> Step:
    return Step(InstancePhase.STOPPED, since, ready("Stopped"))


def moment(text: str) -> datetime:
    """A time as the API server writes it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
