"""From a Service to what it is to have, and to the changes that bring it about."""

from dataclasses import replace

import pytest
from ccm_facts import FACTS

from ackbox.catalog.annotations import BACKEND_TYPE, PREFIX
from ackbox.ccm.config import DEFAULT
from ackbox.ccm.services import annotations
from ackbox.ccm.services.backends import NodeView
from ackbox.ccm.services.changes import Create, Delete
from ackbox.ccm.services.clb_balancer import own_load_balancer
from ackbox.ccm.services.kinds import build, load_balancer_changes
from ackbox.ccm.services.lookup import Found, SyncError, World, find
from ackbox.ccm.services.model import Observed
from ackbox.ccm.services.names import OwnedName, Owner, group_object_name
from ackbox.ccm.services.plan import There, plan, servers_patch
from ackbox.ccm.services.status import ingress, not_ready, port_mappings, service_patch
from ackbox.ccm.services.view import change, service_view, to_clean, wanted
from ackbox.resources import LISTENER, SERVER_GROUP, ServerGroup, ServiceLoadBalancer
from ackbox.resources.servergroup import BackendServer

UID = "5e4dbfc9-c2ae-4642-b033-5607860aef6a"
DEFAULT_NAME = "a5e4dbfc9c2ae4642b0335607860aef6"
NODES = {
    "n1": NodeView("n1", "192.168.0.1", "i-1", excluded=False, unschedulable=False, virtual=False, labels={}),
    "n2": NodeView("n2", "192.168.0.2", "i-2", excluded=False, unschedulable=False, virtual=False, labels={}),
}
SLICE = {
    "addressType": "IPv4",
    "ports": [{"name": "web", "port": 8080}],
    "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n1"}],
}
PORT = {"name": "web", "protocol": "TCP", "port": 80, "targetPort": "web", "nodePort": 30080}


def service(*ports, notes=None, status=None, labels=None, finalizers=(), **spec):
    keyed = {(key if "/" in key else PREFIX + key): value for key, value in (notes or {}).items()}
    return {
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": UID,
            "annotations": keyed,
            "labels": labels or {},
            "finalizers": list(finalizers),
        },
        "spec": {"type": "LoadBalancer", "ports": list(ports or [PORT]), "externalTrafficPolicy": "Cluster", **spec},
        "status": {"loadBalancer": {"ingress": status}} if status else {},
    }


def slb(name=DEFAULT_NAME, tags=(), status=None, metadata=None, **spec):
    return ServiceLoadBalancer.model_validate(
        {
            "metadata": {"name": name, "namespace": "team", "uid": "slb-uid", **(metadata or {})},
            "spec": {"tags": [{"key": k, "value": v} for k, v in tags], **spec},
            "status": {"loadBalancerId": "lb-1", "reachable": "127.42.16.1", **(status or {})},
        }
    )


def model(obj, reused=False, load_balancer=None, group=None, slices=(SLICE,)):
    view = service_view(obj, "c1")
    observed = Observed(slices, NODES, lambda _: group)
    return build(view, annotations.read(view.annotations), load_balancer or slb(), reused, observed, DEFAULT)


# Which Services are ours


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (service(), True),
        (service(type="ClusterIP"), False),
        (service(loadBalancerClass="alibabacloud.com/nlb"), True),
        (service(loadBalancerClass="other"), False),
        (service(notes={"service.beta.kubernetes.io/class": "x"}), False),
        (service(notes={"service.beta.kubernetes.io/class": ""}), True),
        (service(notes={"tunnel-type": ""}), False),
    ],
)
def test_managed_clusters_take_plain_load_balancers(obj, expected):
    assert wanted(obj, FACTS) is expected


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (service(), False),
        (service(loadBalancerClass="ackbox.dev/clb"), True),
        (service(loadBalancerClass="other"), False),
        (service(labels={"lb": "ackbox"}), True),
        (service(labels={"lb": "ackbox"}, loadBalancerClass="other"), False),
    ],
)
def test_registered_clusters_take_those_that_ask(obj, expected):
    assert wanted(obj, replace(FACTS, external=True, service_labels={"lb": "ackbox"})) is expected


def test_without_labels_a_registered_cluster_takes_nothing_by_label():
    assert not wanted(service(labels={"lb": "ackbox"}), replace(FACTS, external=True))


