"""The incremental xDS protocol, one stream without the network."""

from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from ackbox.dataplane.names import key_of_resource
from ackbox.dataplane.xds_store import ResourceStore, ResourceType
from ackbox.dataplane.xds_stream import Answer, Stream

CDS, EDS, RDS, LDS, SDS = ResourceType


class Envoy:
    """The other end: what it was sent, and requests as Envoy makes them."""

    def __init__(self, store: ResourceStore) -> None:
        self.changes = 0
        self.stream = Stream(store, self._changed)
        self.nonces: dict[str, str] = {}

    def _changed(self) -> None:
        self.changes += 1

    def asks(
        self, kind: ResourceType, *names: str, has: dict[str, str] | None = None, drops: tuple[str, ...] = ()
    ) -> Answer | None:
        return self.stream.handle(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=kind.value,
                resource_names_subscribe=names,
                resource_names_unsubscribe=drops,
                initial_resource_versions=has or {},
            )
        )

    def gets(self) -> list[tuple[ResourceType, list[str], list[str]]]:
        responses = self.stream.responses()
        for response in responses:
            self.nonces[response.type_url] = response.nonce
        return [
            (ResourceType(one.type_url), sorted(res.name for res in one.resources), sorted(one.removed_resources))
            for one in responses
        ]

    def answers(self, kind: ResourceType, error: str | None = None) -> Answer | None:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=kind.value, response_nonce=self.nonces[kind.value])
        if error is not None:
            request.error_detail.message = error
        return self.stream.handle(request)


def put(store: ResourceStore, *names: str, port: int = 80) -> None:
    for name in names:
        store.put(CDS, name, cluster_pb2.Cluster(name=name))
        store.put(EDS, name, endpoint_pb2.ClusterLoadAssignment(cluster_name=name))
        store.put(LDS, name, message(name, port), (name,))


def message(name: str, port: int) -> Any:
    listener = listener_pb2.Listener(name=name)
    listener.address.socket_address.port_value = port
    return listener


def connected(store: ResourceStore, *names: str) -> Envoy:
    """An Envoy that runs these already."""
    envoy = Envoy(store)
    for kind in (CDS, EDS, LDS):
        has = {name: store.all(kind)[name].version for name in names}
        envoy.asks(kind, *(names if kind is EDS else ()), has=has)
    return envoy


def test_new_listeners_come_after_their_endpoints() -> None:
    store = ResourceStore()
    put(store, "a", "b")
    envoy = Envoy(store)
    assert envoy.gets() == []
    envoy.asks(CDS)
    envoy.asks(LDS)
    assert envoy.gets() == [(CDS, ["a", "b"], [])]
    envoy.asks(EDS, "a")
    assert envoy.gets() == [(EDS, ["a"], []), (LDS, ["a"], [])]
    envoy.asks(EDS, "b")
    assert envoy.gets() == [(EDS, ["b"], []), (LDS, ["b"], [])]
    assert envoy.gets() == []


def test_reconnected_envoy_gets_only_what_differs() -> None:
    store = ResourceStore()
    put(store, "a", "b")
    envoy = connected(store, "a", "b")
    assert envoy.gets() == []
    assert envoy.stream.acked(LDS, "a") == store.all(LDS)["a"].version
    again = Envoy(store)
    has = {"a": store.all(CDS)["a"].version, "old": "1"}
    answer = again.asks(CDS, has=has)
    assert answer is not None
    assert sorted(answer.names) == ["a", "old"]
    again.asks(LDS, has=has)
    again.asks(EDS, "a", "b", has={"a": "outdated"})
    assert again.gets() == [
        (CDS, ["b"], []),
        (EDS, ["a", "b"], []),
        (LDS, ["a", "b"], []),
        (LDS, [], ["old"]),
        (CDS, [], ["old"]),
    ]


