"""Time zones of clusters. Expected values: `tests/fixtures/time_zones.yaml`."""

import zoneinfo
from pathlib import Path

import yaml

from ackbox.catalog.timezones import time_zones

PRINTED = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "time_zones.yaml").read_text())


def test_every_printed_name_can_be_had_or_leads_to_the_right_one():
    assert len(PRINTED["names"]) == 426
    known = time_zones()
    for name in PRINTED["names"]:
        if name in PRINTED["misprinted"]:
            assert name not in known.names
            assert known.misspelled[name] == PRINTED["misprinted"][name]
        else:
            assert name in known.names
    assert set(known.misspelled.values()) <= set(known.names)


def test_zones_that_came_later_can_be_had_too_and_all_exist():
    assert {"Europe/Kyiv", "Pacific/Kanton"} <= set(time_zones().names)
    assert len(set(time_zones().names)) == len(time_zones().names) == 426 + 4
    missing = set(time_zones().names) - zoneinfo.available_timezones()
    assert not missing or not zoneinfo.available_timezones()
