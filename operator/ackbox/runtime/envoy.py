"""Envoy's start-up configuration: where its configuration comes from, and nothing that listens on the network."""

import json
from pathlib import Path
from typing import Any

NODE_ID = "ackbox"
ADS_CLUSTER = "ackbox-ads"
ADS_SOCKET = "ads.sock"
ADMIN_SOCKET = "envoy-admin.sock"

WORKER_THREADS = 2
# Beyond this a connection is refused; Envoy asks for a limit so that it can't run out of files.
MAX_CONNECTIONS = 20_000
# A deleted listener of a cloud load balancer cuts its connections; Envoy would keep them for ten minutes.
DRAIN_SECONDS = 2


def command(binary: Path, config: Path) -> tuple[str, ...]:
    """The command line of the one Envoy of a home."""
    return (
        str(binary),
        "--config-path",
        str(config),
        "--concurrency",
        str(WORKER_THREADS),
        # No second Envoy ever takes over from the first, and several homes must not share its memory segment.
        "--disable-hot-restart",
        "--drain-time-s",
        str(DRAIN_SECONDS),
        "--drain-strategy",
        "immediate",
        # Access logs: a line is in the file after a second at the latest.
        "--file-flush-interval-msec",
        "1000",
        "--log-level",
        "warning",
    )


def bootstrap(run: Path) -> str:
    """The configuration file: delta ADS over a unix socket, admin on another (JSON, which is YAML too)."""
    document = {
        "node": {"id": NODE_ID, "cluster": NODE_ID},
        "admin": {"address": {"pipe": {"path": str(run / ADMIN_SOCKET), "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": _ads(),
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {"clusters": [_ads_cluster(run / ADS_SOCKET)]},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors"
                        ".downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": MAX_CONNECTIONS,
                    },
                }
            ]
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _ads() -> dict[str, Any]:
    # A restarted `ackbox slb` is found again at once, not after Envoy's default of up to half a minute.
    back_off = {"base_interval": "0.1s", "max_interval": "1s"}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [
            {"envoy_grpc": {"cluster_name": ADS_CLUSTER, "retry_policy": {"retry_back_off": back_off}}},
        ],
    }


def _ads_cluster(socket: Path) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    return {
        "name": ADS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": ADS_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