def test_only_what_has_the_finalizer_is_cleaned():
    ours = {"finalizers": ["service.k8s.alibaba/resources"]}
    assert to_clean(service(type="ClusterIP", **ours), FACTS)
    assert not to_clean(service(type="ClusterIP"), FACTS)
    assert not to_clean(service(**ours), FACTS)
    assert to_clean(service(**ours), replace(FACTS, external=True))


def test_reasons_to_look_again():
    old = service()
    assert change(old, service(), FACTS) is None
    assert change(old, service(labels={"a": "b"}, finalizers=["x"], status=[{"ip": "1.1.1.1"}]), FACTS) is None
    assert change(old, service(type="ClusterIP"), FACTS) == ("TypeChanged", "type change LoadBalancer - ClusterIP")
    assert change(old, service(notes={"id": "lb-1"}), FACTS)[0] == "AnnotationChanged"
    assert change(old, service(sessionAffinity="ClientIP"), FACTS)[0] == "ServiceSpecChanged"
    deleting = service()
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert change(old, deleting, FACTS)[0] == "DeleteTimestampChanged"


# The load balancer


def test_a_new_load_balancer():
    view = service_view(service(), "c1")
    spec = own_load_balancer(view, annotations.read({}), FACTS, DEFAULT).wire()
    assert spec == {
        "loadBalancerName": DEFAULT_NAME,
        "regionId": "cn-hangzhou",
        "addressType": "internet",
        "deleteProtection": "on",
        "modificationProtectionStatus": "ConsoleProtection",
        "modificationProtectionReason": "managed.by.ack",
        "tags": [
            {"key": "kubernetes.do.not.delete", "value": DEFAULT_NAME},
            {"key": "ack.aliyun.com", "value": "c1"},
        ],
    }


def test_a_private_load_balancer_is_in_the_clusters_network():
    wishes = annotations.read({PREFIX + "address-type": "intranet", PREFIX + "name": "mine"})
    spec = own_load_balancer(service_view(service(), "c1"), wishes, FACTS, DEFAULT)
    assert (spec.vpc_id, spec.v_switch_id, spec.load_balancer_name) == ("net", "net-h", "mine")


def world(*found, tagged=()):
    by = {item.metadata.name: item for item in found} | {item.status.load_balancer_id: item for item in found}
    names = {item.metadata.name: item for item in found}
    return World(by.get, lambda _: list(tagged), names.get, lambda a, b: a == b)


def look(obj, *found, tagged=()):
    view = service_view(obj, "c1")
    return find(view, annotations.read(view.annotations), FACTS, world(*found, tagged=tagged))


def test_without_any_one_is_made():
    assert look(service()) is None


def test_its_own_is_found_by_mark_then_by_name():
    renamed = slb("renamed")
    assert look(service(), slb(), tagged=[renamed]) == Found(renamed, reused=False)
    assert look(service(), slb()) == Found(slb(), reused=False)


def test_two_marks_are_an_error():
    with pytest.raises(SyncError, match=r"find multiple loadbalances by tag, lbIds\[lb-1 lb-1\]"):
        look(service(), tagged=[slb("a"), slb("b")])


def test_one_that_vanished_is_not_made_again():
    with pytest.raises(SyncError, match=r"it's defined in service \[1.2.3.4\] this may happen"):
        look(service(status=[{"ip": "1.2.3.4"}]))


@pytest.mark.parametrize("reference", ["shared", "lb-1"])
def test_a_users_own_is_found_by_name_and_id(reference):
    shared = slb("shared")
    assert look(service(notes={"id": reference}), shared) == Found(shared, reused=True)


@pytest.mark.parametrize(
    ("found", "notes", "status", "told"),
    [
        ([], {}, None, r"can not find loadbalancer by id \[lb-1\]"),
        ([slb(tags=[("ack.aliyun.com", "c9")])], {}, None, "can not reuse loadbalancer created by kubernetes"),
        ([slb(tags=[("kubernetes.do.not.delete", "x")])], {}, None, "can not reuse loadbalancer created by"),
        ([slb()], {}, [{"ip": "9.9.9.9"}], r"associated with ip \[9.9.9.9\], cannot be bound to ip \[127.42.16.1\]"),
        ([slb(addressType="intranet", vpcId="other")], {}, None, "its vpc is other"),
        ([slb()], {"address-type": "intranet"}, None, "its address-type is internet"),
        ([slb(regionId="cn-beijing")], {}, None, "its region is cn-beijing"),
    ],
)
def test_a_users_own_that_may_not_be_used(found, notes, status, told):
    with pytest.raises(SyncError, match=told):
        look(service(notes={"id": "lb-1", **notes}, status=status), *found)


