"""Services: how soon they answer, how soon traffic follows the endpoints, and what a request costs beside a bare Envoy.

Everything is timed as a user sees it: from the moment before the write to the Kubernetes API to the answer that a
client gets from the load balancer's address.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ackbox.catalog.quotas import QuotaName
from ackbox.kube.cache import Cache
from ackbox.kube.client import ENDPOINT_SLICE, NODE, SERVICE, Client, Object
from ackbox.kube.connection import load_kubeconfig
from ackbox.kube.watching import watch
from ackbox.resources import CLOUD_QUOTA, NODE_POOL
from ackbox.runtime.home import load
from ackbox.runtime.supervisor import Supervisor
from benchmarks.clients import answered, ask
from benchmarks.nodes import Counter, prepared, short, usage
from benchmarks.stack import running_home
from benchmarks.throughput import Throughput, compare

NAMESPACE = "default"
PORT = 8080
NODES = 3
DEADLINE = 900.0
AT_ONCE = 50
"""Services that are on their way at the same time while a cluster is filled."""

MOVED = "moved"
STRAY_LOOKS = 5
"""Answers after a change that are looked at for one from the server before it."""


@dataclass(frozen=True)
class Round:
    """What was measured with so many Services, in seconds.

    Attributes:
        burst: creation to first answer, `AT_ONCE` of the missing Services being made at a time.
        took: until the last of these answered.
        single: creation to first answer of one more Service, nothing else being made.
        moves: change of an EndpointSlice to the first answer of the new server.
        strays: answers of the old server after the first of the new one.
        cpu: seconds of CPU that each process used for a hundred Services of the burst.
    """

    services: int
    burst: list[float]
    took: float
    single: list[float]
    moves: list[float]
    strays: int
    cpu: dict[str, float]


class Addresses:
    """Where Services can be reached, by their names; tells as soon as it is known."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._waiting: dict[str, asyncio.Event] = {}
        cache.subscribe(self._take)

    async def of(self, name: str) -> str:
        """The address of a Service, once it has one."""
        found = self._waiting.setdefault(name, asyncio.Event())
        while (address := _address(self._cache.get(NAMESPACE, name))) is None:
            found.clear()
            await found.wait()
        del self._waiting[name]
        return address

    async def gone(self, name: str) -> None:
        """Return once a Service is gone."""
        found = self._waiting.setdefault(name, asyncio.Event())
        while self._cache.get(NAMESPACE, name) is not None:
            found.clear()
            await found.wait()
        del self._waiting[name]

    def _take(self, old: Object | None, new: Object | None) -> None:
        event = self._waiting.get((new or old or {})["metadata"]["name"])
        if event is not None:
            event.set()


def _address(service: Object | None) -> str | None:
    ingress = ((service or {}).get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    return ingress[0]["ip"] if ingress else None


def service(name: str, **spec: Any) -> Object:
    ports = [{"name": "web", "port": PORT, "targetPort": PORT}]
    return {"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": ports, **spec}}


def endpoint_slice(node: str) -> Object:
    endpoint = {"addresses": ["10.32.0.9"], "nodeName": node, "conditions": {"ready": True}}
    return {
        "metadata": {"name": MOVED, "labels": {"kubernetes.io/service-name": MOVED}},
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": PORT, "protocol": "TCP"}],
        "endpoints": [endpoint],
    }


class Bench:
    """One workload cluster with a few nodes, and the Services in it."""

    def __init__(self, workload: Client, cache: Cache, nodes: dict[str, str], programs: dict[str, int]) -> None:
        self._workload = workload
        self._addresses = Addresses(cache)
        self._nodes = nodes
        self._programs = programs
        self._standing = 0

    async def round(self, services: int, samples: int) -> Round:
        """Bring the cluster to so many Services, then look at single changes."""
        before, start = usage(self._programs), time.perf_counter()
        limit = asyncio.Semaphore(AT_ONCE)

        async def make(number: int) -> float:
            async with limit:
                return await self._create(service(f"s-{number}"))

        burst = await asyncio.gather(*(make(number) for number in range(self._standing, services)))
        took, after = time.perf_counter() - start, usage(self._programs)
        cpu = {name: (after[name].cpu - before[name].cpu) * 100 / len(burst) for name in before}
        self._standing = services
        single = [await self._one_more(f"more-{services}-{number}") for number in range(samples)]
        moves, strays = await self._moves(samples)
        return Round(services, burst, took, single, moves, strays, cpu)

    async def prepare(self) -> None:
        """Make the Service whose endpoint moves: only a node with an endpoint is a backend server of it."""
        first = next(iter(self._nodes))
        await self._workload.create(ENDPOINT_SLICE, endpoint_slice(first), NAMESPACE)
        await self._create(service(MOVED, externalTrafficPolicy="Local"))

    async def _create(self, body: Object) -> float:
        start = time.perf_counter()
        await self._workload.create(SERVICE, body, NAMESPACE)
        async with asyncio.timeout(DEADLINE):
            await answered(await self._addresses.of(body["metadata"]["name"]), PORT)
        return time.perf_counter() - start

    async def _one_more(self, name: str) -> float:
        seconds = await self._create(service(name))
        await self._workload.delete(SERVICE, name, NAMESPACE)
        await self._addresses.gone(name)
        return seconds

    async def _moves(self, samples: int) -> tuple[list[float], int]:
        host = await self._addresses.of(MOVED)
        moves, strays = [], 0
        names = list(self._nodes)
        for number in range(1, samples + 1):
            node = names[number % len(names)]
            start = time.perf_counter()
            await self._workload.patch(
                ENDPOINT_SLICE, MOVED, NAMESPACE, {"endpoints": endpoint_slice(node)["endpoints"]}
            )
            async with asyncio.timeout(DEADLINE):
                while (await answered(host, PORT))["serverId"] != self._nodes[node]:
                    pass
            moves.append(time.perf_counter() - start)
            after = [await ask(host, PORT) for _ in range(STRAY_LOOKS)]
            strays += sum(answer is None or answer["serverId"] != self._nodes[node] for answer in after)
        return moves, strays


