"""The health of virtual servers over time."""

import pytest

from ackbox.dataplane.health import Health, next_change, observe, observe_all
from ackbox.dataplane.model import HealthCheck

CHECK = HealthCheck(False, interval=2, timeout=5, healthy_threshold=3, unhealthy_threshold=2)
RISE, FALL = 6.0, 4.0


@pytest.mark.parametrize(
    ("before", "up", "now", "after"),
    [
        (None, True, 0.0, Health(True)),
        (None, False, 0.0, Health(False)),
        (Health(True), False, 10.0, Health(True, 10.0)),
        (Health(True, 10.0), False, 10.0 + FALL - 0.1, Health(True, 10.0)),
        (Health(True, 10.0), False, 10.0 + FALL, Health(False)),
        (Health(True, 10.0), True, 12.0, Health(True)),
        (Health(False), True, 10.0, Health(False, 10.0)),
        (Health(False, 10.0), True, 10.0 + RISE - 0.1, Health(False, 10.0)),
        (Health(False, 10.0), True, 10.0 + RISE, Health(True)),
        (Health(False, 10.0), False, 12.0, Health(False)),
    ],
)
def test_observe(before: Health | None, up: bool, now: float, after: Health) -> None:
    assert observe(before, up, CHECK, now) == after


@pytest.mark.parametrize("up", [True, False])
def test_without_a_check_all_are_healthy(up: bool) -> None:
    assert observe(Health(False, 1.0), up, None, 2.0) == Health(True)


def test_the_next_change_is_the_soonest() -> None:
    table = {
        ("a", "1", 1): Health(True, 10.0),
        ("b", "1", 1): Health(False, 9.0),
        ("c", "1", 1): Health(True),
    }
    assert next_change(table, CHECK) == 10.0 + FALL
    assert next_change({("c", "1", 1): Health(True)}, CHECK) is None
    assert next_change(table, None) is None


def test_servers_that_left_are_forgotten() -> None:
    before = {("a", "1", 1): Health(False), ("b", "1", 1): Health(True)}
    assert observe_all(before, {("b", "1", 1): True}, CHECK, 5.0) == {("b", "1", 1): Health(True)}