@pytest.mark.parametrize(
    ("status", "labels"),
    [
        ([{"ip": "127.42.16.1"}], {}),
        ([{"hostname": "a.example.com"}], {}),
        ([{"ip": "127.1.16.1"}], {"service.k8s.alibaba/loadbalancer-id": "lb-1"}),
    ],
)
def test_a_service_stays_bound_to_its_load_balancer(status, labels):
    assert look(service(notes={"id": "lb-1"}, status=status, labels=labels), slb()).reused


def test_marks_that_somebody_took_away_come_back():
    view, wishes = service_view(service(), "c1"), annotations.read({PREFIX + "name": "new"})
    changes = load_balancer_changes(slb(tags=[("mine", "1")]), view, wishes, FACTS, reused=False)
    assert changes.spec["loadBalancerName"] == "new"
    assert {tag["key"] for tag in changes.spec["tags"]} == {"mine", "kubernetes.do.not.delete", "ack.aliyun.com"}


def test_a_load_balancer_as_it_should_be_needs_no_patch():
    tags = [("kubernetes.do.not.delete", DEFAULT_NAME), ("ack.aliyun.com", "c1")]
    view = service_view(service(), "c1")
    for load_balancer, reused in ((slb(tags=tags), False), (slb(), True)):
        changes = load_balancer_changes(load_balancer, view, annotations.read({}), FACTS, reused)
        assert (changes.spec, changes.problems) == ({}, ())


# Listeners and server groups


def test_names_and_defaults_of_a_tcp_port():
    target = model(service())
    (listener,), (group,) = target.listeners, target.groups
    assert listener.object_name == f"{DEFAULT_NAME}-80-tcp"
    assert listener.overlay.wire() == {
        "loadBalancerId": DEFAULT_NAME,
        "listenerPort": 80,
        "listenerProtocol": "tcp",
        "description": "k8s/80/web/shop/c1",
        "vServerGroupId": group.object_name,
    }
    assert listener.defaults == {"bandwidth": -1, "scheduler": "rr"}
    assert str(group.name) == "k8s/30080/web/shop/c1"
    assert [server.server_id for server in group.servers] == ["i-1", "i-2"]


def test_an_http_port_with_health_check():
    notes = {"protocol-port": "http:80", "health-check-flag": "on", "health-check-uri": "/ok", "scheduler": "sch"}
    (listener,) = model(service(notes=notes)).listeners
    spec = listener.overlay.wire()
    assert spec.items() >= {"healthCheck": "on", "healthCheckURI": "/ok", "scheduler": "sch"}.items()
    assert spec["listenerProtocol"] == "http"
    assert listener.defaults == {"scheduler": "rr", "healthCheck": "off", "stickySession": "off"}


def test_tcp_and_udp_on_one_port():
    ports = [PORT, {**PORT, "name": "dns", "protocol": "UDP", "nodePort": 30081}]
    target = model(service(*ports, notes={"protocol-port": "http:80"}))
    assert [(item.transport, item.overlay.listener_protocol) for item in target.listeners] == [
        ("tcp", "http"),
        ("udp", "udp"),
    ]


def test_a_protocol_for_a_port_that_is_not_there_is_ignored():
    assert model(service(notes={"protocol-port": "http:81"})).listeners[0].overlay.listener_protocol == "tcp"


def test_a_port_of_another_protocol_does_not_hold_up_the_others():
    target = model(service({**PORT, "port": 81, "protocol": "SCTP"}, PORT))
    assert [listener.port for listener in target.listeners] == [80]
    assert "SCTP" in target.problems[0]


def test_eni_groups_are_named_by_the_target():
    target = model(service({**PORT, "nodePort": None}, notes={BACKEND_TYPE: "eni"}))
    assert str(target.groups[0].name) == "k8s/web/web/shop/c1"
    assert target.groups[0].servers[0].type == "eni"


def test_ports_with_one_target_share_a_group():
    ports = [PORT, {**PORT, "port": 81, "nodePort": 30081}]
    target = model(service(*ports, notes={BACKEND_TYPE: "eni"}))
    assert (len(target.listeners), len(target.groups)) == (2, 1)


