"""Every NLB annotation made, changed and removed: the objects, the Warning and, where it touches traffic, the traffic."""

import http.client
import itertools
import json
import socket
from contextlib import contextmanager
from typing import Any

import pytest

from ackbox.catalog.annotations import BACKEND_TYPE, TYPE
from ackbox.resources.loadbalancer import LoadBalancerType
from e2e import annotations as cases
from e2e import objects
from e2e.annotations import ACCOUNT, NAMESPACE, Case, Lives, View
from e2e.stack import ACKBOX, Stack, condition, eventually, gone, is_ready
from e2e.test_annotations_clb import (
    ZONE,
    alpn,
    answers,
    every_server,
    no_listener,
    one_server,
    server_count,
    servers_in_zone,
    shows_certificate,
    tls_1_1,
    user_group_weights,
    weights,
)

pytestmark = pytest.mark.e2e

NLB = LoadBalancerType.NLB
CLASS = {"loadBalancerClass": "alibabacloud.com/nlb"}
ZONES = "cn-hangzhou-h:net-h,cn-hangzhou-i:net-i"
ENI = {BACKEND_TYPE: "eni"}
CHECKED = {"health-check-flag": "on"}
HTTP_CHECK = CHECKED | {"health-check-type": "http"}
HEADER = {"proxy-protocol": "on"}
MANAGED = {"force-override-listeners": "true"}
ALPN = {"alpn": "on", "alpn-policy": "HTTP2Only"}
CA = {"cacert": "on", "cacert-id": "ca-a"}


def nlb(suffix: str, first: str | None, second: str | None = None, **options: Any) -> Case:
    return Case(suffix, first, second, kind=NLB, **options)


def lets_in(*clients: str):
    """Only clients with these certificates, of two CAs and of none, get an answer."""

    def look(view: View) -> bool:
        found = {
            client
            for client in ("client-a", "client-b", "")
            if cases.handshake(view, cases.client_context(client=client or None)) is not None
        }
        return found == set(clients)

    return look


def answer_has(field: str, wanted: bool = True):
    return lambda view: bool(cases.answer(view).get(field)) is wanted


def tells_vpc(wanted: bool):
    return lambda view: ("0xe1" in cases.answer(view)["proxyValues"]) is wanted


def answered(view: View, count: int = 30) -> int:
    found = 0
    for _ in range(count):
        try:
            found += cases.get(view)[0].status == 200
        except (OSError, http.client.HTTPException):
            continue
    return found