async def measure(home: Path, sizes: Sequence[int], samples: int) -> list[Round]:
    rounds = []
    async with Client(load_kubeconfig(home / "kubeconfig")) as client, await prepared(client, NODES) as workload:
        hard = {name.value: 10 * max(*sizes, 1000) for name in QuotaName}
        await client.patch(CLOUD_QUOTA, "default", NAMESPACE, {"spec": {"hard": hard}})
        await client.patch(NODE_POOL, "bench", NAMESPACE, {"spec": {"scalingGroup": {"desiredSize": NODES}}})
        nodes, services = Cache(NODE), Cache(SERVICE)
        counter, filled = Counter(nodes), asyncio.Event()
        watching = asyncio.create_task(watch(workload, [nodes, services], filled))
        await filled.wait()
        await counter.reach(NODES)
        ids = {node["metadata"]["name"]: node["spec"]["providerID"].rpartition(".")[2] for node in nodes.all()}
        statuses = await Supervisor(load(home)).statuses()
        bench = Bench(workload, services, ids, {short(status.name): status.pid for status in statuses if status.pid})
        await bench.prepare()
        for size in sizes:
            print(f"{size} Services", file=sys.stderr)
            rounds.append(await bench.round(size, samples))
        watching.cancel()
        await asyncio.wait([watching], timeout=10)
    return rounds


def milliseconds(seconds: Sequence[float]) -> tuple[str, str]:
    """The median and the 99th percentile (of few samples: the largest)."""
    ordered = sorted(seconds)
    last = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return f"{statistics.median(ordered) * 1000:.0f}", f"{last * 1000:.0f}"


def report(rounds: Sequence[Round], samples: int, throughput: Sequence[Throughput]) -> None:
    console = Console(width=120)
    title = f"Service to first answer, endpoint change to traffic moved (ms; {samples} single changes each)"
    columns = ("one more p50", "p99", f"{AT_ONCE} at a time p50", "p99", "Services/s", "moved p50", "p99", "strays")
    times = Table("Services", *columns, title=title)
    for each in rounds:
        rate = f"{len(each.burst) / each.took:.1f}"
        single, burst, moves = map(milliseconds, (each.single, each.burst, each.moves))
        times.add_row(str(each.services), *single, *burst, rate, *moves, str(each.strays))
    console.print(times)
    cpu = Table("process", *(str(each.services) for each in rounds), title="CPU s of the burst, for 100 Services")
    for name in sorted(rounds[-1].cpu, key=lambda name: -rounds[-1].cpu[name]):
        cpu.add_row(name, *(f"{each.cpu[name]:.1f}" for each in rounds))
    console.print(cpu)
    costs = Table("listener", "requests/s", "p50 (ms)", "p99 (ms)", "Envoy CPU (µs/request)", title="throughput")
    for run in throughput:
        p50, p99 = (f"{value * 1000:.2f}" for value in (run.p50, run.p99))
        costs.add_row(run.name, f"{run.rate:.0f}", p50, p99, f"{run.cpu * 1e6:.1f}")
    console.print(costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load on each listener, each time")
    options = parser.parse_args()
    with running_home() as home:
        throughput = asyncio.run(compare(home, options.seconds))
        rounds = asyncio.run(measure(home, sorted(options.services), options.samples))
    report(rounds, options.samples, throughput)


if __name__ == "__main__":
    main()
