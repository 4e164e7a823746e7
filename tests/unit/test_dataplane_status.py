"""What Listeners and ServerGroups say."""

import pytest

from ackbox.dataplane.model import Blocked, Frontend, Serving, Stickiness, Upstream
from ackbox.dataplane.status import Delivery, group_id, group_report, listener_report
from ackbox.kube.conditions import progressing, stalled
from ackbox.resources import ServerGroup
from ackbox.resources.listener import Protocol, Scheduler

A, B, C = ("i-a", "10.0.0.1", 80), ("i-b", "10.0.0.2", 80), ("i-c", "10.0.0.3", 80)
SERVING = Serving(
    Frontend(("127.42.16.1", 8080), Protocol.TCP, Stickiness.NONE),
    Upstream(Scheduler.RR, Stickiness.NONE, Protocol.TCP),
    (),
)


@pytest.mark.parametrize(
    ("delivery", "phase", "reason"),
    [
        (Delivery(True, True, True, True), "running", "Serving"),
        (Delivery(False, False, True), "starting", "Programming"),
        (Delivery(False, True, True), "running", "Programming"),
        (Delivery(False, False, True, rejection="no"), "stopped", "Rejected"),
        (Delivery(False, True, True, rejection="no"), "running", "Rejected"),
    ],
)
def test_serving_listener(delivery: Delivery, phase: str, reason: str) -> None:
    fields, state = listener_report(SERVING, delivery, 3, {A: True, B: False, C: None})
    assert fields == {"phase": phase, "reachable": "127.42.16.1:8080", "backends": {"total": 3, "healthy": 1}}
    assert state.reason == reason
    assert (state.ready == "True") == (reason == "Serving")


@pytest.mark.parametrize(("state", "phase"), [(progressing("X"), "starting"), (stalled("X", "y"), "stopped")])
def test_blocked_listener(state: object, phase: str) -> None:
    delivery = Delivery(False, False, True)
    fields, found = listener_report(Blocked(state), delivery, 0, {})  # type: ignore[arg-type]
    assert fields == {"phase": phase, "reachable": None, "backends": None}
    assert found is state


def group() -> ServerGroup:
    servers = [{"serverId": name, "serverIp": ip, "port": port} for name, ip, port in (A, B, C)]
    spec = {"loadBalancerId": "lb", "vServerGroupName": "g", "backendServers": servers}
    return ServerGroup.model_validate({"metadata": {"namespace": "ns", "name": "g", "uid": "u"}, "spec": spec})


def test_group_takes_the_worst_of_its_listeners() -> None:
    fields, state = group_report(group(), [{A: True, B: True}, {A: True, B: False, C: None}], None)
    assert [one["serverHealthStatus"] for one in fields["backendServers"]] == ["normal", "abnormal", "unavailable"]
    assert (fields["total"], fields["healthy"]) == (3, 1)
    assert fields["vServerGroupId"] == group_id("u")
    assert state.ready == "True"


def test_group_without_listeners_knows_nothing() -> None:
    fields, state = group_report(group(), [], stalled("AddressNotAllowed", "no"))
    assert {one["serverHealthStatus"] for one in fields["backendServers"]} == {"unavailable"}
    assert state.reason == "AddressNotAllowed"
