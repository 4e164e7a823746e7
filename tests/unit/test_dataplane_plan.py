"""From custom resources to what a listener should be."""

from pathlib import Path
from typing import Any

import pytest

from ackbox.dataplane import plan, port_range, ports
from ackbox.dataplane.model import Blocked, Frontend, Stickiness, Targets
from ackbox.dataplane.real_servers import real_targets
from ackbox.resources import Listener, ManagedCluster, ServerGroup, ServiceLoadBalancer
from ackbox.resources.listener import Protocol


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


def frontend(given: Listener, references: plan.References = ALL, lowest_port: int = 1) -> Frontend:
    result = plan.admit(given, references, lowest_port)
    assert isinstance(result, plan.Admitted), result
    return result.frontend


def admitted(given: Listener) -> plan.Admitted:
    return plan.Admitted(given.spec, balancer(), frontend(given))


def test_admitted() -> None:
    assert frontend(listener(), ALL, 1) == Frontend(("127.42.16.1", 80), Protocol.TCP, Stickiness.NONE)


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
        (listener(aclStatus="on", aclType="white", aclIds=["acl-1"]), ALL, "AclNotFound", False, "acl-1"),
        (listener(aclStatus="on", aclType="white"), ALL, "InvalidAcl", True, "aclIds"),
        (listener(listenerProtocol="https"), ALL, "InvalidTls", True, "serverCertificateId"),
        (
            listener(listenerProtocol="https", serverCertificateId="c"),
            ALL,
            "CertificateNotFound",
            False,
            "certificate c not found",
        ),
        (listener(startPort=80, endPort=90, listenerPort=0), ALL, "InvalidName", True, "must be named web-80-90-tcp"),
    ],
)
def test_blocked(given: Listener, references: plan.References, reason: str, stalled: bool, text: str) -> None:
    result = plan.admit(given, references, 1024)
    assert isinstance(result, Blocked)
    assert (result.state.reason, result.state.stalled, result.state.reconciling) == (reason, stalled, not stalled)
    assert text in result.state.message


def test_privileged_port_moves_up() -> None:
    assert frontend(listener(), ALL, 1024).address == ("127.42.16.1", 10080)


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
        ({"scheduler": "tch"}, Stickiness.CONNECTION),
        ({"scheduler": "tch", "listenerProtocol": "udp"}, Stickiness.NONE),
        ({"scheduler": "qch", "listenerProtocol": "udp"}, Stickiness.NONE),
        ({"persistenceTimeout": 0}, Stickiness.NONE),
        ({"persistenceTimeout": 10}, Stickiness.SOURCE_IP),
        ({"stickySession": "on"}, Stickiness.NONE),
        ({"listenerProtocol": "http", "stickySession": "on"}, Stickiness.NONE),
        ({"listenerProtocol": "http", "scheduler": "sch"}, Stickiness.SOURCE_IP),
        ({"listenerProtocol": "http", "persistenceTimeout": 10}, Stickiness.NONE),
    ],
)
def test_stickiness(spec: dict[str, Any], wanted: Stickiness) -> None:
    assert plan.stickiness(listener(**spec).spec) is wanted


def test_servers_without_weight_or_address_get_nothing() -> None:
    given = group(server("10.0.0.1"), server("10.0.0.2", weight=0), server("10.0.0.3", weight=5))
    identities = [one.identity for one in given.spec.backend_servers]
    targets = Targets(False, dict.fromkeys(identities[:2], ("127.42.128.1", 61000)))
    branch = plan.branch(admitted(listener()), given, targets, {identities[0]: False})
    assert [(one.identity, one.weight, one.healthy) for one in branch.endpoints] == [(identities[0], 100, False)]
    assert branch.upstream.check is None


def test_only_real_servers_are_probed() -> None:
    branch = plan.branch(admitted(listener()), group(), Targets(True, {}), {})
    assert branch.upstream.check is not None


