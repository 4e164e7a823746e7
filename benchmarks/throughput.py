"""What a request costs in ackbox's Envoy, beside an Envoy with a configuration written by hand, in turns.

The clients share the machine with what they measure, so requests a second say less than Envoy's CPU time a request.
A registered cluster gives a listener with a real backend server: the management cluster registers itself.
"""

import asyncio
import base64
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ackbox.catalog.annotations import PREFIX
from ackbox.kube.client import NAMESPACE, NODE, SECRET, SERVICE, Client
from ackbox.kube.connection import load_kubeconfig
from ackbox.kube.errors import Unavailable
from ackbox.resources import LISTENER, MANAGED_CLUSTER
from ackbox.runtime.home import Home
from ackbox.runtime.home import load as load_home
from ackbox.runtime.supervisor import Supervisor
from benchmarks import plain_envoy
from benchmarks.clients import load
from benchmarks.nodes import usage

ACCOUNT = "throughput"
BACKEND_PORTS = (32500, 32501)
HTTP_PORT, TCP_PORT = 8080, 8081
CONNECTIONS = 32
ROUNDS = 3
WARM_UP = 1.0
DEADLINE = 120.0
ANNOTATIONS = {
    "protocol-port": f"http:{HTTP_PORT},tcp:{TCP_PORT}",
    # The limits of a small specification would be all that is measured.
    "instance-charge-type": "PayByCLCU",
}


@dataclass(frozen=True)
class Throughput:
    """What a listener did.

    Attributes:
        rate: requests a second.
        p50, p99: seconds to an answer.
        cpu: seconds of Envoy's CPU a request.
    """

    name: str
    rate: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Subject:
    """A listener, and the process id of the Envoy that serves it."""

    name: str
    host: str
    port: int
    pid: int


async def compare(home_path: Path, seconds: float) -> list[Throughput]:
    """Load the listeners of both in turns; the middle round of each."""
    home = load_home(home_path)
    target, bare = str(home.loopback[9]), str(home.loopback[10])
    with tempfile.TemporaryDirectory(prefix="ackbox-bench-") as folder, ExitStack() as stack:
        files = Path(folder)
        stack.enter_context(plain_envoy.running(plain_envoy.backend(target, BACKEND_PORTS), files / "backend.json"))
        config = plain_envoy.bare(bare, HTTP_PORT, TCP_PORT, (target, BACKEND_PORTS[0]))
        bare_pid = stack.enter_context(plain_envoy.running(config, files / "bare.json"))
        own = await _serve(home, target)
        pid = next(status.pid for status in await Supervisor(home).statuses() if status.name == "envoy" and status.pid)
        subjects = [
            Subject("HTTP, bare Envoy", bare, HTTP_PORT, bare_pid),
            Subject("HTTP, ackbox", own, HTTP_PORT, pid),
            Subject("TCP, bare Envoy", bare, TCP_PORT, bare_pid),
            Subject("TCP, ackbox", own, TCP_PORT, pid),
        ]
        for subject in subjects:
            await plain_envoy.listening(subject.host, subject.port)
            await load(subject.host, subject.port, CONNECTIONS, WARM_UP)
        runs = [[await _measure(subject, seconds) for subject in subjects] for _ in range(ROUNDS)]
    return [_middle([run[number] for run in runs]) for number in range(len(subjects))]


def _middle(runs: list[Throughput]) -> Throughput:
    return sorted(runs, key=lambda run: run.cpu)[len(runs) // 2]


async def _measure(subject: Subject, seconds: float) -> Throughput:
    before, start = usage({"envoy": subject.pid})["envoy"].cpu, time.perf_counter()
    times = await load(subject.host, subject.port, CONNECTIONS, seconds)
    took, cpu = time.perf_counter() - start, usage({"envoy": subject.pid})["envoy"].cpu - before
    p99 = sorted(times)[int(0.99 * len(times))]
    return Throughput(subject.name, len(times) / took, statistics.median(times), p99, cpu / len(times))


async def _serve(home: Home, target: str) -> str:
    """Make a Service of two ports whose one backend server is the target; the address that it is reached at."""
    async with Client(load_kubeconfig(home.kubeconfig)) as client:
        await _register(client, home)
        await client.create(NODE, {"metadata": {"name": "real"}})
        status = {
            "addresses": [{"type": "InternalIP", "address": target}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "Benchmark"}],
        }
        await client.patch(NODE, "real", None, {"status": status}, "status")
        ports = [
            {"name": "http", "port": HTTP_PORT, "targetPort": 80, "nodePort": BACKEND_PORTS[0]},
            {"name": "tcp", "port": TCP_PORT, "targetPort": 80, "nodePort": BACKEND_PORTS[1]},
        ]
        spec = {"type": "LoadBalancer", "loadBalancerClass": "ackbox.dev/clb", "ports": ports}
        annotations = {PREFIX + suffix: value for suffix, value in ANNOTATIONS.items()}
        metadata = {"name": "real", "annotations": annotations}
        await client.create(SERVICE, {"metadata": metadata, "spec": spec}, "default")
        async with asyncio.timeout(DEADLINE):
            while not await _healthy(client):
                await asyncio.sleep(0.2)
        made = await client.get(SERVICE, "real", "default")
        address: str = made["status"]["loadBalancer"]["ingress"][0]["ip"]
        return address


async def _register(client: Client, home: Home) -> None:
    await client.create(NAMESPACE, {"metadata": {"name": ACCOUNT}})
    value = base64.b64encode(home.kubeconfig.read_bytes()).decode()
    await client.create(SECRET, {"metadata": {"name": "self"}, "data": {"value": value}}, ACCOUNT)
    external = {"kubeconfigSecretRef": {"name": "self"}, "allowedCidrs": ["127.0.0.0/8"]}
    spec = {"clusterType": "ExternalKubernetes", "regionId": "cn-hangzhou", "externalCluster": external}
    await client.create(MANAGED_CLUSTER, {"metadata": {"name": "self"}, "spec": spec}, ACCOUNT)


async def _healthy(client: Client) -> bool:
    """Whether both listeners have their server and the Service shows an address."""
    try:
        listeners, _ = await client.list(LISTENER, ACCOUNT)
    except Unavailable:
        return False  # The API server has only just learnt of the kind.
    healthy = [(each.get("status") or {}).get("backends", {}).get("healthy") for each in listeners]
    made = await client.get(SERVICE, "real", "default")
    return healthy == [1, 1] and bool(made["status"]["loadBalancer"].get("ingress"))
