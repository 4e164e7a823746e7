"""Serves a process's metrics and health over TLS, to those who have a client certificate of the right authority."""

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

    async def metrics(_request: web.Request) -> web.Response:
        try:
            return web.Response(body=await source(), headers={"Content-Type": CONTENT_TYPE_LATEST})
        except (OSError, TimeoutError) as error:
            return web.Response(status=503, text=f"{error}\n")

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/healthz", health)])
    await listen(application, host, files, port, "metrics")


async def listen(application: web.Application, host: str, files: ServerFiles, port: int, what: str) -> None:
    """Serve an application until cancelled; while that can't be done it is tried again, and said once."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    said = ""
    try:
        while True:
            try:
                context = await asyncio.to_thread(_context, files)
                await web.TCPSite(runner, host, port, ssl_context=context).start()
                logger.info("%s at https://%s:%d", what, host, port)
                await asyncio.Event().wait()
            except OSError as error:
                if str(error) != said:
                    logger.warning("no %s at https://%s:%d yet: %s", what, host, port, error)
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
