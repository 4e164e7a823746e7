"""The annotations of a classic load balancer: what is made, what can change, and which go together."""

from dataclasses import replace

import pytest
from ccm_facts import FACTS

from ackbox.catalog.annotations import BACKEND_TYPE, PREFIX
from ackbox.ccm.config import CloudConfig
from ackbox.ccm.services import annotations
from ackbox.ccm.services.backends import NodeView
from ackbox.ccm.services.changes import Create, Delete, Patch, group_removals
from ackbox.ccm.services.clb_balancer import next_vswitch, own_load_balancer
from ackbox.ccm.services.kinds import build, load_balancer_changes
from ackbox.ccm.services.model import Certificate, Observed
from ackbox.ccm.services.names import Owner
from ackbox.ccm.services.plan import There, plan, servers_patch
from ackbox.ccm.services.status import condition, ingress, lacks_eip, not_ready, service_patch
from ackbox.ccm.services.view import kind_of, service_view
from ackbox.resources import LISTENER, SERVER_GROUP, ServiceLoadBalancer
from ackbox.resources.loadbalancer import LoadBalancerType
from ackbox.resources.servergroup import BackendServer

UID = "5e4dbfc9-c2ae-4642-b033-5607860aef6a"
NAME = "a5e4dbfc9c2ae4642b0335607860aef6"
PLAIN = CloudConfig()
PAID = {"instance-charge-type": "PayBySpec"}
NODES = {"n1": NodeView("n1", "192.168.0.1", "i-1", excluded=False, unschedulable=False, virtual=False, labels={})}
CERTIFICATES = {
    "good": Certificate("good", False),
    "other": Certificate("other", False),
    "old": Certificate("old", True),
}


def port(number, transport="TCP"):
    return {"name": f"p{number}", "protocol": transport, "port": number, "targetPort": 8080, "nodePort": 30000 + number}


def service(*ports, notes=None, **spec):
    keyed = {(key if "/" in key else PREFIX + key): value for key, value in (notes or {}).items()}
    return {
        "metadata": {"name": "web", "namespace": "shop", "uid": UID, "annotations": keyed},
        "spec": {"type": "LoadBalancer", "ports": list(ports or [port(80)]), **spec},
    }


def slb(status=None, **spec):
    return ServiceLoadBalancer.model_validate(
        {
            "metadata": {"name": NAME, "namespace": "team", "uid": "slb-uid"},
            "spec": spec,
            "status": {"loadBalancerId": "lb-1", "reachable": "127.42.16.1", **(status or {})},
        }
    )


def wishes(**notes):
    return annotations.read({PREFIX + key.replace("_", "-"): value for key, value in notes.items()})


def made(notes=None, config=PLAIN):
    view = service_view(service(notes=notes), "c1")
    return own_load_balancer(view, annotations.read(view.annotations), FACTS, config).wire()


def changed(load_balancer, notes=None, reused=False):
    view = service_view(service(notes=notes), "c1")
    return load_balancer_changes(load_balancer, view, annotations.read(view.annotations), FACTS, reused)


def own_tags():
    return [{"key": "kubernetes.do.not.delete", "value": NAME}, {"key": "ack.aliyun.com", "value": "c1"}]


# The load balancer as it is made


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({"name": "mine"}, {"loadBalancerName": "mine"}),
        ({"resource-group-id": "rg-1"}, {"resourceGroupId": "rg-1"}),
        ({"delete-protection": "off"}, {"deleteProtection": "off"}),
        ({"charge-type": "paybytraffic"}, {"internetChargeType": "paybytraffic"}),
        (
            PAID | {"charge-type": "paybybandwidth", "bandwidth": "20"},
            {"internetChargeType": "paybybandwidth", "bandwidth": 20, "loadBalancerSpec": "slb.s1.small"},
        ),
        (PAID | {"spec": "slb.s2.small"}, {"instanceChargeType": "PayBySpec", "loadBalancerSpec": "slb.s2.small"}),
        (
            {"master-zoneid": "cn-hangzhou-h", "slave-zoneid": "cn-hangzhou-i"},
            {"masterZoneId": "cn-hangzhou-h", "slaveZoneId": "cn-hangzhou-i"},
        ),
        ({"ip-version": "ipv6"}, {"addressIPVersion": "ipv6"}),
        ({"address-type": "intranet", "ip": "192.168.0.7"}, {"address": "192.168.0.7", "vSwitchId": "net-h"}),
        ({"address-type": "intranet", "vswitch-id": "net-i"}, {"vpcId": "net", "vSwitchId": "net-i"}),
    ],
)
def test_what_is_said_is_in_what_is_made(notes, expected):
    assert made(notes).items() >= expected.items()