def test_real_servers_inside_the_allowed_ranges() -> None:
    given = group(server("10.0.0.1"), server("192.0.2.1"), server("no-address"), server("10.0.1.1"))
    targets = real_targets(given, cluster("10.0.0.0/24", "192.0.2.0/33", "10.0.1.1/32"))
    assert sorted(targets.addresses.values()) == [("10.0.0.1", 8080), ("10.0.1.1", 8080)]
    assert targets.problem is not None
    assert targets.problem.reason == "AddressNotAllowed"
    assert "192.0.2.1, no-address" in targets.problem.message
    assert "not a CIDR block: 192.0.2.0/33" in targets.problem.message


def test_nothing_is_allowed_by_default() -> None:
    servers = [server(f"10.0.0.{number}") for number in range(1, 9)]
    targets = real_targets(group(*servers), cluster())
    assert not targets.addresses
    assert targets.problem is not None
    assert "10.0.0.5 and 3 more" in targets.problem.message
    assert "(none)" in targets.problem.message


@pytest.mark.parametrize(("server_id", "wanted"), [("i-abc", "i-abc"), ("eni-abc", "i-abc"), ("other", "other")])
def test_instance_of_a_server(server_id: str, wanted: str) -> None:
    assert plan.instance_id(server_id) == wanted


def test_forward_and_rules_need_no_server_group() -> None:
    alone = plan.References(balancer(), None, None)
    forward = listener(listenerProtocol="http", vServerGroupId=None, listenerForward="on", forwardPort=443)
    assert frontend(forward, alone).http is not None
    answer = {"type": "FixedResponse", "httpCode": 200}
    rules = [{"ruleName": "r", "priority": 1, "ruleActions": [answer]}]
    assert frontend(listener(listenerProtocol="http", vServerGroupId=None, rules=rules), alone).http is not None


def test_ports_of_a_range() -> None:
    given = listener("web-1020-1030-tcp", listenerPort=0, startPort=1020, endPort=1030)
    found = frontend(given, ALL, 1024)
    assert found.address == ("127.42.16.1", 11020)
    assert found.more_ports == (11021, 11022, 11023, *range(1024, 1031))


def test_long_range_is_cut_and_said() -> None:
    given = listener("web-2000-4999-tcp", listenerPort=0, startPort=2000, endPort=4999)
    result = plan.admit(given, ALL, 1)
    assert isinstance(result, plan.Admitted)
    assert len(result.frontend.more_ports) == plan.MAX_PORTS - 1
    problem = plan.summary(result.problems)
    assert problem is not None
    assert "first 1000 of 3000 ports" in problem.message


def test_what_only_waits_is_said_last() -> None:
    waits, wrong = ("CertificateNotFound", "waits"), ("InvalidRule", "wrong")
    both, alone = plan.summary([waits, wrong]), plan.summary([waits])
    assert both is not None
    assert alone is not None
    assert (both.reason, both.message, both.stalled) == ("InvalidRule", "wrong; waits", True)
    assert (alone.reason, alone.reconciling) == ("CertificateNotFound", True)
    assert plan.summary([]) is None


def test_each_port_of_a_range_leads_to_the_same_port_of_a_real_server() -> None:
    given = listener("web-1023-1024-tcp", listenerPort=0, startPort=1023, endPort=1024)
    portless = group({**server("10.0.0.1"), "port": 0})
    result = plan.admit(given, plan.References(balancer(), portless, balancer()), 1024)
    assert isinstance(result, plan.Admitted)
    branch = plan.branch(result, portless, real_targets(portless, cluster("10.0.0.0/8")), {})
    facing, branches = port_range.spread("ns/l", result.spec, result.frontend, branch)
    assert facing.port_clusters == ((11023, "ns/l#1023"), (1024, "ns/l#1024"))
    found = {name: [one.address for one in each.endpoints] for name, each in branches.items()}
    assert found == {"ns/l#1023": [("10.0.0.1", 1023)], "ns/l#1024": [("10.0.0.1", 1024)]}
    assert not any(each.upstream.check for each in branches.values())
