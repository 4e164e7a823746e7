"""From a Service with a network load balancer to what it is to have."""

from dataclasses import replace

import pytest
from ccm_facts import FACTS

from ackbox.catalog.annotations import BACKEND_TYPE, LEGACY_PREFIX, PREFIX
from ackbox.ccm.config import CloudConfig
from ackbox.ccm.services import annotations
from ackbox.ccm.services.backends import NodeView
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.model import Certificate, Observed
from ackbox.ccm.services.nlb_balancer import load_balancer_changes, own_load_balancer
from ackbox.ccm.services.nlb_model import build
from ackbox.ccm.services.view import service_view
from ackbox.resources import ServerGroup, ServiceLoadBalancer
from ackbox.resources.loadbalancer import LoadBalancerType

NLB = LoadBalancerType.NLB
UID = "5e4dbfc9-c2ae-4642-b033-5607860aef6a"
DEFAULT_NAME = "a5e4dbfc9c2ae4642b0335607860aef6"
MARKS = {"kubernetes.do.not.delete": DEFAULT_NAME, "ack.aliyun.com": "c1"}
CONFIG = CloudConfig()
NODES = {
    "n1": NodeView("n1", "192.168.0.1", "i-1", excluded=False, unschedulable=False, virtual=False, labels={}),
    "n2": NodeView("n2", "192.168.0.2", "i-2", excluded=False, unschedulable=False, virtual=False, labels={}),
}
SLICE = {
    "addressType": "IPv4",
    "ports": [{"name": "web", "port": 8080}],
    "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n1"}],
}
PORT = {"name": "web", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}
TLS = {**PORT, "port": 443, "nodePort": 30443}
DNS = {**PORT, "protocol": "UDP", "port": 53, "nodePort": 30053}
ENI = {BACKEND_TYPE: "eni"}
ZONES = "cn-hangzhou-h:net-h,cn-hangzhou-i:net-i"
CERTIFICATES = {name: Certificate(name, expired=False) for name in ("cert-a", "cert-b", "ca-a")}
CERTIFICATES["cert-old"] = Certificate("cert-old", expired=True)


def view_of(*ports, **spec):
    service = {
        "metadata": {"name": "web", "namespace": "shop", "uid": UID},
        "spec": {"type": "LoadBalancer", "ports": list(ports or [PORT]), **spec},
    }
    return service_view(service, "c1", NLB)


def wishes_of(notes):
    return annotations.read({(key if "/" in key else PREFIX + key): value for key, value in notes.items()}, NLB)


def nlb(tags=MARKS, name="lb", **spec):
    return ServiceLoadBalancer.model_validate(
        {
            "metadata": {"name": name, "namespace": "team", "uid": "slb-uid"},
            "spec": {"loadBalancerType": "nlb", "tags": [{"key": k, "value": v} for k, v in tags.items()], **spec},
            "status": {"loadBalancerId": "nlb-1"},
        }
    )


def model(notes, *ports, reused=False, there=None, groups=None, config=CONFIG, balancer=None, **spec):
    observed = Observed([SLICE], NODES, (groups or {}).get, listener=(there or {}).get, certificate=CERTIFICATES.get)
    return build(view_of(*ports, **spec), wishes_of(notes), balancer or nlb(), reused, observed, config)


def only(wanted):
    """The only listener and group on the wire."""
    (listener,), (group,) = wanted.listeners, wanted.groups
    return listener.overlay.wire(), group.overlay


# The load balancer


def new(notes, config=CONFIG, **spec):
    return own_load_balancer(view_of(**spec), wishes_of(notes), FACTS, config).wire()


def test_a_new_load_balancer_stands_in_its_zones_and_is_protected():
    assert new({"zone-maps": "cn-hangzhou-h:net-h,cn-hangzhou-i:net-i:192.168.16.9:eip-1"}) == {
        "loadBalancerType": "nlb",
        "loadBalancerName": DEFAULT_NAME,
        "regionId": "cn-hangzhou",
        "vpcId": "net",
        "addressType": "internet",
        "zoneMappings": [
            {"zoneId": "cn-hangzhou-h", "vSwitchId": "net-h"},
            {
                "zoneId": "cn-hangzhou-i",
                "vSwitchId": "net-i",
                "privateIPv4Address": "192.168.16.9",
                "allocationId": "eip-1",
            },
        ],
        "deleteProtection": "on",
        "modificationProtectionStatus": "ConsoleProtection",
        "modificationProtectionReason": "managed.by.ack",
        "tags": [{"key": key, "value": value} for key, value in MARKS.items()],
    }


