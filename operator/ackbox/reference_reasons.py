"""The reference page of events and conditions, made from the table that a test compares with the code."""

from ackbox.catalog.reasons import Reason, Told, reasons

_INTRODUCTION = """# Events and conditions

The reason of every event and condition that ackbox writes, and what to do about it.

- `kubectl describe` shows both; `kubectl get events -A --field-selector type=Warning` lists what needs an eye.
- A Warning comes when something is new: it isn't repeated while nothing changes. What still holds stands in the conditions.
- The codes of [quotas](../quotas.md) and of the [account](../clusters.md#the-account), and what is told of
  [high-risk operations](../high-risk-operations.md), have tables of their own.
- A Node has the conditions of a kubelet, and the reasons of its Instance.
- `ackbox logs` and `ackbox status` are of a laptop; [where logs are in a cluster](../troubleshooting.md#what-says-why).
"""

_TITLES = {
    Told.WARNING: "Warnings",
    Told.NORMAL: "Normal events",
    Told.CONDITION: "Conditions without an event",
}


def reasons_page() -> str:
    """The page as Markdown."""
    sections = [_INTRODUCTION]
    for told, title in _TITLES.items():
        rows = sorted((row for row in reasons().values() if row.told is told), key=lambda row: row.name.lower())
        lines = ["| reason | of | means | what to do |", "| --- | --- | --- | --- |"]
        lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
        sections.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(sections)


def _cells(row: Reason) -> tuple[str, ...]:
    return f"`{row.name}`", ", ".join(row.kinds), row.means, row.do
