"""What a listener looks like to Envoy."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from ackbox.dataplane import envoy_config, envoy_listener
from ackbox.dataplane.model import Branch, Endpoint, Frontend, HealthCheck, Stickiness, Upstream
from ackbox.resources.listener import Protocol, Scheduler

CHECK = HealthCheck(True, 2, 5, 3, 3, port=9000)


def branch(scheduler: Scheduler, stickiness: Stickiness = Stickiness.NONE, check: HealthCheck | None = None) -> Branch:
    endpoint = Endpoint(("i-1", "10.0.0.1", 80), ("127.42.128.1", 61000), 7, healthy=False)
    return Branch(Upstream(scheduler, stickiness, Protocol.TCP, check), (endpoint,))


@pytest.mark.parametrize(
    ("scheduler", "stickiness", "policy"),
    [
        (Scheduler.RR, Stickiness.NONE, cluster_pb2.Cluster.ROUND_ROBIN),
        (Scheduler.WRR, Stickiness.NONE, cluster_pb2.Cluster.ROUND_ROBIN),
        (Scheduler.SCH, Stickiness.SOURCE_IP, cluster_pb2.Cluster.MAGLEV),
        (Scheduler.RR, Stickiness.SOURCE_IP, cluster_pb2.Cluster.MAGLEV),
        (Scheduler.WLC, Stickiness.SOURCE_IP, cluster_pb2.Cluster.MAGLEV),
    ],
)
def test_schedulers(scheduler: Scheduler, stickiness: Stickiness, policy: int) -> None:
    assert envoy_config.cluster("a", Upstream(scheduler, stickiness, Protocol.TCP)).lb_policy == policy


def test_least_connections_looks_at_every_server() -> None:
    cluster = envoy_config.cluster("a", Upstream(Scheduler.WLC, Stickiness.NONE, Protocol.TCP))
    assert [one.typed_extension_config.name for one in cluster.load_balancing_policy.policies] == [
        "envoy.load_balancing_policies.least_request"
    ]


def test_never_to_unhealthy_servers_and_at_once() -> None:
    cluster = envoy_config.cluster("a", Upstream(Scheduler.RR, Stickiness.NONE, Protocol.TCP))
    assert cluster.common_lb_config.HasField("healthy_panic_threshold")
    assert cluster.common_lb_config.healthy_panic_threshold.value == 0
    assert cluster.common_lb_config.HasField("update_merge_window")
    assert cluster.common_lb_config.update_merge_window.ToMilliseconds() == 0
    assert not cluster.health_checks


@pytest.mark.parametrize(("protocol", "checks"), [(Protocol.TCP, 1), (Protocol.HTTP, 1), (Protocol.UDP, 0)])
def test_health_checks(protocol: Protocol, checks: int) -> None:
    cluster = envoy_config.cluster("a", Upstream(Scheduler.RR, Stickiness.NONE, protocol, CHECK))
    assert len(cluster.health_checks) == checks


@pytest.mark.parametrize(("scheduler", "weight"), [(Scheduler.RR, 0), (Scheduler.WRR, 7), (Scheduler.WLC, 7)])
def test_endpoint_weights(scheduler: Scheduler, weight: int) -> None:
    (locality,) = envoy_config.endpoints("a", branch(scheduler)).endpoints
    (endpoint,) = locality.lb_endpoints
    assert endpoint.load_balancing_weight.value == weight
    assert endpoint.health_status == envoy_config.UNHEALTHY


def test_hashed_and_probed_endpoint() -> None:
    (locality,) = envoy_config.endpoints("a", branch(Scheduler.SCH, Stickiness.SOURCE_IP, CHECK)).endpoints
    (endpoint,) = locality.lb_endpoints
    assert endpoint.metadata.filter_metadata["envoy.lb"]["hash_key"] == "i-1/10.0.0.1:80"
    assert endpoint.endpoint.health_check_config.port_value == 9000
    assert endpoint.endpoint.health_check_config.hostname == "127.42.128.1"


@pytest.mark.parametrize("protocol", list(Protocol))
def test_listener_shares_no_tcp_port(protocol: Protocol) -> None:
    listener = envoy_listener.listener("a", Frontend(("127.42.16.1", 80), protocol, Stickiness.NONE))
    assert listener.HasField("enable_reuse_port")
    assert listener.enable_reuse_port.value == (protocol is Protocol.UDP)
    address = listener.address.socket_address
    assert (address.address, address.port_value) == ("127.42.16.1", 80)
