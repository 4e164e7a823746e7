"""Whatever is written in annotations: the parser and the model builders answer with data, never with a crash."""

import string

import pytest
from ccm_facts import FACTS
from hypothesis import given, settings
from hypothesis import strategies as st

from ackbox.catalog.annotations import LEGACY_PREFIX, PREFIX, TABLES, Annotation, Format
from ackbox.ccm.config import GATES, CloudConfig
from ackbox.ccm.services import annotations
from ackbox.ccm.services.backends import NodeView
from ackbox.ccm.services.kinds import build, load_balancer_changes, own_load_balancer
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.model import Certificate, Observed
from ackbox.ccm.services.names import Owner
from ackbox.ccm.services.plan import There, plan
from ackbox.ccm.services.values import parse
from ackbox.ccm.services.view import service_view
from ackbox.resources import ServerGroup, ServiceLoadBalancer
from ackbox.resources.listener import ListenerSpec
from ackbox.resources.loadbalancer import LoadBalancerType, ServiceLoadBalancerSpec
from ackbox.resources.servergroup import ServerGroupSpec

KINDS = (LoadBalancerType.CLB, LoadBalancerType.NLB)
NODES = {"n1": NodeView("n1", "192.168.0.1", "i-1", excluded=False, unschedulable=False, virtual=False, labels={})}
SLICE = {
    "addressType": "IPv4",
    "ports": [{"name": "web", "port": 8080}],
    "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n1"}, {"addresses": ["10.0.0.2"]}],
}
FRAGMENTS = (
    "on", "off", "true", "80", "443", "0", "65536", "-1", "http", "https", "tcp", "udp", "tcpssl", "good", "a.com",
    "cn-hangzhou-h", "vsw-1", "80-400", "192.168.0.7", "insert", "server", "white", "acl-1", "eni", "mine", ":", ",", "=", " ",
)  # fmt: skip
PORTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["web", ""]),
            "protocol": st.sampled_from(["TCP", "UDP", "SCTP"]),
            "port": st.sampled_from([80, 443, 8080]),
            "targetPort": st.sampled_from([8080, "web"]),
            "nodePort": st.sampled_from([None, 30080, 30443]),
        }
    ),
    max_size=4,
    unique_by=lambda port: (port["port"], port["protocol"]),
)


def texts(row: Annotation) -> st.SearchStrategy[str]:
    """Values near to what a row takes, and far from it."""
    near = st.lists(st.sampled_from([*FRAGMENTS, *row.choices]), max_size=7).map("".join)
    far = st.text(max_size=30) | st.text(string.digits + ":,=-", max_size=12)
    good = st.sampled_from(row.choices) if row.choices else near
    limits = row.limits or (0, 9)
    return near | far | good | st.integers(limits[0] - 1, limits[1] + 1).map(str)


def written(kind: LoadBalancerType) -> st.SearchStrategy[dict[str, str]]:
    """Annotations of a Service: some of the table's, under both prefixes, with any text."""
    entries = [st.tuples(st.sampled_from(row.keys), texts(row)) for row in TABLES[kind].values() if row.suffix != "id"]
    return st.lists(st.one_of(entries), max_size=12).map(dict)


WRITTEN = {kind: written(kind) for kind in KINDS}
ROWS = st.sampled_from([row for kind in KINDS for row in TABLES[kind].values()])


@given(ROWS.flatmap(lambda row: st.tuples(st.just(row), texts(row))))
@settings(max_examples=300)
def test_a_value_is_right_or_told_wrong_with_its_key(case):
    row, text = case
    parsed = parse(row, row.keys[0], text)
    assert (parsed.value is not None) or parsed.problems
    assert all(row.keys[0] in problem for problem in parsed.problems)
    if row.format in (Format.INTEGER, Format.WEIGHT) and parsed.value is not None:
        assert row.limits[0] <= parsed.value <= row.limits[1]


@given(st.dictionaries(st.text(max_size=20).map(lambda key: PREFIX + key) | st.text(max_size=60), st.text(max_size=50)))
def test_any_annotations_can_be_read(found):
    for kind in KINDS:
        wishes = annotations.read(found, kind)
        assert set(wishes.unknown) <= {key for key in found if key.startswith((PREFIX, LEGACY_PREFIX))}


@given(data=st.data())
@settings(max_examples=100)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_of_any_service_fits_the_schema(kind, data):
    service = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "uid-1", "annotations": data.draw(WRITTEN[kind])},
        "spec": {
            "type": "LoadBalancer",
            "ports": data.draw(PORTS),
            "externalTrafficPolicy": data.draw(st.sampled_from(["Cluster", "Local"])),
            "sessionAffinity": data.draw(st.sampled_from(["None", "ClientIP"])),
            "healthCheckNodePort": 32000,
        },
    }
    config = CloudConfig(gates=frozenset(data.draw(st.sets(st.sampled_from(sorted(GATES))))))
    view = service_view(service, "c1", kind)
    wishes = annotations.read(view.annotations, kind)
    reused = data.draw(st.booleans())
    try:
        own = own_load_balancer(view, wishes, FACTS, config)
    except SyncError:
        own = ServiceLoadBalancerSpec(load_balancer_type=kind)
    load_balancer = ServiceLoadBalancer.model_validate({"metadata": {"name": "lb", "uid": "u"}, "spec": own.wire()})
    changes = load_balancer_changes(load_balancer, view, wishes, FACTS, reused)
    ServiceLoadBalancerSpec.model_validate({**own.wire(), **changes.spec})
    there = data.draw(st.sampled_from([None, {"listenerProtocol": "http", "listenerForward": "on"}]))
    observed = Observed(
        slices=(SLICE,),
        nodes=NODES,
        group=lambda name: _group() if name == "mine" else None,
        listener=lambda _: there,
        certificate=lambda name: Certificate(name, False) if name == "good" else None,
        acl=lambda name: name == "acl-1",
    )
    try:
        target = build(view, wishes, load_balancer, reused, observed, config)
    except SyncError:
        return
    nothing = There(lambda _kind, _name: None, (), (), Owner("c1", "shop", "web"), 200)
    for change in plan(target, nothing, load_balancer, FACTS).changes:
        model = ListenerSpec if change.kind.kind == "Listener" else ServerGroupSpec
        model.model_validate(change.body["spec"])


def _group() -> ServerGroup:
    spec = {"loadBalancerId": "lb", "vServerGroupName": "by hand"}
    return ServerGroup.model_validate({"metadata": {"name": "mine"}, "spec": spec})
