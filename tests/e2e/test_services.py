"""Services of type LoadBalancer: claims on a shared load balancer, policies, modes, annotations, events."""

import socket

import pytest

from e2e import objects
from e2e.conftest import SHARED, Workload
from e2e.stack import ACKBOX, CORE, condition, eventually, gone, http, is_ready

pytestmark = pytest.mark.e2e


def listeners(workload: Workload, service: str | None = None):
    found = []
    for lsn in workload.management.objects("listeners", SHARED):
        parts = (lsn["spec"].get("description") or "").split("/")
        if len(parts) == 5 and parts[3] == workload.namespace and service in (None, parts[2]):
            found.append(lsn)
    return {lsn["spec"]["listenerPort"]: lsn for lsn in found}


def served(workload: Workload, service: str, port: int = 80):
    lsn = listeners(workload, service)[port]
    assert is_ready(lsn)
    return lsn["status"]["reachable"]


def answers(workload: Workload, service: str, port: int = 80):
    return http(served(workload, service, port))


def group(workload: Workload, service: str):
    name = f"/{service}/{workload.namespace}/"
    return next(
        sg for sg in workload.management.objects("servergroups", SHARED) if name in sg["spec"]["vServerGroupName"]
    )


@pytest.fixture
def web(workload: Workload) -> Workload:
    """Two pods behind the label app=web."""
    workload.api.apply(objects.deployment("web", workload.namespace))
    workload.api.kubectl("rollout", "status", "deployment/web", "-n", workload.namespace, "--timeout=180s")
    return workload


@pytest.fixture
def console_made(workload: Workload):
    """A load balancer that the user made."""
    name = f"slb-{workload.namespace}"
    manifest = objects.custom("ServiceLoadBalancer", name, {}, SHARED)
    del manifest["spec"]  # every field has a default
    workload.management.apply(manifest)
    eventually(lambda: is_ready(workload.management.object("serviceloadbalancers", name, SHARED)), "the SLB ready")
    yield manifest
    workload.management.kubectl("delete", "slb", name, "-n", SHARED, "--wait=false")
    eventually(lambda: gone(workload.management, f"{ACKBOX}/namespaces/{SHARED}/serviceloadbalancers/{name}"), "gone")


def events(workload: Workload, service: str):
    return workload.api.events(workload.namespace, service)


def test_names_tags_labels_and_finalizer_are_the_real_ones(web):
    web.api.apply(objects.service("web", web.namespace, "web"))
    eventually(lambda: answers(web, "web"), "an answer")
    service = web.api.core("services", "web", web.namespace)
    cluster = web.management.object("managedclusters", "one", SHARED)["status"]["clusterId"]
    default_name = ("a" + service["metadata"]["uid"].replace("-", ""))[:32]
    slb = web.management.object("serviceloadbalancers", default_name, SHARED)
    assert slb["spec"]["loadBalancerName"] == default_name
    tags = {tag["key"]: tag["value"] for tag in slb["spec"]["tags"]}
    assert tags == {"kubernetes.do.not.delete": default_name, "ack.aliyun.com": cluster}
    assert service["metadata"]["finalizers"] == ["service.k8s.alibaba/resources"]
    labels = service["metadata"]["labels"]
    assert labels["service.k8s.alibaba/loadbalancer-id"] == slb["status"]["loadBalancerId"]
    assert len(labels["service.beta.kubernetes.io/hash"]) == 56
    node_port = service["spec"]["ports"][0]["nodePort"]
    assert listeners(web)[80]["spec"]["description"] == f"k8s/80/web/{web.namespace}/{cluster}"
    assert group(web, "web")["spec"]["vServerGroupName"] == f"k8s/{node_port}/web/{web.namespace}/{cluster}"


def test_a_deleted_service_leaves_nothing(web):
    web.api.apply(objects.service("web", web.namespace, "web"))
    eventually(lambda: answers(web, "web"), "an answer")
    name = listeners(web)[80]["spec"]["loadBalancerId"]
    web.api.kubectl("delete", "service", "web", "-n", web.namespace)
    eventually(lambda: not listeners(web), "no listener")
    eventually(lambda: gone(web.management, f"{ACKBOX}/namespaces/{SHARED}/serviceloadbalancers/{name}"), "no SLB")
    assert not [g for g in web.management.objects("servergroups", SHARED) if g["spec"]["loadBalancerId"] == name]