@pytest.mark.parametrize(
    ("notes", "field", "value"),
    [
        ({"name": "mine"}, "loadBalancerName", "mine"),
        ({"address-type": "Intranet"}, "addressType", "intranet"),
        ({"ip-version": "dualstack"}, "addressIPVersion", "DualStack"),
        ({"ip-version": "DualStack", "ipv6-address-type": "internet"}, "ipv6AddressType", "internet"),
        ({"ipv6-address-type": "internet"}, "ipv6AddressType", None),
        ({"resource-group-id": "rg-1"}, "resourceGroupId", "rg-1"),
        ({"security-group-ids": "sg-a,sg-b"}, "securityGroupIds", ["sg-a", "sg-b"]),
        ({"bandwidth-package-id": "cbwp-1"}, "bandwidthPackageId", "cbwp-1"),
        ({"bandwidth-package-id": ""}, "bandwidthPackageId", None),
        ({"cross-zone-enabled": "off"}, "crossZoneEnabled", False),
    ],
)
def test_annotations_of_a_new_load_balancer(notes, field, value):
    assert new({"zone-maps": ZONES, **notes}).get(field) == value


def test_tags_are_added_to_the_marks_and_never_replace_them():
    tags = new({"zone-maps": ZONES, "additional-resource-tags": "a=b,ack.aliyun.com=mine"})["tags"]
    assert {tag["key"]: tag["value"] for tag in tags} == {**MARKS, "a": "b"}


def test_as_many_tags_as_a_load_balancer_takes():
    many = ",".join(f"k{number}=v" for number in range(20))
    assert len(new({"zone-maps": ZONES, "additional-resource-tags": many})["tags"]) == 20


def test_the_cloud_configs_resource_group_and_the_source_ranges():
    spec = new({"zone-maps": ZONES}, CloudConfig(resource_group_id="rg-c"), loadBalancerSourceRanges=["10.0.0.0/8"])
    assert (spec["resourceGroupId"], spec["sourceRanges"]) == ("rg-c", ["10.0.0.0/8"])


def test_without_zones_there_is_no_load_balancer():
    with pytest.raises(SyncError, match=r"^ParameterMissing, zone mappings are required: .*zone-maps"):
        new({})


@pytest.mark.parametrize("notes", [{"zone-maps": "cn-hangzhou-h"}, {"zone-maps": ZONES, "address-type": "both"}])
def test_a_wrong_zone_or_address_type_makes_no_load_balancer(notes):
    with pytest.raises(SyncError, match=rf"Annotation {PREFIX}(zone-maps|address-type) must be"):
        new(notes)


def changes(notes, balancer, reused=False, **spec):
    return load_balancer_changes(balancer, view_of(**spec), wishes_of(notes), FACTS, reused)


def test_nothing_is_changed_that_nobody_asks_for():
    mine = nlb({"mine": "x", **MARKS}, addressType="intranet", securityGroupIds=["sg-z"], loadBalancerName="theirs")
    assert changes({}, mine) == changes({"zone-maps": ""}, mine)
    assert changes({}, mine).spec == {}


@pytest.mark.parametrize(
    ("notes", "spec"),
    [
        ({"address-type": "intranet"}, {"addressType": "intranet"}),
        ({"name": "other"}, {"loadBalancerName": "other"}),
        ({"cross-zone-enabled": "on"}, {"crossZoneEnabled": True}),
        ({"security-group-ids": ""}, {"securityGroupIds": []}),
        ({"security-group-ids": "sg-a"}, {}),
        ({"bandwidth-package-id": ""}, {"bandwidthPackageId": None}),
        ({"bandwidth-package-id": "cbwp-2"}, {"bandwidthPackageId": "cbwp-2"}),
    ],
)
def test_what_can_be_changed_is(notes, spec):
    there = nlb(securityGroupIds=["sg-a"], bandwidthPackageId="cbwp-1")
    assert changes(notes, there).spec == spec


