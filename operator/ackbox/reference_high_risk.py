"""The reference page of what hurts, made from the table that the code itself reads."""

from ackbox.catalog.high_risk import Operation, Table, operations

_INTRODUCTION = """# High-risk operations

What ACK's documentation warns of, done to ackbox by hand: what comes of it, where it is seen, and how it is put right.
Rows of the tables for clusters, node pools, and network and load balancing; those for storage and logs come later.

- *Do it* says where. An Instance's `spec.operatingSystem` says what was done on the machine by hand: `sysctls`,
  `packages`, `changedFiles`. Nothing is wrong with it unless somebody writes it there.
- *Seen* is a condition and a Warning with the same reason. A Node tells its machine's conditions too. `NodeUnavailable`
  and `ComponentsGone` stop its heartbeats, so that it becomes NotReady; `NetworkDown` makes it `NetworkUnavailable`, and
  listeners no longer send there.
- A condition goes when its cause is undone, unless nothing brings back what is lost.
"""
_TITLES = {Table.CLUSTER: "Clusters", Table.NODE_POOL: "Node pools", Table.NETWORK: "Network and load balancing"}


def high_risk_page() -> str:
    """The page as Markdown."""
    sections = [_INTRODUCTION]
    for table, title in _TITLES.items():
        rows = [row for row in operations().values() if row.table is table]
        lines = ["| target | operation | effect | do it | seen | recovery | test |", "| --- " * 7 + "|"]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
        sections += [f"## {title}\n", "\n".join(lines) + "\n"]
    return "\n".join(sections)


def _cells(row: Operation) -> list[str]:
    surface = row.surface or f"can't be done: {row.why}"
    return [
        row.target,
        row.operation,
        row.effect,
        surface,
        _seen(row),
        row.recovery,
        f"`{row.test}`" if row.test else "",
    ]


def _seen(row: Operation) -> str:
    if row.kind is None:
        return ""
    if row.condition is None:
        return f"{row.kind}: event `{row.event}`"
    return f"{row.kind}: `{row.condition}`, `{row.reason}`"
