"""The table of what hurts against what ACK's documentation says, and each of its rows against a test."""

from pathlib import Path

import pytest
import yaml

from ackbox.catalog.high_risk import Table, instance_conditions, operations
from ackbox.resources.instance import Harm

TESTS = Path(__file__).parents[1]
DOCUMENTED = yaml.safe_load((TESTS / "fixtures" / "high_risk_operations.yaml").read_text())
RECOVERS = {True: "yes", False: "no", "partial": "partly", "unknown": "unknown"}
ROWS = [(table, row) for table, rows in DOCUMENTED.items() for row in rows]


def test_every_documented_row_is_in_the_table_and_no_other():
    assert {row.id: row.table for row in operations().values()} == {row["id"]: Table(table) for table, row in ROWS}


@pytest.mark.parametrize("documented", [row for _, row in ROWS], ids=lambda row: row["id"])
def test_a_row_says_what_is_documented(documented):
    row = operations()[documented["id"]]
    assert row.recovers == RECOVERS[documented["recoverable"]]
    assert row.figures == documented.get("figures", {})
    for part in ("operation", "effect", "recovery"):
        for word in documented[part]:
            assert word.lower() in getattr(row, part).lower(), f"{part}: {word}"


@pytest.mark.parametrize("row", operations().values(), ids=lambda row: row.id)
def test_a_row_is_shown_by_a_test_or_says_why_it_can_not_be_done(row):
    if row.surface is None:
        assert row.why
        assert row.test is None
        return
    assert row.kind
    assert row.condition or row.event
    folder, _, name = (row.test or "").rpartition(":")
    text = (TESTS / (folder or "e2e") / name).read_text()
    assert any(said in text for said in (row.id, row.condition, row.event, row.reason) if said), row.test


def test_what_is_told_of_a_machine_is_felt():
    told = {row.reason for row in operations().values() if row.cause is not None}
    assert told <= set(Harm)
    assert "DNSPortClosed" in instance_conditions()
