"""ALB Ingresses on emulated nodes: AlbConfig, IngressClass and Ingress, felt by real clients."""

import base64
import json
import socket
import ssl
from collections import Counter
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

import pytest
from cryptography import x509

from ackbox.runtime.certificates import Request, Usage, issue, new_authority
from e2e import objects
from e2e.conftest import SHARED, Workload
from e2e.stack import ACKBOX, Api, condition, eventually, gone
from e2e.test_nodepools import power

pytestmark = pytest.mark.e2e

ALB = "alb.ingress.kubernetes.io/"
NETWORKING = "/apis/networking.k8s.io/v1"
CONFIGS = "/apis/alibabacloud.com/v1/albconfigs"
FINALIZER = "ingress.k8s.alibaba/resources"


def path(value: str, service: str, kind: str = "Prefix") -> dict[str, Any]:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {"path": value, "pathType": kind, "backend": backend}


def ingress(workload: Workload, name: str, *paths, host="shop.test", of=None, notes=None, **spec):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": workload.namespace,
            "annotations": {ALB + key: value for key, value in (notes or {}).items()},
        },
        "spec": {
            "ingressClassName": of or config_name(workload),
            "rules": [{"host": host, "http": {"paths": list(paths)}}],
            **spec,
        },
    }


def config_name(workload: Workload) -> str:
    return f"gateway-{workload.namespace}"


def albconfig(workload: Workload, *listeners, **settings):
    return {
        "apiVersion": "alibabacloud.com/v1",
        "kind": "AlbConfig",
        # ACK's manifests have a namespace or have none.
        "metadata": {"name": config_name(workload), "namespace": "kube-system"},
        "spec": {
            "config": {"addressType": "Internet", "edition": "Standard", **settings},
            "listeners": list(listeners),
        },
    }


def ingress_class(workload: Workload):
    name = config_name(workload)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {
            "controller": "ingress.k8s.alibabacloud/alb",
            "parameters": {"apiGroup": "alibabacloud.com", "kind": "AlbConfig", "name": name},
        },
    }


@pytest.fixture
def shop(workload: Workload):
    """Services tea and coffee, each with pods, behind node ports."""
    for name in ("tea", "coffee"):
        workload.api.apply(
            objects.deployment(name, workload.namespace, replicas=1),
            objects.service(name, workload.namespace, name, type="NodePort"),
        )
    yield workload
    workload.api.kubectl("delete", "ingresses", "--all", "-n", workload.namespace, "--timeout=120s")


@pytest.fixture
def gateway(shop: Workload):
    """An AlbConfig and its IngressClass of this test's own."""
    shop.api.apply(albconfig(shop), ingress_class(shop))
    yield shop
    shop.api.kubectl("delete", "ingresses", "--all", "-n", shop.namespace, "--timeout=120s")
    shop.api.kubectl("delete", "albconfig", config_name(shop), "--ignore-not-found", "--timeout=120s")
    shop.api.kubectl("delete", "ingressclass", config_name(shop))


def listener(workload: Workload, config: str, port: int = 80):
    """The listener at a port of an AlbConfig's load balancer."""
    number = workload.api.get(f"{CONFIGS}/{config}")["status"]["loadBalancer"]["id"]
    found = workload.management.objects("serviceloadbalancers", SHARED)
    balancer = next(obj for obj in found if obj["status"].get("loadBalancerId") == number)
    return workload.management.object("listeners", f"{balancer['metadata']['name']}-{port}-tcp", SHARED)


def reachable(workload: Workload, config: str | None = None, port: int = 80) -> tuple[str, int]:
    found = listener(workload, config or config_name(workload), port)
    assert condition(found)["status"] == "True", condition(found)
    host, _, number = found["status"]["reachable"].rpartition(":")
    return host, int(number)


def ask(address: tuple[str, int], at: str, host: str = "shop.test", headers=None, secure: bool = False):
    """Status, headers and body of an answer; a body in JSON is parsed."""
    if secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection(*address, timeout=5, context=context)
    else:
        connection = HTTPConnection(*address, timeout=5)
    try:
        connection.request("GET", at, headers={"Host": host, **(headers or {})})
        answer = connection.getresponse()
        body = answer.read().decode()
        return answer.status, answer.headers, json.loads(body) if body.startswith("{") else body
    finally:
        connection.close()