@pytest.mark.parametrize(
    ("notes", "absent"),
    [
        ({"vswitch-id": "net-i"}, "vSwitchId"),
        ({"ip": "192.168.0.7"}, "address"),
        ({"address-type": "intranet", "network-type": "classic", "vswitch-id": "net-i"}, "vSwitchId"),
        ({"bandwidth": "20"}, "bandwidth"),
        ({"spec": "slb.s2.small"}, "loadBalancerSpec"),
        ({"address-type": "intranet", "charge-type": "paybytraffic"}, "internetChargeType"),
        ({"modification-protection": "NonProtection"}, "modificationProtectionReason"),
    ],
)
def test_what_does_not_belong_is_left_out(notes, absent):
    assert absent not in made(notes)


def test_tags_of_the_user_come_after_the_marks():
    tags = made({"additional-resource-tags": "team=a,ack.aliyun.com=x,env"})["tags"]
    assert tags == [*own_tags(), {"key": "team", "value": "a"}, {"key": "env", "value": ""}]


def test_the_cloud_config_says_what_the_service_does_not():
    config = replace(
        PLAIN, resource_group_id="rg-9", vswitch_ids=(("cn-hangzhou-h", "vsw-1"), ("cn-hangzhou-i", "vsw-2"))
    )
    private = made({"address-type": "intranet"}, config)
    assert private["resourceGroupId"] == "rg-9"
    assert private["vSwitchId"] in ("vsw-1", "vsw-2")
    said = made({"address-type": "intranet", "vswitch-id": "net-i", "resource-group-id": "rg-1"}, config)
    assert (said["vSwitchId"], said["resourceGroupId"]) == ("net-i", "rg-1")


def exhausted(reason="VSwitchAvailableIpNotExist", **status):
    condition = {"type": "Ready", "status": "False", "reason": reason, "message": "full", "lastTransitionTime": "x"}
    return slb({"conditions": [condition], **status}, addressType="intranet", vSwitchId="vsw-1")


def test_a_full_vswitch_is_left_for_the_next_one():
    config = replace(PLAIN, vswitch_ids=(("h", "vsw-1"), ("i", "vsw-2")))
    assert next_vswitch(exhausted(), wishes(), config) == {"vSwitchId": "vsw-2"}
    assert next_vswitch(exhausted(), wishes(vswitch_id="vsw-1"), config) == {}
    assert next_vswitch(exhausted(), wishes(), PLAIN) == {}
    assert next_vswitch(exhausted("Allocating"), wishes(), config) == {}
    assert next_vswitch(exhausted(address="192.168.0.7"), wishes(), config) == {}
    assert not_ready(exhausted()) == "full"


# The load balancer as it changes


@pytest.mark.parametrize(
    ("there", "notes", "patch"),
    [
        ({}, {"name": "new"}, {"loadBalancerName": "new"}),
        ({}, {"charge-type": "paybytraffic"}, {"internetChargeType": "paybytraffic"}),
        ({"internetChargeType": "paybybandwidth", "bandwidth": 5}, {"bandwidth": "9"}, {"bandwidth": 9}),
        ({}, PAID, {"instanceChargeType": "PayBySpec", "loadBalancerSpec": "slb.s1.small"}),
        (
            {"instanceChargeType": "PayBySpec", "loadBalancerSpec": "slb.s1.small"},
            {"instance-charge-type": "PayByCLCU"},
            {"instanceChargeType": "PayByCLCU"},
        ),
        (
            {"instanceChargeType": "PayBySpec", "loadBalancerSpec": "slb.s1.small"},
            {"spec": "slb.s3.large"},
            {"loadBalancerSpec": "slb.s3.large"},
        ),
        ({"deleteProtection": "on"}, {"delete-protection": "off"}, {"deleteProtection": "off"}),
        (
            {},
            {"modification-protection": "ConsoleProtection"},
            {"modificationProtectionStatus": "ConsoleProtection", "modificationProtectionReason": "managed.by.ack"},
        ),
        ({"addressType": "intranet", "vSwitchId": "net-h"}, {"vswitch-id": "net-i"}, {}),
        ({"loadBalancerName": "by hand", "deleteProtection": "off"}, {}, {}),
    ],
)
@pytest.mark.parametrize("reused", [False, True])
def test_only_what_is_said_and_can_change_is_patched(there, notes, patch, reused):
    found = changed(slb(tags=[] if reused else own_tags(), **there), notes, reused)
    assert (found.spec, found.problems) == (patch, ())


