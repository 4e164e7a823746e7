"""The processes in their Pods: who leads, what the kubelet is told, and what is inside."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e import objects
from e2e.stack import CORE, eventually, is_ready
from node.stack import NAMESPACE, ClusterStack

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
TAKEN_OVER = 12.0
"""Seconds, fewer than a Lease holds that its holder didn't give back."""


@contextmanager
def replicas(ackbox: ClusterStack, deployment: str, count: int) -> Iterator[None]:
    def scale(number: int) -> None:
        ackbox.api.kubectl("scale", f"deployment/{deployment}", f"--replicas={number}", "-n", NAMESPACE)
        ackbox.api.kubectl("rollout", "status", f"deployment/{deployment}", "-n", NAMESPACE, "--timeout=180s")

    scale(count)
    try:
        yield
    finally:
        scale(1)


def pods(ackbox: ClusterStack, deployment: str) -> list[dict[str, Any]]:
    """The Pods of a Deployment that nobody deletes."""
    found = ackbox.api.items(f"{CORE}/namespaces/{NAMESPACE}/pods")
    named = [pod for pod in found if pod["metadata"]["name"].startswith(f"{deployment}-")]
    return [pod for pod in named if "deletionTimestamp" not in pod["metadata"]]


def holder(ackbox: ClusterStack, lease: str) -> str | None:
    return (ackbox.api.get(f"{LEASES}/{lease}").get("spec") or {}).get("holderIdentity")


@pytest.mark.parametrize("name", ["ackbox-operator", "ackbox-slb"])
def test_a_replica_takes_over_at_once_from_a_leader_that_leaves(ackbox: ClusterStack, name: str):
    with replicas(ackbox, name, 2):
        names = {pod["metadata"]["name"] for pod in pods(ackbox, name)}
        assert len(names) == 2
        leader = eventually(lambda: next(iter({holder(ackbox, name)} & names), None), "one of them leads")
        ackbox.api.kubectl("delete", "pod", leader, "-n", NAMESPACE, "--wait=false")
        (other,) = names - {leader}

        def led_by_another() -> str | None:
            found = holder(ackbox, name)
            return found if found != leader else None

        # Its Deployment makes a third one meanwhile, which may be the quicker.
        successor = eventually(led_by_another, "another leader", TAKEN_OVER)
        assert successor == other or successor not in names


def test_the_cloud_goes_on_under_another_leader(ackbox: ClusterStack):
    with replicas(ackbox, "ackbox-operator", 2), ackbox.namespace() as namespace:
        leader = eventually(lambda: holder(ackbox, "ackbox-operator"), "a leader")
        ackbox.api.kubectl("delete", "pod", leader, "-n", NAMESPACE, "--grace-period=0", "--force")
        ackbox.api.apply(objects.vpc(namespace=namespace))
        eventually(lambda: is_ready(ackbox.api.object("vpcs", "net", namespace)), "the VPC Ready")
        assert eventually(lambda: holder(ackbox, "ackbox-operator"), "a leader") != leader


@pytest.mark.parametrize("name", ["ackbox-operator", "ackbox-slb"])
def test_the_kubelet_and_prometheus_need_no_certificate(ackbox: ClusterStack, name: str):
    address = pods(ackbox, name)[0]["status"]["podIP"]
    for path in ("/healthz", "/readyz"):
        with urllib.request.urlopen(f"http://{address}:8086{path}", timeout=20) as answer:
            assert answer.read() == b"ok"
    with urllib.request.urlopen(f"http://{address}:8086/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
