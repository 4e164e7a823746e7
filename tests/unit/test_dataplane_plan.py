"""From custom resources to what a listener should be."""

from pathlib import Path
from typing import Any

import pytest

from ackbox.dataplane import plan, ports
from ackbox.dataplane.model import Blocked, Frontend, Stickiness, Targets
from ackbox.resources import Listener, ManagedCluster, ServerGroup, ServiceLoadBalancer


def balancer(name: str = "web", reachable: str | None = "127.42.16.1", **metadata: Any) -> ServiceLoadBalancer:
    return ServiceLoadBalancer.model_validate(
        {"metadata": {"namespace": "ns", "name": name, **metadata}, "status": {"reachable": reachable}}
    )


def listener(name: str = "web-80-tcp", **spec: Any) -> Listener:
    fields = {"loadBalancerId": "web", "listenerPort": 80, "listenerProtocol": "tcp", "vServerGroupId": "rsp-1"}
    return Listener.model_validate({"metadata": {"namespace": "ns", "name": name}, "spec": {**fields, **spec}})


def server(ip: str, weight: int = 100, name: str = "i-1") -> dict[str, Any]:
    return {"serverId": name, "serverIp": ip, "port": 8080, "weight": weight}


def group(*servers: dict[str, Any], **metadata: Any) -> ServerGroup:
    spec = {"loadBalancerId": "web", "vServerGroupName": "g", "clusterId": "c", "backendServers": list(servers)}
    return ServerGroup.model_validate({"metadata": {"namespace": "ns", "name": "rsp-1", **metadata}, "spec": spec})


def cluster(*cidrs: str) -> ManagedCluster:
    external = {"kubeconfigSecretRef": {"name": "k"}, "allowedCidrs": list(cidrs)}
    spec = {"clusterType": "ExternalKubernetes", "regionId": "cn-hangzhou", "externalCluster": external}
    return ManagedCluster.model_validate({"metadata": {"namespace": "ns", "name": "c"}, "spec": spec})


DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
ALL = plan.References(balancer(), group(), balancer())


def test_admitted() -> None:
    assert plan.admit(listener(), ALL, 1) == Frontend(("127.42.16.1", 80), "tcp", Stickiness.NONE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "references", "reason", "stalled", "text"),
    [
        (listener(), plan.References(None, group(), None), "LoadBalancerNotFound", False, "web"),
        (listener(), plan.References(balancer(**DELETED), group(), None), "LoadBalancerNotFound", False, "web"),
        (listener("mine"), ALL, "InvalidName", True, "must be named web-80-tcp"),
        (listener("web-80-udp"), ALL, "InvalidName", True, "must be named web-80-tcp"),
        (listener(), plan.References(balancer(reachable=None), group(), None), "LoadBalancerNotReady", False, "web"),
        (listener(vServerGroupId=None), ALL, "ServerGroupMissing", True, "vServerGroupId"),
        (listener(), plan.References(balancer(), None, None), "ServerGroupNotFound", False, "rsp-1"),
        (listener(), plan.References(balancer(), group(**DELETED), None), "ServerGroupNotFound", False, "rsp-1"),
        (listener(), plan.References(balancer(), group(), balancer("x")), "ServerGroupMismatch", True, "rsp-1"),
        (listener(healthCheckHttpCode="2xx"), ALL, "InvalidHealthCheck", True, "healthCheckHttpCode: 2xx"),
        (listener(), plan.References(balancer(), group(), balancer(), "web-10080-tcp"), "PortTaken", True, "10080"),
    ],
)
def test_blocked(given: Listener, references: plan.References, reason: str, stalled: bool, text: str) -> None:
    result = plan.admit(given, references, 1024)
    assert isinstance(result, Blocked)
    assert (result.state.reason, result.state.stalled, result.state.reconciling) == (reason, stalled, not stalled)
    assert text in result.state.message


def test_privileged_port_moves_up() -> None:
    result = plan.admit(listener(), ALL, 1024)
    assert isinstance(result, Frontend)
    assert result.address == ("127.42.16.1", 10080)


