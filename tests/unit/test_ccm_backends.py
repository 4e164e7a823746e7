"""Backend servers in the three modes."""

from dataclasses import replace

import pytest

from ackbox.ccm.services.backends import BackendError, Choice, Endpoint, Mode, NodeView, backends, endpoints, node_view

READY = [{"type": "Ready", "status": "True"}]
CLUSTER = Choice(Mode.CLUSTER, {})


def node(name="n1", ip="192.168.0.1", provider="cn-hangzhou.i-1", labels=None, conditions=READY, **spec):
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"providerID": provider, **spec},
        "status": {"conditions": conditions, "addresses": [{"type": "InternalIP", "address": ip}]},
    }


def view(name="n1", ip="192.168.0.1", server="i-1", **more):
    fields = {"excluded": False, "unschedulable": False, "virtual": False, "labels": {}, **more}
    return NodeView(name, ip, server, **fields)


def nodes(*views):
    return {each.name: each for each in views}


TWO = nodes(view(), view("n2", "192.168.0.2", "i-2"))


def brief(servers):
    return [(s.server_id, s.server_ip, s.port, s.weight, s.type) for s in servers]


@pytest.mark.parametrize(
    "obj",
    [
        node(labels={"node-role.kubernetes.io/master": ""}),
        node(labels={"node.kubernetes.io/exclude-from-external-load-balancers": "x"}),
        node(labels={"alpha.service-controller.kubernetes.io/exclude-balancer": ""}),
        node(labels={"service.alibabacloud.com/exclude-node": ""}),
        node(labels={"service.beta.kubernetes.io/exclude-node": ""}),
        node(taints=[{"key": "ToBeDeletedByClusterAutoscaler"}]),
        node(conditions=[]),
        node(conditions=[{"type": "Ready", "status": "Unknown"}]),
        node(conditions=[{"type": "Ready", "status": "False"}]),
        node(provider="ack-hybrid://x"),
    ],
)
def test_left_out_nodes(obj):
    assert node_view(obj, external=False).excluded


def test_control_plane_nodes_and_cordoned_ones_stay():
    found = node_view(node(labels={"node-role.kubernetes.io/control-plane": ""}, unschedulable=True), external=False)
    assert not found.excluded
    assert found.unschedulable


def test_a_virtual_node_needs_no_ready_condition():
    obj = node(labels={"type": "virtual-kubelet"}, conditions=[{"type": "Ready", "status": "False"}])
    assert node_view(obj, external=False).virtual
    assert not node_view(obj, external=False).excluded


@pytest.mark.parametrize(
    ("provider", "external", "expected"),
    [
        ("cn-hangzhou.i-1", False, "i-1"),
        ("alicloud://cn-hangzhou.i-1", False, "i-1"),
        ("kind://docker/x", False, None),
        ("", False, None),
        ("kind://docker/x", True, "n1"),
        ("cn-hangzhou.i-1", True, "i-1"),
    ],
)
def test_server_ids(provider, external, expected):
    assert node_view(node(provider=provider), external).server_id == expected


def test_cluster_mode_takes_every_node():
    found = backends(CLUSTER, 30080, [], TWO, "d")
    assert brief(found) == [("i-1", "192.168.0.1", 30080, 100, "ecs"), ("i-2", "192.168.0.2", 30080, 100, "ecs")]
    assert {server.description for server in found} == {"d"}


@pytest.mark.parametrize("change", [{"excluded": True}, {"virtual": True}, {"address": None}, {"server_id": None}])
def test_nodes_that_are_no_backend_servers(change):
    assert backends(CLUSTER, 30080, [], nodes(replace(view(), **change)), "d") == ()


def test_cordoned_nodes_go_only_when_asked():
    cordoned = nodes(view(unschedulable=True))
    assert len(backends(CLUSTER, 30080, [], cordoned, "d")) == 1
    assert backends(replace(CLUSTER, remove_unscheduled=True), 30080, [], cordoned, "d") == ()


def test_backend_labels_must_all_match():
    labelled = nodes(view(labels={"a": "1", "b": "2"}), view("n2", "192.168.0.2", "i-2", labels={"a": "1"}))
    assert len(backends(replace(CLUSTER, labels={"a": "1"}), 30080, [], labelled, "d")) == 2
    assert [s.server_id for s in backends(replace(CLUSTER, labels={"a": "1", "b": "2"}), 1, [], labelled, "d")] == [
        "i-1"
    ]