@pytest.mark.parametrize(
    ("there", "notes", "told"),
    [
        ({}, {"address-type": "intranet"}, "AddressType once created. delete and retry"),
        ({"addressType": "intranet", "vSwitchId": "v"}, {"network-type": "classic"}, "network type once created"),
        ({"masterZoneId": "a"}, {"master-zoneid": "b"}, "master zone id once created"),
        ({"slaveZoneId": "a"}, {"slave-zoneid": "b"}, "slave zone id once created"),
        ({}, {"resource-group-id": "rg-1"}, "ResourceGroupId once created"),
        ({}, {"ip-version": "ipv6"}, "AddressIPVersion once created"),
        ({"addressIPVersion": "ipv6"}, {}, "AddressIPVersion once created"),
        ({"addressType": "intranet", "address": "192.168.0.7"}, {"ip": "192.168.0.8"}, "address once created"),
    ],
)
def test_what_can_not_change_is_told_in_the_ccms_words(there, notes, told):
    found = changed(slb(tags=own_tags(), **there), notes)
    (problem,) = found.problems
    assert problem.startswith("update lb attribute error: alicloud: can not change ")
    assert problem.endswith(told)
    assert found.spec == {}


def test_what_is_as_said_is_no_change():
    there = slb(
        {"address": "192.168.0.7"}, addressType="intranet", vSwitchId="v", resourceGroupId="rg-1", tags=own_tags()
    )
    notes = {"address-type": "intranet", "network-type": "vpc", "resource-group-id": "rg-1", "ip": "192.168.0.7"}
    found = changed(there, notes)
    assert (found.spec, found.problems, found.hints) == ({}, (), ())


@pytest.mark.parametrize(
    ("there", "notes", "problems", "hints"),
    [
        ({"addressType": "intranet"}, PAID | {"charge-type": "paybybandwidth"}, ["charge-type"], []),
        ({}, {"charge-type": "paybybandwidth", "bandwidth": "5"}, ["charge-type"], ["bandwidth"]),
        ({}, {"bandwidth": "5"}, [], ["bandwidth"]),
        ({}, {"spec": "slb.s2.small"}, [], ["spec"]),
        ({}, {"vswitch-id": "v", "ip": "192.168.0.7"}, [], ["vswitch-id", "ip"]),
    ],
)
def test_what_does_not_go_together_is_told(there, notes, problems, hints):
    found = changed(slb(tags=own_tags(), **there), notes)
    assert [next(s for s in problems if PREFIX + s + " " in text) for text in found.problems] == problems
    assert [next(s for s in hints if PREFIX + s + " " in text) for text in found.hints] == hints
    assert not found.spec.keys() & {"internetChargeType", "bandwidth", "vSwitchId", "address"}


def tags(found):
    return {tag["key"]: tag["value"] for tag in found.spec["tags"]}


def test_tags_that_a_service_asks_for_take_the_place_of_others():
    there = slb(tags=[*own_tags(), {"key": "by-hand"}, {"key": "acs:rm:x", "value": "1"}])
    assert tags(changed(there, {"additional-resource-tags": "team=b"})) == {
        "kubernetes.do.not.delete": NAME,
        "ack.aliyun.com": "c1",
        "acs:rm:x": "1",
        "team": "b",
    }
    assert changed(there).spec == {}


def test_a_users_load_balancer_keeps_no_marks_of_the_ccm():
    there = slb(tags=[{"key": "kubernetes.reused.by.user", "value": "true"}, {"key": "old"}])
    found = changed(there, {"additional-resource-tags": "team=b"}, reused=True)
    assert tags(found) == {"kubernetes.reused.by.user": "true", "team": "b"}


