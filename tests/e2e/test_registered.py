"""A registered cluster: its Services get real listeners with real backends; its kubeconfig is not trusted."""

import base64
import http.server
import threading
import urllib.request

import pytest
import yaml

from e2e import objects
from e2e.stack import Stack, condition, eventually, is_ready

pytestmark = pytest.mark.e2e

BACKEND = "127.0.99.1"
"""A loopback address that stands for a node of the registered cluster."""
NODE_PORT = 31999


def registered(namespace: str, **external):
    return objects.custom(
        "ManagedCluster",
        "reg",
        {
            "clusterType": "ExternalKubernetes",
            "regionId": "cn-hangzhou",
            "externalCluster": {
                "kubeconfigSecretRef": {"name": "reg-source"},
                "allowedCidrs": ["127.0.0.0/8"],
                **external,
            },
        },
        namespace,
    )


def secret(namespace: str, kubeconfig: str):
    data = {"value": base64.b64encode(kubeconfig.encode()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "reg-source", "namespace": namespace},
        "data": data,
    }


@pytest.fixture
def real_server():
    """A real HTTP server on loopback, standing in for a pod behind a node port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"real")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((BACKEND, NODE_PORT), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(address: str) -> bytes:
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        return answer.read()


def test_a_service_of_a_registered_cluster_reaches_a_real_backend(stack: Stack, namespace, real_server):
    # The management cluster registers itself: any API server will do, and its backends are the test's own.
    api = stack.api
    kubeconfig = (stack.home / "kubeconfig").read_text()
    api.apply(registered(namespace))
    eventually(lambda: api.object("managedclusters", "reg", namespace)["status"]["phase"] == "waiting", "waiting")
    api.apply(secret(namespace, kubeconfig))
    eventually(lambda: is_ready(api.object("managedclusters", "reg", namespace)), "registered")
    web = objects.service(
        "web",
        namespace,
        "none",
        [{"name": "web", "port": 8000, "targetPort": 80, "nodePort": NODE_PORT}],
        loadBalancerClass="ackbox.dev/clb",
    )
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "real"}}
    api.apply(node)
    status = {
        "addresses": [{"type": "InternalIP", "address": BACKEND}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "Test"}],
    }
    api.kubectl(
        "patch", "node", "real", "--subresource=status", "--type=merge", "-p", yaml.safe_dump({"status": status})
    )
    try:
        api.apply(web)

        def answered():
            found = [
                lsn
                for lsn in api.objects("listeners", namespace)
                if f"k8s/8000/web/{namespace}/" in lsn["spec"]["description"]
            ]
            assert found[0]["status"]["backends"] == {"total": 1, "healthy": 1}
            return fetch(found[0]["status"]["reachable"]) == b"real"

        eventually(answered, "the real server answers through the listener")
        assert api.core("services", "web", namespace)["status"]["loadBalancer"]["ingress"]
        real_server.shutdown()
        real_server.server_close()
        eventually(
            lambda: api.objects("listeners", namespace)[0]["status"]["backends"]["healthy"] == 0,
            "the active health check finds the server dead",
        )
        api.kubectl("delete", "service", "web", "-n", namespace)
        eventually(lambda: not api.objects("listeners", namespace), "no listener left")
    finally:
        api.kubectl("delete", "node", "real")


HOSTILE = {
    "runs a command": ({"exec": {"command": "touch", "apiVersion": "v1"}}, {}, "exec"),
    "reads a file": ({"tokenFile": "/etc/passwd"}, {}, "tokenFile"),
    "goes through a proxy": ({"token": "t"}, {"proxy-url": "http://127.0.0.1:1"}, "proxy-url"),
    "does not verify": ({"token": "t"}, {"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
    "dials outside the allowed ranges": ({"token": "t"}, {"server": "https://198.51.100.1:6443"}, "198.51.100.1"),
    "uses no TLS": ({"token": "t"}, {"server": "http://127.0.0.1:1"}, "https://"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_kubeconfig_is_refused_with_a_reason(stack: Stack, namespace, case):
    user, cluster, told = HOSTILE[case]
    own = yaml.safe_load((stack.home / "kubeconfig").read_text())
    own["users"][0]["user"] = user
    own["clusters"][0]["cluster"] |= cluster
    stack.api.apply(secret(namespace, yaml.safe_dump(own)), registered(namespace))

    def refused():
        found = stack.api.object("managedclusters", "reg", namespace)
        assert condition(found, "Stalled").get("status") == "True"
        return told in condition(found)["message"]

    eventually(refused, "a condition that names what is refused")
    stack.api.apply(secret(namespace, (stack.home / "kubeconfig").read_text()))
    eventually(lambda: is_ready(stack.api.object("managedclusters", "reg", namespace)), "mended")
