"""The metrics API: what KWOK says that containers use, in the words of metrics-server."""

from datetime import UTC, datetime

from aiohttp.test_utils import TestClient, TestServer

from ackbox.ccm.usage.answers import Usage, containers, node_metrics, pod_metrics
from ackbox.ccm.usage.server import MetricsApi
from ackbox.kube.errors import NotFound

TEXT = """# HELP container_cpu_usage_cores CPU that a container uses now.
# TYPE container_cpu_usage_cores gauge
container_cpu_usage_cores{container="web",namespace="shop",pod="a"} 0.25
container_cpu_usage_cores{container="log",namespace="shop",pod="a"} 0.001
container_cpu_usage_cores{container="web",namespace="shop",pod="b"} 0.5
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="web",namespace="shop",pod="a"} 1.048576e+06
container_memory_working_set_bytes{container="log",namespace="shop",pod="a"} 2048
container_memory_working_set_bytes{container="web",namespace="shop",pod="b"} 0
# TYPE another gauge
another{container="web",namespace="shop",pod="b"} 7
"""
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USED = containers(TEXT)


def pod(name, node="n1", phase="Running"):
    metadata = {"name": name, "namespace": "shop", "labels": {"app": name}}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": phase}}


def test_what_containers_use_is_read_by_pod():
    expected = {
        ("shop", "a"): {"web": Usage(0.25, 1048576), "log": Usage(0.001, 2048)},
        ("shop", "b"): {"web": Usage(0.5, 0)},
    }
    assert expected == USED


def test_a_pod_shows_each_container_and_a_node_their_sum():
    found = pod_metrics(pod("a"), USED, NOW)
    assert found is not None
    assert found["containers"] == [
        {"name": "log", "usage": {"cpu": "1000000n", "memory": "2Ki"}},
        {"name": "web", "usage": {"cpu": "250000000n", "memory": "1024Ki"}},
    ]
    assert found["metadata"]["labels"] == {"app": "a"}
    node = node_metrics({"metadata": {"name": "n1"}}, USED, NOW)
    assert node["usage"] == {"cpu": "751000000n", "memory": "1026Ki"}
    assert node["timestamp"] == "2026-03-01T12:00:00Z"


def test_nothing_is_said_of_pods_that_do_not_run_or_are_not_known():
    assert pod_metrics(pod("a", phase="Succeeded"), USED, NOW) is None
    assert pod_metrics(pod("c"), USED, NOW) is None


class Workload:
    async def list(self, kind, namespace=None, label_selector=None):
        if kind.plural == "nodes":
            return [{"metadata": {"name": name}} for name in ("n1", "real")], "1"
        return [pod("a"), pod("waiting", node=None)], "1"

    async def get(self, kind, name, namespace=None):
        if name != "a":
            raise NotFound(404, "NotFound", name)
        return pod(name)


class Kubelets:
    async def used(self, nodes):
        self.asked = list(nodes)
        return {name: USED for name in self.asked if name == "n1"}


async def test_the_api_answers_as_metrics_server_does():
    kubelets = Kubelets()
    async with TestClient(TestServer(MetricsApi(Workload(), kubelets).application())) as client:
        base = "/apis/metrics.k8s.io/v1beta1"
        served = await (await client.get(base)).json()
        assert [each["name"] for each in served["resources"]] == ["nodes", "pods"]
        nodes = await (await client.get(f"{base}/nodes")).json()
        assert (nodes["kind"], [each["metadata"]["name"] for each in nodes["items"]]) == ("NodeMetricsList", ["n1"])
        pods = await (await client.get(f"{base}/namespaces/shop/pods?labelSelector=app%3Da")).json()
        assert (pods["kind"], [each["metadata"]["name"] for each in pods["items"]]) == ("PodMetricsList", ["a"])
        assert kubelets.asked == ["n1"]
        one = await client.get(f"{base}/namespaces/shop/pods/a")
        assert (await one.json())["kind"] == "PodMetrics"
        gone = await client.get(f"{base}/namespaces/shop/pods/gone")
        assert (gone.status, (await gone.json())["reason"]) == (404, "NotFound")
        assert (await client.get(f"{base}/nodes/gone")).status == 404