def test_more_tags_than_fit_are_told():
    many = ",".join(f"k{number}" for number in range(20))
    found = changed(slb(tags=own_tags()), {"additional-resource-tags": many})
    assert len(found.spec["tags"]) == 20
    assert "k18, k19" in found.problems[0]


# Listeners


def build_all(obj, existing=None, reused=False, config=PLAIN):
    view = service_view(obj, "c1")
    observed = Observed(
        slices=(),
        nodes=NODES,
        group=lambda _: None,
        listener=(existing or {}).get,
        certificate=CERTIFICATES.get,
        acl={"acl-1", "acl-2"}.__contains__,
    )
    load_balancer = ServiceLoadBalancer.model_validate({"metadata": {"name": "lb", "uid": "u"}, "spec": {}})
    return build(view, annotations.read(view.annotations), load_balancer, reused, observed, config)


def one(speaks, notes, existing=None):
    """The wanted state of a Service with one port of a protocol."""
    number, transport = 443 if speaks == "https" else 80, "UDP" if speaks == "udp" else "TCP"
    notes = {"protocol-port": f"{speaks}:{number}", **({"cert-id": "good"} if speaks == "https" else {}), **notes}
    name = f"lb-{number}-{transport.lower()}"
    there = {name: {"listenerProtocol": speaks, **existing}} if existing is not None else None
    return build_all(service(port(number, transport), notes=notes), there)


def test_an_https_listener():
    notes = {
        "protocol-port": "https:443",
        "cert-id": "good",
        "domain-extensions": "a.com:other,*.b.com:good",
        "tls-cipher-policy": "tls_cipher_policy_1_2",
        "http2-enabled": "on",
        "xforwardedfor-proto": "on",
    }
    target = build_all(service(port(443), notes=notes))
    (listener,) = target.listeners
    assert (
        listener.overlay.wire().items()
        >= {
            "serverCertificateId": "good",
            "domainExtensions": [
                {"domain": "a.com", "serverCertificateId": "other"},
                {"domain": "*.b.com", "serverCertificateId": "good"},
            ],
            "tlsCipherPolicy": "tls_cipher_policy_1_2",
            "enableHttp2": "on",
            "xForwardedForProto": "on",
        }.items()
    )
    assert listener.defaults == {"bandwidth": -1, "scheduler": "rr", "healthCheck": "off", "stickySession": "off"}
    assert not target.problems
    assert not listener.held


@pytest.mark.parametrize(
    ("notes", "existing", "told", "held"),
    [
        ({"cert-id": ""}, None, "cert-id is needed by an https listener", True),
        ({"cert-id": "gone"}, None, "can not found cert by id gone", True),
        ({"cert-id": "old"}, None, "can not update cert old because it is expired", True),
        ({"cert-id": "gone"}, {"serverCertificateId": "good"}, "can not found cert by id gone", False),
        ({"cert-id": "old"}, {"serverCertificateId": "good"}, "can not update cert old because it is expired", False),
        ({"cert-id": ""}, {"serverCertificateId": "good"}, None, False),
        ({"cert-id": "old"}, {"serverCertificateId": "old"}, None, False),
    ],
)
def test_certificates_are_looked_at_before_they_are_used(notes, existing, told, held):
    target = one("https", notes | {"scheduler": "wlc"}, existing)
    (listener,) = target.listeners
    assert [told in problem for problem in target.problems] == ([True] if told else [])
    assert listener.held is held
    assert listener.overlay.scheduler == "wlc"
    if told:
        assert listener.overlay.server_certificate_id is None


def test_a_domain_with_a_wrong_certificate_keeps_the_one_it_has():
    existing = {"serverCertificateId": "good", "domainExtensions": [{"domain": "a.com", "serverCertificateId": "good"}]}
    target = one("https", {"domain-extensions": "a.com:gone,b.com:other,c.com:old"}, existing)
    kept = [(item.domain, item.server_certificate_id) for item in target.listeners[0].overlay.domain_extensions]
    assert kept == [("a.com", "good"), ("b.com", "other")]
    assert ["a.com" in target.problems[0], "c.com" in target.problems[1]] == [True, True]


