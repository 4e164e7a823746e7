"""Notices that somebody changes what a Service made in the cloud, and says on the Service what that does.

What an annotation sets is put back by the next look at the Service; everything else stays as it was changed. Nobody knows
whose hand it was when no ccm was looking, so what is changed then isn't told.
"""

import contextlib
from collections.abc import Iterator

from ackbox.catalog.high_risk import operations
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.services.names import CLUSTER_TAG, MARK_TAG, parse_name
from ackbox.ccm.store import Store
from ackbox.kube.client import SERVICE, Object
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER

CHANGED, TAGS_CHANGED = "load-balancer-changed", "load-balancer-tags-changed"


class ByHand:
    """Watches the load balancers, listeners and server groups of one cluster's Services."""

    def __init__(self, facts: ClusterFacts, management: Store, workload: Store, reporter: Reporter) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._reporter = reporter

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Watch while the context lasts."""
        with contextlib.ExitStack() as stack:
            for kind in (SERVICE_LOAD_BALANCER, LISTENER, SERVER_GROUP):
                stack.enter_context(self._management.subscribed(kind, self._look))
            yield

    def _look(self, old: Object | None, new: Object | None, own: bool) -> None:
        if own or old is None or new is None or old["metadata"]["namespace"] != self._facts.namespace:
            return
        if old.get("spec") == new.get("spec") or self._management.sending(new):
            return
        for service in self._owners(old):
            for row, text in changed(old, new):
                self._reporter.warning(service, operations()[row].event or "", operations()[row].told(text))

    def _owners(self, obj: Object) -> list[Object]:
        """The Services that made it."""
        spec = obj.get("spec") or {}
        mark = _tags(spec).get(MARK_TAG)
        if mark is not None:
            return self._workload[SERVICE].by("load balancer", mark)
        name = parse_name(spec.get("description") or spec.get("vServerGroupName"))
        if name is None or name.owner.cluster_id != self._facts.cluster_id:
            return []
        service = self._workload[SERVICE].get(name.owner.namespace, name.owner.name)
        return [service] if service is not None else []


def changed(old: Object, new: Object) -> list[tuple[str, str]]:
    """What was changed of an object, by the rows of the catalogue that speak of it."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    called = f"{new['kind']} {new['metadata']['name']}: spec"
    found = []
    lost = [
        f"{key}={value}"
        for key, value in _tags(before).items()
        if key in (MARK_TAG, CLUSTER_TAG) and _tags(after).get(key) != value
    ]
    if lost:
        found.append((TAGS_CHANGED, f"{called}.tags: {', '.join(lost)} is missing"))
    fields = sorted({*before, *after} - {"tags"})
    other = [_difference(name, before, after) for name in fields if before.get(name) != after.get(name)]
    return [*found, (CHANGED, f"{called}.{'; '.join(other)}")] if other else found


def _difference(name: str, before: Object, after: Object) -> str:
    one, other = before.get(name), after.get(name)
    if isinstance(one, list | dict) or isinstance(other, list | dict):
        return f"{name} was changed"
    return f"{name} was {'unset' if one is None else one} and is {'unset' if other is None else other}"


def _tags(spec: Object) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in spec.get("tags") or []}