def test_ip_version_and_resource_group_never_change():
    found = changes({"ip-version": "DualStack", "resource-group-id": "rg-2"}, nlb(resourceGroupId="rg-1"))
    assert found.spec == {}
    assert found.problems == (
        "update nlb attribute error: AddressIpVersion cannot be changed, service: DualStack, nlb: ipv4",
        "update nlb attribute error: ResourceGroupId cannot be changed, service: rg-2, nlb: rg-1",
    )


def test_an_ipv6_address_needs_both_ip_versions():
    notes = {"ipv6-address-type": "intranet"}
    assert changes(notes, nlb(addressIPVersion="DualStack")).spec == {"ipv6AddressType": "intranet"}
    without = changes(notes, nlb())
    assert (without.spec, len(without.hints), without.problems) == ({}, 1, ())


def zoned(*zones):
    return nlb(zoneMappings=[{"zoneId": zone, "vSwitchId": vswitch, **more} for zone, vswitch, more in zones])


def test_zones_are_joined_and_left():
    there = zoned(("cn-hangzhou-h", "net-h", {"privateIPv4Address": "192.168.0.9"}), ("cn-hangzhou-j", "net-j", {}))
    found = changes({"zone-maps": ZONES}, there)
    assert found.problems == ()
    assert found.spec["zoneMappings"] == [
        {"zoneId": "cn-hangzhou-h", "vSwitchId": "net-h", "privateIPv4Address": "192.168.0.9"},
        {"zoneId": "cn-hangzhou-i", "vSwitchId": "net-i"},
    ]


@pytest.mark.parametrize(
    ("entry", "what"), [("192.168.0.8", "private IPv4 address"), ("192.168.0.9:eip-2", "EIP"), (":eip-2", "EIP")]
)
def test_the_addresses_of_a_zone_never_change(entry, what):
    there = zoned(("cn-hangzhou-h", "net-h", {"privateIPv4Address": "192.168.0.9", "allocationId": "eip-1"}))
    found = changes({"zone-maps": f"cn-hangzhou-h:net-h:{entry}"}, there)
    assert found.spec == {}
    assert [f"the {what} of zone cn-hangzhou-h cannot be changed" in problem for problem in found.problems] == [True]


def test_the_same_addresses_are_no_change():
    there = zoned(("cn-hangzhou-h", "net-h", {"privateIPv4Address": "192.168.0.9"}))
    assert changes({"zone-maps": "cn-hangzhou-h:net-h:192.168.0.9"}, there).problems == ()


def test_marks_are_put_back_and_tags_are_exchanged_only_while_some_are_asked_for():
    there = nlb({"old": "x", "acs:rm": "y"})
    tags = {tag["key"]: tag["value"] for tag in changes({}, there).spec["tags"]}
    assert tags == {"old": "x", "acs:rm": "y", **MARKS}
    tags = {tag["key"]: tag["value"] for tag in changes({"additional-resource-tags": "new="}, there).spec["tags"]}
    assert tags == {"acs:rm": "y", **MARKS, "new": ""}


def test_a_reused_load_balancer_keeps_its_own_tags_and_gets_no_marks():
    there = nlb({"kubernetes.reused.by.user": "true", "old": "x"})
    assert changes({}, there, reused=True).spec == {}
    tags = {
        tag["key"]: tag["value"]
        for tag in changes({"additional-resource-tags": "a=b"}, there, reused=True).spec["tags"]
    }
    assert tags == {"kubernetes.reused.by.user": "true", "a": "b"}


def test_source_ranges_follow_the_service_on_its_own_load_balancer_only():
    there = nlb(sourceRanges=["10.0.0.0/8"])
    assert changes({}, there).spec == {"sourceRanges": []}
    assert changes({}, there, loadBalancerSourceRanges=["10.0.0.0/8"]).spec == {}
    assert changes({}, there, reused=True, loadBalancerSourceRanges=["11.0.0.0/8"]).spec == {}


