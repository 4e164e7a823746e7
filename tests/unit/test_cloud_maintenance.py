"""Maintenance windows: when they open, and which settings can't be understood."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ackbox.cloud.clusters.maintenance import schedule
from ackbox.resources.cluster_settings import MaintenanceWindow

THURSDAY = "2026-11-19T03:00:00+08:00"


def settings(**fields):
    return MaintenanceWindow.model_validate({"enable": True, "maintenanceTime": THURSDAY, **fields})


def at(text):
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("fields", "now", "begin", "is_open"),
    [
        ({}, "2026-11-19T03:00:00+08:00", "2026-11-19T03:00:00+08:00", True),
        ({}, "2026-11-19T05:59:59+08:00", "2026-11-19T03:00:00+08:00", True),
        ({}, "2026-11-19T06:00:00+08:00", "2026-11-26T03:00:00+08:00", False),
        ({}, "2026-11-18T19:30:00+00:00", "2026-11-19T03:00:00+08:00", True),
        ({}, "2026-01-01T00:00:00+08:00", "2026-11-19T03:00:00+08:00", False),
        ({"weeklyPeriod": "Monday,Thursday"}, "2026-11-20T00:00:00+08:00", "2026-11-23T03:00:00+08:00", False),
        ({"recurrence": "FREQ=WEEKLY;BYDAY=SA,SU"}, "2026-11-20T00:00:00+08:00", "2026-11-21T03:00:00+08:00", False),
        (
            {"recurrence": "FREQ=WEEKLY;INTERVAL=2;BYDAY=TH"},
            "2026-11-20T00:00:00+08:00",
            "2026-12-03T03:00:00+08:00",
            False,
        ),
        ({"maintenanceTime": "23:00:00Z", "duration": "3h"}, "2026-11-20T01:30:00Z", "2026-11-19T23:00:00Z", True),
        ({"maintenanceTime": "00:00:00Z", "duration": "24h"}, "2026-11-19T23:59:59Z", "2026-11-19T00:00:00Z", True),
    ],
)
def test_a_window_opens_on_its_days_at_its_time(fields, now, begin, is_open):
    window = schedule(settings(**fields)).window(at(now))
    assert window.begin == at(begin)
    assert window.holds(at(now)) is is_open


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"maintenanceTime": None}, ["maintenanceTime is required"]),
        ({"maintenanceTime": "at night"}, ["maintenanceTime: at night"]),
        ({"maintenanceTime": "2026-13-01T00:00:00Z"}, ["maintenanceTime: 2026-13-01T00:00:00Z"]),
        ({"weeklyPeriod": "Thursday,Funday"}, ["weeklyPeriod: Funday", "Monday"]),
        ({"recurrence": "FREQ=DAILY"}, ["FREQ=DAILY", "FREQ=WEEKLY"]),
        ({"recurrence": "FREQ=WEEKLY;BYDAY=TH;COUNT=3"}, ["COUNT=3", "FREQ=WEEKLY"]),
        ({"recurrence": "FREQ=WEEKLY"}, ["BYDAY takes MO"]),
        ({"recurrence": "FREQ=WEEKLY;BYDAY=1TH"}, ["BYDAY takes MO"]),
        ({"recurrence": "FREQ=WEEKLY;INTERVAL=0;BYDAY=TH"}, ["INTERVAL takes 1"]),
        ({"recurrence": "FREQ=WEEKLY;INTERVAL=53;BYDAY=TH"}, ["INTERVAL takes 1 to 52"]),
    ],
)
def test_settings_that_can_not_be_understood_are_named(fields, words):
    with pytest.raises(ValueError, match=r"spec\.maintenanceWindow\.") as error:
        schedule(settings(**fields))
    assert all(word in str(error.value) for word in words)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.integers(1, 24),
    st.integers(1, 52),
    st.sets(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1),
)
def test_the_window_told_is_open_or_the_next_one(now, hours, interval, days):
    recurrence = f"FREQ=WEEKLY;INTERVAL={interval};BYDAY={','.join(days)}"
    times = schedule(settings(duration=f"{hours}h", recurrence=recurrence))
    window = times.window(now)
    assert window.end > now
    assert window.end - window.begin == timedelta(hours=hours)
    if not window.holds(now):
        assert times.window(window.begin) == window
        assert times.window(window.begin - timedelta(seconds=1)).begin in {
            window.begin,
            window.begin - timedelta(days=1),
        }
