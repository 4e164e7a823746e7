"""Serves the metrics API of one workload cluster to its API server, which has asked its own RBAC before."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from aiohttp import web

from ackbox.ccm.usage.answers import (
    GROUP_VERSION,
    Containers,
    containers,
    listing,
    node_metrics,
    node_names,
    not_found,
    pod_metrics,
    resources,
)
from ackbox.kube.client import NODE, POD, Client, Object
from ackbox.kube.errors import ApiError, NotFound
from ackbox.kube.serving import ServerFiles, listen

PORT = 4443
"""On the address where the cluster's kubelets are; the port of metrics-server."""

RESOLUTION = 15.0
"""Seconds for which what was read of a Node counts; as long as metrics-server waits between two looks."""

READS = 32
"""Nodes that are read at a time."""

READ_SECONDS = 10.0


class Kubelets:
    """What the containers on emulated Nodes use, read from KWOK and kept for a while."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base
        self._read: dict[str, tuple[float, Containers]] = {}
        self._gate = asyncio.Semaphore(READS)

    async def used(self, nodes: Iterable[str]) -> dict[str, Containers]:
        """By Node; those that can't be read are left out."""
        now = time.monotonic()
        self._read = {name: each for name, each in self._read.items() if now - each[0] < RESOLUTION}
        wanted = list(nodes)
        missing = [name for name in wanted if name not in self._read]
        for name, found in zip(missing, await asyncio.gather(*map(self._one, missing)), strict=True):
            if found is not None:
                self._read[name] = now, found
        used = {name: self._read[name][1] for name in wanted if name in self._read}
        # KWOK begins to look at pods when it is asked for the first time, so an empty answer doesn't count for long.
        self._read = {name: each for name, each in self._read.items() if each[1]}
        return used

    async def _one(self, node: str) -> Containers | None:
        async with self._gate:
            try:
                async with self._session.get(f"{self._base}/metrics/nodes/{node}/usage") as answer:
                    return containers(await answer.text()) if answer.status == 200 else None
            except (aiohttp.ClientError, TimeoutError, OSError):
                return None


class MetricsApi:
    """The handlers of `metrics.k8s.io`."""

    def __init__(self, workload: Client, kubelets: Kubelets) -> None:
        self._workload = workload
        self._kubelets = kubelets

    def application(self) -> web.Application:
        """With every route."""
        base = f"/apis/{GROUP_VERSION}"
        application = web.Application(middlewares=[_told])
        application.add_routes(
            [
                web.get(base, self._resources),
                # API servers ask for these again and again until they are there.
                web.get("/openapi/v2", _schema),
                web.get("/openapi/v3", _schema),
                web.get(f"{base}/nodes", self._nodes),
                web.get(f"{base}/nodes/{{name}}", self._node),
                web.get(f"{base}/pods", self._pods),
                web.get(f"{base}/namespaces/{{namespace}}/pods", self._pods),
                web.get(f"{base}/namespaces/{{namespace}}/pods/{{name}}", self._pod),
            ]
        )
        return application

    async def _resources(self, _request: web.Request) -> web.Response:
        return web.json_response(resources())

    async def _nodes(self, request: web.Request) -> web.Response:
        nodes, _ = await self._workload.list(NODE, label_selector=request.query.get("labelSelector"))
        return web.json_response(listing("NodeMetrics", await self._of_nodes(nodes)))

    async def _node(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = await self._of_nodes([await self._workload.get(NODE, name)])
        return web.json_response(found[0]) if found else web.json_response(not_found("nodes", name), status=404)

    async def _pods(self, request: web.Request) -> web.Response:
        namespace, selector = request.match_info.get("namespace"), request.query.get("labelSelector")
        pods, _ = await self._workload.list(POD, namespace, label_selector=selector)
        return web.json_response(listing("PodMetrics", await self._of_pods(pods)))

    async def _pod(self, request: web.Request) -> web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        found = await self._of_pods([await self._workload.get(POD, name, namespace)])
        return web.json_response(found[0]) if found else web.json_response(not_found("pods", name), status=404)

    async def _of_nodes(self, nodes: list[Object]) -> list[Object]:
        now = datetime.now(UTC)
        used = await self._kubelets.used(node["metadata"]["name"] for node in nodes)
        named = ((node, node["metadata"]["name"]) for node in nodes)
        return [node_metrics(node, used[name], now) for node, name in named if name in used]

    async def _of_pods(self, pods: list[Object]) -> list[Object]:
        now = datetime.now(UTC)
        every: Containers = {
            key: value for each in (await self._kubelets.used(node_names(pods))).values() for key, value in each.items()
        }
        found = (pod_metrics(pod, every, now) for pod in pods)
        return [each for each in found if each is not None]


async def _schema(_request: web.Request) -> web.Response:
    return web.json_response({"swagger": "2.0", "info": {"title": "metrics", "version": "v1beta1"}, "paths": {}})


@web.middleware
async def _told(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tells what can't be answered as an API server does."""
    try:
        return await handler(request)
    except NotFound:
        resource = "nodes" if "/nodes/" in request.path else "pods"
        return web.json_response(not_found(resource, request.match_info.get("name", "")), status=404)
    except ApiError as error:
        return web.json_response({"kind": "Status", "apiVersion": "v1", "message": str(error)}, status=503)


@dataclass(frozen=True)
class Front:
    """How the metrics APIs of clusters are served.

    Attributes:
        files: what a server shows, and whom it lets in.
        host: the address to listen at; None for that of the cluster's kubelets.
    """

    files: ServerFiles
    host: str | None = None


async def serve(workload: Client, host: str, kubelet_port: int, front: Front) -> None:
    """Serve the metrics API of a cluster until cancelled.

    Args:
        workload: the cluster's API server; its authority signed the kubelets' certificate, too.
        host: the address of its kubelets.
    """
    connector = aiohttp.TCPConnector(ssl=workload.connection.ssl_context(), limit=READS)
    timeout = aiohttp.ClientTimeout(READ_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        api = MetricsApi(workload, Kubelets(session, f"https://{host}:{kubelet_port}"))
        await listen(
            api.application(), front.host or host, front.files, PORT, f"the metrics API of {workload.connection.server}"
        )