def test_too_many_source_ranges_open_nothing():
    ranges = {"loadBalancerSourceRanges": [f"10.0.{number}.0/24" for number in range(201)]}
    with pytest.raises(SyncError, match="at most 200"):
        new({"zone-maps": ZONES}, **ranges)
    found = changes({}, nlb(sourceRanges=["10.0.0.0/8"]), **ranges)
    assert (found.spec, len(found.problems)) == ({}, 1)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("security-group-ids", ",".join(f"sg-{number}" for number in range(11))),
        ("zone-maps", ",".join(f"zone-{number}:v" for number in range(11))),
        ("zone-maps", "zone-a:v:192.168.0"),
    ],
)
def test_lists_that_a_load_balancer_cant_hold_are_wrong(suffix, text):
    wishes = wishes_of({suffix: text})
    assert suffix not in wishes
    assert wishes.problems[0].endswith(f"but got [{text}]")


# Listeners and server groups


def test_a_port_is_a_listener_and_a_group_of_that_protocol():
    wanted = model({}, PORT, DNS)
    assert [str(listener.name) for listener in wanted.listeners] == [
        "k8s.80.TCP.web.shop.c1",
        "k8s.53.UDP.web.shop.c1",
    ]
    assert [listener.object_name for listener in wanted.listeners] == ["lb-80-tcp", "lb-53-udp"]
    assert [str(group.name) for group in wanted.groups] == ["k8s.30080.TCP.web.shop.c1", "k8s.30053.UDP.web.shop.c1"]
    assert [group.overlay["protocol"] for group in wanted.groups] == ["TCP", "UDP"]
    assert {group.object_name for group in wanted.groups} == {
        listener.overlay.v_server_group_id for listener in wanted.listeners
    }
    assert [server.server_id for server in wanted.groups[0].servers] == ["i-1", "i-2"]
    assert wanted.problems == wanted.hints == ()


def test_a_group_carries_the_tags_of_the_load_balancer_and_its_resource_group():
    _, group = only(model({}, balancer=nlb(resourceGroupId="rg-1")))
    assert {tag["key"]: tag["value"] for tag in group["tags"]} == MARKS
    assert group["resourceGroupId"] == "rg-1"


def test_pods_as_servers_name_the_group_by_the_target_port():
    wanted = model(ENI, PORT, TLS)
    assert [str(group.name) for group in wanted.groups] == ["k8s.8080.TCP.web.shop.c1"]
    assert [(server.server_ip, server.port) for server in wanted.groups[0].servers] == [("10.0.0.1", 8080)]


def test_the_cloud_config_decides_about_pods_as_servers():
    assert str(model({}, config=CloudConfig(service_backend_type="eni")).groups[0].name).startswith("k8s.8080.")


@pytest.mark.parametrize(
    ("notes", "field", "value"),
    [
        ({"idle-timeout": "30"}, "idleTimeout", 30),
        ({"cps": "0"}, "cps", 0),
        ({"proxy-protocol": "on"}, "proxyProtocolEnabled", True),
        (
            {"proxy-protocol": "on", "ppv2-pvl-ep-id-enabled": "on", "ppv2-pvl-vpc-id-enabled": "off"},
            "proxyProtocolV2Config",
            {"ppv2PrivateLinkEpIdEnabled": True, "ppv2VpcIdEnabled": False},
        ),
        ({"cert-id": "cert-a"}, "certificateIds", None),
    ],
)
def test_annotations_of_a_tcp_listener(notes, field, value):
    assert only(model(notes))[0].get(field) == value


def tls(notes, there=None):
    annotated = {"protocol-port": "TCPSSL:443", **notes}
    wanted = model(annotated, TLS, there={"lb-443-tcp": {"listenerProtocol": "tcpssl", **there}} if there else None)
    return wanted, only(wanted)[0]