def test_an_empty_list_of_domains_takes_all_away():
    assert one("https", {"domain-extensions": ""}).listeners[0].overlay.wire()["domainExtensions"] == []
    assert "domainExtensions" not in one("https", {}).listeners[0].overlay.wire()


ACL = {"acl-status": "on", "acl-type": "white", "acl-id": "acl-1,acl-2"}


def test_access_control_lists():
    overlay = one("tcp", ACL).listeners[0].overlay
    assert (overlay.acl_status, overlay.acl_type, overlay.acl_ids) == ("on", "white", ["acl-1", "acl-2"])
    same = one("tcp", ACL, {"aclStatus": "on", "aclIds": ["acl-2", "acl-1"]}).listeners[0].overlay
    assert same.acl_ids == ["acl-2", "acl-1"]


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        (ACL | {"acl-id": "acl-9"}, "can not find acl by id acl-9"),
        (ACL | {"acl-id": ""}, "acl-status: on needs annotation"),
        (ACL | {"acl-type": ""}, "acl-status: on needs annotation"),
    ],
)
def test_a_listener_is_not_made_open_to_everybody(notes, told):
    target = one("tcp", notes)
    assert told in target.problems[0]
    assert target.listeners[0].held
    assert target.listeners[0].overlay.acl_status is None


@pytest.mark.parametrize("status", [{}, {"acl-status": "off"}])
def test_lists_do_not_count_while_they_are_off(status):
    target = one("tcp", {"acl-type": "white", "acl-id": "acl-9", **status})
    assert (target.listeners[0].overlay.acl_ids, target.problems) == (None, ())
    assert len(target.hints) == (0 if status else 2)


@pytest.mark.parametrize(
    ("speaks", "notes", "existing", "problems", "hints", "fields"),
    [
        ("tcp", {"connection-drain-timeout": "20"}, None, 0, 1, {}),
        (
            "udp",
            {"connection-drain": "on", "connection-drain-timeout": "20"},
            None,
            0,
            0,
            {"connectionDrainTimeout": 20},
        ),
        ("tcp", {"connection-drain-timeout": "20"}, {"connectionDrain": "on"}, 0, 0, {"connectionDrainTimeout": 20}),
        ("http", {"sticky-session": "on"}, None, 1, 0, {}),
        ("http", {"sticky-session": "on", "sticky-session-type": "server"}, None, 1, 0, {}),
        ("http", {"sticky-session": "on", "sticky-session-type": "insert"}, None, 1, 0, {}),
        (
            "http",
            {"sticky-session": "on", "sticky-session-type": "insert"},
            {"cookieTimeout": 9},
            0,
            0,
            {"stickySession": "on"},
        ),
        (
            "https",
            {"sticky-session": "on", "sticky-session-type": "server", "cookie": "app"},
            None,
            0,
            0,
            {"cookie": "app"},
        ),
        ("http", {"sticky-session-type": "insert", "cookie": "app"}, None, 0, 1, {}),
        ("http", {"sticky-session-type": "server", "cookie-timeout": "9"}, None, 0, 1, {}),
        ("http", {"sticky-session": "off"}, None, 0, 0, {"stickySession": "off"}),
    ],
)
def test_settings_that_need_others(speaks, notes, existing, problems, hints, fields):
    target = one(speaks, notes, existing)
    overlay = target.listeners[0].overlay.wire()
    touched = {"connectionDrainTimeout", "cookie", "cookieTimeout", "stickySession"}
    assert (len(target.problems), len(target.hints)) == (problems, hints)
    assert {key: overlay[key] for key in touched & overlay.keys() & (fields.keys() or touched)} == fields


def test_groups_of_ones_own_and_total_weights_need_a_load_balancer_of_ones_own():
    hints = build_all(service(notes={"vgroup-port": "rsp-a:80", "weight": "20"})).hints
    assert ["vgroup-port" in hints[0], "weight" in hints[1]] == [True, True]


# Forwarding


FORWARD = {"protocol-port": "http:80,https:443", "cert-id": "good", "forward-port": "80:443"}