def test_two_services_share_a_console_made_load_balancer(web, console_made):
    name = console_made["metadata"]["name"]
    shared = {"id": name, "force-override-listeners": "true"}
    first = objects.service("first", web.namespace, "web", [{"name": "a", "port": 80, "targetPort": 8080}], shared)
    second = objects.service(
        "second",
        web.namespace,
        "web",
        [{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81, "targetPort": 8080}],
        shared,
    )
    web.api.apply(first)
    eventually(lambda: answers(web, "first"), "the first answers")
    web.api.apply(second)
    eventually(lambda: answers(web, "second", 81), "the second's other port goes on")
    assert set(listeners(web, "first")) == {80}
    assert set(listeners(web, "second")) == {81}

    def warned():
        return [e for e in events(web, "second") if e[0] == "Warning" and "80" in e[2] and "first" in e[2]]

    eventually(warned, "a warning that names the other Service")

    web.management.apply(console_made)
    assert answers(web, "first")
    assert answers(web, "second", 81)

    web.api.kubectl("delete", "service", "first", "-n", web.namespace)
    eventually(lambda: set(listeners(web, "second")) == {80, 81}, "the freed port goes to the one that waits")
    eventually(lambda: answers(web, "second"), "and answers")
    web.api.kubectl("delete", "service", "second", "-n", web.namespace)
    eventually(lambda: not listeners(web), "no listeners")
    assert web.management.object("serviceloadbalancers", name, SHARED)["spec"].get("loadBalancerName") is None


def test_a_load_balancer_of_another_service_is_not_reused(web):
    web.api.apply(objects.service("owner", web.namespace, "web"))
    eventually(lambda: answers(web, "owner"), "an answer")
    name = listeners(web, "owner")[80]["spec"]["loadBalancerId"]
    web.api.apply(objects.service("thief", web.namespace, "web", annotations={"id": name}))

    def refused():
        return [e for e in events(web, "thief") if "can not reuse loadbalancer created by kubernetes" in e[2]]

    assert eventually(refused, "the upstream message")[0][1] == "SyncLoadBalancerFailed"
    assert answers(web, "owner")


def test_local_policy_follows_the_pods(workload):
    api, namespace = workload.api, workload.namespace
    nodes = sorted(node["metadata"]["name"] for node in api.nodes())[:2]
    pinned = objects.deployment("web", namespace, replicas=1, nodeName=nodes[0])
    pinned["spec"]["strategy"] = {"type": "Recreate"}
    api.apply(pinned, objects.service("web", namespace, "web", externalTrafficPolicy="Local"))

    def on(node):
        ids = {s["serverId"] for s in group(workload, "web")["spec"]["backendServers"]}
        assert ids == {api.get(f"{CORE}/nodes/{node}")["spec"]["providerID"].split(".")[1]}
        assert answers(workload, "web")["serverId"] in ids
        return True

    eventually(lambda: on(nodes[0]), "traffic on the pod's node")
    pinned["spec"]["template"]["spec"]["nodeName"] = nodes[1]
    api.apply(pinned)
    eventually(lambda: on(nodes[1]), "traffic on the node it moved to")


def test_eni_backends_are_pods(web):
    backend = {"service.beta.kubernetes.io/backend-type": "eni"}
    web.api.apply(
        objects.service(
            "web",
            web.namespace,
            "web",
            [{"name": "web", "port": 80, "targetPort": "web"}],
            backend,
            allocateLoadBalancerNodePorts=False,
        )
    )
    reply = eventually(lambda: answers(web, "web"), "an answer")
    pods = {pod["status"]["podIP"] for pod in web.api.items(f"{CORE}/namespaces/{web.namespace}/pods")}
    assert reply["serverIp"] in pods
    assert reply["port"] == 8080
    servers = group(web, "web")["spec"]["backendServers"]
    assert {server["type"] for server in servers} == {"eni"}
    assert {server["serverIp"] for server in servers} == pods


