"""What a Service with a classic load balancer says and waits for: certificates, forwarding, readiness gates, cloud config."""

import json
from collections.abc import Iterator

import pytest

from e2e import annotations as cases
from e2e import objects
from e2e.annotations import ACCOUNT, NAMESPACE
from e2e.stack import Api, Stack, eventually, http, is_ready

pytestmark = pytest.mark.e2e

CONDITION = "ackbox.dev/LoadBalancerEnsured"
HTTPS = {"protocol-port": "https:443", "cert-id": "cert-late"}
PORTS = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8080}]


@pytest.fixture
def workload(annotated: Stack) -> Iterator[Api]:
    """The cluster of the annotation suites, without Services afterwards and with the cloud config that it had."""
    api = annotated.workload("one", ACCOUNT)
    before = api.core("configmaps", "cloud-config", "kube-system")["data"]
    yield api
    api.kubectl(
        "patch", "configmap", "cloud-config", "-n", "kube-system", "--type=merge", "-p", json.dumps({"data": before})
    )
    api.kubectl("delete", "services", "--all", "-n", NAMESPACE, "--timeout=120s")


def configure(api: Api, **changes: object) -> None:
    """Change keys of the cloud config."""
    data = api.core("configmaps", "cloud-config", "kube-system")["data"]["cloud-config.conf"]
    text = json.dumps({"Global": json.loads(data)["Global"] | changes})
    patch = json.dumps({"data": {"cloud-config.conf": text}})
    api.kubectl("patch", "configmap", "cloud-config", "-n", "kube-system", "--type=merge", "-p", patch)


def condition(api: Api, name: str) -> tuple[str, str]:
    """Status and message of the Service's condition."""
    found = api.core("services", name, NAMESPACE)["status"].get("conditions") or []
    return next((item["status"], item["message"]) for item in found if item["type"] == CONDITION)


def listeners(stack: Stack, name: str) -> dict[int, dict]:
    found = [
        lsn
        for lsn in stack.api.objects("listeners", ACCOUNT)
        if f"/{name}/{NAMESPACE}/" in (lsn["spec"].get("description") or "")
    ]
    return {lsn["spec"]["listenerPort"]: lsn for lsn in found}


def answers(stack: Stack, name: str) -> dict:
    listener = listeners(stack, name)[80]
    assert is_ready(listener), listener.get("status")
    return http(listener["status"]["reachable"])


def test_one_wrong_port_keeps_no_other_from_answering_and_heals(annotated: Stack, workload: Api):
    workload.apply(objects.service("partly", NAMESPACE, "web", PORTS, HTTPS))
    eventually(lambda: answers(annotated, "partly"), "an answer of the right port")
    eventually(lambda: "can not found cert by id cert-late" in condition(workload, "partly")[1], "the condition")
    assert condition(workload, "partly")[0] == "False"
    assert 443 not in listeners(annotated, "partly")
    certificate, key = cases.KEYS["cert-a"]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "late", "namespace": ACCOUNT, "labels": {"ackbox.dev/certificate-id": "cert-late"}},
        "stringData": {"tls.crt": certificate.decode(), "tls.key": key.decode()},
    }
    annotated.api.apply(secret)
    try:
        eventually(lambda: is_ready(listeners(annotated, "partly")[443]), "the https listener")
        eventually(lambda: condition(workload, "partly") == ("True", ""), "the condition True")
        reasons = {reason for _, reason, _ in workload.events(NAMESPACE, "partly")}
        assert {"SyncLoadBalancerFailed", "EnsuredLoadBalancer"} <= reasons
    finally:
        annotated.api.kubectl("delete", "secret", "late", "-n", ACCOUNT)


def test_an_expired_certificate_is_not_taken(annotated: Stack, workload: Api):
    workload.apply(objects.service("expired", NAMESPACE, "web", PORTS, HTTPS | {"cert-id": "cert-a"}))
    eventually(lambda: is_ready(listeners(annotated, "expired")[443]), "the https listener")
    workload.apply(objects.service("expired", NAMESPACE, "web", PORTS, HTTPS | {"cert-id": "cert-old"}))
    text = "can not update cert cert-old because it is expired"
    eventually(lambda: text in condition(workload, "expired")[1], "the condition")
    assert listeners(annotated, "expired")[443]["spec"]["serverCertificateId"] == "cert-a"


