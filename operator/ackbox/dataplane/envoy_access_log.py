"""Access logs in Envoy's words. Fields are called as in SLB's layer 7 access logs where those have them; times are in
milliseconds and say so.
"""

from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2

from ackbox.dataplane.access_log import AccessLog
from ackbox.dataplane.envoy_config import packed

UPSTREAM = "%UPSTREAM_METADATA(envoy.lb:hash_key)%"
"""The server as `id/ip:port`: its address in the cloud, not where it is dialled."""

CLIENT = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "client_ip": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "client_port": "%DOWNSTREAM_DIRECT_REMOTE_PORT%",
}

TLS = {
    "ssl_protocol": "%DOWNSTREAM_TLS_VERSION%",
    "ssl_cipher": "%DOWNSTREAM_TLS_CIPHER%",
    "ssl_server_name": "%REQUESTED_SERVER_NAME%",
}

REQUEST = {
    "request_method": "%REQ(:METHOD)%",
    "request_uri": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "server_protocol": "%PROTOCOL%",
    "host": "%REQ(:AUTHORITY)%",
    "http_host": "%REQ(:AUTHORITY)%",
    "http_user_agent": "%REQ(USER-AGENT)%",
    "http_referer": "%REQ(REFERER)%",
    "http_x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "request_length": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "status": "%RESPONSE_CODE%",
    "body_bytes_sent": "%BYTES_SENT%",
    "request_time_ms": "%DURATION%",
    "upstream_addr": UPSTREAM,
    "upstream_response_time_ms": "%RESPONSE_DURATION%",
    "reason": "%RESPONSE_FLAGS%",
}

CONNECTION = {
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_time_ms": "%DURATION%",
    "upstream_addr": UPSTREAM,
    "reason": "%RESPONSE_FLAGS%",
}

SESSION = {
    "bytes_received": "%DYNAMIC_METADATA(udp.proxy.session:bytes_received)%",
    "bytes_sent": "%DYNAMIC_METADATA(udp.proxy.session:bytes_sent)%",
    "datagrams_received": "%DYNAMIC_METADATA(udp.proxy.session:datagrams_received)%",
    "datagrams_sent": "%DYNAMIC_METADATA(udp.proxy.session:datagrams_sent)%",
    "connection_time_ms": "%DURATION%",
    "upstream_addr": UPSTREAM,
}


def http(log: AccessLog, encrypted: bool) -> Any:
    """One line a request."""
    return _file(log, "https" if encrypted else "http", {**CLIENT, **REQUEST, **(TLS if encrypted else {})})


def tcp(log: AccessLog, encrypted: bool) -> Any:
    """One line a connection, when it ends."""
    return _file(log, "tcpssl" if encrypted else "tcp", {**CLIENT, **CONNECTION, **(TLS if encrypted else {})})


def udp(log: AccessLog) -> Any:
    """One line a UDP session, when it ends."""
    client = {
        **CLIENT,
        "client_ip": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "client_port": "%DOWNSTREAM_REMOTE_PORT%",
    }
    return _file(log, "udp", {**client, **SESSION})


def _file(log: AccessLog, scheme: str, fields: dict[str, str]) -> Any:
    layout = substitution_format_string_pb2.SubstitutionFormatString()
    # % begins a variable, in a name or anywhere else.
    own = {"slbid": log.balancer.replace("%", "%%"), "slb_vport": log.port, "scheme": scheme}
    layout.json_format.update({**own, **fields})
    config = file_pb2.FileAccessLog(path=log.path, log_format=layout)
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.file", typed_config=packed(config))
