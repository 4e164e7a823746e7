"""Every CLB annotation made, changed and removed: the objects, the Warning and, where it touches traffic, the traffic."""

import socket
import ssl

import pytest

from ackbox.catalog.annotations import BACKEND_TYPE, CLASS, TUNNEL_TYPE, TYPE
from ackbox.resources.loadbalancer import LoadBalancerType
from e2e import annotations as cases
from e2e import objects
from e2e.annotations import ACCOUNT, NAMESPACE, Case, Lives, View
from e2e.stack import Stack, eventually, gone, is_ready

pytestmark = pytest.mark.e2e

ZONE = "topology.kubernetes.io/zone"
SPEC = {"instance-charge-type": "PayBySpec"}
PRIVATE = {"address-type": "intranet"}
ACL = {"acl-status": "on", "acl-type": "white", "acl-id": "acl-home"}
STICKY = {"sticky-session": "on", "sticky-session-type": "insert", "cookie-timeout": "100"}
STICKY_SERVER = {"sticky-session": "on", "sticky-session-type": "server", "cookie": "app"}
HTTP_CHECK = {"health-check-flag": "on"}
TCP_HTTP_CHECK = {"health-check-type": "http"}


def one_server(view: View) -> bool:
    return len(set(cases.servers(view))) == 1


def every_server(view: View) -> bool:
    return len(set(cases.servers(view, 30))) == 3


def shows_certificate(name: str, asked: str | None = None):
    return lambda view: cases.certificate(view, asked) == name


def tls_1_1(view: View) -> bool:
    version = ssl.TLSVersion.TLSv1_1
    return cases.handshake(view, cases.client_context((version, version))) is not None


def alpn(view: View) -> str | None:
    with cases.connect(view) as sock, cases.client_context(alpn=["h2", "http/1.1"]).wrap_socket(sock) as tls:
        return tls.selected_alpn_protocol()


def header(name: str):
    return lambda view: cases.answer(view)["headers"].get(name)


def without_header(name: str):
    return lambda view: name not in cases.answer(view)["headers"]


def set_cookie(view: View) -> str:
    return cases.get(view)[0].getheader("Set-Cookie") or ""


def tied_by(name: str):
    """The server's own cookie ties a client to it."""

    def look(view: View) -> bool:
        response, _ = cases.get(view, path=f"/?ackbox-set-cookie={name}%3Dx")
        cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
        return cookie != f"{name}=x" and len(set(cases.servers(view, headers={"Cookie": cookie}))) == 1

    return look


def servers_in_zone(zone: str):
    def look(view: View) -> bool:
        nodes = view.workload.nodes()
        ids = {
            node["spec"]["providerID"].partition(".")[2] for node in nodes if node["metadata"]["labels"][ZONE] == zone
        }
        return {server["serverId"] for server in view.group["spec"]["backendServers"]} == ids

    return look


def server_count(count: int):
    return lambda view: len(view.group["spec"]["backendServers"]) == count


def weights(*wanted: int):
    return lambda view: [server["weight"] for server in view.group["spec"]["backendServers"]] == list(wanted)


def user_group_weights(name: str, total: int):
    def look(view: View) -> bool:
        group = view.management.object("servergroups", name, ACCOUNT)
        return sum(server["weight"] for server in group["spec"]["backendServers"]) == total

    return look


def redirected(view: View) -> bool:
    listener = view.listeners[80]
    assert is_ready(listener), listener.get("status")
    import http.client

    connection = http.client.HTTPConnection(listener["status"]["reachable"], timeout=10)
    try:
        connection.request("GET", "/a", headers={"Host": "www.example.com"})
        response = connection.getresponse()
        return response.status in (301, 308) and (response.getheader("Location") or "").startswith("https://")
    finally:
        connection.close()


def shown_host(name: str | None):
    def look(view: View) -> bool:
        ingress = view.service["status"]["loadBalancer"]["ingress"][0]
        return ingress.get("hostname") == name and ("ip" in ingress) == (name is None)

    return look


def shows_elastic_address(view: View) -> bool:
    elastic = [eip["ipAddress"] for eip in view.balancer["status"]["eips"]]
    return [ingress["ip"] for ingress in view.service["status"]["loadBalancer"]["ingress"]] == elastic


def no_listener(view: View) -> bool:
    return not view.listeners


def answers(view: View) -> bool:
    return bool(cases.answer(view)["serverId"])


def protected(view: View) -> bool:
    text = view.management.kubectl(
        "delete", "slb", view.balancer["metadata"]["name"], "-n", ACCOUNT, "--dry-run=server", check=False
    )
    return "rotection" in text


