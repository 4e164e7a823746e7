"""Metrics: named as upstream's, and shown only to those who have a certificate of the home's authority."""

import asyncio
import contextlib
import ssl
from ipaddress import IPv4Network

import aiohttp
import pytest
from small_cluster import until

from ackbox.ccm import metrics
from ackbox.ccm.metrics import REGISTRY, Verb
from ackbox.kube.queue import Retry
from ackbox.kube.serving import of_registry, serve, server_files
from ackbox.resources.loadbalancer import LoadBalancerType
from ackbox.runtime.certificates import Authority, Request, Usage
from ackbox.runtime.home import Home
from ackbox.runtime.management import ManagementPlane


def sample(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("kind", "shown"),
    [(LoadBalancerType.CLB, "CLBType"), (LoadBalancerType.NLB, "NLBType"), (LoadBalancerType.ALB, "ALBType")],
)
@pytest.mark.parametrize(("verb", "word"), [(Verb.CREATION, "Creation"), (Verb.UPDATE, "Update")])
def test_work_on_a_load_balancer_is_measured_and_counted(kind, shown, verb, word):
    latencies = "ccm_slb_latencies_duration_milliseconds_count"
    success = {"type": shown, "verb": word, "status": "Success"}
    fail = {"type": shown, "verb": word, "status": "Fail"}
    before = [sample(latencies, type=shown, verb=word)]
    before += [sample("ccm_slb_operation_result", **labels) for labels in (success, fail)]
    with metrics.load_balancer(kind, verb):
        pass
    with contextlib.suppress(ValueError), metrics.load_balancer(kind, verb):
        raise ValueError
    with metrics.load_balancer(kind, verb) as outcome:
        outcome.failed = True
    with contextlib.suppress(Retry), metrics.load_balancer(kind, verb):
        raise Retry("not over yet", 1.0)
    assert sample(latencies, type=shown, verb=word) == before[0] + 4
    assert sample("ccm_slb_operation_result", **success) == before[1] + 1
    assert sample("ccm_slb_operation_result", **fail) == before[2] + 2


def test_times_are_in_milliseconds_in_upstreams_buckets():
    with metrics.timed(metrics.NODE_LATENCIES, "reconcile"):
        pass
    buckets = [
        float(each.labels["le"])
        for family in REGISTRY.collect()
        if family.name == "ccm_node_latencies_duration_milliseconds"
        for each in family.samples
        if each.name.endswith("_bucket") and each.labels["verb"] == "reconcile"
    ]
    assert buckets[:-1] == [*range(100, 1001, 100), 1500, *range(2000, 10001, 1000)]


@pytest.fixture
def home(tmp_path):
    """A home with the certificates that `ackbox up` issues."""
    home = Home(tmp_path, IPv4Network("127.0.0.0/16"), tmp_path / "run")
    home.pki.mkdir()
    ManagementPlane(home).issue_metrics_certificates()
    return home


@contextlib.asynccontextmanager
async def served(home, port):
    task = asyncio.create_task(serve(of_registry(REGISTRY), "127.0.0.1", server_files(home.path, "ccm"), port))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def ask(home, port, path, client=None):
    context = ssl.create_default_context(cafile=str(home.pki / "management" / "ca.crt"))
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    async with aiohttp.ClientSession() as session, asyncio.timeout(10):
        while True:
            try:
                async with session.get(f"https://127.0.0.1:{port}{path}", ssl=context) as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientConnectorCertificateError:
                raise
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.01)  # it doesn't listen yet


def client_of(home, name="metrics"):
    return Authority(home.pki / "management").obtain(name, Request("ackbox:metrics", Usage.CLIENT))


async def test_metrics_are_served_to_a_client_of_the_home(home, unused_tcp_port):
    with metrics.load_balancer(LoadBalancerType.CLB, Verb.DELETION):
        pass
    async with served(home, unused_tcp_port):
        status, text = await ask(home, unused_tcp_port, "/metrics", client_of(home))
        assert await ask(home, unused_tcp_port, "/healthz", client_of(home)) == (200, "ok")
    assert status == 200
    assert 'ccm_slb_operation_result{status="Success",type="CLBType",verb="Deletion"}' in text
    assert "ccm_slb_latencies_duration_milliseconds_bucket" in text
    assert "_created" not in text


async def test_nobody_else_gets_them(home, tmp_path, unused_tcp_port):
    stranger = Authority(tmp_path / "other").obtain("metrics", Request("ackbox:metrics", Usage.CLIENT))
    async with served(home, unused_tcp_port):
        assert (await ask(home, unused_tcp_port, "/healthz", client_of(home)))[0] == 200
        for client in (None, stranger):
            with pytest.raises(aiohttp.ClientError):
                await ask(home, unused_tcp_port, "/metrics", client)


async def test_metrics_come_as_soon_as_they_can(home, unused_tcp_port, caplog, monkeypatch):
    monkeypatch.setattr("ackbox.kube.serving.RETRY", 0.01)
    key = server_files(home.path, "ccm").key
    aside = key.rename(key.with_suffix(".aside"))
    async with served(home, unused_tcp_port):
        await until(lambda: "no metrics at" in caplog.text)
        aside.rename(key)
        assert await ask(home, unused_tcp_port, "/healthz", client_of(home)) == (200, "ok")
    assert caplog.text.count("no metrics at") == 1