def test_a_forwarding_listener_is_made_after_its_target_and_has_nothing_else():
    target = build_all(service(port(80), port(443), notes=FORWARD | {"idle-timeout": "9"}))
    result = changes(target)
    (forward,) = result.after
    assert isinstance(forward, Create)
    assert forward.name == "lb-80-tcp"
    spec = forward.body["spec"]
    assert (spec["listenerForward"], spec["forwardPort"]) == ("on", 443)
    assert not {"vServerGroupId", "idleTimeout", "healthCheck", "scheduler"} & spec.keys()
    assert "lb-443-tcp" in {change.name for change in result.changes}


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        (FORWARD | {"protocol-port": "https:443"}, "port 80 must be an http port, but it is tcp"),
        (FORWARD | {"forward-port": "80:444"}, "[80:444] must name an https port of the Service"),
        (FORWARD | {"protocol-port": "http:80"}, "[80:443] must name an https port of the Service"),
    ],
)
def test_forwarding_that_can_not_be(notes, told):
    target = build_all(service(port(80), port(443), notes=notes))
    assert any(told in problem for problem in target.problems)
    assert not changes(target).after


def test_a_change_of_forwarding_leaves_nothing_of_the_old_listener():
    plain = listener(80, listenerProtocol="http", description="k8s/80/web/shop/c1", idleTimeout=9, vServerGroupId="g")
    (patch,) = changes(build_all(service(port(80), port(443), notes=FORWARD)), plain).after
    assert patch.patch["spec"].items() >= {"listenerForward": "on", "idleTimeout": None, "vServerGroupId": None}.items()
    forward = listener(
        80, listenerProtocol="http", description="k8s/80/web/shop/c1", listenerForward="on", forwardPort=443
    )
    target = build_all(service(port(80), notes={"protocol-port": "http:80"}))
    (patch,) = [change for change in changes(target, forward).changes if change.kind is LISTENER]
    assert patch.patch["spec"].items() >= {"listenerForward": None, "forwardPort": None, "scheduler": "rr"}.items()


def test_a_listener_goes_after_the_one_that_forwards_to_it():
    there = (
        listener(80, listenerProtocol="http", description="k8s/80/web/shop/c1", listenerForward="on", forwardPort=443),
        listener(443, listenerProtocol="https", description="k8s/443/web/shop/c1"),
        listener(8080, description="k8s/8080/web/shop/c1"),
    )
    result = changes(build_all(service(port(22))), *there)
    assert {change.name for change in result.changes if isinstance(change, Delete)} == {"lb-80-tcp", "lb-8080-tcp"}
    assert [change.name for change in result.after] == ["lb-443-tcp"]


# Changes


OWNER = Owner("c1", "shop", "web")


def listener(number, annotated=None, **spec):
    metadata = {"name": f"lb-{number}-tcp", "uid": f"uid-{number}", "annotations": annotated or {}}
    return {
        "metadata": metadata,
        "spec": {"loadBalancerId": "lb", "listenerPort": number, "listenerProtocol": "tcp", **spec},
    }


def changes(target, *listeners, alive=lambda _: True, groups=()):
    objects = {(LISTENER, obj["metadata"]["name"]): obj for obj in listeners}
    objects |= {(SERVER_GROUP, obj["metadata"]["name"]): obj for obj in groups}
    ours = [obj for obj in listeners if obj["spec"].get("description", "").endswith("/web/shop/c1")]
    load_balancer = ServiceLoadBalancer.model_validate({"metadata": {"name": "lb", "uid": "u"}, "spec": {}})
    there = There(lambda kind, name: objects.get((kind, name)), ours, (), OWNER, 200, alive)
    return plan(target, there, load_balancer, FACTS)


def test_what_is_held_is_neither_made_nor_turned_into():
    held = one("https", {"cert-id": "gone", "scheduler": "wlc"})
    assert [change for change in changes(held).changes if change.kind is LISTENER] == []
    plain = listener(443, description="k8s/443/web/shop/c1")
    assert [change for change in changes(held, plain).changes if change.kind is LISTENER] == []


def test_what_is_held_and_there_gets_what_is_right():
    there = listener(443, listenerProtocol="https", description="k8s/443/web/shop/c1", serverCertificateId="good")
    held = one("https", {"cert-id": "gone", "scheduler": "wlc"}, {"serverCertificateId": "good"})
    (patch,) = [change for change in changes(held, there).changes if change.kind is LISTENER]
    assert patch.patch["spec"]["scheduler"] == "wlc"
    assert "serverCertificateId" not in patch.patch["spec"]