def speaks(protocol: str):
    return {"listener": {"listenerProtocol": protocol}}


CASES = (
    Case("id", "user-id", "user-other", companions={"force-override-listeners": "true"}, felt=answers,
         warning="service has been associated with ip"),
    Case("name", "first-name", "second-name"),
    Case("resource-group-id", "rg-first", "rg-second"),
    Case("additional-resource-tags", "team=a,env", "team=b"),
    Case("force-override-listeners", "false", "true", companions={"id": "user-force"}, felt=no_listener,
         felt_changed=answers),
    Case("preserve-lb-on-delete", "true", warning="will be preserved after the service is deleted"),
    Case("address-type", "intranet", "internet"),
    Case("vswitch-id", "net-h", "net-i", companions=PRIVATE),
    Case("network-type", "vpc", "classic", companions=PRIVATE),
    Case("charge-type", "paybytraffic", "paybybandwidth", companions=SPEC),
    Case("bandwidth", "10", "20", companions=SPEC | {"charge-type": "paybybandwidth"}),
    Case("instance-charge-type", "PayByCLCU", "PayBySpec"),
    Case("spec", "slb.s1.small", "slb.s2.small", companions=SPEC),
    Case("master-zoneid", "cn-hangzhou-h", "cn-hangzhou-i"),
    Case("slave-zoneid", "cn-hangzhou-i", "cn-hangzhou-h"),
    Case("ip-version", "ipv4", "ipv6"),
    Case("ip", "192.168.1.200", "192.168.1.201", companions=PRIVATE | {"vswitch-id": "net-h"}),
    Case("delete-protection", "on", "off", felt=protected, felt_changed=lambda view: not protected(view)),
    Case("modification-protection", "ConsoleProtection", "NonProtection"),
    Case("external-ip-type", "eip", id="external-ip-type-without", warning="get eip error, set external ip to slb ip"),
    Case("external-ip-type", "eip", companions={"id": "user-eip"} | PRIVATE, felt=shows_elastic_address,
         felt_removed=lambda view: not shows_elastic_address(view)),
    Case("hostname", "a.example.com", "b.example.com", felt=shown_host("a.example.com"),
         felt_changed=shown_host("b.example.com"), felt_removed=shown_host(None)),
    Case("protocol-port", "tcp:80", "http:80", expected={0: speaks("tcp"), 1: speaks("http"), 2: speaks("tcp")},
         felt_changed=header("x-forwarded-for")),
    Case("scheduler", "sch", "rr", felt=one_server, felt_changed=every_server),
    Case("scheduler", "wrr", "wlc", id="scheduler-weighted", felt=every_server, felt_changed=answers),
    Case("scheduler", "tch", "qch", id="scheduler-hash", felt=answers, felt_changed=answers),
    Case("cert-id", "cert-a", "cert-b", felt=shows_certificate("cert-a"), felt_changed=shows_certificate("cert-b"),
         felt_removed=shows_certificate("cert-b")),
    Case("domain-extensions", "cert-b.example:cert-b", "cert-c.example:cert-c",
         felt=shows_certificate("cert-b", "cert-b.example"), felt_changed=shows_certificate("cert-c", "cert-c.example"),
         felt_removed=shows_certificate("cert-a", "other.example")),
    Case("tls-cipher-policy", "tls_cipher_policy_1_0", "tls_cipher_policy_1_2", felt=tls_1_1,
         felt_changed=lambda view: not tls_1_1(view)),
    Case("http2-enabled", "on", "off", felt=lambda view: alpn(view) == "h2", felt_changed=lambda view: alpn(view) != "h2"),
    Case("forward-port", "80:443", companions={"protocol-port": "http:80,https:443", "cert-id": "cert-a"},
         service={"ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8080}]},
         felt=redirected),
    Case("proxy-protocol", "on", "off", felt=lambda view: cases.answer(view).get("proxyProtocol"),
         felt_changed=lambda view: not cases.answer(view).get("proxyProtocol")),
    Case("idle-timeout", "60", "1", felt=lambda view: not cases.closed_within(view, 3),
         felt_changed=lambda view: cases.closed_within(view, 10)),
    Case("request-timeout", "100", "10"),
    Case("established-timeout", "900", "10", felt_changed=lambda view: cases.closed_within(view, 20)),
    Case("persistence-timeout", "0", "60", felt=every_server, felt_changed=one_server),
    Case("acl-status", "on", "off", companions=ACL | {"acl-id": "acl-other"},
         felt=lambda view: cases.refused(view, "127.0.0.1") and not cases.refused(view, "127.0.0.9"),
         felt_changed=lambda view: not cases.refused(view, "127.0.0.1")),
    Case("acl-id", "acl-home", "acl-other", companions=ACL,
         felt=lambda view: not cases.refused(view, "127.0.0.1") and cases.refused(view, "127.0.0.9"),
         felt_changed=lambda view: cases.refused(view, "127.0.0.1") and not cases.refused(view, "127.0.0.9")),
    Case("acl-type", "white", "black", companions=ACL,
         felt=lambda view: not cases.refused(view, "127.0.0.1") and cases.refused(view, "127.0.0.9"),
         felt_changed=lambda view: cases.refused(view, "127.0.0.1") and not cases.refused(view, "127.0.0.9")),
    Case("acl-type", "white", "black", id="acl-type-http", protocol="http", companions=ACL,
         felt=lambda view: cases.refused(view, "127.0.0.9"), felt_changed=lambda view: cases.refused(view, "127.0.0.1")),
    Case("connection-drain", "on", "off", companions={"connection-drain-timeout": "10"}),
    Case("connection-drain-timeout", "10", "20", companions={"connection-drain": "on"}),
    Case("sticky-session", "on", "off", companions=STICKY, felt=set_cookie, felt_changed=lambda view: not set_cookie(view)),
    Case("sticky-session-type", "insert", "server", companions=STICKY | {"cookie": "app"}, felt=set_cookie,
         felt_changed=tied_by("app")),
    Case("cookie", "app", "other", companions=STICKY_SERVER,
         felt=tied_by("app"),
         felt_changed=tied_by("other")),
    Case("cookie-timeout", "100", "200", companions=STICKY, felt=lambda view: "Max-Age=100" in set_cookie(view),
         felt_changed=lambda view: "Max-Age=200" in set_cookie(view)),
    Case("xforwardedfor-proto", "on", "off", felt=header("x-forwarded-proto"), felt_changed=without_header("x-forwarded-proto")),
    Case("xforwardedfor-slbport", "on", "off", felt=header("x-forwarded-port"), felt_changed=without_header("x-forwarded-port")),
    Case("xforwardedfor-clientsrcport", "on", "off", felt=header("x-forwarded-client-srcport"),
         felt_changed=without_header("x-forwarded-client-srcport")),
    Case("vgroup-port", "rsp-user:80", companions={"id": "user-vgroup", "force-override-listeners": "true"}, felt=answers),
    Case("health-check-switch", "on", "off"),
    Case("health-check-flag", "on", "off"),
    Case("health-check-type", "tcp", "http"),
    Case("health-check-uri", "/a", "/b", companions=TCP_HTTP_CHECK),
    Case("health-check-domain", "a.example.com", "b.example.com", companions=TCP_HTTP_CHECK),
    Case("health-check-httpcode", "http_2xx", "http_2xx,http_3xx", companions=TCP_HTTP_CHECK),
    Case("health-check-method", "head", "get", companions=HTTP_CHECK),
    Case("health-check-connect-port", "8080", "8081"),
    Case("healthy-threshold", "2", "4"),
    Case("unhealthy-threshold", "2", "4"),
    Case("health-check-interval", "2", "5"),
    Case("health-check-connect-timeout", "5", "10"),
    Case("health-check-timeout", "5", "10", companions=HTTP_CHECK),
    Case("backend-label", f"{ZONE}=cn-hangzhou-h", f"{ZONE}=cn-hangzhou-i", felt=servers_in_zone("cn-hangzhou-h"),
         felt_changed=servers_in_zone("cn-hangzhou-i"), felt_removed=server_count(3)),
    Case("backend-ip-version", "ipv4", felt=answers),
    Case("remove-unscheduled-backend", "on", "off", felt=server_count(2), felt_changed=server_count(3)),
    Case("weight", "60", "30", companions={"id": "user-weight", "vgroup-port": "rsp-weight:80", "force-override-listeners": "true"},
         felt=user_group_weights("rsp-weight", 60), felt_changed=user_group_weights("rsp-weight", 30)),
    Case("default-weight", "50", "20", felt=weights(50, 50, 50), felt_changed=weights(20, 20, 20),
         felt_removed=weights(100, 100, 100)),
    Case("ignore-weight-update", "on", "off", companions={"default-weight": "50"}, felt=weights(50, 50, 50)),
    Case(BACKEND_TYPE, "ecs", "eni", felt=lambda view: cases.answer(view)["serverId"].startswith("i-"),
         felt_changed=lambda view: cases.answer(view)["serverId"].startswith("eni-"),
         felt_removed=lambda view: cases.answer(view)["serverId"].startswith("i-")),
)  # fmt: skip

SELECTION = {CLASS: "other", TUNNEL_TYPE: "x", TYPE: "nlb"}
"""Looked at below, and the last with the NLBs."""


@pytest.fixture(scope="module")
def lives(annotated: Stack) -> Lives:
    """What became of all cases, with a node cordoned and load balancers that a user made."""
    api, workload = annotated.api, annotated.workload("one", ACCOUNT)
    elastic = {"addressType": "intranet", "vSwitchId": "net-h", "eips": [{"allocationId": "eip-user"}]}
    users = ("user-id", "user-other", "user-force", "user-vgroup", "user-weight")
    groups = {"rsp-user": "user-vgroup", "rsp-weight": "user-weight"}
    api.apply(
        *(objects.custom("ServiceLoadBalancer", name, {"addressType": "internet"}, ACCOUNT) for name in users),
        objects.custom("ServiceLoadBalancer", "user-eip", elastic, ACCOUNT),
        *(
            objects.custom(
                "ServerGroup", name, {"loadBalancerId": slb, "vServerGroupName": name, "clusterId": "one"}, ACCOUNT
            )
            for name, slb in groups.items()
        ),
    )
    for name in (*users, "user-eip"):
        eventually(lambda name=name: is_ready(api.object("serviceloadbalancers", name, ACCOUNT)), name)
    node = workload.nodes()[0]["metadata"]["name"]
    workload.kubectl("cordon", node)
    try:
        return cases.live(annotated, CASES)
    finally:
        workload.kubectl("uncordon", node)


@cases.pytest_cases(CASES)
def test_annotation(lives: Lives, case: Case, step: int):
    lives.check(case, step)


def test_every_row_of_the_table_has_a_case():
    assert not cases.uncovered(LoadBalancerType.CLB, CASES, {*SELECTION, "preserve-lb-on-delete"})  # below


@pytest.mark.parametrize("key", [CLASS, TUNNEL_TYPE])
def test_another_controllers_service_is_left_alone(annotated: Stack, key: str):
    workload = annotated.workload("one", ACCOUNT)
    other = objects.service("other-controllers", NAMESPACE, "web", annotations={key: SELECTION[key]})
    ours = objects.service("ours-beside", NAMESPACE, "web")
    workload.apply(other, ours)
    try:
        eventually(
            lambda: workload.core("services", "ours-beside", NAMESPACE)["status"]["loadBalancer"]["ingress"],
            "ours served",
        )
        service = workload.core("services", "other-controllers", NAMESPACE)
        assert "finalizers" not in service["metadata"]
        assert not service["status"]["loadBalancer"]
    finally:
        workload.kubectl("delete", "service", "other-controllers", "ours-beside", "-n", NAMESPACE)


@pytest.mark.parametrize("kind", [LoadBalancerType.CLB, LoadBalancerType.NLB])
def test_a_preserved_load_balancer_still_answers_after_its_service(annotated: Stack, kind: LoadBalancerType):
    workload, api = annotated.workload("one", ACCOUNT), annotated.api
    case = Case("preserve-lb-on-delete", "true", id="preserved", kind=kind)
    view = View(case, workload, api)
    workload.apply(case.manifest(0))
    eventually(lambda: answers(view), "an answer")
    balancer, listener = view.balancer, view.listener
    workload.kubectl("delete", "service", case.name, "-n", NAMESPACE)
    kept = api.object("serviceloadbalancers", balancer["metadata"]["name"], ACCOUNT)
    assert kept["spec"]["deleteProtection"] == "off"
    assert not {tag["key"] for tag in kept["spec"].get("tags", [])} & {"kubernetes.do.not.delete", "ack.aliyun.com"}
    ip, port = listener["status"]["reachable"].rsplit(":", 1)
    with socket.create_connection((ip, int(port)), timeout=5):
        assert is_ready(api.object("listeners", listener["metadata"]["name"], ACCOUNT))
    path = f"/apis/ackbox.dev/v1alpha1/namespaces/{ACCOUNT}/serviceloadbalancers/{balancer['metadata']['name']}"
    api.kubectl("delete", "slb", balancer["metadata"]["name"], "-n", ACCOUNT)
    eventually(lambda: gone(api, path), "deleted by hand")
