"""What Envoy's probes found, read from its admin socket."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

from ackbox.dataplane.model import Address

TIMEOUT = 5.0
"""Seconds that Envoy has to answer."""

Found: TypeAlias = Mapping[str, Mapping[Address, bool]]
"""By cluster and address: whether Envoy sends there."""


async def read_health(socket: Path) -> Found:
    """The health of every endpoint that Envoy knows.

    Raises:
        OSError: Envoy isn't there, or doesn't answer in time or in form (`aiohttp.ClientError` is no OSError: it is
            translated).
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    connector = aiohttp.UnixConnector(path=str(socket))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
            session.get("http://envoy/clusters?format=json") as response,
        ):
            return parse(json.loads(await response.read()))
    except (aiohttp.ClientError, ValueError) as error:
        raise OSError(f"Envoy's admin socket: {error}") from error


def parse(document: Mapping[str, Any]) -> Found:
    """Read Envoy's `/clusters?format=json`."""
    return {
        cluster["name"]: {
            _address(host): not host.get("health_status", {}).get("failed_active_health_check", False)
            for host in cluster.get("host_statuses", ())
            if "socket_address" in host.get("address", {})
        }
        for cluster in document.get("cluster_statuses", ())
    }


def _address(host: Mapping[str, Any]) -> Address:
    socket_address = host["address"]["socket_address"]
    return socket_address["address"], socket_address["port_value"]
