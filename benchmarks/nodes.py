"""Nodes a second through a NodePool, beside bare KWOK Nodes on the same API server in the same run.

Both end in the same state: Ready and without a taint; a NodePool's Nodes are routed as well. The bare Nodes are created
in parallel by plain POSTs. One watch, held by this process, tells when the last Node is there.
"""

import argparse
import asyncio
import base64
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ackbox.kube.cache import Cache
from ackbox.kube.client import NODE, SECRET, Client, Object
from ackbox.kube.connection import load_kubeconfig, parse_kubeconfig
from ackbox.kube.watching import watch
from ackbox.resources import CLOUD_QUOTA, MANAGED_CLUSTER, NODE_POOL, VPC
from ackbox.resources.base import EMULATED_LABEL
from ackbox.runtime.home import load
from ackbox.runtime.supervisor import Supervisor
from benchmarks.stack import running_home

NAMESPACE = "default"
DEADLINE = 900.0
TICK = os.sysconf("SC_CLK_TCK")


def ready(node: Object | None) -> bool:
    if node is None or node["spec"].get("taints"):
        return False
    conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions") or []}
    return conditions.get("Ready") == "True" and conditions.get("NetworkUnavailable", "False") == "False"


class Counter:
    """How many Nodes are there, and how many are ready."""

    def __init__(self, cache: Cache) -> None:
        self.ready: set[str] = set()
        self._cache = cache
        self._changed = asyncio.Event()
        cache.subscribe(self._take)

    def _take(self, old: Object | None, new: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        (self.ready.add if ready(new) else self.ready.discard)(name)
        self._changed.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while not (len(self.ready) == count and (count or not len(self._cache))):
                self._changed.clear()
                await self._changed.wait()


@dataclass(frozen=True)
class Usage:
    """CPU seconds and peak memory (MiB) of a process so far."""

    cpu: float
    peak: float


def usage(programs: dict[str, int]) -> dict[str, Usage]:
    found = {}
    for name, pid in programs.items():
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        found[name] = Usage((int(fields[11]) + int(fields[12])) / TICK, int(status["VmHWM"].split()[0]) / 1024)
    return found


@dataclass(frozen=True)
class Run:
    """One way of making Nodes, measured."""

    seconds: float
    cpu: dict[str, float]


async def measured(counter: Counter, programs: dict[str, int], count: int, make: Callable[[], Awaitable[None]]) -> Run:
    before = usage(programs)
    start = time.monotonic()
    await make()
    await counter.reach(count)
    seconds = time.monotonic() - start
    after = usage(programs)
    return Run(seconds, {name: (after[name].cpu - before[name].cpu) * 1000 / count for name in programs})


async def scale(client: Client, count: int) -> None:
    await client.patch(NODE_POOL, "bench", NAMESPACE, {"spec": {"scalingGroup": {"desiredSize": count}}})


async def bare(client: Client, count: int) -> None:
    await asyncio.gather(
        *(
            client.create(NODE, {"metadata": {"name": f"bare-{i}", "labels": {EMULATED_LABEL: "true"}}})
            for i in range(count)
        )
    )


async def freed(client: Client) -> None:
    """Wait for the operator to be done with the pool's machines: what is left of it would slow the other round."""
    async with asyncio.timeout(DEADLINE):
        while (await client.get(VPC, "bench", NAMESPACE))["status"].get("allocations"):
            await asyncio.sleep(0.5)


async def prepared(client: Client, count: int) -> Client:
    """The cluster, the empty pool and the quotas; a client of the workload cluster."""
    network = {"vSwitchName": "bench", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/18"}
    await client.create(
        CLOUD_QUOTA,
        {
            "metadata": {"name": "default"},
            "spec": {
                "hard": {"nodes": count, "vcpus": 4 * count, "routeentries": count, "scalinggroupinstances": count}
            },
        },
        NAMESPACE,
    )
    vpc: dict[str, Any] = {"regionId": "cn-hangzhou", "cidrBlock": "192.168.0.0/16", "vswitches": [network]}
    cluster = {"regionId": "cn-hangzhou", "vpcId": "bench", "vswitchIds": ["bench"], "containerCidr": "10.32.0.0/12"}
    group = {"desiredSize": 0, "instanceTypes": ["ecs.g6.xlarge"], "vswitchIds": ["bench"]}
    for kind, spec in (
        (VPC, vpc),
        (MANAGED_CLUSTER, cluster),
        (NODE_POOL, {"clusterId": "bench", "scalingGroup": group}),
    ):
        await client.create(kind, {"metadata": {"name": "bench"}, "spec": spec}, NAMESPACE)
    async with asyncio.timeout(DEADLINE):
        while True:
            pool = await client.get(NODE_POOL, "bench", NAMESPACE)
            if any(
                c["type"] == "Ready" and c["status"] == "True" for c in pool.get("status", {}).get("conditions", [])
            ):
                break
            await asyncio.sleep(1)
    secret = await client.get(SECRET, "bench-kubeconfig", NAMESPACE)
    return Client(parse_kubeconfig(base64.b64decode(secret["data"]["value"]).decode()))


async def compare(home: Path, count: int, rounds: int) -> None:
    pools, bares = [], []
    async with Client(load_kubeconfig(home / "kubeconfig")) as client, await prepared(client, count) as workload:
        nodes = Cache(NODE)
        counter = Counter(nodes)
        filled = asyncio.Event()
        watching = asyncio.create_task(watch(workload, [nodes], filled))
        await filled.wait()
        programs = {status.name: status.pid for status in await Supervisor(load(home)).statuses() if status.pid}
        programs = {short(name): pid for name, pid in programs.items()}
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            pools.append(await measured(counter, programs, count, lambda: scale(client, count)))
            await scale(client, 0)
            await counter.reach(0)
            await freed(client)
            bares.append(await measured(counter, programs, count, lambda: bare(workload, count)))
            await asyncio.gather(*(workload.delete(NODE, f"bare-{i}") for i in range(count)))
            await counter.reach(0)
        watching.cancel()
        await asyncio.wait([watching], timeout=10)
    report(count, pools, bares, usage(programs))


def short(name: str) -> str:
    """`workload kube-apiserver` for a process of the benchmark's cluster, the plain name for the others."""
    cluster, _, program = name.partition("-")
    return f"workload {program}" if cluster.startswith("c") and len(cluster) == 33 else name


def report(count: int, pools: list[Run], bares: list[Run], now: dict[str, Usage]) -> None:
    console = Console()
    times = Table("", "best (s)", "all (s)", "nodes/s", title=f"{count} Nodes to Ready and untainted")
    for name, runs in (("NodePool (and routed)", pools), ("bare KWOK Nodes", bares)):
        seconds = [run.seconds for run in runs]
        best = min(seconds)
        times.add_row(name, f"{best:.1f}", " ".join(f"{s:.1f}" for s in seconds), f"{count / best:.0f}")
    console.print(times)
    ratio = min(run.seconds for run in pools) / min(run.seconds for run in bares)
    console.print(f"ratio NodePool / bare: {ratio:.2f}")
    cost = Table("process", "CPU s/1,000: NodePool", "bare", "peak MiB", title="cost, mean over the rounds")
    for name in sorted(now, key=lambda name: -now[name].peak):
        mean = [sum(run.cpu[name] for run in runs) / len(runs) for runs in (pools, bares)]
        cost.add_row(name, f"{mean[0]:.1f}", f"{mean[1]:.1f}", f"{now[name].peak:.0f}")
    console.print(cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with running_home() as home:
        asyncio.run(compare(home, options.nodes, options.rounds))


if __name__ == "__main__":
    main()