def plain(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def answers_plainly(view: View) -> bool:
    ip, port = view.address
    return plain(f"{ip}:{port}")


def answers_on(*ports: int):
    """Each of these ports answers, and the next one doesn't."""

    def look(view: View) -> bool:
        assert is_ready(view.listener), view.listener.get("status")
        ip = view.balancer["status"]["reachable"]
        assert all(plain(f"{ip}:{port}") for port in ports)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((ip, ports[-1] + 1), timeout=5)
        return True

    return look


def uses(name: str | None):
    """The Service's load balancer is one of the user's, or its own, and answers there."""

    def look(view: View) -> bool:
        balancer = view.balancer["metadata"]["name"]
        own = "a" + view.service["metadata"]["uid"].replace("-", "")[:31]
        assert balancer == (name or own), balancer
        listener = view.management.object("listeners", f"{balancer}-80-tcp", ACCOUNT)
        return is_ready(listener) and plain(listener["status"]["reachable"])

    return look


def listener(**fields: Any) -> dict[str, Any]:
    return {"listener": fields}


def balancer(**fields: Any) -> dict[str, Any]:
    return {"balancer": fields}


def ppv2(field: str, *values: bool):
    return {step: listener(proxyProtocolV2Config={field: value}) for step, value in enumerate((*values, values[-1]))}


TWO_ZONES = [{"zoneId": "cn-hangzhou-h", "vSwitchId": "net-h"}, {"zoneId": "cn-hangzhou-i", "vSwitchId": "net-i"}]

CASES = (
    nlb("id", None, "nlb-id", companions=MANAGED, felt=uses(None), felt_changed=uses("nlb-id"), felt_removed=uses(None)),
    nlb("name", "first-name", "second-name"),
    nlb("resource-group-id", "rg-first", "rg-second"),
    nlb("additional-resource-tags", "team=a,env", "team=b"),
    nlb("force-override-listeners", "false", "true", companions={"id": "nlb-force"}, felt=no_listener, felt_changed=answers),
    nlb("preserve-lb-on-delete", "true", warning="will be preserved after the service is deleted"),
    nlb("zone-maps", ZONES, "cn-hangzhou-i:net-i", felt=answers, felt_changed=answers,
        expected={0: balancer(zoneMappings=TWO_ZONES), 1: balancer(zoneMappings=TWO_ZONES[1:]),
                  2: balancer(zoneMappings=TWO_ZONES[1:])}),
    nlb("zone-maps", ZONES, "cn-hangzhou-h:net-h:192.168.3.3,cn-hangzhou-i:net-i", id="zone-address",
        warning="the private IPv4 address of zone cn-hangzhou-h cannot be changed",
        expected={step: balancer(zoneMappings=TWO_ZONES) for step in range(3)}),
    nlb("address-type", "Internet", "Intranet", felt=answers, felt_changed=answers),
    nlb("ip-version", "ipv4", "DualStack"),
    nlb("ipv6-address-type", "internet", "intranet", companions={"ip-version": "DualStack"}),
    nlb("security-group-ids", "sg-a,sg-b", "",
        expected={0: balancer(securityGroupIds=["sg-a", "sg-b"]), 1: balancer(securityGroupIds=[]),
                  2: balancer(securityGroupIds=[])}),
    nlb("bandwidth-package-id", "cbwp-first", "",
        expected={0: balancer(bandwidthPackageId="cbwp-first"), 1: balancer(bandwidthPackageId=None),
                  2: balancer(bandwidthPackageId=None)}),
    nlb("cross-zone-enabled", "on", "off"),
    nlb("protocol-port", "TCPSSL:443", "tcp:443", protocol="tcpssl", felt=answers, felt_changed=answers_plainly,
        expected={0: listener(listenerProtocol="tcpssl"), 1: listener(listenerProtocol="tcp"),
                  2: listener(listenerProtocol="tcp")}),
    nlb("listener-port-range", "20000-20003:80", "20002-20004:80", companions=ENI,
        felt=answers_on(20000, 20001, 20002, 20003), felt_changed=answers_on(20002, 20003, 20004), felt_removed=answers,
        expected={0: listener(listenerPort=0, startPort=20000, endPort=20003),
                  1: listener(listenerPort=0, startPort=20002, endPort=20004), 2: listener(listenerPort=80)}),
    nlb("listener-port-range", "20000-20003:80", None, id="range-of-nodes",
        warning="listener port range can only be used for eni backend type service", expected={0: {}, 1: {}, 2: {}},
        felt=no_listener, felt_removed=answers),
    nlb("cert-id", "cert-a", "cert-b", felt=shows_certificate("cert-a"), felt_changed=shows_certificate("cert-b"),
        felt_removed=shows_certificate("cert-b")),
    nlb("cert-id", "cert-a", "cert-old", id="cert-id-expired", felt_changed=shows_certificate("cert-a"),
        warning="can not update cert cert-old because it is expired",
        expected={step: listener(certificateIds=["cert-a"]) for step in range(3)}),
    nlb("additional-cert-ids", "cert-b,cert-c", "cert-c", felt=shows_certificate("cert-b", "cert-b.example"),
        felt_changed=shows_certificate("cert-a", "cert-b.example"), felt_removed=shows_certificate("cert-c", "cert-c.example")),
    nlb("additional-cert-ids", "cert-b", "", id="additional-cert-ids-none", felt=shows_certificate("cert-b", "cert-b.example"),
        felt_changed=shows_certificate("cert-a", "cert-b.example"),
        expected={0: listener(additionalCertificateIds=["cert-b"]), 1: listener(additionalCertificateIds=[]),
                  2: listener(additionalCertificateIds=[])}),
    nlb("cacert", "on", "off", companions=CA, felt=lets_in("client-a"), felt_changed=lets_in("client-a", "client-b", "")),
    nlb("cacert-id", "ca-a", "ca-b", companions=CA, felt=lets_in("client-a"), felt_changed=lets_in("client-b"),
        felt_removed=lets_in("client-b")),
    nlb("tls-cipher-policy", "tls_cipher_policy_1_0", "tls_cipher_policy_1_2", felt=tls_1_1,
        felt_changed=lambda view: not tls_1_1(view)),
    nlb("alpn", "on", "off", companions=ALPN, felt=lambda view: alpn(view) == "h2", felt_changed=lambda view: alpn(view) is None),
    nlb("alpn-policy", "HTTP1Only", "HTTP2Preferred", companions=ALPN, felt=lambda view: alpn(view) == "http/1.1",
        felt_changed=lambda view: alpn(view) == "h2"),
    nlb("proxy-protocol", "on", "off", felt=answer_has("proxyProtocol"), felt_changed=answer_has("proxyProtocol", wanted=False)),
    nlb("proxy-protocol", "on", "off", id="proxy-protocol-tcpssl", protocol="tcpssl", felt=answer_has("proxyProtocol"),
        felt_changed=answer_has("proxyProtocol", wanted=False)),
    nlb("ppv2-pvl-ep-id-enabled", "on", "off", companions=HEADER, expected=ppv2("ppv2PrivateLinkEpIdEnabled", True, False)),
    nlb("ppv2-pvl-eps-id-enabled", "on", "off", companions=HEADER, expected=ppv2("ppv2PrivateLinkEpsIdEnabled", True, False)),
    nlb("ppv2-pvl-vpc-id-enabled", "on", "off", companions=HEADER, expected=ppv2("ppv2VpcIdEnabled", True, False),
        felt=tells_vpc(True), felt_changed=tells_vpc(False)),
    nlb("idle-timeout", "60", "1", felt=lambda view: not cases.closed_within(view, 3),
        felt_changed=lambda view: cases.closed_within(view, 10)),
    nlb("cps", "3", "0", felt=lambda view: answered(view) < 30, felt_changed=lambda view: answered(view) == 30),
    nlb("vgroup-port", "sgp-user:80", companions=MANAGED | {"id": "nlb-vgroup"}, felt=answers),
    nlb("scheduler", "SCH", "rr", felt=one_server, felt_changed=every_server),
    nlb("scheduler", "wrr", "wlc", id="scheduler-weighted", felt=every_server, felt_changed=answers),
    nlb("scheduler", "tch", "qch", id="scheduler-hash", felt=answers, felt_changed=answers),
    nlb("connection-drain", "on", "off"),
    nlb("connection-drain-timeout", "10", "20", companions={"connection-drain": "on"}),
    nlb("preserve-client-ip", "on", "off", felt=answer_has("clientIp"), felt_changed=answer_has("clientIp", wanted=False)),
    nlb("server-group-type", "Instance", "Ip", felt=answers, felt_changed=answers),
    nlb("health-check-flag", "on", "off"),
    nlb("health-check-type", "tcp", "HTTP", companions=CHECKED),
    nlb("health-check-type", "tcp", "udp", id="health-check-by-udp", companions=CHECKED,
        warning="health-check-type: udp is for udp listeners only",
        expected={step: {"group": {"healthCheckConfig": {"healthCheckType": "TCP"}}} for step in range(3)}),
    nlb("health-check-type", "udp", "tcp", id="health-check-of-udp", companions=CHECKED, protocol="udp"),
    nlb("health-check-uri", "/a", "/b", companions=HTTP_CHECK),
    nlb("health-check-domain", "a.example.com", "b.example.com", companions=HTTP_CHECK),
    nlb("health-check-httpcode", "http_2xx", "http_2xx,http_3xx", companions=HTTP_CHECK),
    nlb("health-check-method", "head", "GET", companions=HTTP_CHECK),
    nlb("health-check-connect-port", "8080", "0", companions=CHECKED),
    nlb("health-check-connect-timeout", "5", "10", companions=CHECKED),
    nlb("health-check-interval", "2", "5", companions=CHECKED),
    nlb("healthy-threshold", "2", "4", companions=CHECKED),
    nlb("unhealthy-threshold", "2", "4", companions=CHECKED),
    nlb("backend-label", f"{ZONE}=cn-hangzhou-h", f"{ZONE}=cn-hangzhou-i", felt=servers_in_zone("cn-hangzhou-h"),
        felt_changed=servers_in_zone("cn-hangzhou-i"), felt_removed=server_count(3)),
    nlb("backend-ip-version", "ipv4", "dualstack", felt=answers, felt_changed=answers,
        warning="backend-ip-version: dualstack needs the feature gates"),
    nlb("remove-unscheduled-backend", "on", "off", felt=server_count(2), felt_changed=server_count(3)),
    nlb("weight", "60", "30", companions=MANAGED | {"id": "nlb-weight", "vgroup-port": "sgp-weight:80"},
        felt=user_group_weights("sgp-weight", 60), felt_changed=user_group_weights("sgp-weight", 30)),
    nlb("default-weight", "50", "0", felt=lambda view: weights(50, 50, 50)(view) and answers(view),
        felt_changed=lambda view: weights(0, 0, 0)(view) and answered(view, 3) == 0,
        felt_removed=lambda view: weights(100, 100, 100)(view) and answers(view)),
    nlb("ignore-weight-update", "on", "off", companions={"default-weight": "50"}, felt=weights(50, 50, 50)),
    nlb(BACKEND_TYPE, "ecs", "eni", felt=lambda view: cases.answer(view)["serverId"].startswith("i-"),
        felt_changed=lambda view: cases.answer(view)["serverId"].startswith("eni-"),
        felt_removed=lambda view: cases.answer(view)["serverId"].startswith("i-")),
)  # fmt: skip

USERS = ("nlb-id", "nlb-force", "nlb-vgroup", "nlb-weight", "nlb-ranges", "nlb-shared")
GROUPS = {"sgp-user": "nlb-vgroup", "sgp-weight": "nlb-weight"}


def users_nlb(name: str) -> dict[str, Any]:
    spec = {"loadBalancerType": "nlb", "addressType": "internet", "vpcId": "net", "zoneMappings": TWO_ZONES}
    return objects.custom("ServiceLoadBalancer", name, spec, ACCOUNT)


def users_group(name: str, load_balancer: str) -> dict[str, Any]:
    spec = {"loadBalancerId": load_balancer, "vServerGroupName": name, "clusterId": "one", "protocol": "TCP"}
    return objects.custom("ServerGroup", name, spec, ACCOUNT)


@pytest.fixture(scope="module")
def users(annotated: Stack) -> Stack:
    """Load balancers and server groups that a user made."""
    api = annotated.api
    api.apply(*map(users_nlb, USERS), *(users_group(name, slb) for name, slb in GROUPS.items()))
    for name in USERS:
        eventually(lambda name=name: is_ready(api.object("serviceloadbalancers", name, ACCOUNT)), name)
    return annotated


@pytest.fixture(scope="module")
def lives(users: Stack) -> Lives:
    """What became of all cases, with a node cordoned."""
    workload = users.workload("one", ACCOUNT)
    node = workload.nodes()[0]["metadata"]["name"]
    workload.kubectl("cordon", node)
    try:
        return cases.live(users, CASES)
    finally:
        workload.kubectl("uncordon", node)


@cases.pytest_cases(CASES)
def test_annotation(lives: Lives, case: Case, step: int):
    lives.check(case, step)


def test_every_row_of_the_table_has_a_case():
    assert not cases.uncovered(NLB, CASES, {TYPE, "preserve-lb-on-delete"})  # the latter beside CLB's


@contextmanager
def served(stack: Stack, case: Case, **spec: Any):
    """A Service of a case's first step, with further fields in its spec; deleted afterwards."""
    workload = stack.workload("one", ACCOUNT)
    manifest = case.manifest(0)
    manifest["spec"] |= spec
    view = View(case, workload, stack.api)
    workload.apply(manifest)
    try:
        yield view, manifest
    finally:
        workload.kubectl("delete", "service", case.name, "-n", NAMESPACE, "--ignore-not-found", "--timeout=120s")


def test_names_tags_labels_and_finalizer_are_the_real_ones(annotated: Stack):
    with served(annotated, nlb("zone-maps", ZONES, id="names")) as (view, _):
        eventually(lambda: answers(view), "an answer")
        slb = eventually(lambda: view.balancer, "its label")
        service = view.service
        cluster = view.management.object("managedclusters", "one", ACCOUNT)["status"]["clusterId"]
        default_name = ("a" + service["metadata"]["uid"].replace("-", ""))[:32]
        assert slb["metadata"]["name"] == slb["spec"]["loadBalancerName"] == default_name
        marks = {"kubernetes.do.not.delete": default_name, "ack.aliyun.com": cluster}
        assert {tag["key"]: tag["value"] for tag in slb["spec"]["tags"]} == marks
        assert {tag["key"]: tag["value"] for tag in view.group["spec"]["tags"]} == marks
        assert service["metadata"]["finalizers"] == ["service.k8s.alibaba/nlb"]
        tail = f"{view.case.name}.{NAMESPACE}.{cluster}"
        assert view.listener["spec"]["description"] == f"k8s.80.TCP.{tail}"
        node_port = service["spec"]["ports"][0]["nodePort"]
        assert view.group["spec"]["vServerGroupName"] == f"k8s.{node_port}.TCP.{tail}"
        (shown,) = eventually(lambda: view.service["status"]["loadBalancer"].get("ingress"), "the status")
        assert shown["hostname"] == slb["status"]["dnsName"]
        assert slb["status"]["loadBalancerId"].startswith("nlb-")
    name = slb["metadata"]["name"]
    eventually(lambda: gone(annotated.api, f"{ACKBOX}/namespaces/{ACCOUNT}/serviceloadbalancers/{name}"), "no SLB")
    eventually(lambda: not view.listeners, "no listener")


def test_without_zones_there_is_a_warning_and_no_load_balancer(annotated: Stack):
    case = nlb("zone-maps", None, id="no-zones")
    with served(annotated, case) as (view, manifest):
        eventually(
            lambda: any("ParameterMissing, zone mappings are required" in text for text in view.warnings), "a Warning"
        )
        assert "service.k8s.alibaba/loadbalancer-id" not in view.service["metadata"].get("labels", {})
        manifest["metadata"]["annotations"] |= nlb("zone-maps", ZONES).manifest(0)["metadata"]["annotations"]
        view.workload.apply(manifest)
        eventually(lambda: answers(view), "an answer once it is put right")


def test_source_ranges_let_in_who_they_name(annotated: Stack):
    case = nlb("zone-maps", ZONES, id="ranges")
    with served(annotated, case, loadBalancerSourceRanges=["127.0.0.9/32"]) as (view, manifest):
        eventually(lambda: cases.refused(view, "127.0.0.1") and not cases.refused(view, "127.0.0.9"), "one let in")
        label = "service.k8s.alibaba/security-group-id"
        eventually(lambda: view.service["metadata"]["labels"].get(label, "").startswith("sg-"), "the security group")
        manifest["spec"]["loadBalancerSourceRanges"] = []
        view.workload.apply(manifest)
        eventually(lambda: not cases.refused(view, "127.0.0.1"), "everybody let in")
        eventually(lambda: label not in view.service["metadata"]["labels"], "no security group")


def test_source_ranges_of_a_users_load_balancer_are_not_supported(users: Stack):
    case = nlb("id", "nlb-ranges", id="users-ranges", companions=MANAGED)
    with served(users, case, loadBalancerSourceRanges=["127.0.0.9/32"]) as (view, _):
        text = "LoadBalancerSourceRanges is not supported for user-managed LB."
        eventually(lambda: text in view.warnings, "the Warning")
        eventually(lambda: not cases.refused(view, "127.0.0.1"), "everybody is let in")


def test_a_port_inside_another_services_range_is_free_once_that_is_gone(users: Stack):
    shared = MANAGED | {"id": "nlb-shared"}
    ranged = nlb("listener-port-range", "21000-21003:80", id="range-first", companions=ENI | shared)
    ports = [{"name": "web", "port": 21002, "targetPort": 8080}]
    single = nlb("scheduler", "rr", id="range-second", companions=shared, service={"ports": ports})
    with served(users, single) as (second, manifest):
        eventually(lambda: answers(second), "the only one answers")
        second.workload.kubectl("delete", "service", single.name, "-n", NAMESPACE)
        with served(users, ranged) as (first, _):
            eventually(lambda: answers_on(21000, 21001, 21002, 21003)(first), "the range answers")
            second.workload.apply(manifest)
            text = f"overlaps with listener [21000-21003/tcp] of Service {NAMESPACE}/{ranged.name}"
            eventually(lambda: any(text in one for one in second.warnings), "the Warning")
            assert answers_on(21000, 21001, 21002, 21003)(first)
        eventually(lambda: answers(second), "the freed port goes to the one that waits")


def goes_on(sock: socket.socket) -> bool:
    """Whether a server still answers on a connection."""
    try:
        sock.sendall(b"ackbox\n")
        return b"ackbox" in sock.recv(4096)
    except (ConnectionError, TimeoutError):
        return False


@pytest.mark.parametrize("drain", ["on", "off"])
def test_connections_of_a_removed_server_go_on_as_long_as_drain_says(annotated: Stack, drain: str):
    here, there = (f"{ZONE}=cn-hangzhou-{letter}" for letter in "hi")
    notes = {"connection-drain": drain} | ({"connection-drain-timeout": "10"} if drain == "on" else {})
    case = nlb("backend-label", here, there, id=f"drain-{drain}", companions=notes)
    with served(annotated, case) as (view, _):
        eventually(lambda: servers_in_zone("cn-hangzhou-h")(view) and answers(view), "an answer")
        with cases.connect(view, timeout=3) as sock:
            assert goes_on(sock)
            view.workload.apply(case.manifest(1))
            eventually(lambda: servers_in_zone("cn-hangzhou-i")(view), "another server")
            if drain == "on":
                assert goes_on(sock)
            eventually(lambda: not goes_on(sock), "its end", 30)


@pytest.mark.parametrize("flag", ["on", "off"])
def test_a_dead_server_gets_nothing_while_it_is_checked(annotated: Stack, flag: str):
    notes = {"health-check-interval": "1", "unhealthy-threshold": "2"} if flag == "on" else {}
    case = nlb("health-check-flag", flag, id=f"dead-server-{flag}", companions=notes)
    with served(annotated, case) as (view, _):
        eventually(lambda: every_server(view), "three servers")
        dead = cases.answer(view)["serverId"]
        power(annotated, dead, "Stopped")
        try:
            if flag == "on":
                eventually(lambda: answered(view) == 30 and dead not in cases.servers(view, 30), "two servers")
            else:
                eventually(lambda: 0 < answered(view) < 30, "some requests fail")
        finally:
            power(annotated, dead, "Running")
        eventually(lambda: every_server(view), "three servers again")


def power(stack: Stack, instance: str, state: str) -> None:
    patch = json.dumps({"spec": {"status": state}})
    stack.api.kubectl("patch", "instance", instance, "-n", ACCOUNT, "--type=merge", "-p", patch)
    eventually(
        lambda: stack.api.object("instances", instance, ACCOUNT)["status"]["phase"] == state, f"{instance} {state}"
    )


def test_another_controllers_type_annotation_counts_with_its_gate_only(annotated: Stack):
    workload = annotated.workload("one", ACCOUNT)
    before = workload.core("configmaps", "cloud-config", "kube-system")["data"]["cloud-config.conf"]
    annotations = {TYPE: "nlb", "zone-maps": ZONES}
    names = (f"type-annotation-{number}" for number in itertools.count())

    def kind(name: str) -> str:
        found = workload.core("services", name, NAMESPACE)
        label = found["metadata"].get("labels", {}).get("service.k8s.alibaba/loadbalancer-id")
        if label is None and condition(found, "ackbox.dev/LoadBalancerEnsured").get("status") == "False":
            return "refused"  # the gate opened while its classic load balancer was being made
        assert label, workload.events(NAMESPACE, name)
        every = annotated.api.objects("serviceloadbalancers", ACCOUNT)
        return next(slb for slb in every if slb["status"].get("loadBalancerId") == label)["spec"]["loadBalancerType"]

    def made() -> str:
        """The kind of load balancer that a new Service gets."""
        name = next(names)
        workload.apply(objects.service(name, NAMESPACE, "web", annotations=annotations))
        try:
            return eventually(lambda: kind(name), "a load balancer")
        finally:
            workload.kubectl("delete", "service", name, "-n", NAMESPACE)

    def configure(text: str) -> None:
        patch = json.dumps({"data": {"cloud-config.conf": text}})
        workload.kubectl("patch", "configmap", "cloud-config", "-n", "kube-system", "--type=merge", "-p", patch)

    gated = {"Global": json.loads(before)["Global"] | {"featureGates": "LoadBalancerTypeAnnotation=true"}}
    assert made() == "clb"
    try:
        configure(json.dumps(gated))
        # The new cloud config is seen within a while; until then each new Service is a classic one.
        eventually(lambda: made() == "nlb", "with the gate a network load balancer")
    finally:
        configure(before)