@pytest.mark.parametrize(
    ("port", "lowest", "wanted"), [(80, 1024, 10080), (80, 80, 80), (80, 1, 80), (8080, 1024, 8080)]
)
def test_dialled(port: int, lowest: int, wanted: int) -> None:
    assert ports.dialled(port, lowest) == wanted


@pytest.mark.parametrize(("port", "wanted"), [(10080, 80), (10000, None), (11024, None), (80, None)])
def test_stand_in(port: int, wanted: int | None) -> None:
    assert ports.stands_in_for(port, 1024) == wanted


@pytest.mark.parametrize(("capabilities", "wanted"), [("0000000000000400", 1), ("0000000000000000", 1024)])
def test_first_bindable(tmp_path: Path, capabilities: str, wanted: int) -> None:
    (tmp_path / "start").write_text("1024\n")
    (tmp_path / "status").write_text(f"Name:\tx\nCapEff:\t{capabilities}\n")
    assert ports.first_bindable(tmp_path / "start", tmp_path / "status") == wanted


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, Stickiness.NONE),
        ({"scheduler": "sch"}, Stickiness.SOURCE_IP),
        ({"persistenceTimeout": 0}, Stickiness.NONE),
        ({"persistenceTimeout": 10}, Stickiness.SOURCE_IP),
        ({"stickySession": "on"}, Stickiness.NONE),
        ({"listenerProtocol": "http", "stickySession": "on"}, Stickiness.COOKIE),
        ({"listenerProtocol": "http", "scheduler": "sch"}, Stickiness.SOURCE_IP),
        ({"listenerProtocol": "http", "persistenceTimeout": 10}, Stickiness.NONE),
    ],
)
def test_stickiness(spec: dict[str, Any], wanted: Stickiness) -> None:
    assert plan.stickiness(listener(**spec).spec) is wanted


def test_servers_without_weight_or_address_get_nothing() -> None:
    given = group(server("10.0.0.1"), server("10.0.0.2", weight=0), server("10.0.0.3", weight=5))
    identities = [one.identity for one in given.spec.backend_servers]
    frontend = Frontend(("127.42.16.1", 80), listener().spec.listener_protocol, Stickiness.NONE)
    targets = Targets(False, dict.fromkeys(identities[:2], ("127.42.128.1", 61000)))
    serving = plan.serve(listener(), given, frontend, targets, {identities[0]: False})
    assert [(one.identity, one.weight, one.healthy) for one in serving.endpoints] == [(identities[0], 100, False)]
    assert serving.upstream.check is None


def test_only_real_servers_are_probed() -> None:
    frontend = Frontend(("127.42.16.1", 80), listener().spec.listener_protocol, Stickiness.NONE)
    serving = plan.serve(listener(), group(), frontend, Targets(True, {}), {})
    assert serving.upstream.check is not None


def test_real_servers_inside_the_allowed_ranges() -> None:
    given = group(server("10.0.0.1"), server("192.0.2.1"), server("no-address"), server("10.0.1.1"))
    targets = plan.real_targets(given, cluster("10.0.0.0/24", "192.0.2.0/33", "10.0.1.1/32"))
    assert sorted(targets.addresses.values()) == [("10.0.0.1", 8080), ("10.0.1.1", 8080)]
    assert targets.problem is not None
    assert targets.problem.reason == "AddressNotAllowed"
    assert "192.0.2.1, no-address" in targets.problem.message
    assert "not a CIDR block: 192.0.2.0/33" in targets.problem.message


def test_nothing_is_allowed_by_default() -> None:
    servers = [server(f"10.0.0.{number}") for number in range(1, 9)]
    targets = plan.real_targets(group(*servers), cluster())
    assert not targets.addresses
    assert targets.problem is not None
    assert "10.0.0.5 and 3 more" in targets.problem.message
    assert "(none)" in targets.problem.message


@pytest.mark.parametrize(("server_id", "wanted"), [("i-abc", "i-abc"), ("eni-abc", "i-abc"), ("other", "other")])
def test_instance_of_a_server(server_id: str, wanted: str) -> None:
    assert plan.instance_id(server_id) == wanted