def served_by(address: tuple[str, int], at: str, **options) -> str:
    """The Service whose server group answered."""
    status, _, body = ask(address, at, **options)
    assert status == 200, (status, body)
    return body["vServerGroupName"].split("-")[-2]


def events(workload: Workload, name: str, kind: str = "Warning"):
    return [message for type_, _, message in workload.api.events(workload.namespace, name) if type_ == kind]


def test_a_plain_ingress_of_class_alb_works_and_makes_its_albconfig(shop):
    notes = {
        "address-type": "intranet",
        "vswitch-ids": "net-i,net-h",
        "name": "the-shop",
        "access-log": '{"logProject": "p", "logStore": "s"}',
    }
    shop.api.apply(ingress(shop, "web", path("/tea", "tea"), path("/coffee", "coffee"), of="alb", notes=notes))
    address = eventually(lambda: reachable(shop, "default"), "a listener")
    eventually(lambda: served_by(address, "/tea/green") == "tea", "tea")
    assert served_by(address, "/coffee") == "coffee"
    assert ask(address, "/milk")[0] == 503
    assert ask(address, "/tea", host="other.test")[0] == 503

    config = shop.api.get(f"{CONFIGS}/default")
    assert config["metadata"]["finalizers"] == [FINALIZER]
    shown = config["status"]["loadBalancer"]
    assert shown["dnsname"].startswith(shown["id"])
    assert shown["dnsname"].endswith(".alb.aliyuncs.com")
    web = eventually(lambda: _shown(shop, "web"), "the Ingress' status")
    assert web["metadata"]["finalizers"] == [FINALIZER]
    assert web["status"]["loadBalancer"]["ingress"] == [{"ip": address[0], "hostname": shown["dnsname"]}]
    eventually(lambda: "Successfully reconciled" in events(shop, "web", "Normal"), "the event")

    balancer = listener(shop, "default")["spec"]["loadBalancerId"]
    made = shop.management.object("serviceloadbalancers", balancer, SHARED)
    cluster = shop.management.object("managedclusters", "one", SHARED)["status"]["clusterId"]
    assert (made["spec"]["loadBalancerType"], made["spec"]["addressType"]) == ("alb", "intranet")
    assert made["spec"]["loadBalancerName"] == "the-shop"
    assert balancer.startswith("k8s-kubesystem-default-")
    assert {tag["key"]: tag["value"] for tag in made["spec"]["tags"]} == {
        "ack.aliyun.com": cluster,
        "ingress.k8s.alibaba/resource": "ApplicationLoadBalancer",
        "ingress.k8s.alibaba/albconfig": "kube-system/default",
    }
    assert [zone["vSwitchId"] for zone in made["spec"]["zoneMappings"]] == ["net-i", "net-h"]
    written = shop.stack.home / "logs" / "access" / f"{SHARED}_{balancer}-80-tcp.log"
    eventually(lambda: written.exists() and "/coffee" in written.read_text(), "lines in the access log")

    shop.api.kubectl("delete", "ingress", "web", "-n", shop.namespace, "--timeout=120s")
    assert not _groups(shop, balancer), "nothing of the Ingress is left"
    eventually(lambda: not _listening(address), "nobody listens")
    shop.api.kubectl("delete", "albconfig", "default", "--timeout=120s")
    assert gone(shop.management, f"{ACKBOX}/namespaces/{SHARED}/serviceloadbalancers/{balancer}")