@pytest.mark.parametrize(
    ("notes", "fields"),
    [
        ({}, {"certificateIds": ["cert-a"]}),
        ({"additional-cert-ids": "cert-b"}, {"additionalCertificateIds": ["cert-b"]}),
        ({"additional-cert-ids": ""}, {"additionalCertificateIds": []}),
        ({"cacert": "on", "cacert-id": "ca-a"}, {"caEnabled": True, "caCertificateIds": ["ca-a"]}),
        ({"cacert": "off"}, {"caEnabled": False}),
        ({"tls-cipher-policy": "tls_cipher_policy_1_2"}, {"securityPolicyId": "tls_cipher_policy_1_2"}),
        ({"alpn": "on", "alpn-policy": "HTTP2Only"}, {"alpnEnabled": True, "alpnPolicy": "HTTP2Only"}),
    ],
)
def test_annotations_of_a_tcpssl_listener(notes, fields):
    wanted, listener = tls({"cert-id": "cert-a", **notes})
    assert fields.items() <= listener.items()
    assert wanted.problems == wanted.hints == ()
    assert not wanted.listeners[0].held
    assert str(wanted.groups[0].name) == "k8s.30443.TCPSSL.web.shop.c1"


@pytest.mark.parametrize(
    ("notes", "text"),
    [
        ({}, f"Annotation {PREFIX}cert-id is needed by a tcpssl listener"),
        ({"cert-id": "cert-x"}, "can not found cert by id cert-x"),
        ({"cert-id": "cert-old"}, "can not update cert cert-old because it is expired"),
        ({"cert-id": "cert-a", "cacert": "on"}, f"Annotation {PREFIX}cacert: on needs annotation {PREFIX}cacert-id"),
        ({"cert-id": "cert-a", "cacert": "on", "cacert-id": "ca-x"}, "can not found cert by id ca-x"),
    ],
)
def test_a_new_listener_is_not_made_while_it_lacks_a_certificate(notes, text):
    wanted, _ = tls(notes)
    assert [problem.partition(": no Secret")[0] for problem in wanted.problems] == [f"port 443: {text}"]
    assert wanted.listeners[0].held


@pytest.mark.parametrize(
    ("notes", "there"),
    [
        ({"cert-id": "cert-x"}, {}),
        ({"cacert": "on", "cacert-id": "ca-x"}, {"caEnabled": True, "caCertificateIds": ["ca-a"]}),
        ({"alpn": "on"}, {}),
    ],
)
def test_a_listener_that_is_there_keeps_what_it_has_when_the_new_is_wrong(notes, there):
    wanted, listener = tls(notes, {"certificateIds": ["cert-a"], **there})
    assert len(wanted.problems) == 1
    assert not wanted.listeners[0].held
    assert not listener.keys() & {"certificateIds", "caEnabled", "caCertificateIds", "alpnEnabled"}


def test_a_certificate_that_is_removed_from_the_annotations_stays():
    wanted, _ = tls({}, {"certificateIds": ["cert-a"]})
    assert wanted.problems == ()


def test_a_certificate_that_is_in_use_is_not_looked_at_again():
    wanted, listener = tls({"cert-id": "cert-old"}, {"certificateIds": ["cert-old"]})
    assert wanted.problems == ()
    assert listener["certificateIds"] == ["cert-old"]


def test_a_wrong_additional_certificate_leaves_the_others():
    wanted, listener = tls({"cert-id": "cert-a", "additional-cert-ids": "cert-old,cert-b"})
    assert listener["additionalCertificateIds"] == ["cert-b"]
    assert wanted.problems == ("port 443: can not update cert cert-old because it is expired",)


@pytest.mark.parametrize(
    ("notes", "suffix", "missing"),
    [
        ({"cacert-id": "ca-a"}, "cacert-id", "cacert: on"),
        ({"alpn-policy": "HTTP1Only"}, "alpn-policy", "alpn: on"),
        ({"ppv2-pvl-eps-id-enabled": "on"}, "ppv2-pvl-eps-id-enabled", "proxy-protocol: on"),
        ({"connection-drain-timeout": "20"}, "connection-drain-timeout", "connection-drain: on"),
        ({"health-check-uri": "/x"}, "health-check-uri", "health-check-flag: on"),
    ],
)
def test_an_annotation_that_needs_another_one_has_no_effect_without(notes, suffix, missing):
    wanted, listener = tls({"cert-id": "cert-a", **notes})
    hint = f"Annotation {PREFIX}{suffix} has no effect: it counts with {missing} only"
    assert [hint in said for said in wanted.hints] == [True]
    assert wanted.problems == ()
    assert not {*listener, *wanted.groups[0].overlay} & {
        "caCertificateIds",
        "alpnPolicy",
        "proxyProtocolV2Config",
        "connectionDrainTimeout",
        "healthCheckConfig",
    }