def test_persistence_by_affinity_goes_with_it_and_by_annotation_stays():
    affinity = build_all(service(sessionAffinity="ClientIP"))
    (made_listener,) = [change for change in changes(affinity).changes if change.kind is LISTENER]
    mark = made_listener.body["metadata"]["annotations"]
    assert made_listener.body["spec"]["persistenceTimeout"] == 3600
    described = {"description": "k8s/80/web/shop/c1", "persistenceTimeout": 60, "vServerGroupId": None}
    plain = build_all(service())

    def after(target, there):
        return next(change.patch for change in changes(target, there).changes if change.kind is LISTENER)

    assert after(plain, listener(80, mark, **described))["spec"]["persistenceTimeout"] is None
    assert "persistenceTimeout" not in after(plain, listener(80, **described))["spec"]
    said = after(
        build_all(service(notes={"persistence-timeout": "0"}, sessionAffinity="ClientIP")),
        listener(80, mark, **described),
    )
    assert said["spec"]["persistenceTimeout"] == 0
    assert said["metadata"]["annotations"] == dict.fromkeys(mark)


def test_a_port_of_a_service_that_is_gone_is_free():
    taken = listener(80, description="k8s/80/other/shop/c1")
    assert "in use by port 80 of Service shop/other" in changes(build_all(service()), taken).problems[0]
    assert changes(build_all(service()), taken, alive=lambda owner: owner.name != "other").problems == ()


def test_weights_that_somebody_set_stay_when_asked():
    def server(number, weight):
        return BackendServer(
            server_id=f"i-{number}", server_ip=f"10.0.0.{number}", port=80, weight=weight, description="d"
        )

    group = {"metadata": {"resourceVersion": "1"}, "spec": {"backendServers": [server(1, 7).wire()]}}
    wanted = [server(1, 100), server(2, 100)]
    kept = servers_patch(group, "d", wanted, keep_weights=True)["spec"]["backendServers"]
    assert [item["weight"] for item in kept] == [7, 100]
    assert servers_patch(group, "d", wanted[:1], keep_weights=True) is None
    assert servers_patch(group, "d", wanted[:1]) is not None
    assert build_all(service(notes={"ignore-weight-update": "on"})).groups[0].keep_weights


def test_a_groups_own_fields_are_set_and_put_right():
    target = build_all(service())
    (group,) = target.groups
    typed = replace(target, groups=(replace(group, overlay={"scheduler": "Wrr"}),))
    (create,) = [change for change in changes(typed).changes if change.kind is SERVER_GROUP]
    assert create.body["spec"]["scheduler"] == "Wrr"
    there = {
        "metadata": {"name": group.object_name, "resourceVersion": "1"},
        "spec": {**create.body["spec"], "scheduler": "rr"},
    }
    (patch,) = [change for change in changes(typed, groups=[there]).changes if change.kind is SERVER_GROUP]
    assert patch.patch == {"spec": {"scheduler": "Wrr"}}


# Backend servers


def test_the_cloud_config_may_make_pods_the_servers():
    config = replace(PLAIN, service_backend_type="eni")
    assert str(build_all(service(), config=config).groups[0].name) == "k8s/8080/web/shop/c1"
    assert str(build_all(service(notes={BACKEND_TYPE: "ecs"}), config=config).groups[0].name) == "k8s/30080/web/shop/c1"


def test_servers_with_ipv6_addresses_need_gates_and_an_ipv6_load_balancer():
    notes = {"backend-ip-version": "ipv6", BACKEND_TYPE: "eni"}
    assert "needs the feature gates IPv6DualStack and EndpointSlice" in build_all(service(notes=notes)).problems[0]
    config = replace(PLAIN, gates=PLAIN.gates | {"IPv6DualStack"})
    assert build_all(service(notes=notes), config=config).problems
    assert build_all(service(notes=notes | {"ip-version": "ipv6"}), config=config).problems == ()
    both = {"backend-ip-version": "dualstack", "ip-version": "ipv6"}
    assert "is for network load balancers" in build_all(service(notes=both), config=config).problems[0]


