"""What the CCM measures, under the names, labels and buckets of upstream's metrics. All clusters count together."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, disable_created_metrics

from ackbox.kube.queue import Retry
from ackbox.resources.loadbalancer import LoadBalancerType

REGISTRY = CollectorRegistry()
BUCKETS = (*range(100, 1001, 100), 1500, *range(2000, 10001, 1000))
"""Milliseconds."""


class Verb(StrEnum):
    """What was done to a load balancer."""

    CREATION = "Creation"
    DELETION = "Deletion"
    UPDATE = "Update"


TYPES = {LoadBalancerType.CLB: "CLBType", LoadBalancerType.NLB: "NLBType", LoadBalancerType.ALB: "ALBType"}

disable_created_metrics()  # type: ignore[no-untyped-call]
ProcessCollector(registry=REGISTRY)


def _latencies(of: str, labels: tuple[str, ...]) -> Histogram:
    name, text = f"ccm_{of}_latencies_duration_milliseconds", f"How long the work on a {of} takes, in milliseconds."
    return Histogram(name, text, labels, buckets=BUCKETS, registry=REGISTRY)


NODE_LATENCIES = _latencies("node", ("verb",))
ROUTE_LATENCIES = _latencies("route", ("verb",))
LOAD_BALANCER_LATENCIES = _latencies("slb", ("type", "verb"))
# Counts upward only. A counter of this library would have `_total` at the end of its name, which upstream's has not.
LOAD_BALANCER_RESULTS = Gauge(
    "ccm_slb_operation_result",
    "How often the work on a load balancer went well or failed.",
    ("type", "verb", "status"),
    registry=REGISTRY,
)


@contextmanager
def timed(histogram: Histogram, *labels: str) -> Iterator[None]:
    """Measure what is done inside, whether it goes well or not."""
    start = time.monotonic()
    try:
        yield
    finally:
        histogram.labels(*labels).observe((time.monotonic() - start) * 1000)


@dataclass
class Outcome:
    """How the work on a load balancer went, where that isn't told by an exception."""

    failed: bool = False


@contextmanager
def load_balancer(kind: LoadBalancerType, verb: Verb) -> Iterator[Outcome]:
    """Measure the work on the load balancer of one Service or Ingress.

    An exception is a failure, but for `Retry`, which says that the work isn't over.
    """
    outcome = Outcome()
    with timed(LOAD_BALANCER_LATENCIES, TYPES[kind], verb):
        try:
            yield outcome
        except Retry:
            raise
        except Exception:
            LOAD_BALANCER_RESULTS.labels(TYPES[kind], verb, "Fail").inc()
            raise
        LOAD_BALANCER_RESULTS.labels(TYPES[kind], verb, "Fail" if outcome.failed else "Success").inc()
