"""Maintenance windows: when ACK may work on a cluster by itself. Pure.

Rule source: ACK's MaintenanceWindow: a time of day, a duration, and either days of the week or a recurrence of which
only `FREQ=WEEKLY` with INTERVAL and BYDAY is supported.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ackbox.resources.cluster_settings import MaintenanceWindow

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LONGEST_INTERVAL = 52
"""Weeks between two windows at most."""

FIRST_WEEK = date(1970, 1, 5)
"""A Monday: where weeks are counted from when the first window has no date."""


@dataclass(frozen=True)
class Window:
    """A time in which work may be done; the end is no longer in it."""

    begin: datetime
    end: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it is open."""
        return self.begin <= now < self.end


@dataclass(frozen=True)
class Schedule:
    """When windows are.

    Attributes:
        first: day of the first one; weeks are counted from its Monday.
        begin: time of day, in `zone`.
        days: days of the week, Monday being 0.
        interval: weeks from one week with windows to the next.
    """

    first: date
    begin: time
    zone: tzinfo
    duration: timedelta
    days: frozenset[int]
    interval: int

    def window(self, now: datetime) -> Window:
        """The window that is open, or the next one."""
        # The day before, because a window may reach over midnight.
        day = max((now.astimezone(self.zone) - self.duration).date(), self.first)
        return next(window for window in self._from(day) if window.end > now)

    def _from(self, day: date) -> Iterator[Window]:
        monday = self.first - timedelta(days=self.first.weekday())
        while True:
            if day.weekday() in self.days and (day - monday).days // 7 % self.interval == 0:
                begin = datetime.combine(day, self.begin, self.zone)
                yield Window(begin, begin + self.duration)
            day += timedelta(days=1)


def schedule(settings: MaintenanceWindow) -> Schedule:
    """What the settings of a cluster say.

    Raises:
        ValueError: they can't be understood; the message names the field.
    """
    first, begin, zone = _start(settings.maintenance_time)
    interval, days = _recurrence(settings.recurrence) if settings.recurrence else (1, _weekdays(settings.weekly_period))
    hours = int(settings.duration.removesuffix("h"))
    return Schedule(first, begin, zone, timedelta(hours=hours), days, interval)


def _start(text: str | None) -> tuple[date, time, tzinfo]:
    if text is None:
        raise ValueError("spec.maintenanceWindow.maintenanceTime is required, such as 2026-11-19T03:00:00+08:00")
    try:
        if "T" in text:
            moment = datetime.fromisoformat(text)
            return moment.date(), moment.time(), moment.tzinfo or UTC
        of_day = time.fromisoformat(text)
        return FIRST_WEEK, of_day.replace(tzinfo=None), of_day.tzinfo or UTC
    except ValueError:
        raise ValueError(
            f"spec.maintenanceWindow.maintenanceTime: {text} is not a time, such as 2026-11-19T03:00:00+08:00"
        ) from None


def _weekdays(text: str) -> frozenset[int]:
    names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    asked = [name.strip() for name in text.split(",")]
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise ValueError(f"spec.maintenanceWindow.weeklyPeriod: {', '.join(unknown)}; allowed: {', '.join(names)}")
    return frozenset(map(names.index, asked))


def _recurrence(text: str) -> tuple[int, frozenset[int]]:
    field = f"spec.maintenanceWindow.recurrence: {text}"
    parts = dict(part.partition("=")[::2] for part in text.split(";") if part)
    if parts.pop("FREQ", None) != "WEEKLY" or not parts.keys() <= {"INTERVAL", "BYDAY"}:
        raise ValueError(f"{field}; allowed: FREQ=WEEKLY with INTERVAL and BYDAY, such as FREQ=WEEKLY;BYDAY=MO,TU")
    days = parts.get("BYDAY", "").split(",")
    if not set(days) <= set(DAYS):
        raise ValueError(f"{field}: BYDAY takes {', '.join(DAYS)}")
    interval = parts.get("INTERVAL", "1")
    if not interval.isascii() or not interval.isdigit() or not 1 <= int(interval) <= LONGEST_INTERVAL:
        raise ValueError(f"{field}: INTERVAL takes 1 to {LONGEST_INTERVAL}")
    return int(interval), frozenset(map(DAYS.index, days))