@pytest.mark.parametrize(
    ("notes", "fields"),
    [
        ({"scheduler": "WLC"}, {"scheduler": "wlc"}),
        ({"connection-drain": "on", "connection-drain-timeout": "60"}, {"connectionDrainTimeout": 60}),
        ({"connection-drain": "off"}, {"connectionDrainEnabled": False}),
        ({"preserve-client-ip": "on"}, {"preserveClientIpEnabled": True}),
        ({"server-group-type": "Ip"}, {"serverGroupType": "Ip"}),
        ({"health-check-flag": "off", "health-check-uri": "/x"}, {"healthCheckConfig": {"healthCheckEnabled": False}}),
        (
            {
                "health-check-flag": "on",
                "health-check-type": "http",
                "health-check-uri": "/x",
                "health-check-domain": "a.com",
                "health-check-httpcode": "http_2xx,http_3xx",
                "health-check-method": "get",
                "health-check-connect-port": "81",
                "health-check-connect-timeout": "7",
                "health-check-interval": "8",
                "healthy-threshold": "3",
                "unhealthy-threshold": "4",
            },
            {
                "healthCheckConfig": {
                    "healthCheckEnabled": True,
                    "healthCheckType": "HTTP",
                    "healthCheckUrl": "/x",
                    "healthCheckDomain": "a.com",
                    "healthCheckHttpCode": ["http_2xx", "http_3xx"],
                    "httpCheckMethod": "GET",
                    "healthCheckConnectPort": 81,
                    "healthCheckConnectTimeout": 7,
                    "healthCheckInterval": 8,
                    "healthyThreshold": 3,
                    "unhealthyThreshold": 4,
                }
            },
        ),
    ],
)
def test_annotations_of_a_server_group(notes, fields):
    wanted = model(notes)
    assert fields.items() <= only(wanted)[1].items()
    assert wanted.problems == wanted.hints == ()


def test_both_prefixes_count_and_the_newer_one_wins():
    assert only(model({LEGACY_PREFIX + "idle-timeout": "20"}))[0]["idleTimeout"] == 20
    assert only(model({LEGACY_PREFIX + "idle-timeout": "20", "idle-timeout": "30"}))[0]["idleTimeout"] == 30


def test_a_check_by_udp_is_for_udp_listeners():
    wanted = model({"health-check-flag": "on", "health-check-type": "udp"}, PORT, DNS)
    tcp, udp = (group.overlay["healthCheckConfig"] for group in wanted.groups)
    assert (tcp.get("healthCheckType"), udp.get("healthCheckType")) == (None, "UDP")
    assert len(wanted.problems) == 1
    assert "health-check-type: udp is for udp listeners only" in wanted.problems[0]


def group_named(wanted, **spec):
    """The group as it is once it was made."""
    (group,) = wanted.groups
    body = {"loadBalancerId": "lb", "vServerGroupName": str(group.name), **group.overlay, **spec}
    return {group.object_name: ServerGroup.model_validate({"metadata": {"name": group.object_name}, "spec": body})}


def test_a_group_of_another_type_is_another_object_and_a_type_said_no_more_stays():
    plain, by_address = model({}), model({"server-group-type": "Ip"})
    assert plain.groups[0].object_name != by_address.groups[0].object_name
    assert str(plain.groups[0].name) == str(by_address.groups[0].name)
    there = group_named(by_address)
    assert model({}, groups=there).groups[0] == by_address.groups[0]
    back = model({"server-group-type": "Instance"}, groups=there).groups[0]
    assert back.object_name == plain.groups[0].object_name


def test_settings_of_a_check_that_was_switched_on_before_still_count():
    there = group_named(model({"health-check-flag": "on"}))
    wanted = model({"health-check-interval": "9"}, groups=there)
    assert wanted.groups[0].overlay["healthCheckConfig"] == {"healthCheckInterval": 9}
    assert wanted.hints == ()


def test_session_affinity_has_no_equal():
    wanted = model({}, sessionAffinity="ClientIP")
    assert "sessionAffinity ClientIP has no effect" in wanted.hints[0]