@pytest.mark.parametrize("weight", [0, 60])
def test_default_weight(weight):
    found = backends(replace(CLUSTER, default_weight=weight), 30080, [], TWO, "d")
    assert {server.weight for server in found} == {weight}


def test_local_mode_counts_pods_by_node():
    ready = [Endpoint("10.0.0.1", 80, "n1"), Endpoint("10.0.0.2", 80, "n1"), Endpoint("10.0.0.3", 80, "n9")]
    local = Choice(Mode.LOCAL, {}, default_weight=60)
    assert brief(backends(local, 30080, ready, TWO, "d")) == [("i-1", "192.168.0.1", 30080, 2, "ecs")]


def test_local_mode_needs_the_node_of_every_endpoint():
    with pytest.raises(BackendError, match=r"10\.0\.0\.1 has no nodeName"):
        backends(Choice(Mode.LOCAL, {}), 30080, [Endpoint("10.0.0.1", 80, None)], TWO, "d")


def test_pods_on_virtual_nodes_are_servers_themselves():
    virtual = nodes(view(), view("vk", "192.168.9.9", None, virtual=True))
    ready = [Endpoint("10.0.0.1", 80, "n1"), Endpoint("192.168.7.7", 80, "vk")]
    for mode, weight in ((Mode.CLUSTER, 100), (Mode.LOCAL, 1)):
        found = backends(Choice(mode, {}), 30080, ready, virtual, "d")
        assert ("192.168.7.7", "192.168.7.7", 80, weight, "eni") in brief(found)
        assert len(found) == 2


def test_eni_mode_takes_pods_by_their_interface():
    ready = [Endpoint("10.0.0.1", 8080, "n1"), Endpoint("10.0.0.2", 8081, "n2"), Endpoint("10.9.9.9", 8080, None)]
    found = backends(Choice(Mode.ENI, {}, default_weight=5), None, ready, TWO, "d")
    assert brief(found) == [
        ("10.9.9.9", "10.9.9.9", 8080, 5, "eni"),
        ("eni-1", "10.0.0.1", 8080, 5, "eni"),
        ("eni-2", "10.0.0.2", 8081, 5, "eni"),
    ]


@pytest.mark.parametrize("mode", [Mode.CLUSTER, Mode.LOCAL])
def test_node_modes_need_a_node_port(mode):
    with pytest.raises(BackendError, match="allocateLoadBalancerNodePorts"):
        backends(Choice(mode, {}), None, [], TWO, "d")


@pytest.mark.parametrize(("total", "each"), [(100, 50), (3, 1), (1, 1), (0, 0)])
def test_a_total_weight_is_divided_evenly(total, each):
    found = backends(replace(CLUSTER, total_weight=total), 30080, [], TWO, "d")
    assert [server.weight for server in found] == [each, each]


def test_a_total_weight_in_local_mode_follows_the_pods():
    ready = [Endpoint(f"10.0.0.{i}", 80, "n1" if i else "n2") for i in range(4)]
    found = backends(Choice(Mode.LOCAL, {}, total_weight=80), 30080, ready, TWO, "d")
    assert {server.server_id: server.weight for server in found} == {"i-1": 60, "i-2": 20}


def endpoint_slice(*items, port=8080, name="web", family="IPv4"):
    return {"addressType": family, "ports": [{"name": name, "port": port}], "endpoints": list(items)}


def test_endpoints_are_those_that_are_ready():
    found = endpoints(
        [
            endpoint_slice(
                {"addresses": ["10.0.0.1"], "nodeName": "n1"},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": True}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": False}},
                {"addresses": ["10.0.0.4"], "conditions": {"ready": True, "terminating": True}},
            ),
            endpoint_slice({"addresses": ["fd00::1"]}, family="IPv6"),
            endpoint_slice({"addresses": ["10.0.0.5"]}, name="other"),
            endpoint_slice({"addresses": ["10.0.0.1"], "nodeName": "n1"}),
            endpoint_slice({"addresses": ["10.0.0.6"]}, port=9090),
        ],
        "web",
    )
    assert found == [
        Endpoint("10.0.0.1", 8080, "n1"),
        Endpoint("10.0.0.2", 8080, None),
        Endpoint("10.0.0.6", 9090, None),
    ]


def test_an_unnamed_port_matches_an_unnamed_one():
    obj = {"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.0.0.1"]}]}
    assert endpoints([obj], "") == [Endpoint("10.0.0.1", 80, None)]