def test_pods_with_a_readiness_gate_wait_for_the_load_balancer(annotated: Stack, workload: Api):
    gate = "service.readiness.alibabacloud.com/gated"
    pods = objects.deployment("gated", NAMESPACE, replicas=2, readinessGates=[{"conditionType": gate}])
    workload.apply(pods)
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app=gated"
    eventually(lambda: len(workload.items(path)) == 2, "the pods")
    eventually(lambda: all(pod["status"].get("podIP") for pod in workload.items(path)), "their addresses")
    assert not any(is_ready(pod) for pod in workload.items(path))
    annotations = {"service.beta.kubernetes.io/backend-type": "eni"}
    workload.apply(objects.service("gated", NAMESPACE, "gated", annotations=annotations))
    eventually(lambda: all(is_ready(pod) for pod in workload.items(path)), "the pods ready")
    opened = [item for pod in workload.items(path) for item in pod["status"]["conditions"] if item["type"] == gate]
    assert {(item["status"], item["reason"]) for item in opened} == {("True", "ServerRegistered")}
    addresses = {pod["status"]["podIP"] for pod in workload.items(path)}
    eventually(lambda: answers(annotated, "gated")["serverIp"] in addresses, "an answer of one of them")
    workload.kubectl("delete", "deployment", "gated", "-n", NAMESPACE)


def test_public_load_balancers_can_be_forbidden(annotated: Stack, workload: Api):
    refused = ("False", "create public address slb is not allowed")
    workload.apply(objects.service("before", NAMESPACE, "web"))
    eventually(lambda: answers(annotated, "before"), "an answer while it is allowed")
    configure(workload, disablePublicSLB=True)
    eventually(lambda: condition(workload, "before") == refused, "that it is forbidden now")
    workload.apply(objects.service("public", NAMESPACE, "web"))
    eventually(lambda: condition(workload, "public") == refused, "the refusal")
    assert not listeners(annotated, "public")
    workload.apply(objects.service("private", NAMESPACE, "web", annotations={"address-type": "intranet"}))
    eventually(lambda: answers(annotated, "private"), "a private one answers")
    workload.kubectl("delete", "service", "before", "-n", NAMESPACE, "--timeout=60s")
    configure(workload, disablePublicSLB=False)
    eventually(lambda: answers(annotated, "public"), "allowed again, it answers")


def test_the_cloud_config_may_make_pods_the_servers(annotated: Stack, workload: Api):
    workload.apply(objects.service("servers", NAMESPACE, "web"))
    eventually(lambda: answers(annotated, "servers")["serverId"].startswith("i-"), "an answer of a node")
    configure(workload, serviceBackendType="eni")
    eventually(lambda: answers(annotated, "servers")["serverId"].startswith("eni-"), "an answer of a pod")


def test_the_type_annotation_counts_behind_its_gate(annotated: Stack, workload: Api):
    typed = {"type": "nlb", "zone-maps": "cn-hangzhou-h:net-h,cn-hangzhou-i:net-i"}
    workload.apply(objects.service("before", NAMESPACE, "web", annotations=typed))
    eventually(lambda: answers(annotated, "before"), "an answer of a classic one, while the gate is off")
    configure(workload, featureGates="LoadBalancerTypeAnnotation=true")
    eventually(lambda: "asks for a nlb" in condition(workload, "before")[1], "that its kind can't change")
    workload.apply(objects.service("typed", NAMESPACE, "web", annotations=typed))
    eventually(lambda: "hostname" in ingress(workload, "typed"), "the name of a network load balancer")
    assert workload.core("services", "typed", NAMESPACE)["metadata"]["finalizers"] == ["service.k8s.alibaba/nlb"]


def ingress(api: Api, name: str) -> dict:
    return api.core("services", name, NAMESPACE)["status"]["loadBalancer"]["ingress"][0]