# Ranges of ports


def test_a_range_is_a_listener_without_a_port_and_a_group_without_ports():
    wanted = model({**ENI, "listener-port-range": "1000-1002:80"})
    listener, group = only(wanted)
    assert {name: listener[name] for name in ("listenerPort", "startPort", "endPort")} == {
        "listenerPort": 0,
        "startPort": 1000,
        "endPort": 1002,
    }
    assert listener["description"] == "k8s.1000_1002.TCP.web.shop.c1"
    assert wanted.listeners[0].object_name == "lb-1000-1002-tcp"
    assert str(wanted.groups[0].name) == "k8s.1000_1002.TCP.web.shop.c1"
    assert [(server.server_ip, server.port) for server in wanted.groups[0].servers] == [("10.0.0.1", 0)]
    assert group["anyPortEnabled"] is True
    assert group["healthCheckConfig"] == {"healthCheckEnabled": True, "healthCheckConnectPort": 8080}
    assert wanted.problems == ()


@pytest.mark.parametrize(
    ("notes", "target", "port"),
    [({}, "web", 8080), ({}, 9090, 9090), ({"health-check-connect-port": "99"}, 9090, 99)],
)
def test_a_range_is_checked_at_the_target_port(notes, target, port):
    _, group = only(model({**ENI, **notes, "listener-port-range": "1000-1002:80"}, {**PORT, "targetPort": target}))
    assert group["healthCheckConfig"]["healthCheckConnectPort"] == port


def test_the_health_check_of_a_range_stays_on():
    wanted = model({**ENI, "listener-port-range": "1000-1002:80", "health-check-flag": "off"})
    assert only(wanted)[1]["healthCheckConfig"]["healthCheckEnabled"] is True
    assert "can't be without a health check" in wanted.problems[0]


def test_a_range_needs_pods_as_servers_and_the_other_ports_go_on():
    wanted = model({"listener-port-range": "1000-1002:80"}, PORT, TLS)
    assert wanted.problems == ("port 80: listener port range can only be used for eni backend type service",)
    ranged, single = wanted.listeners
    assert (ranged.held, single.held) == (True, False)
    assert [group.servers is None for group in wanted.groups] == [True, False]


@pytest.mark.parametrize(
    ("ports", "notes", "text"),
    [
        (
            (PORT, TLS),
            {"listener-port-range": "400-500:80"},
            "port 443: port of listener [443/tcp] overlaps with listener [400-500/tcp]",
        ),
        (
            (PORT, TLS),
            {"listener-port-range": "400-500:80,500-600:443", "protocol-port": "tcpssl:443", "cert-id": "cert-a"},
            "port 443: port of listener [500-600/tcpssl] overlaps with listener [400-500/tcp]",
        ),
        ((PORT, DNS), {"listener-port-range": "50-80:80"}, None),
        ((PORT, TLS), {"listener-port-range": "81-442:80"}, None),
    ],
)
def test_ports_of_one_transport_dont_overlap(ports, notes, text):
    wanted = model({**ENI, **notes}, *ports)
    assert wanted.problems == ((text,) if text else ())
    assert len(wanted.listeners) == (1 if text else 2)


def listener_of(whose, port=0, first=None, last=None, protocol="tcp"):
    spec = {"listenerPort": port, "listenerProtocol": protocol, "description": f"k8s.80.TCP.{whose}.c1"}
    return spec | ({"startPort": first, "endPort": last} if first else {})


@pytest.mark.parametrize(
    ("neighbour", "notes", "text"),
    [
        (
            listener_of("api.shop", first=70, last=90),
            {},
            "port of listener [80/tcp] overlaps with listener [70-90/tcp] of Service shop/api; choose other ports",
        ),
        (
            listener_of("api.shop", 85) | {"description": "by hand"},
            {"listener-port-range": "81-90:80"},
            "port of listener [81-90/tcp] overlaps with listener [85/tcp] of the load balancer's user; choose other ports",
        ),
        (listener_of("api.shop", first=70, last=90, protocol="udp"), {}, None),
        (listener_of("web.shop", first=70, last=90), {}, None),
        (listener_of("api.shop", 80), {}, None),
        (listener_of("api.shop", 85), {}, None),
    ],
)
def test_ports_of_another_services_listener_cant_be_had(neighbour, notes, text):
    observed = Observed([SLICE], NODES, lambda _: None, neighbours=lambda _: [neighbour])
    wishes = wishes_of({**ENI, "force-override-listeners": "true", **notes})
    wanted = build(view_of(), wishes, nlb(), True, observed, CONFIG)
    assert wanted.problems == ((f"port 80: {text}",) if text else ())
    assert len(wanted.listeners) == (0 if text else 1)