def test_without_node_ports_the_way_out_is_named():
    target = model(service({**PORT, "nodePort": None}, allocateLoadBalancerNodePorts=False))
    assert not target.listeners
    assert "backend-type to eni" in target.problems[0]


def test_a_wrong_backend_type_stops_everything():
    with pytest.raises(SyncError, match="pods"):
        model(service(notes={BACKEND_TYPE: "pods"}))


def test_a_wrong_backend_label_leaves_the_servers_alone():
    assert model(service(notes={"backend-label": "x"})).groups[0].servers is None


@pytest.mark.parametrize(("seconds", "expected"), [(10800, 3600), (60, 60)])
def test_client_ip_affinity(seconds, expected):
    config = {"clientIP": {"timeoutSeconds": seconds}}
    target = model(service(sessionAffinity="ClientIP", sessionAffinityConfig=config))
    assert target.listeners[0].overlay.persistence_timeout == expected


def test_client_ip_affinity_on_http_is_told():
    target = model(service(sessionAffinity="ClientIP", notes={"protocol-port": "http:80"}))
    assert target.listeners[0].overlay.persistence_timeout is None
    assert "sessionAffinity" in target.problems[0]


def test_local_policy_checks_the_nodes_health_port():
    local = {"externalTrafficPolicy": "Local", "healthCheckNodePort": 32000}
    overlay = model(service(**local)).listeners[0].overlay
    assert (overlay.health_check_type, overlay.health_check_uri, overlay.health_check_connect_port) == (
        "http",
        "/healthz",
        32000,
    )
    own = model(service(notes={"health-check-type": "tcp"}, **local)).listeners[0].overlay
    assert (own.health_check_type, own.health_check_uri) == ("tcp", None)


def test_listeners_of_a_users_load_balancer_are_the_users():
    shared = slb("shared")
    target = model(service(), reused=True, load_balancer=shared)
    assert (target.listeners, target.manage_listeners, len(target.groups)) == ((), False, 1)
    forced = model(service(notes={"force-override-listeners": "true"}), reused=True, load_balancer=shared)
    assert len(forced.listeners) == 1


def user_group(name="mine", load_balancer="shared", title="by hand"):
    return ServerGroup.model_validate(
        {"metadata": {"name": name}, "spec": {"loadBalancerId": load_balancer, "vServerGroupName": title}}
    )


REUSE = {"id": "shared", "vgroup-port": "mine:80", "weight": "40"}


def test_a_users_group_gets_a_shared_weight():
    target = model(service(notes=REUSE), reused=True, load_balancer=slb("shared"), group=user_group())
    (group,) = target.groups
    assert (group.object_name, group.user_made) == ("mine", True)
    assert [server.weight for server in group.servers] == [20, 20]


def test_weight_counts_only_there():
    target = model(service(notes={"weight": "40"}), reused=True, load_balancer=slb("shared"))
    assert {server.weight for server in target.groups[0].servers} == {100}


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (None, "can not find vgroupId mine in lb lb-1"),
        (user_group(load_balancer="other"), "can not find vgroupId mine in lb lb-1"),
        (user_group(title="k8s/1/a/b/c"), "cannot reuse a ccm created vgroup mine for slb lb-1"),
    ],
)
def test_a_group_that_may_not_be_used(group, told):
    target = model(service(notes=REUSE), reused=True, load_balancer=slb("shared"), group=group)
    assert told in target.problems[0]
    assert not target.groups


# Changes


OWNER = Owner("c1", "shop", "web")
NAME = OwnedName("80", OWNER)
GROUP = group_object_name(DEFAULT_NAME, OwnedName("30080", OWNER))


def obj(name, spec, **metadata):
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "7", **metadata}, "spec": spec}


def listener(description=str(NAME), port=80, **spec):
    return obj(
        f"{DEFAULT_NAME}-{port}-tcp",
        {
            "loadBalancerId": DEFAULT_NAME,
            "listenerPort": port,
            "listenerProtocol": "tcp",
            "description": description,
            "vServerGroupId": GROUP,
            "scheduler": "rr",
            "bandwidth": -1,
            **spec,
        },
    )


def group_object(servers=None, name=GROUP):
    if servers is None:
        servers = [server.wire() for server in model(service()).groups[0].servers]
    return obj(
        name, {"loadBalancerId": DEFAULT_NAME, "vServerGroupName": "k8s/30080/web/shop/c1", "backendServers": servers}
    )