def _listening(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(address) == 0


def _shown(workload: Workload, name: str):
    found = workload.api.get(f"{NETWORKING}/namespaces/{workload.namespace}/ingresses/{name}")
    return found if found["status"]["loadBalancer"].get("ingress") else None


def _groups(workload: Workload, balancer: str) -> set[str]:
    found = workload.management.objects("servergroups", SHARED)
    return {obj["spec"]["vServerGroupName"] for obj in found if obj["spec"]["loadBalancerId"] == balancer}


def test_an_albconfig_says_the_listeners_and_changes_them(gateway):
    port = {"port": 8081, "protocol": "HTTP", "requestTimeout": 30, "gzipEnabled": True}
    log = {"accessLogConfig": {"logProject": "p", "logStore": "s"}}
    gateway.api.apply(albconfig(gateway, port, **log))
    gateway.api.apply(ingress(gateway, "web", path("/", "tea"), notes={"listen-ports": '[{"HTTP": 8081}]'}))
    address = eventually(lambda: reachable(gateway, port=8081), "a listener")
    eventually(lambda: served_by(address, "/") == "tea", "an answer")
    assert listener(gateway, config_name(gateway), 8081)["spec"]["requestTimeout"] == 30
    name = listener(gateway, config_name(gateway), 8081)["metadata"]["name"]
    written = gateway.stack.home / "logs" / "access" / f"{SHARED}_{name}.log"
    eventually(lambda: written.exists() and "/" in written.read_text(), "a line in the access log")
    gateway.api.apply(albconfig(gateway, {**port, "requestTimeout": 40}, **log))

    def timeout():
        return listener(gateway, config_name(gateway), 8081)["spec"]["requestTimeout"]

    eventually(lambda: timeout() == 40, "the new time-out")
    found = gateway.api.events("default", config_name(gateway))
    assert [message for _, reason, message in found if reason == "UnsupportedField" and "gzipEnabled" in message]
    gateway.api.apply(ingress(gateway, "web", path("/", "coffee"), notes={"listen-ports": '[{"HTTP": 8082}]'}))
    other = eventually(lambda: reachable(gateway, port=8082), "another listener")
    eventually(lambda: served_by(other, "/") == "coffee", "coffee there")
    eventually(lambda: ask(address, "/")[0] == 503, "and nothing here")
    gateway.api.apply(albconfig(gateway))
    eventually(lambda: not _listening(address), "the old listener gone")


def test_a_canary_takes_its_share_and_those_who_ask_for_it(gateway):
    gateway.api.apply(
        ingress(gateway, "web", path("/", "tea")),
        ingress(
            gateway,
            "web-canary",
            path("/", "coffee"),
            notes={
                "canary": "true",
                "canary-by-header": "x-new",
                "canary-by-header-value": "yes",
                "canary-by-cookie": "new",
                "canary-weight": "30",
            },
        ),
    )
    address = eventually(lambda: reachable(gateway), "a listener")
    eventually(lambda: served_by(address, "/", headers={"x-new": "yes"}) == "coffee", "the canary by header")
    assert served_by(address, "/", headers={"Cookie": "new=always"}) == "coffee"
    counts = Counter(served_by(address, "/") for _ in range(200))
    assert 20 <= counts["coffee"] <= 100, counts
    gateway.api.kubectl("delete", "ingress", "web-canary", "-n", gateway.namespace, "--timeout=120s")
    eventually(lambda: served_by(address, "/", headers={"x-new": "yes"}) == "tea", "no canary any more")


def tls_secret(workload: Workload, name: str, host: str) -> tuple[dict[str, Any], str]:
    """A TLS Secret, and the number of its certificate."""
    pair = issue(new_authority("test"), Request(host, Usage.SERVER, hosts=(host,)))
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": workload.namespace},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    return secret, str(x509.load_pem_x509_certificate(pair.certificate.encode()).serial_number)


def shown_certificate(address: tuple[str, int], host: str) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(address, timeout=5) as sock, context.wrap_socket(sock, server_hostname=host) as tls:
        certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None
    return str(x509.load_der_x509_certificate(certificate).serial_number)


def test_tls_with_a_secret_redirect_and_renewal(gateway):
    secret, number = tls_secret(gateway, "shop-tls", "shop.test")
    secure = ingress(
        gateway,
        "web",
        path("/", "tea"),
        notes={"ssl-redirect": "true"},
        tls=[{"hosts": ["shop.test"], "secretName": "shop-tls"}],
    )
    gateway.api.apply(secure)
    eventually(lambda: [m for m in events(gateway, "web") if "there is no Secret" in m], "a warning without the Secret")
    gateway.api.apply(secret)
    address = eventually(lambda: reachable(gateway, port=443), "an https listener")
    eventually(lambda: served_by(address, "/", secure=True) == "tea", "tea by TLS")
    assert shown_certificate(address, "shop.test") == number
    plain = eventually(lambda: reachable(gateway), "an http listener")
    status, headers, _ = ask(plain, "/green?x=1")
    assert status == 308
    assert headers["Location"].startswith("https://shop.test")
    assert headers["Location"].endswith("/green?x=1")

    renewed, number = tls_secret(gateway, "shop-tls", "shop.test")
    gateway.api.apply(renewed)
    eventually(lambda: shown_certificate(address, "shop.test") == number, "the renewed certificate")

    gateway.api.kubectl("delete", "ingress", "web", "-n", gateway.namespace, "--timeout=120s")
    secrets = "/api/v1/namespaces/" + SHARED + "/secrets"

    def copies():
        mark = listener_mark(gateway)
        return [s for s in gateway.management.items(secrets) if (s["metadata"].get("labels") or {}).get(MARK) == mark]

    gateway.api.kubectl("delete", "albconfig", config_name(gateway), "--timeout=120s")
    eventually(lambda: not copies(), "no copy of the private key is left")


MARK = "ackbox.dev/albconfig"


def listener_mark(workload: Workload) -> str:
    from ackbox.ccm.ingress.names import owner_mark

    cluster = workload.management.object("managedclusters", "one", SHARED)["status"]["clusterId"]
    return owner_mark(cluster, config_name(workload))


def test_a_certificate_of_the_account_is_found_by_its_domain(gateway):
    secret, number = tls_secret(gateway, f"cert-{gateway.namespace}", "found.test")
    secret["metadata"] |= {"namespace": SHARED, "labels": {"ackbox.dev/certificate-id": f"id-{gateway.namespace}"}}
    gateway.management.apply(secret)
    try:
        gateway.api.apply(ingress(gateway, "web", path("/", "tea"), host="found.test", tls=[{"hosts": ["found.test"]}]))
        address = eventually(lambda: reachable(gateway, port=443), "an https listener")
        eventually(lambda: shown_certificate(address, "found.test") == number, "the account's certificate")
        assert served_by(address, "/", host="found.test", secure=True) == "tea"
    finally:
        gateway.management.kubectl("delete", "secret", secret["metadata"]["name"], "-n", SHARED)


def test_what_is_wrong_is_told_and_the_rest_goes_on(gateway):
    api, namespace = gateway.api, gateway.namespace
    api.apply(objects.service("inner", namespace, "tea", type="ClusterIP"))
    api.apply(
        ingress(
            gateway,
            "web",
            path("/inner", "inner"),
            path("/gone", "gone"),
            path("/", "tea"),
            notes={"canary-weight": "many", "listen-ports": '[{"HTTP": 80}, {"SPDY": 81}]'},
        )
    )
    address = eventually(lambda: reachable(gateway), "a listener")
    eventually(lambda: served_by(address, "/") == "tea", "the good rule")
    assert ask(address, "/inner")[0] == 503
    assert ask(address, "/gone")[0] == 503
    for text in (
        "cluster service type just support eni mode for alb ingress",
        "there is no such Service",
        "canary-weight must be integer, but got [many]",
        "listen protocol must be within [HTTP, HTTPS]: SPDY",
    ):
        eventually(lambda text=text: [m for m in events(gateway, "web") if text in m], text)
    pods = {"service.beta.kubernetes.io/backend-type": "eni"}
    api.apply(objects.service("inner", namespace, "tea", annotations=pods, type="ClusterIP"))
    eventually(lambda: served_by(address, "/inner") == "inner", "pods as servers")
    api.apply(objects.service("gone", namespace, "coffee", type="NodePort"))
    eventually(lambda: served_by(address, "/gone") == "gone", "a Service that came later")


def test_an_ingress_class_that_names_no_albconfig_waits_for_it(shop):
    shop.api.apply(ingress_class(shop), ingress(shop, "web", path("/", "tea")))
    try:
        eventually(lambda: [m for m in events(shop, "web") if "does not exist; create it" in m], "a warning")
        shop.api.apply(albconfig(shop))
        address = eventually(lambda: reachable(shop), "a listener")
        eventually(lambda: served_by(address, "/") == "tea", "an answer")
    finally:
        shop.api.kubectl("delete", "ingresses", "--all", "-n", shop.namespace, "--timeout=120s")
        shop.api.kubectl("delete", "albconfig", config_name(shop), "--ignore-not-found", "--timeout=120s")
        shop.api.kubectl("delete", "ingressclass", config_name(shop))


def test_ingresses_of_another_class_are_left_alone(shop):
    other = ingress_class(shop)
    other["spec"] = {"controller": "k8s.io/ingress-nginx"}
    shop.api.apply(other, ingress(shop, "web", path("/", "tea")), ingress(shop, "ours", path("/", "tea"), of="alb"))
    try:
        eventually(lambda: _shown(shop, "ours"), "ours is served")
        web = shop.api.get(f"{NETWORKING}/namespaces/{shop.namespace}/ingresses/web")
        assert "finalizers" not in web["metadata"]
        assert not web["status"]["loadBalancer"]
        moved = ingress(shop, "ours", path("/", "tea"))
        shop.api.apply(moved)

        def released():
            found = shop.api.get(f"{NETWORKING}/namespaces/{shop.namespace}/ingresses/ours")
            return "finalizers" not in found["metadata"] and not found["status"]["loadBalancer"]

        eventually(released, "one that goes to another class is let go")
    finally:
        shop.api.kubectl("delete", "ingresses", "--all", "-n", shop.namespace, "--timeout=120s")
        shop.api.kubectl("delete", "albconfig", "default", "--ignore-not-found", "--timeout=120s")
        shop.api.kubectl("delete", "ingressclass", config_name(shop))


def test_servers_follow_nodes_and_what_others_change_is_put_back(gateway):
    api: Api = gateway.api
    name = sorted(node["metadata"]["name"] for node in api.nodes())[0]
    label = f"only-{gateway.namespace}"
    api.apply(ingress(gateway, "web", path("/", "tea"), notes={"backend-label": f"{label}=yes"}))
    address = eventually(lambda: reachable(gateway), "a listener")
    eventually(lambda: ask(address, "/")[0] == 503, "no server yet")
    api.kubectl("label", "node", name, f"{label}=yes")
    try:
        eventually(lambda: served_by(address, "/") == "tea", "the labelled node answers")
        found = listener(gateway, config_name(gateway))
        patch = json.dumps({"spec": {"rules": []}})
        gateway.management.kubectl("patch", "lsn", found["metadata"]["name"], "-n", SHARED, "--type=merge", "-p", patch)
        eventually(lambda: listener(gateway, config_name(gateway))["spec"].get("rules"), "the rules are put back")
        gateway.management.kubectl("delete", "lsn", found["metadata"]["name"], "-n", SHARED)
        eventually(lambda: served_by(reachable(gateway), "/") == "tea", "the listener is put back")
    finally:
        api.kubectl("label", "node", name, f"{label}-")


def test_order_rewrite_and_cookies(gateway):
    api = gateway.api
    api.kubectl("scale", "deployment/tea", "--replicas=3", "-n", gateway.namespace)
    api.apply(
        ingress(gateway, "a-late", path("/", "coffee"), notes={"albconfig.order": "20"}),
        ingress(
            gateway,
            "z-early",
            path("/", "tea"),
            notes={"order": "5", "rewrite-target": "/cup", "sticky-session": "true", "cookie-timeout": "60"},
        ),
    )
    address = eventually(lambda: reachable(gateway), "a listener")
    eventually(lambda: served_by(address, "/") == "tea", "the lower order wins")
    _, headers, body = ask(address, "/any/path")
    assert body["path"] == "/cup"
    cookie, _, attributes = headers["Set-Cookie"].partition(";")
    assert "Max-Age=60" in attributes
    servers = {ask(address, "/", headers={"Cookie": cookie})[2]["serverId"] for _ in range(12)}
    assert servers == {body["serverId"]}
    assert len({ask(address, "/")[2]["serverId"] for _ in range(30)}) > 1


def test_checked_servers_that_fail_get_nothing(gateway):
    api, management = gateway.api, gateway.management
    notes = {
        "healthcheck-enabled": "true",
        "healthcheck-interval-seconds": "1",
        "healthcheck-timeout-seconds": "1",
        "unhealthy-threshold-count": "2",
        "healthy-threshold-count": "2",
    }
    api.apply(ingress(gateway, "web", path("/", "tea"), notes=notes))
    address = eventually(lambda: reachable(gateway), "a listener")

    def reached():
        answers = [ask(address, "/") for _ in range(30)]
        assert all(status == 200 for status, _, _ in answers)
        return {body["serverId"] for _, _, body in answers}

    def listed():
        every = management.objects("servergroups", SHARED)
        group = next(obj for obj in every if obj["spec"]["vServerGroupName"] == f"{gateway.namespace}-tea-80")
        return {server["serverId"] for server in group["spec"]["backendServers"]}

    eventually(lambda: len(reached()) == len(listed()) == len(api.nodes()), "every node answers")
    server = api.nodes()[0]["spec"]["providerID"].partition(".")[2]
    power(gateway, server, "Stopped")
    try:
        # Later its Node is not ready either, and it is no server any more.
        eventually(lambda: server not in reached() and server in listed(), "the check notices first")
    finally:
        power(gateway, server, "Running")
    eventually(lambda: server in reached(), "it is back")


def test_a_cordoned_node_and_an_albconfig_by_its_name(gateway):
    """The IngressClass `alb` names no AlbConfig, so the Ingress may."""
    api, name = gateway.api, config_name(gateway)
    notes = {"albconfig.name": name, "remove-unscheduled-backend": "on"}
    api.apply(ingress(gateway, "web", path("/", "tea"), of="alb", notes=notes))
    address = eventually(lambda: reachable(gateway), "a listener of the AlbConfig that it names")
    eventually(lambda: served_by(address, "/") == "tea", "an answer")
    node = api.nodes()[0]
    server = node["spec"]["providerID"].partition(".")[2]
    api.kubectl("cordon", node["metadata"]["name"])
    try:

        def left():
            return server not in {ask(address, "/")[2]["serverId"] for _ in range(20)}

        eventually(left, "the cordoned node gets nothing")
    finally:
        api.kubectl("uncordon", node["metadata"]["name"])
    eventually(lambda: not left(), "it is back")


def test_a_users_load_balancer_is_used_and_left(gateway):
    management, name = gateway.management, f"own-{gateway.namespace}"
    zones = [
        {"zoneId": "cn-hangzhou-h", "vSwitchId": "net-h"},
        {"zoneId": "cn-hangzhou-i", "vSwitchId": "net-i"},
    ]
    spec = {"loadBalancerType": "alb", "vpcId": "net", "zoneMappings": zones}
    management.apply(objects.custom("ServiceLoadBalancer", name, spec, SHARED))
    config = f"reuse-{gateway.namespace}"
    reused = albconfig(gateway, id=name)
    reused["metadata"]["name"] = config
    cls = ingress_class(gateway)
    cls["metadata"]["name"] = cls["spec"]["parameters"]["name"] = config
    gateway.api.apply(reused, cls, ingress(gateway, "web", path("/", "tea"), of=config))
    try:
        address = eventually(lambda: reachable(gateway, config), "a listener")
        eventually(lambda: served_by(address, "/") == "tea", "an answer")
        assert listener(gateway, config)["spec"]["loadBalancerId"] == name
        gateway.api.kubectl("delete", "ingress", "web", "-n", gateway.namespace, "--timeout=120s")
        gateway.api.kubectl("delete", "albconfig", config, "--timeout=120s")
        assert not _groups(gateway, name)
        assert not [obj for obj in management.objects("listeners", SHARED) if obj["spec"]["loadBalancerId"] == name]
        assert "deletionTimestamp" not in management.object("serviceloadbalancers", name, SHARED)["metadata"]
    finally:
        gateway.api.kubectl("delete", "albconfig", config, "--ignore-not-found", "--wait=false")
        gateway.api.kubectl("delete", "ingressclass", config)
        management.kubectl("delete", "slb", name, "-n", SHARED, "--wait=false")