def test_a_listener_that_is_there_is_not_given_up_for_a_neighbour():
    neighbour = listener_of("api.shop", first=70, last=90)
    there = {"lb-80-tcp": listener_of("web.shop", 80)}
    observed = Observed([SLICE], NODES, lambda _: None, listener=there.get, neighbours=lambda _: [neighbour])
    wishes = wishes_of({"force-override-listeners": "true"})
    assert len(build(view_of(), wishes, nlb(), True, observed, CONFIG).listeners) == 1


# Load balancers and groups of the user's


def users_group(name="mine", **spec):
    body = {"loadBalancerId": "nlb-1", "vServerGroupName": name, **spec}
    return {"sgp-1": ServerGroup.model_validate({"metadata": {"name": "sgp-1"}, "spec": body})}


def test_a_users_group_gets_the_servers_and_keeps_its_settings():
    notes = {"id": "nlb-1", "vgroup-port": "sgp-1:80", "weight": "10", "scheduler": "rr"}
    (group,) = model(notes, reused=True, groups=users_group()).groups
    assert (group.object_name, group.user_made, group.overlay) == ("sgp-1", True, {})
    assert [server.weight for server in group.servers] == [5, 5]


@pytest.mark.parametrize(
    ("groups", "notes", "text"),
    [
        ({}, {}, "cannot find server group id sgp-1 for nlb nlb-1"),
        (users_group(loadBalancerId="nlb-2"), {}, "cannot find server group id sgp-1 for nlb nlb-1"),
        (users_group("k8s.80.TCP.a.b.c1"), {}, "cannot reuse a ccm created server group sgp-1 for nlb nlb-1"),
        (
            users_group(serverGroupType="Ip"),
            {"server-group-type": "Instance"},
            "ServerGroupType of user managed server group sgp-1 should be [Instance], but [Ip]",
        ),
    ],
)
def test_groups_that_cant_be_the_users(groups, notes, text):
    wanted = model({"vgroup-port": "sgp-1:80", **notes}, reused=True, groups=groups)
    assert wanted.problems == (f"port 80: {text}",)
    assert wanted.groups == wanted.listeners == ()


def test_listeners_of_a_users_load_balancer_are_managed_only_on_demand():
    assert not model({}, reused=True).manage_listeners
    assert model({}, reused=True).listeners == ()
    assert len(model({"force-override-listeners": "true"}, reused=True).listeners) == 1


def test_weights_set_by_hand_stay_if_asked_for():
    notes = {"ignore-weight-update": "on"}
    assert model(notes).groups[0].keep_weights
    assert model({**notes, "vgroup-port": "sgp-1:80"}, reused=True, groups=users_group()).groups[0].keep_weights
    assert not model({}).groups[0].keep_weights


def test_a_wrong_node_selector_leaves_the_servers_alone():
    wanted = model({"backend-label": "no equals"})
    assert wanted.groups[0].servers is None


def test_a_wrong_kind_of_servers_stops_everything():
    with pytest.raises(SyncError, match=BACKEND_TYPE):
        model({BACKEND_TYPE: "pods"})


def test_ipv6_servers_need_the_gates_and_an_address():
    notes = {"backend-ip-version": "ipv6", "ip-version": "DualStack"}
    gates = frozenset({"IPv6DualStack", "EndpointSlice"})
    dual = nlb(addressIPVersion="DualStack")
    wanted = model(notes, config=replace(CONFIG, gates=gates), balancer=dual)
    assert wanted.problems == ()
    assert only(wanted)[1]["addressIPVersion"] == "DualStack"
    assert "IPv6DualStack" in model(notes, balancer=dual).problems[0]
