"""Serves a process's metrics and health.

On a machine that others use too: over TLS, to those who have a client certificate of the right authority. In a Pod: as
plain HTTP on one port, since the kubelet has no certificate for its probes; a NetworkPolicy says who else comes in.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

logger = logging.getLogger(__name__)

CCM_PORT, SLB_PORT = 8080, 8081
"""Where each process serves; 8080 is the port of upstream's CCM."""

POD_PORT = 8086
"""Where each process serves in a Pod."""

Source: TypeAlias = Callable[[], Awaitable[bytes]]
"""Answers metrics in Prometheus' text format; `OSError` when there are none now."""

RETRY = 5.0
"""Seconds between two tries, as when the process before this one still has the port."""


@dataclass(frozen=True)
class ServerFiles:
    """What a server proves itself with, and whom it trusts.

    Attributes:
        certificate, key: its own, PEM.
        authority: the CA whose clients may come in, PEM.
    """

    certificate: Path
    key: Path
    authority: Path


def server_files(home: Path, process: str) -> ServerFiles:
    """Where `ackbox up` puts the files of a process."""
    folder = home / "pki" / "management"
    return ServerFiles(folder / f"{process}-server.crt", folder / f"{process}-server.key", folder / "ca.crt")


def metrics_api_files(home: Path) -> ServerFiles:
    """What the metrics APIs of workload clusters show, and who may ask: their API servers, as front proxies."""
    folder = home / "pki"
    return ServerFiles(
        folder / "management" / "metrics-api.crt",
        folder / "management" / "metrics-api.key",
        folder / "front-proxy" / "ca.crt",
    )


def of_registry(registry: CollectorRegistry) -> Source:
    """The metrics that a process itself keeps."""

    async def read() -> bytes:
        return generate_latest(registry)

    return read


async def serve(source: Source, host: str, files: ServerFiles, port: int) -> None:
    """Answer `/metrics` and `/healthz` until cancelled."""
    await listen(application(source), host, files, port, "metrics")


async def serve_in_pod(source: Source, ready: Callable[[], bool]) -> None:
    """Answer `/metrics`, and the kubelet's probes `/healthz` and `/readyz`, until cancelled.

    Args:
        source: the metrics.
        ready: whether the process can do its part now, as a leader or as one that waits to be.
    """
    await listen(application(source, ready), "0.0.0.0", None, POD_PORT, "probes and metrics")  # noqa: S104


def application(source: Source, ready: Callable[[], bool] | None = None) -> web.Application:
    """What is served: `/metrics`, `/healthz` and `/readyz`.

    An answer to `/healthz` shows that the event loop turns; a process that has lost more than that ends by itself.
    """

    async def metrics(_request: web.Request) -> web.Response:
        try:
            return web.Response(body=await source(), headers={"Content-Type": CONTENT_TYPE_LATEST})
        except (OSError, TimeoutError) as error:
            return web.Response(status=503, text=f"{error}\n")

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readiness(_request: web.Request) -> web.Response:
        return web.Response(text="ok") if ready is None or ready() else web.Response(status=503, text="not ready\n")

    served = web.Application()
    served.add_routes([web.get("/metrics", metrics), web.get("/healthz", health), web.get("/readyz", readiness)])
    return served


async def listen(application: web.Application, host: str, files: ServerFiles | None, port: int, what: str) -> None:
    """Serve an application until cancelled; while that can't be done it is tried again, and said once.

    Args:
        files: for TLS with client certificates; None for plain HTTP.
    """
    scheme = "https" if files is not None else "http"
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    said = ""
    try:
        while True:
            try:
                context = await asyncio.to_thread(_context, files) if files is not None else None
                await web.TCPSite(runner, host, port, ssl_context=context).start()
                logger.info("%s at %s://%s:%d", what, scheme, host, port)
                await asyncio.Event().wait()
            except OSError as error:
                if str(error) != said:
                    logger.warning("no %s at %s://%s:%d yet: %s", what, scheme, host, port, error)
                said = str(error)
                await asyncio.sleep(RETRY)
    finally:
        await runner.cleanup()


def _context(files: ServerFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority))
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    return context
