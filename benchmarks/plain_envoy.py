"""Envoys with a fixed configuration: a backend server that answers at once, and what somebody would write by hand."""

import asyncio
import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ackbox.runtime import tools
from ackbox.runtime.envoy import WORKER_THREADS
from benchmarks.clients import BODY

MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
START_SECONDS = 20.0


def backend(host: str, ports: Iterable[int]) -> dict[str, Any]:
    """Answers every request itself."""
    answer = {"direct_response": {"status": 200, "body": {"inline_string": BODY.decode()}}}
    listeners = [_listener(f"backend-{port}", host, port, _manager(answer)) for port in ports]
    return {"static_resources": {"listeners": listeners}}


def bare(host: str, http_port: int, tcp_port: int, target: tuple[str, int]) -> dict[str, Any]:
    """One HTTP and one TCP listener before one backend server."""
    endpoint = {"endpoint": {"address": {"socket_address": {"address": target[0], "port_value": target[1]}}}}
    cluster = {
        "name": "target",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "target", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    proxy = {"@type": TCP_PROXY, "stat_prefix": "tcp", "cluster": "target"}
    tcp = {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}
    listeners = [
        _listener("http", host, http_port, _manager({"route": {"cluster": "target"}})),
        _listener("tcp", host, tcp_port, tcp),
    ]
    return {"static_resources": {"listeners": listeners, "clusters": [cluster]}}


def _listener(name: str, host: str, port: int, network_filter: dict[str, Any]) -> dict[str, Any]:
    address = {"socket_address": {"address": host, "port_value": port}}
    return {"name": name, "address": address, "filter_chains": [{"filters": [network_filter]}]}


def _manager(action: dict[str, Any]) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, **action}
    config = {
        "@type": MANAGER,
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


@contextmanager
def running(config: dict[str, Any], file: Path) -> Iterator[int]:
    """Run an Envoy with as many workers as that of ackbox has; its process id."""
    file.write_text(json.dumps(config))
    options = ("--config-path", str(file), "--concurrency", str(WORKER_THREADS), "--disable-hot-restart")
    # A session of its own, as ackbox's has: Linux shares the cores out between sessions when they are short.
    command = [str(tools.envoy()), *options, "--log-level", "error"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(START_SECONDS)


async def listening(host: str, port: int) -> None:
    """Wait until somebody listens."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