def test_changed_endpoints_push_only_endpoints() -> None:
    store = ResourceStore()
    put(store, "a", "b")
    envoy = connected(store, "a", "b")
    envoy.gets()
    changed = endpoint_pb2.ClusterLoadAssignment(cluster_name="a")
    changed.endpoints.add()
    before = envoy.changes
    assert store.put(EDS, "a", changed)
    assert not store.put(EDS, "a", changed)
    assert envoy.changes == before + 1
    assert envoy.gets() == [(EDS, ["a"], [])]


def test_changed_cluster_gets_its_endpoints_again() -> None:
    store = ResourceStore()
    put(store, "a")
    envoy = connected(store, "a")
    envoy.gets()
    store.put(CDS, "a", cluster_pb2.Cluster(name="a", lb_policy=cluster_pb2.Cluster.MAGLEV))
    assert envoy.gets() == [(CDS, ["a"], []), (EDS, ["a"], [])]


def test_listener_goes_before_its_cluster() -> None:
    store = ResourceStore()
    put(store, "a", "b")
    envoy = connected(store, "a", "b")
    envoy.gets()
    for kind in ResourceType:
        store.drop(kind, "a")
    assert envoy.gets() == [(LDS, [], ["a"]), (CDS, [], ["a"])]
    envoy.asks(EDS, drops=("a",))
    assert envoy.gets() == []
    put(store, "a")
    assert envoy.gets() == [(CDS, ["a"], [])]
    envoy.asks(EDS, "a")
    assert envoy.gets() == [(EDS, ["a"], []), (LDS, ["a"], [])]


def test_refusal_of_many_is_tried_one_by_one() -> None:
    store = ResourceStore()
    put(store, "a", "b")
    envoy = connected(store, "a", "b")
    envoy.gets()
    put(store, "a", "b", port=81)
    assert envoy.gets() == [(LDS, ["a", "b"], [])]
    assert envoy.answers(LDS, "b: no") is None
    responses = envoy.stream.responses()
    assert [[one.name for one in response.resources] for response in responses] == [["a"], ["b"]]
    fine, refused = (
        discovery_pb2.DeltaDiscoveryRequest(type_url=LDS.value, response_nonce=one.nonce) for one in responses
    )
    refused.error_detail.message = "no"
    assert envoy.stream.handle(fine) == Answer(LDS, ("a",))
    assert envoy.stream.handle(refused) == Answer(LDS, ("b",), "no")
    assert envoy.stream.rejection(LDS, "b") == "no"
    assert envoy.stream.rejection(LDS, "a") is None
    assert envoy.stream.acked(LDS, "a") == store.all(LDS)["a"].version
    assert envoy.gets() == []


def test_refused_resource_is_sent_again_when_it_changes_or_on_request() -> None:
    store = ResourceStore()
    put(store, "a")
    envoy = connected(store, "a")
    envoy.gets()
    put(store, "a", port=81)
    envoy.gets()
    envoy.answers(LDS, "no")
    envoy.stream.retry(LDS, "a")
    assert envoy.gets() == [(LDS, ["a"], [])]
    envoy.answers(LDS, "no")
    put(store, "a", port=82)
    assert envoy.gets() == [(LDS, ["a"], [])]
    assert envoy.answers(LDS) == Answer(LDS, ("a",))
    assert envoy.stream.rejection(LDS, "a") is None


def test_back_to_the_version_before_a_refusal() -> None:
    store = ResourceStore()
    put(store, "a")
    envoy = connected(store, "a")
    envoy.gets()
    put(store, "a", port=81)
    envoy.gets()
    envoy.answers(LDS, "no")
    put(store, "a", port=80)
    assert envoy.gets() == [(LDS, ["a"], [])]


def test_a_question_for_missing_endpoints_gets_an_answer() -> None:
    envoy = Envoy(ResourceStore())
    envoy.asks(EDS, "ghost")
    assert envoy.gets() == [(EDS, [], ["ghost"])]


def test_endpoints_asked_for_again_are_sent_again() -> None:
    store = ResourceStore()
    put(store, "a")
    envoy = connected(store, "a")
    envoy.gets()
    envoy.asks(EDS, "a")
    assert envoy.gets() == [(EDS, ["a"], [])]


