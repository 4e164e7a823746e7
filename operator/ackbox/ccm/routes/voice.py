"""The events of the route controller: each is said when it begins to hold, and not again while it does."""

from collections.abc import Sequence

from ackbox.ccm.reporter import Reporter
from ackbox.kube.client import Object

CREATED, CREATE_FAILED, SYNC_FAILED = "CreatedRoute", "CreateRouteFailed", "SyncRouteFailed"

CONTROLLER: Object = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "route-controller", "namespace": "default", "uid": "route-controller"},
}
"""Stands for the controller itself where no Node is meant; there is no such object."""


class Voice:
    """Says what happens to the routes of one cluster."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._refused: dict[str, tuple[str, str]] = {}
        self._problem: str | None = None

    def created(self, node: Object, table: str, cidr: str) -> None:
        """A Node that was there got a route. For one that is yet to come it goes without saying."""
        text = f"Created route for {table} with {node['metadata']['name']} -> {cidr} successfully"
        self._reporter.normal(node, CREATED, text)

    def refused(self, node: Object, why: tuple[str, str] | None) -> None:
        """A Node has no route: table and reason."""
        uid = node["metadata"]["uid"]
        if why is None:
            self._refused.pop(uid, None)
        elif self._refused.get(uid) != why:
            self._refused[uid] = why
            self._reporter.warning(node, CREATE_FAILED, f"Error creating route entry in {why[0]}: {why[1]}")

    def problem(self, text: str | None) -> None:
        """No table, or not every table, can be told."""
        if text is not None and text != self._problem:
            self._reporter.warning(CONTROLLER, SYNC_FAILED, f"Reconciling route error: {text}")
        self._problem = text

    def failed(self, tables: Sequence[str]) -> None:
        """Tables could not be written."""
        if tables:
            text = f"Error reconciling route, reconcile table [{','.join(tables)}] failed"
            self._reporter.warning(CONTROLLER, SYNC_FAILED, text)