# Which kind


@pytest.mark.parametrize(
    ("obj", "gates", "kind"),
    [
        (service(), (), "clb"),
        (service(loadBalancerClass="alibabacloud.com/nlb"), (), "nlb"),
        (service(notes={"type": "nlb"}), (), "clb"),
        (service(notes={"type": "nlb"}), ("LoadBalancerTypeAnnotation",), "nlb"),
        (service(notes={"type": "clb"}), ("LoadBalancerTypeAnnotation",), None),
        (service(notes={"service.beta.kubernetes.io/class": "x"}, loadBalancerClass="alibabacloud.com/nlb"), (), "nlb"),
    ],
)
def test_the_kind_of_load_balancer(obj, gates, kind):
    assert kind_of(obj, FACTS, frozenset(gates)) == kind


@pytest.mark.parametrize(("name", "kind"), [("ackbox.dev/nlb", "nlb"), ("alibabacloud.com/nlb", None)])
def test_a_registered_cluster_has_classes_of_its_own(name, kind):
    assert kind_of(service(loadBalancerClass=name), replace(FACTS, external=True)) == kind


# Status


def test_an_elastic_address_is_shown_when_there_is_one():
    bound = slb({"eips": [{"allocationId": "eip-1", "ipAddress": "47.1.2.3"}]})
    asked = wishes(external_ip_type="eip")
    assert ingress(bound, asked) == [{"ip": "47.1.2.3", "ipMode": "Proxy"}]
    assert ingress(bound, wishes()) == ingress(slb(), asked) == [{"ip": "127.42.16.1", "ipMode": "Proxy"}]
    assert (lacks_eip(slb(), asked), lacks_eip(bound, asked)) == (True, False)
    assert ingress(bound, wishes(external_ip_type="eip", hostname="a.com")) == [{"hostname": "a.com"}]


def test_a_network_load_balancer_shows_its_name_and_where_it_can_be_dialled():
    nlb = slb({"dnsName": "nlb-1.cn-hangzhou.nlb.aliyuncs.com"}, loadBalancerType="nlb")
    shown = [{"ip": "127.42.16.1", "ipMode": "Proxy", "hostname": "nlb-1.cn-hangzhou.nlb.aliyuncs.com"}]
    assert ingress(nlb, annotations.read({}, LoadBalancerType.NLB)) == shown
    assert ingress(slb(loadBalancerType="nlb"), annotations.read({}, LoadBalancerType.NLB)) is None


def test_the_condition_says_what_is_wrong_until_it_is_right():
    obj = service()
    wrong = condition(obj, ["a", "b"])
    assert (wrong["status"], wrong["reason"], wrong["message"]) == ("False", "SyncLoadBalancerFailed", "a; b")
    foreign = {"type": "theirs", "status": "True"}
    obj["status"] = {"conditions": [foreign, wrong | {"lastTransitionTime": "then"}]}
    assert condition(obj, ["c"])["lastTransitionTime"] == "then"
    right = condition(obj, [])
    assert right["lastTransitionTime"] != "then"
    assert service_patch(obj, {}, None, right) == {"status": {"conditions": [foreign, right]}}
    assert service_patch(obj, {}, []) == {"status": {"conditions": [foreign]}}
    assert service_patch(obj, {}, None) == {}


def test_a_group_with_servers_of_others_stays_with_those():
    def server(name):
        return {"serverId": f"i-{name}", "serverIp": "10.0.0.1", "port": 80, "description": name}

    def group(name, *servers, **metadata):
        spec = {"vServerGroupName": "ours", "backendServers": list(servers)}
        return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "7", **metadata}, "spec": spec}

    removals = group_removals(
        [
            group("alone", server("ours")),
            group("shared", server("ours"), server("theirs")),
            group("done", server("theirs")),
            group("kept", server("ours")),
            group("going", deletionTimestamp="x"),
        ],
        keep={"kept"},
    )
    assert removals == [
        Delete(SERVER_GROUP, "alone", "uid-alone"),
        Patch(
            SERVER_GROUP,
            "shared",
            {"metadata": {"resourceVersion": "7"}, "spec": {"backendServers": [server("theirs")]}},
        ),
    ]