def changes(target, *there, limit=200):
    listeners = [o for o in there if "listenerPort" in o["spec"]]
    groups = [o for o in there if "listenerPort" not in o["spec"]]
    objects = {(LISTENER, o["metadata"]["name"]): o for o in listeners}
    objects |= {(SERVER_GROUP, o["metadata"]["name"]): o for o in groups}
    ours = [o for o in listeners if (o["spec"].get("description") or "").endswith("/web/shop/c1")]
    return plan(target, There(lambda kind, name: objects.get((kind, name)), ours, groups, OWNER, limit), slb(), FACTS)


def test_everything_is_made_with_its_owner():
    made = changes(model(service())).changes
    assert [(change.kind, change.name) for change in made] == [
        (LISTENER, f"{DEFAULT_NAME}-80-tcp"),
        (SERVER_GROUP, GROUP),
    ]
    for each in made:
        assert each.body["metadata"]["ownerReferences"][0]["uid"] == "slb-uid"
        assert each.body["metadata"]["labels"] == {"ackbox.dev/cluster": "one"}
    assert made[0].body["spec"]["bandwidth"] == -1
    assert made[1].body["spec"]["clusterId"] == "one"


def test_nothing_changes_when_everything_is_there():
    assert changes(model(service()), listener(), group_object()).changes == ()


def test_an_endpoint_change_touches_one_group_and_nothing_else():
    there = (listener(), group_object([]))
    (patch,) = changes(model(service()), *there).changes
    assert (patch.kind, patch.name) == (SERVER_GROUP, GROUP)
    assert len(patch.patch["spec"]["backendServers"]) == 2


def test_what_no_annotation_says_stays():
    by_hand = listener(scheduler="wlc", healthCheckInterval=9)
    assert changes(model(service()), by_hand, group_object()).changes == ()
    (patch,) = changes(model(service(notes={"scheduler": "sch"})), by_hand, group_object()).changes
    assert patch.patch == {"spec": {"scheduler": "sch"}}


def test_another_protocol_is_a_new_listener():
    there = listener(persistenceTimeout=60, healthCheckSwitch="off")
    (patch,) = changes(model(service(notes={"protocol-port": "http:80"})), there, group_object()).changes
    spec = patch.patch["spec"]
    assert spec["listenerProtocol"] == "http"
    assert (spec["persistenceTimeout"], spec["healthCheckSwitch"], spec["bandwidth"]) == (None, None, None)


def test_affinity_and_local_checks_are_taken_back():
    there = listener(
        persistenceTimeout=60, healthCheckType="http", healthCheckURI="/healthz", healthCheckConnectPort=32000
    )
    there["metadata"]["annotations"] = {"ackbox.dev/session-affinity": "true"}
    (patch,) = changes(model(service()), there, group_object()).changes
    assert patch.patch["spec"] == dict.fromkeys(
        ("persistenceTimeout", "healthCheckType", "healthCheckURI", "healthCheckConnectPort")
    )


def test_a_users_own_settings_are_not_taken_back():
    there = listener(healthCheckType="http", healthCheckURI="/healthz")
    assert changes(model(service()), there, group_object()).changes == ()


def test_a_port_of_another_service_is_refused_and_the_others_go_on():
    ports = [PORT, {**PORT, "port": 81, "nodePort": 30081}]
    taken = listener("k8s/80/other/shop/c1")
    result = changes(model(service(*ports)), taken)
    assert {type(change) for change in result.changes} == {Create}
    assert [change.name for change in result.changes if change.kind is LISTENER] == [f"{DEFAULT_NAME}-81-tcp"]
    assert len([change for change in result.changes if change.kind is SERVER_GROUP]) == 1
    (problem,) = result.problems
    assert "port 80/tcp of load balancer lb-1 is in use by port 80 of Service shop/other" in problem


def test_a_port_of_another_cluster_says_so():
    (problem,) = changes(model(service()), listener("k8s/80/web/shop/c9")).problems
    assert "of cluster c9" in problem


def test_a_users_listener_is_taken_over():
    (patch, _) = changes(model(service()), listener("by hand", scheduler="wlc")).changes
    assert patch.patch["spec"] == {"description": str(NAME)}


