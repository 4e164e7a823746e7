"""Says how it goes with a Service, as events on it: everything once, until it is something else.

What was said is forgotten on a restart, after which it is said once more; nothing but events depends on it. Reasons and
texts are the CCM's own (`pkg/controller/helper`), but for UnsupportedAnnotation, AnnotationWithoutEffect and
ListenerPortMapped.
"""

import contextlib
from collections.abc import Iterator, Sequence

from ackbox.ccm.reporter import Reporter
from ackbox.kube.client import Object
from ackbox.kube.errors import Conflict
from ackbox.kube.queue import Retry
from ackbox.resources.loadbalancer import LoadBalancerType

SYNC_FAILED = "SyncLoadBalancerFailed"


class Voice:
    """Speaks of one Service."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._cause: tuple[str, str] | None = None
        self._problems: frozenset[str] = frozenset()
        self._failure: str | None = None
        self._unknown: tuple[str, ...] = ()
        self._mappings: dict[str, str] = {}
        self._empty = False
        self._hints: frozenset[str] = frozenset()
        self._remarks: dict[str, str] = {}

    def changed(self, reason: str, message: str) -> None:
        """Remember why the Service is going to be looked at."""
        self._cause = (reason, message)

    def cause(self, service: Object) -> None:
        """Say why the Service is being looked at."""
        if self._cause is not None and self._cause[1]:
            self._reporter.normal(service, *self._cause)
        self._cause = None

    @contextlib.contextmanager
    def failing(self, service: Object, reason: str, prefix: str) -> Iterator[None]:
        """Say what fails inside, and pass it on. That something changed meanwhile is no failure."""
        try:
            yield
        except (Retry, Conflict):
            raise
        except Exception as error:
            text = prefix + (str(error) or type(error).__name__)
            if self._failure != text:
                self._reporter.warning(service, reason, text)
            self._failure = text
            raise

    def synced(self, service: Object, load_balancer_id: str | None, problems: Sequence[str], ensured: bool) -> None:
        """Say what could not be had, or that all is well.

        Args:
            service: whom to speak of.
            load_balancer_id: its load balancer.
            problems: what could not be had.
            ensured: whether the Service shows its address and something of that is new.
        """
        shown = load_balancer_id or ""
        for problem in problems:
            if problem not in self._problems:
                self._reporter.warning(service, SYNC_FAILED, f"Error syncing load balancer [{shown}]: {problem}")
        recovered = bool(self._problems or self._failure)
        self._problems, self._failure = frozenset(problems), None
        if not problems and load_balancer_id and (ensured or recovered):
            self._reporter.normal(service, "EnsuredLoadBalancer", f"Ensured load balancer [{shown}]")

    def cleaned(self, service: Object) -> None:
        """Say that nothing of the Service's is left."""
        self._reporter.normal(service, "CleanLoadBalancer", "Clean load balancer")

    def unknown(self, service: Object, keys: tuple[str, ...]) -> None:
        """Say which annotations have no effect."""
        if keys and keys != self._unknown:
            text = f"ackbox has no rule for {', '.join(keys)}; they have no effect"
            self._reporter.warning(service, "UnsupportedAnnotation", text)
        self._unknown = keys

    def hints(self, service: Object, hints: Sequence[str]) -> None:
        """Say what has no effect as it is written, though nothing is wrong."""
        for hint in hints:
            if hint not in self._hints:
                self._reporter.warning(service, "AnnotationWithoutEffect", hint)
        self._hints = frozenset(hints)

    def remark(self, service: Object, reason: str, text: str | None) -> None:
        """Warn of something that isn't wrong; None when there is nothing to warn of."""
        if text is None:
            self._remarks.pop(reason, None)
        elif self._remarks.get(reason) != text:
            self._reporter.warning(service, reason, text)
            self._remarks[reason] = text

    def empty(self, service: Object, empty: bool, kind: LoadBalancerType) -> None:
        """Say that there is no backend server at all."""
        if empty and not self._empty:
            what = "NetworkLoadBalancer" if kind is LoadBalancerType.NLB else "LoadBalancer"
            self._reporter.normal(service, "UnAvailableLoadBalancer", f"There are no available nodes for {what}")
        self._empty = empty

    def mapped(self, service: Object, mappings: dict[str, str]) -> None:
        """Say which listeners are dialled on another port than theirs."""
        for listener, text in mappings.items():
            if self._mappings.get(listener) != text:
                self._reporter.normal(service, "ListenerPortMapped", text)
        self._mappings = mappings
