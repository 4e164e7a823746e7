"""Pods that are ready only after their load balancer has taken them in."""

import pytest

from ackbox.ccm.services.names import Owner
from ackbox.ccm.services.readiness import ReadinessGates, gated_pod, opening, waiting_pods
from ackbox.kube.errors import NotFound

OWNER = Owner("c1", "shop", "web")
GATE = "service.readiness.alibabacloud.com/web"


def endpoint(uid, **conditions):
    target = {"kind": "Pod", "namespace": "shop", "name": f"pod-{uid}", "uid": uid}
    return {"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": target}


def endpoint_slice(*endpoints):
    return {"metadata": {"namespace": "shop"}, "addressType": "IPv4", "endpoints": list(endpoints)}


def pod(uid="a", gates=(GATE,), true=("ContainersReady",), false=(), **metadata):
    conditions = [{"type": name, "status": "True"} for name in true] + [{"type": n, "status": "False"} for n in false]
    return {
        "metadata": {"name": f"pod-{uid}", "namespace": "shop", "uid": uid, "resourceVersion": "7", **metadata},
        "spec": {"readinessGates": [{"conditionType": gate} for gate in gates]},
        "status": {"conditions": conditions, "podIPs": [{"ip": "10.0.0.1"}]},
    }


def test_only_pods_that_are_not_ready_and_stay_are_looked_at():
    found = waiting_pods(
        [
            endpoint_slice(
                endpoint("a", ready=False),
                endpoint("b", ready=True),
                endpoint("c"),
                endpoint("d", ready=False, terminating=True),
                {"addresses": ["10.0.0.9"], "conditions": {"ready": False}},
            )
        ]
    )
    assert found == {"a": ("shop", "pod-a")}


@pytest.mark.parametrize(
    ("body", "takeable"),
    [
        (pod(), True),
        (pod(false=[GATE]), True),
        (pod(true=()), False),
        (pod(gates=[GATE, "other"]), False),
        (pod(gates=[GATE, "other"], true=["ContainersReady", "other"]), True),
        (pod(deletionTimestamp="x"), False),
    ],
)
def test_a_pod_is_taken_in_when_it_waits_for_nothing_else(body, takeable):
    found = gated_pod(body, GATE)
    assert (found.takeable, found.opened, found.addresses) == (takeable, False, {"10.0.0.1"})


def test_a_pod_with_the_gate_of_another_service_is_not_ours():
    assert gated_pod(pod(gates=["service.readiness.alibabacloud.com/other"]), GATE) is None
    assert gated_pod(pod(gates=()), GATE) is None
    assert gated_pod(pod(true=["ContainersReady", GATE]), GATE).opened


@pytest.mark.parametrize(
    ("body", "operation", "path"),
    [
        (pod(), "add", "/status/conditions/-"),
        (pod(true=()), "add", "/status/conditions"),
        (pod(false=[GATE]), "replace", "/status/conditions/1"),
    ],
)
def test_a_gate_is_opened_only_on_the_pod_as_it_was_read(body, operation, path):
    test, change = opening(body, GATE, "now")
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert (change["op"], change["path"]) == (operation, path)
    value = change["value"] if path != "/status/conditions" else change["value"][0]
    assert value == {"type": GATE, "status": "True", "reason": "ServerRegistered", "lastTransitionTime": "now"}


class FakeClient:
    def __init__(self, *pods):
        self.pods = {body["metadata"]["name"]: body for body in pods}
        self.read = []
        self.patched = []

    async def get(self, _kind, name, _namespace):
        self.read.append(name)
        if name not in self.pods:
            raise NotFound(404, "NotFound", name)
        return self.pods[name]

    async def json_patch(self, _kind, name, _namespace, _operations, subresource):
        assert subresource == "status"
        self.patched.append(name)


async def test_a_pod_without_the_gate_is_read_once():
    client = FakeClient(pod("a", gates=()), pod("b"))
    gates, slices = ReadinessGates(client), [endpoint_slice(*(endpoint(uid, ready=False) for uid in "abc"))]
    for _ in range(2):
        assert [found.body["metadata"]["name"] for found in await gates.look(OWNER, slices)] == ["pod-b"]
    assert sorted(client.read) == ["pod-a", "pod-b", "pod-b", "pod-c"]
    gates.forget(OWNER)
    await gates.look(OWNER, slices)
    assert client.read.count("pod-a") == 2


async def test_pods_are_told_once():
    client = FakeClient()
    found = [gated_pod(body, GATE) for body in (pod("a"), pod("b", true=["ContainersReady", GATE]), pod("c", true=()))]
    await ReadinessGates(client).open(OWNER, found)
    assert client.patched == ["pod-a"]