def test_a_listener_of_another_load_balancer_is_not():
    (problem,) = changes(model(service()), listener("by hand", loadBalancerId="other")).problems
    assert "is there for load balancer other" in problem


def test_what_is_no_more_wanted_goes_and_the_users_stays():
    extra = listener("k8s/81/web/shop/c1", port=81)
    old = group_object([], name="rsp-old")
    result = changes(model(service()), listener(), group_object(), extra, old, listener("by hand", port=82))
    assert result.changes == (Delete(LISTENER, f"{DEFAULT_NAME}-81-tcp", extra["metadata"]["uid"]),)
    assert result.last == (Delete(SERVER_GROUP, "rsp-old", old["metadata"]["uid"]),)


def test_a_listener_on_its_way_out_is_left_alone():
    going = listener()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert changes(model(service(notes={"scheduler": "sch"})), going, group_object()).changes == ()


def server(name, description):
    return BackendServer(server_id=name, server_ip="192.168.0.9", port=80, description=description)


def test_servers_of_others_stay_and_are_written_only_as_read():
    theirs, ours, new = server("i-8", "theirs"), server("i-9", "mine"), server("i-7", "mine")
    group = obj("g", {"backendServers": [theirs.wire(), ours.wire()]})
    patch = servers_patch(group, "mine", [new])
    assert [s["serverId"] for s in patch["spec"]["backendServers"]] == ["i-8", "i-7"]
    assert patch["metadata"] == {"resourceVersion": "7"}
    assert servers_patch(group, "mine", [ours]) is None
    assert servers_patch(group, "mine", None) is None


def test_a_server_that_a_user_has_put_there_is_not_put_there_twice():
    group = obj("g", {"backendServers": [server("i-1", "theirs").wire()]})
    assert servers_patch(group, "mine", [server("i-1", "mine")]) is None


def test_what_the_quota_does_not_let_in_is_left_out_and_told():
    target = model(service())
    second = target.groups[0].servers[1]
    result = changes(target, listener(), group_object([second.wire()]), limit=1)
    assert result.changes == ()
    assert "quota limit of this load balancer: 1" in result.problems[0]
    (made, *_) = [change for change in changes(target, limit=1).changes if change.kind is SERVER_GROUP]
    assert len(made.body["spec"]["backendServers"]) == 1


# Status


def test_the_status_shows_where_it_can_be_reached():
    assert ingress(slb(), annotations.read({})) == [{"ip": "127.42.16.1", "ipMode": "Proxy"}]
    assert ingress(slb(), annotations.read({PREFIX + "hostname": "a.example.com"})) == [{"hostname": "a.example.com"}]
    assert ingress(slb(status={"reachable": None}), annotations.read({})) is None


def test_a_status_patch_holds_only_what_differs():
    shown = [{"ip": "1.1.1.1", "ipMode": "Proxy"}]
    there = service(status=shown, labels={"a": "b"})
    assert service_patch(there, {"a": "b"}, shown) == {}
    assert service_patch(there, {"a": "c"}, None) == {"metadata": {"labels": {"a": "c"}}}
    assert service_patch(there, {"a": None, "x": None}, []) == {
        "metadata": {"labels": {"a": None}},
        "status": {"loadBalancer": {"ingress": None}},
    }
    assert service_patch(service(), {}, []) == {}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], None),
        ([("Ready", "True", "Ready", "")], None),
        ([("Ready", "False", "Allocating", "soon"), ("Reconciling", "True", "Allocating", "soon")], None),
        (
            [("Ready", "False", "Bad", "no such vSwitch"), ("Stalled", "True", "Bad", "no such vSwitch")],
            "no such vSwitch",
        ),
        ([("Ready", "False", "OverQuota", "Instance num exceeded Quota.")], "Instance num exceeded Quota."),
    ],
)
def test_why_a_load_balancer_is_not_there(conditions, expected):
    items = [
        {"type": t, "status": s, "reason": r, "message": m, "lastTransitionTime": "x"} for t, s, r, m in conditions
    ]
    assert not_ready(slb(status={"conditions": items})) == expected


def test_a_listener_on_another_port_is_told():
    mapped = listener()
    mapped["status"] = {"reachable": "127.42.16.1:10080"}
    straight = listener(port=81)
    straight["status"] = {"reachable": "127.42.16.1:81"}
    (text,) = port_mappings([mapped, straight, listener(port=82)]).values()
    assert "127.42.16.1:10080" in text