def test_unknown_types_and_nonces_are_left_alone() -> None:
    store = ResourceStore()
    envoy = Envoy(store)
    assert envoy.stream.handle(discovery_pb2.DeltaDiscoveryRequest(type_url="type.googleapis.com/x")) is None
    assert envoy.stream.handle(discovery_pb2.DeltaDiscoveryRequest(type_url=LDS.value, response_nonce="99")) is None


def test_closed_stream_hears_nothing() -> None:
    store = ResourceStore()
    envoy = Envoy(store)
    envoy.stream.close()
    put(store, "a")
    assert envoy.changes == 0


def test_versions_follow_the_content() -> None:
    one, other = ResourceStore(), ResourceStore()
    put(one, "a")
    put(other, "a")
    assert one.all(LDS)["a"].version == other.all(LDS)["a"].version


def test_listener_waits_for_the_endpoints_of_every_cluster() -> None:
    store = ResourceStore()
    for name in ("ns/a", "ns/a#rule"):
        store.put(CDS, name, cluster_pb2.Cluster(name=name))
        store.put(EDS, name, endpoint_pb2.ClusterLoadAssignment(cluster_name=name))
    store.put(LDS, "ns/a", message("ns/a", 80), ("ns/a", "ns/a#rule"))
    envoy = Envoy(store)
    envoy.asks(CDS)
    envoy.asks(LDS)
    envoy.gets()
    envoy.asks(EDS, "ns/a")
    assert envoy.gets() == [(EDS, ["ns/a"], [])]
    envoy.asks(EDS, "ns/a#rule")
    assert envoy.gets() == [(EDS, ["ns/a#rule"], []), (LDS, ["ns/a"], [])]


def test_secrets_are_sent_when_asked_for_and_never_taken_away() -> None:
    store = ResourceStore()
    store.put(SDS, "ns/a/cert", secret_pb2.Secret(name="ns/a/cert"))
    envoy = Envoy(store)
    envoy.asks(CDS)
    assert envoy.gets() == []
    envoy.asks(SDS, "ns/a/cert")
    assert envoy.gets() == [(SDS, ["ns/a/cert"], [])]
    store.put(SDS, "ns/a/cert", secret_pb2.Secret(name="ns/a/cert", tls_certificate={}))
    assert envoy.gets() == [(SDS, ["ns/a/cert"], [])]
    store.drop(SDS, "ns/a/cert")
    assert envoy.gets() == []


def test_routes_wait_for_the_servers_of_what_they_newly_name() -> None:
    store = ResourceStore()
    put(store, "ns/a")
    envoy = connected(store, "ns/a")
    store.put(RDS, "ns/a", route_pb2.RouteConfiguration(name="ns/a"), ("ns/a",))
    assert envoy.gets() == []
    envoy.asks(RDS, "ns/a")
    assert envoy.gets() == [(RDS, ["ns/a"], [])]
    store.put(RDS, "ns/a", route_pb2.RouteConfiguration(name="ns/a", virtual_hosts=[{}]), ("ns/a", "ns/a#g"))
    store.put(CDS, "ns/a#g", cluster_pb2.Cluster(name="ns/a#g"))
    store.put(EDS, "ns/a#g", endpoint_pb2.ClusterLoadAssignment(cluster_name="ns/a#g"))
    assert envoy.gets() == [(CDS, ["ns/a#g"], [])]
    envoy.asks(EDS, "ns/a#g")
    assert envoy.gets() == [(EDS, ["ns/a#g"], []), (RDS, ["ns/a"], [])]
    store.drop(RDS, "ns/a")
    assert envoy.gets() == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ns/a", ("ns", "a")),
        ("ns/a#rsp-1", ("ns", "a")),
        ("ns/a/cert", ("ns", "a")),
        ("ns/a//authorities", ("ns", "a")),
    ],
)
def test_listener_of_a_resource(name: str, wanted: tuple[str, str]) -> None:
    assert key_of_resource(name) == wanted
