"""The cluster that ackbox runs in, registered with it: its Services of real pods get real load balancers."""

import base64
import urllib.request
from collections.abc import Iterator

import pytest
import yaml

from e2e import objects
from e2e.stack import Api, condition, eventually, is_ready
from node.harness.images import BUSYBOX
from node.harness.layout import POD_CIDR
from node.stack import ClusterStack

PORT = 8000
SERVE = "hostname > /www/index.html; exec busybox httpd -f -p 8080 -h /www"


def pods(namespace: str) -> dict:
    """Two pods that answer with their names, without any right that they don't need."""
    may_nothing = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "web",
        "image": BUSYBOX,
        "command": ["/bin/sh", "-c", SERVE],
        "securityContext": may_nothing | {"readOnlyRootFilesystem": True},
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "www", "mountPath": "/www"}],
    }
    return objects.deployment(
        "web",
        namespace,
        dnsPolicy="Default",
        securityContext={"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        containers=[container],
        volumes=[{"name": "www", "emptyDir": {}}],
    )


@pytest.fixture(scope="module")
def registered(ackbox: ClusterStack) -> Iterator[str]:
    """A namespace with the management cluster registered as `self`, by a kubeconfig that works inside it."""
    api = ackbox.api
    with ackbox.namespace() as namespace:
        kubeconfig = yaml.safe_load((ackbox.home / "kubeconfig").read_text())
        service = api.core("services", "kubernetes")["spec"]["clusterIP"]
        kubeconfig["clusters"][0]["cluster"]["server"] = f"https://{service}"
        data = {"value": base64.b64encode(yaml.safe_dump(kubeconfig).encode()).decode()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "self", "namespace": namespace}}
        external = {"kubeconfigSecretRef": {"name": "self"}, "allowedCidrs": ["10.0.0.0/8"]}
        spec = {"clusterType": "ExternalKubernetes", "regionId": objects.REGION, "externalCluster": external}
        api.apply(secret | {"data": data}, objects.custom("ManagedCluster", "self", spec, namespace))
        eventually(lambda: is_ready(api.object("managedclusters", "self", namespace)), "the cluster registered")
        yield namespace
        api.kubectl("delete", "services", "--all", "-n", namespace, "--timeout=120s")
        api.kubectl("delete", "managedcluster", "self", "-n", namespace, "--timeout=120s")


def listener(api: Api, namespace: str) -> dict:
    return next(each for each in api.objects("listeners", namespace) if "/web/" in each["spec"]["description"])


def test_a_service_of_real_pods_is_reached_through_a_real_listener(ackbox: ClusterStack, registered: str):
    api = ackbox.api
    api.apply(pods(registered))
    api.kubectl("rollout", "status", "deployment/web", "-n", registered, "--timeout=180s")
    web = [{"name": "web", "port": PORT, "targetPort": 8080}]
    api.apply(objects.service("web", registered, "web", web, loadBalancerClass="ackbox.dev/clb"))

    def answer() -> str:
        reachable = listener(api, registered)["status"]["reachable"]
        with urllib.request.urlopen(f"http://{reachable}/", timeout=5) as reply:
            return reply.read().decode().strip()

    names = {
        pod["metadata"]["name"] for pod in api.items(f"/api/v1/namespaces/{registered}/pods?labelSelector=app%3Dweb")
    }
    assert len(names) == 2
    assert eventually(answer, "an answer through the listener") in names
    ingress = api.core("services", "web", registered)["status"]["loadBalancer"]["ingress"]
    assert ingress
    assert listener(api, registered)["status"]["reachable"].startswith(ingress[0]["ip"])

    # A load balancer of real pods follows them: with none left, nobody is healthy.
    api.kubectl("scale", "deployment/web", "-n", registered, "--replicas=0")
    eventually(
        lambda: listener(api, registered)["status"]["backends"].get("healthy") == 0, "no healthy backend any more"
    )
    assert condition(listener(api, registered))["status"] == "True"


def test_pods_of_the_node_have_addresses_of_their_own(ackbox: ClusterStack):
    found = ackbox.api.items("/api/v1/namespaces/ackbox-system/pods")
    addresses = [pod["status"]["podIP"] for pod in found if pod["status"]["phase"] == "Running"]
    assert len(addresses) == len(set(addresses)) >= 2
    assert all(address.startswith(str(POD_CIDR)[:6]) for address in addresses)
