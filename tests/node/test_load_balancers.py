"""Load balancers of a cluster: Services in front of the data plane's Pods, which all serve."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from e2e import objects
from e2e.stack import Api, eventually, gone, http, is_ready
from node.stack import ClusterStack

SPACE = "load-balancers"
SYSTEM = "ackbox-system"
ADDRESS_OF = "ackbox.dev/address-of"
DEPLOYMENT = "ackbox-slb"


@pytest.fixture(scope="module")
def api(ackbox: ClusterStack) -> Iterator[Api]:
    """The management cluster, with two machines that load balancers may send to."""
    api = ackbox.api
    api.kubectl("create", "namespace", SPACE)
    machines = [machine(name) for name in ("one", "two")]
    api.apply(objects.quota(SPACE), objects.vpc(namespace=SPACE), *machines)
    for name in ("one", "two"):
        eventually(lambda name=name: running(api, name), f"machine {name} runs")
    yield api
    api.kubectl("delete", "namespace", SPACE, "--wait=false")


def machine(name: str) -> dict[str, Any]:
    spec = {
        "regionId": objects.REGION,
        "zoneId": "cn-hangzhou-h",
        "instanceType": "ecs.g7.large",
        "cpu": 2,
        "memory": 8,
        "vpcAttributes": {"vpcId": "net", "vSwitchId": "net-h", "privateIpAddress": f"192.168.1.{len(name)}"},
    }
    return objects.custom("Instance", f"i-{name}", spec, SPACE)


def running(api: Api, name: str) -> bool:
    return bool(api.object("instances", f"i-{name}", SPACE)["status"]["phase"] == "Running")


def balancer(name: str, server: str, *ports: tuple[int, str]) -> list[dict[str, Any]]:
    """A load balancer with its listeners, all before one machine."""
    backend = {"serverId": f"i-{server}", "serverIp": "192.168.1.3", "port": 8080, "weight": 100, "type": "ecs"}
    group = {"loadBalancerId": name, "vServerGroupName": name, "backendServers": [backend]}
    found = [
        objects.custom("ServiceLoadBalancer", name, {}, SPACE),
        objects.custom("ServerGroup", name, group, SPACE),
    ]
    for port, protocol in ports:
        spec = {"loadBalancerId": name, "listenerPort": port, "listenerProtocol": protocol, "vServerGroupId": name}
        transport = "udp" if protocol == "udp" else "tcp"
        found.append(objects.custom("Listener", f"{name}-{port}-{transport}", spec, SPACE))
    return found


def reachable(api: Api, listener: str) -> str:
    """Where a listener is dialled, once it is served and its server is well."""

    def address() -> str:
        found = api.object("listeners", listener, SPACE)
        assert is_ready(found)
        assert found["status"]["backends"]["healthy"] == 1
        return str(found["status"]["reachable"])

    return eventually(address, f"listener {listener} is served")


def service(api: Api, name: str) -> dict[str, Any]:
    """The Service of a load balancer."""
    owner = f"ServiceLoadBalancer/{SPACE}/{name}"
    every = api.items(f"/api/v1/namespaces/{SYSTEM}/services")
    return next(each for each in every if each["metadata"].get("annotations", {}).get(ADDRESS_OF) == owner)


def test_two_load_balancers_have_the_same_ports_and_each_its_own_address(api: Api) -> None:
    api.apply(*balancer("red", "one", (80, "http"), (53, "udp")), *balancer("blue", "two", (80, "http")))
    found = {name: reachable(api, f"{name}-80-tcp") for name in ("red", "blue")}
    assert found["red"] != found["blue"]
    assert found["red"] == f"{api.object('serviceloadbalancers', 'red', SPACE)['status']['reachable']}:80"
    answered = {name: eventually(lambda where=where: http(where), name)["serverId"] for name, where in found.items()}
    assert answered == {"red": "i-one", "blue": "i-two"}
    host, port = reachable(api, "red-53-udp").split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect((host, int(port)))
        sock.send(b"ping")
        assert sock.recv(1000).startswith(b"i-one ")


def test_a_service_that_was_deleted_by_hand_comes_back_at_the_same_address(api: Api) -> None:
    api.apply(*balancer("again", "one", (80, "http")))
    where = reachable(api, "again-80-tcp")
    before = service(api, "again")["metadata"]
    api.kubectl("delete", "service", before["name"], "-n", SYSTEM)
    # Its rules on the node last a moment longer than the Service, so an answer says nothing yet.
    eventually(lambda: service(api, "again")["metadata"]["uid"] != before["uid"], "another Service")
    assert service(api, "again")["spec"]["clusterIP"] == where.split(":")[0]
    assert eventually(lambda: http(where)["serverId"], "it answers again") == "i-one"


def test_traffic_goes_on_while_one_replica_after_the_other_is_replaced(api: Api) -> None:
    api.apply(*balancer("steady", "one", (80, "http")))
    where = reachable(api, "steady-80-tcp")
    api.kubectl("scale", "deployment", DEPLOYMENT, "-n", SYSTEM, "--replicas=2")
    api.kubectl("rollout", "status", f"deployment/{DEPLOYMENT}", "-n", SYSTEM, "--timeout=150s")
    eventually(lambda: http(where), "it answers")
    api.kubectl("rollout", "restart", f"deployment/{DEPLOYMENT}", "-n", SYSTEM)
    path = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{DEPLOYMENT}"
    answered = 0

    def replaced() -> bool:
        nonlocal answered
        assert http(where)["serverId"] == "i-one"
        answered += 1
        found = api.get(path)
        status = found["status"]
        return (
            status["observedGeneration"] == found["metadata"]["generation"]
            and status.get("updatedReplicas") == status["replicas"] == status.get("readyReplicas") == 2
        )

    # Not `eventually`: it forgives an answer that fails.
    while not replaced():
        assert answered < 100_000
    assert answered > 10
    # Who leads now writes status: a new listener is served.
    api.apply(*balancer("later", "two", (80, "http")))
    assert eventually(lambda: http(reachable(api, "later-80-tcp"))["serverId"], "a new one answers") == "i-two"


def test_nothing_is_left_of_a_load_balancer_that_was_deleted(api: Api) -> None:
    api.apply(*balancer("brief", "one", (80, "http"), (8443, "tcp")))
    where = reachable(api, "brief-80-tcp")
    name = service(api, "brief")["metadata"]["name"]
    assert [port for port in target_ports(api) if port.startswith(f"{SPACE}/brief/")]
    api.kubectl("delete", "slb", "brief", "-n", SPACE)
    eventually(lambda: gone(api, f"/api/v1/namespaces/{SYSTEM}/services/{name}"), "its Service is gone")
    eventually(
        lambda: not [port for port in target_ports(api) if port.startswith(f"{SPACE}/brief/")], "its ports are free"
    )
    with pytest.raises(OSError, match=r"refused|timed out|unreachable|reset|No route"):
        http(where)


def target_ports(api: Api) -> list[str]:
    return list((api.core("configmaps", "listener-ports", SYSTEM).get("data") or {}).values())
