"""The counters of listeners and their servers, as Envoy keeps them.

A listener goes by the label `envoy_listener_address`, the address in its `status.reachable` with `_` before the port; its
servers by `envoy_cluster_name`, which has the Listener's namespace and name in it.
"""

from pathlib import Path

import aiohttp

from ackbox.dataplane.admin import TIMEOUT

STATISTICS = (
    r"^(listener\.[0-9.]+_[0-9]+\.(downstream_cx_(active|total|length_ms)|no_filter_chain_match)"
    r"|cluster\.[^/]+/.+\.(upstream_cx_(active|total|connect_fail|rx_bytes_total|tx_bytes_total)"
    r"|upstream_rq_(active|total|timeout|[0-9]+|[0-9]xx|time)|membership_(healthy|total)))$"
)
"""Which of Envoy's many statistics are shown."""


async def read_metrics(socket: Path) -> bytes:
    """The metrics in Prometheus' text format.

    Raises:
        OSError: Envoy isn't there, or doesn't answer in time.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    connector = aiohttp.UnixConnector(path=str(socket))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
            session.get("http://envoy/stats/prometheus", params={"filter": STATISTICS}) as response,
        ):
            return await response.read()
    except aiohttp.ClientError as error:
        raise OSError(f"Envoy's admin socket: {error}") from error
