"""The life of a machine by an injected clock."""

from datetime import UTC, datetime, timedelta

import pytest

from ackbox.cloud.instances.plan import step
from ackbox.kube.conditions import timestamp
from ackbox.resources import Instance

BORN = datetime(2026, 1, 1, tzinfo=UTC)


def instance(phase=None, wanted="Running", delay=0, start_time=None):
    network = {"vpcId": "v", "vSwitchId": "s", "privateIpAddress": "192.168.0.1"}
    return Instance.model_validate(
        {
            "metadata": {"name": "i-a", "creationTimestamp": timestamp(BORN)},
            "spec": {
                "status": wanted,
                "regionId": "cn-hangzhou",
                "zoneId": "cn-hangzhou-h",
                "instanceType": "ecs.g6.xlarge",
                "cpu": 4,
                "memory": 16,
                "vpcAttributes": network,
                "bootDelaySeconds": delay,
            },
            "status": {"phase": phase, "startTime": start_time},
        }
    )


@pytest.mark.parametrize(
    ("machine", "after", "phase", "again"),
    [
        (instance(), 0, "Running", None),
        (instance(delay=30), 0, "Pending", 30),
        (instance("Pending", delay=30), 29, "Pending", 1),
        (instance("Pending", delay=30), 30, "Running", None),
        (instance("Running"), 5, "Running", None),
        (instance("Running", "Stopped"), 5, "Stopping", 0),
        (instance("Stopping", "Stopped"), 5, "Stopped", None),
        (instance("Stopping", "Running"), 5, "Stopped", None),
        (instance("Stopped", "Stopped"), 5, "Stopped", None),
        (instance("Stopped", "Running"), 5, "Starting", 0),
        (instance("Starting", start_time=timestamp(BORN)), 0, "Running", None),
        (instance("Starting", delay=30, start_time=timestamp(BORN)), 10, "Starting", 20),
        (instance("Starting", delay=30, start_time=timestamp(BORN)), 31, "Running", None),
    ],
)
def test_one_step(machine, after, phase, again):
    result = step(machine, BORN + timedelta(seconds=after))
    assert (result.phase, result.again_after) == (phase, again)
    assert result.state.ready == ("True" if phase in ("Running", "Stopped") else "False")


def test_a_clock_behind_the_api_server_does_not_hold_up_a_machine_without_delay():
    assert step(instance(), BORN - timedelta(seconds=5)).phase == "Running"


def test_a_restart_boots_anew():
    machine, now = instance("Stopped", "Running", delay=10, start_time=timestamp(BORN)), BORN + timedelta(hours=1)
    starting = step(machine, now)
    assert starting.start_time == timestamp(now)
    again = instance("Starting", delay=10, start_time=starting.start_time)
    assert step(again, now + timedelta(seconds=9)).phase == "Starting"
    assert step(again, now + timedelta(seconds=10)).phase == "Running"


def test_an_hour_of_life_visits_every_state():
    seen, now, status = [], BORN, {"phase": None, "startTime": None}
    for wanted in ("Running", "Stopped", "Running"):
        again: float | None = 0
        while again is not None:
            now += timedelta(seconds=again)
            result = step(instance(status["phase"], wanted, delay=5, start_time=status["startTime"]), now)
            status = {"phase": result.phase, "startTime": result.start_time}
            seen.append(result.phase.value)
            again = result.again_after
    assert list(dict.fromkeys(seen)) == ["Pending", "Running", "Stopping", "Stopped", "Starting"]
    assert seen[-1] == "Running"