def test_tcp_udp_and_http_listeners(web):
    ports = [
        {"name": "t", "port": 9000, "targetPort": 8080, "protocol": "TCP"},
        {"name": "u", "port": 9000, "targetPort": 8080, "protocol": "UDP"},
        {"name": "h", "port": 8088, "targetPort": 8080, "protocol": "TCP"},
    ]
    web.api.apply(objects.service("web", web.namespace, "web", ports, {"protocol-port": "http:8088"}))
    assert eventually(lambda: answers(web, "web", 8088), "http")["serverId"].startswith("i-")

    def by_transport(transport):
        name = f"-9000-{transport}"
        lsn = next(
            obj
            for obj in web.management.objects("listeners", SHARED)
            if obj["metadata"]["name"].endswith(name) and f"/{web.namespace}/" in obj["spec"]["description"]
        )
        assert is_ready(lsn)
        host, port = lsn["status"]["reachable"].rsplit(":", 1)
        return host, int(port)

    def tcp():
        with socket.create_connection(by_transport("tcp"), timeout=5) as connection:
            connection.sendall(b"ping\n")
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := connection.recv(4096):
                received += chunk
            return b"i-" in received and b"ping" in received

    def udp():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            client.sendto(b"ping", by_transport("udp"))
            received = client.recv(4096)
            return b"i-" in received and b"ping" in received

    eventually(tcp, "tcp")
    eventually(udp, "udp")


def test_weights_and_cordoned_nodes(web):
    annotations = {"remove-unscheduled-backend": "on", "default-weight": "60", "scheduler": "wlc"}
    web.api.apply(objects.service("web", web.namespace, "web", annotations=annotations))
    eventually(lambda: answers(web, "web"), "an answer")
    assert listeners(web)[80]["spec"]["scheduler"] == "wlc"
    assert {server["weight"] for server in group(web, "web")["spec"]["backendServers"]} == {60}
    before = len(group(web, "web")["spec"]["backendServers"])
    node = web.api.nodes()[0]["metadata"]["name"]
    web.api.kubectl("cordon", node)
    try:
        eventually(lambda: len(group(web, "web")["spec"]["backendServers"]) == before - 1, "the cordoned node out")
    finally:
        web.api.kubectl("uncordon", node)
    eventually(lambda: len(group(web, "web")["spec"]["backendServers"]) == before, "and back in")


@pytest.mark.parametrize(
    ("annotation", "value", "told"),
    [
        ("scheduler", "fastest", "wrr"),
        ("health-check-interval", "soon", "must be integer"),
        ("healthy-threshold", "99", "10"),
        ("protocol-port", "gopher:80", "http"),
        ("backend-label", "no-equals", "backend label"),
    ],
)
def test_a_wrong_annotation_is_named_and_can_be_mended(web, annotation, value, told):
    name = f"wrong-{annotation}"
    web.api.apply(objects.service(name, web.namespace, "web", annotations={annotation: value}))

    def warned():
        return [e for e in events(web, name) if e[0] == "Warning" and value.split(":")[0] in e[2] and told in e[2]]

    eventually(warned, f"a warning about {annotation}={value}")
    web.api.apply(objects.service(name, web.namespace, "web"))
    eventually(lambda: answers(web, name), "an answer once it is mended")


def test_a_missing_load_balancer_is_waited_for(web, console_made):
    late = f"late-{web.namespace}"
    web.api.apply(
        objects.service("web", web.namespace, "web", annotations={"id": late, "force-override-listeners": "true"})
    )
    eventually(
        lambda: [e for e in events(web, "web") if e[1] == "SyncLoadBalancerFailed" and late in e[2]], "the event"
    )
    web.management.apply(objects.custom("ServiceLoadBalancer", late, {}, SHARED))
    try:
        eventually(lambda: answers(web, "web"), "an answer once it is there")
    finally:
        web.api.kubectl("delete", "service", "web", "-n", web.namespace)
        web.management.kubectl("delete", "slb", late, "-n", SHARED)


def test_a_listener_made_by_hand_under_a_wrong_name_is_refused(web, console_made):
    name = console_made["metadata"]["name"]
    web.management.apply(
        objects.custom(
            "Listener",
            f"odd-{web.namespace}",
            {"loadBalancerId": name, "listenerPort": 80, "listenerProtocol": "tcp"},
            SHARED,
        )
    )

    def stalled():
        found = web.management.object("listeners", f"odd-{web.namespace}", SHARED)
        return condition(found, "Stalled").get("status") == "True" and f"{name}-80-tcp" in condition(found)["message"]

    eventually(stalled, "a condition that names the right name")
