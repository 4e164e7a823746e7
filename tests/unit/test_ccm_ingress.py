"""From an AlbConfig and its Ingresses to what is to be on the load balancer, and to the changes that bring it about."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ccm_facts import FACTS
from hypothesis import given
from hypothesis import strategies as st

from ackbox.catalog.annotations import BACKEND_TYPE, Format
from ackbox.catalog.ingress_annotations import ALB_PREFIX, INGRESS_ANNOTATIONS, NGINX_PREFIX
from ackbox.ccm.ingress import names
from ackbox.ccm.ingress.albconfig import AlbConfig, unknown_fields
from ackbox.ccm.ingress.annotations import read
from ackbox.ccm.ingress.balancer import changes, immutable_problems, made_for, wanted_spec, zones
from ackbox.ccm.ingress.certificates import Certificates, Known, known
from ackbox.ccm.ingress.groups import Observed
from ackbox.ccm.ingress.install import definition
from ackbox.ccm.ingress.model import build
from ackbox.ccm.ingress.plan import There, plan
from ackbox.ccm.ingress.status import ingress_patch
from ackbox.ccm.ingress.view import ingress_view, membership, ordered
from ackbox.ccm.services.backends import NodeView
from ackbox.ccm.services.changes import Create, Delete, Patch
from ackbox.ccm.services.lookup import SyncError
from ackbox.resources import LISTENER, SERVER_GROUP, ServiceLoadBalancer, Vpc
from ackbox.runtime.certificates import Request, Usage, issue, new_authority

ALB = "k8s-kubesystem-default-0123456789"
VPC = Vpc.model_validate(
    {
        "metadata": {"name": "net", "namespace": "team"},
        "spec": {
            "regionId": "cn-hangzhou",
            "cidrBlock": "192.168.0.0/16",
            "vswitches": [
                {"vSwitchName": "net-h", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.0.0/20"},
                {"vSwitchName": "net-h2", "zoneId": "cn-hangzhou-h", "cidrBlock": "192.168.32.0/20"},
                {"vSwitchName": "net-i", "zoneId": "cn-hangzhou-i", "cidrBlock": "192.168.16.0/20"},
            ],
        },
        "status": {
            "vswitches": [{"vSwitchName": "net-i", "vSwitchId": "vsw-i", "availableIpAddressCount": 9}],
        },
    }
)


def node(name, number, labels=None, **fields):
    view = NodeView(
        name,
        f"192.168.0.{number}",
        f"i-{number}",
        excluded=False,
        unschedulable=False,
        virtual=False,
        labels=labels or {},
    )
    return replace(view, **fields)


NODES = {"n1": node("n1", 1), "n2": node("n2", 2)}
SLICE = {
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080}],
    "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n1"}],
}


def service(kind="NodePort", annotations=None, **spec):
    port = {"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080 if kind != "ClusterIP" else None}
    return {"metadata": {"annotations": annotations or {}}, "spec": {"type": kind, "ports": [port], **spec}}


def backend(name, port=80):
    return {"service": {"name": name, "port": {"number": port} if isinstance(port, int) else {"name": port}}}


def path(value, to="tea", kind="Prefix"):
    return {"path": value, "pathType": kind, "backend": backend(to)}


def ingress(*paths, name="web", host="", notes=None, namespace="shop", **spec):
    rules = [{"host": host, "http": {"paths": list(paths)}}] if paths else []
    keyed = {(key if "/" in key else ALB_PREFIX + key): value for key, value in (notes or {}).items()}
    metadata = {"name": name, "namespace": namespace, "annotations": keyed}
    return {"metadata": metadata, "spec": {"ingressClassName": "alb", "rules": rules, **spec}}


def config(listeners=(), name="default", **settings):
    spec = {"config": settings, "listeners": list(listeners)}
    return AlbConfig.model_validate({"metadata": {"name": name}, "spec": spec})


def observed(services=None, nodes=NODES, backend_type=None, max_servers=200):
    found = {"tea": service(), "coffee": service()} if services is None else services
    return Observed(lambda _, name: found.get(name), lambda *_: [SLICE], nodes, backend_type, max_servers)


def model(*ingresses, of=None, seen=None, certificates=None):
    return build(of or config(), ordered(ingresses), ALB, FACTS, seen or observed(), certificates or Certificates())


def listeners(wanted):
    return {item.port: item.spec for item in wanted.listeners}


def rules(wanted, port=80):
    return listeners(wanted)[port].rules


def group(wanted, name):
    return next(item.spec for item in wanted.groups if item.spec.v_server_group_name == name)


def group_names(wanted):
    """What each group's object is called for users."""
    return {item.object_name: item.spec.v_server_group_name for item in wanted.groups}


def leads_to(wanted, rule):
    """The server groups of a rule with their weights."""
    known_as = group_names(wanted)
    return {known_as[item.server_group_id]: item.weight for item in rule.rule_actions[-1].server_groups}


def values(rule, kind):
    return next((item.values for item in rule.rule_conditions if item.type == kind), None)


def texts(wanted):
    return [text for _, text in wanted.problems]


# Whose an Ingress is


def classes(**found):
    def get(name):
        return {"metadata": {"name": name}, "spec": found[name]} if name in found else None

    return get


OURS = "ingress.k8s.alibabacloud/alb"
PARAMETERS = {"apiGroup": "alibabacloud.com", "kind": "AlbConfig", "name": "gateway"}


@pytest.mark.parametrize(
    ("obj", "get", "expected"),
    [
        (ingress(), classes(alb={"controller": OURS}), "default"),
        (ingress(), classes(alb={"controller": OURS, "parameters": PARAMETERS}), "gateway"),
        (ingress(), classes(), "default"),
        (ingress(ingressClassName="other"), classes(other={"controller": OURS}), "default"),
        (ingress(ingressClassName="other"), classes(other={"controller": "k8s.io/ingress-nginx"}), None),
        (ingress(ingressClassName="other"), classes(), None),
        (ingress(ingressClassName=None), classes(), None),
        (ingress(ingressClassName=None, notes={"kubernetes.io/ingress.class": "alb"}), classes(), "default"),
        (ingress(notes={"albconfig.name": "mine"}), classes(alb={"controller": OURS}), "mine"),
    ],
)
def test_the_class_says_which_albconfig_an_ingress_belongs_to(obj, get, expected):
    found = membership(obj, get)
    assert (found.config if found else None) == expected


def test_ingresses_are_ordered_by_their_order_then_by_their_name():
    last = ingress(name="a", notes={"order": "20"})
    first = ingress(name="z", notes={"albconfig.order": "1"})
    assert [view.name for view in ordered([last, ingress(name="c"), ingress(name="b"), first])] == ["z", "b", "c", "a"]


# The load balancer


def test_names_and_tags_are_the_real_ones():
    assert names.load_balancer_name("c1", "my-config").startswith("k8s-kubesystem-myconfig-")
    assert len(names.load_balancer_name("c1", "my-config")) == len("k8s-kubesystem-myconfig-") + 10
    assert len(names.load_balancer_name("c1", "x" * 253)) == 80
    tags = {tag.key: tag.value for tag in wanted_spec(config(), FACTS, VPC).tags}
    assert tags == {
        "ack.aliyun.com": "c1",
        "ingress.k8s.alibaba/resource": "ApplicationLoadBalancer",
        "ingress.k8s.alibaba/albconfig": "kube-system/default",
    }
    wanted = model(ingress(path("/")))
    tags = {tag.key: tag.value for tag in group(wanted, "shop-tea-80").tags}
    assert tags == {
        "ingress.k8s.alibaba/service_ns": "shop",
        "ingress.k8s.alibaba/service_name": "tea",
        "ingress.k8s.alibaba/service_port": "80",
        "ingress.k8s.alibaba/ingress_name": "web",
    }
    long = model(ingress(path("/"), name="x" * 253))
    assert [tag.value for tag in group(long, "shop-tea-80").tags if tag.key.endswith("ingress_name")] == ["x" * 128]


def test_a_new_load_balancer_stands_in_two_zones_of_the_vpc():
    spec = wanted_spec(config(), FACTS, VPC)
    assert [(zone.zone_id, zone.v_switch_id) for zone in spec.zone_mappings] == [
        ("cn-hangzhou-h", "net-h"),
        ("cn-hangzhou-i", "vsw-i"),
    ]
    assert (spec.load_balancer_type, spec.address_type, spec.delete_protection) == ("alb", "internet", "on")
    asked = config(zoneMappings=[{"vSwitchId": "vsw-i"}, {"vSwitchId": "net-h2"}], addressType="Intranet")
    spec = wanted_spec(asked, FACTS, VPC)
    assert [zone.v_switch_id for zone in spec.zone_mappings] == ["vsw-i", "net-h2"]
    assert spec.address_type == "intranet"


@pytest.mark.parametrize(
    ("asked", "vpc", "text"),
    [
        ([{"vSwitchId": "gone"}], VPC, "vSwitch gone is not in the cluster's VPC; allowed are: net-h, net-h2, net-i"),
        ([{"vSwitchId": "net-h"}, {"vSwitchId": "net-h2"}], VPC, "names only cn-hangzhou-h"),
        ([], None, "needs vSwitches in two zones, but has them in none"),
    ],
)
def test_fewer_than_two_zones_are_refused(asked, vpc, text):
    with pytest.raises(SyncError) as error:
        zones(config(zoneMappings=asked).spec.config.zone_mappings, vpc)
    assert text in str(error.value)


def slb(**spec):
    return ServiceLoadBalancer.model_validate(
        {
            "metadata": {"name": ALB, "namespace": "team", "uid": "uid"},
            "spec": {**wanted_spec(config(), FACTS, VPC).wire(), **spec},
            "status": {"loadBalancerId": "alb-1"},
        }
    )


def test_only_what_differs_of_a_load_balancer_is_changed():
    assert changes(slb(), wanted_spec(config(), FACTS, VPC), own=True) == {}
    assert changes(slb(loadBalancerName="old"), wanted_spec(config(), FACTS, VPC), own=True) == {
        "loadBalancerName": names.load_balancer_name("c1", "default")
    }
    kept = changes(slb(tags=[{"key": "mine", "value": "x"}]), wanted_spec(config(), FACTS, VPC), own=True)
    assert {"key": "mine", "value": "x"} in kept["tags"]
    assert len(kept["tags"]) == 4
    assert "tags" not in changes(slb(tags=[]), wanted_spec(config(), FACTS, VPC), own=False)


def test_an_address_type_does_not_change():
    assert immutable_problems(slb(), config(addressType="Intranet"))
    assert not immutable_problems(slb(), config())


def test_the_albconfig_of_an_ingress_that_names_none_follows_its_annotations():
    notes = {
        "address-type": "intranet",
        "vswitch-ids": "vsw-1, vsw-2",
        "name": "shop",
        "access-log": '{"logProject": "p", "logStore": "s"}',
        "force-override-listeners": "true",
    }
    made = made_for(ingress_view(ingress(notes=notes)), "default")
    settings = AlbConfig.model_validate(made).spec.config
    assert settings.address_type == "Intranet"
    assert [zone.v_switch_id for zone in settings.zone_mappings] == ["vsw-1", "vsw-2"]
    assert (settings.name, settings.edition, settings.deletion_protection_enabled) == ("shop", "Standard", True)
    assert settings.access_log_config.log_store == "s"
    assert settings.listener_force_override
    assert made["metadata"]["finalizers"] == ["ingress.k8s.alibaba/resources"]


# Listeners


def test_a_plain_ingress_has_a_listener_on_80_with_the_real_defaults():
    wanted = model(ingress(path("/")))
    assert set(listeners(wanted)) == {80}
    spec = listeners(wanted)[80]
    assert (spec.listener_protocol, spec.description, spec.idle_timeout, spec.request_timeout) == (
        "http",
        "ls-80",
        15,
        60,
    )
    assert wanted.listeners[0].object_name == f"{ALB}-80-tcp"
    assert not wanted.problems


@pytest.mark.parametrize(
    ("notes", "tls", "ports"),
    [
        ({}, [], {80: "http"}),
        ({}, [{"hosts": ["a.com"]}], {443: "https"}),
        ({"ssl-redirect": "true"}, [], {80: "http", 443: "https"}),
        ({"ssl-redirect": "true"}, [{"hosts": ["a.com"]}], {80: "http", 443: "https"}),
        ({NGINX_PREFIX + "ssl-redirect": "true"}, [], {80: "http", 443: "https"}),
        ({"listen-ports": '[{"HTTP":8080},{"HTTPS":8443}]'}, [], {8080: "http", 8443: "https"}),
        ({"listen-ports": '[{"HTTP":8080}]'}, [{"hosts": ["a.com"]}], {8080: "http"}),
        ({"listen-ports": "nonsense"}, [], {80: "http"}),
    ],
)
def test_which_listeners_an_ingress_has_rules_on(notes, tls, ports):
    assert ingress_view(ingress(notes=notes, tls=tls)).ports == ports


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("80", "empty listen-ports configuration: `80`"),
        ("[]", "empty listen-ports configuration: `[]`"),
        ("[80", "failed to parse listen-ports configuration: `[80`"),
        ('[{"HTTP":0}]', "listen port must be within [1, 65535]: 0"),
        ('[{"TCP":80}]', "listen protocol must be within [HTTP, HTTPS]: TCP"),
        ('[{"HTTP":80},{"HTTPS":80}]', "listen port 80 is both HTTP and HTTPS"),
    ],
)
def test_bad_listen_ports(text, problem):
    found = model(ingress(path("/"), notes={"listen-ports": text}))
    assert problem in " ".join(texts(found))


def test_listeners_of_the_albconfig_are_there_without_an_ingress_and_keep_their_settings():
    wish = {
        "port": "8080",
        "protocol": "HTTP",
        "idleTimeout": 30,
        "aclConfig": {"aclType": "Black", "aclIds": ["acl-1"]},
        "xForwardedForConfig": {"XForwardedForProtoEnabled": True},
    }
    wanted = model(of=config([wish], accessLogConfig={"logProject": "p", "logStore": "s"}))
    spec = listeners(wanted)[8080]
    assert (spec.idle_timeout, spec.request_timeout, spec.access_log) == (30, 60, "on")
    assert (spec.acl_status, spec.acl_type, spec.acl_ids) == ("on", "black", ["acl-1"])
    assert (spec.x_forwarded_for_proto, spec.x_forwarded_for_slb_port) == ("on", "off")
    assert spec.rules == []


def test_a_port_of_another_protocol_is_a_problem_and_the_rest_goes_on():
    asked = ingress(path("/"), notes={"listen-ports": '[{"HTTP":443},{"HTTP":80}]'})
    wanted = model(asked, of=config([{"port": 443, "protocol": "QUIC"}, {"port": 80, "protocol": "HTTP"}]))
    assert "protocol QUIC" in texts(wanted)[0]
    one = ingress(path("/"), name="a", notes={"listen-ports": '[{"HTTP":81}]'})
    other = ingress(path("/"), name="b", notes={"listen-ports": '[{"HTTPS":81},{"HTTP":82}]'})
    wanted = model(one, other)
    assert wanted.problems[0][0] == ("shop", "b")
    assert "listener 81 is of HTTP, not of HTTPS" in texts(wanted)[0]
    assert [len(rules(wanted, port)) for port in (81, 82)] == [1, 1]


# Rules


@pytest.mark.parametrize(
    ("value", "kind", "patterns"),
    [
        ("/", "Prefix", ["/*"]),
        ("/tea", "Prefix", ["/tea", "/tea/*"]),
        ("/tea/", "Prefix", ["/tea", "/tea/*"]),
        ("/tea", "Exact", ["/tea"]),
        ("/", "Exact", ["/"]),
        ("/tea", "ImplementationSpecific", ["/tea", "/tea/*"]),
    ],
)
def test_paths(value, kind, patterns):
    wanted = model(ingress(path(value, kind=kind), host="*.shop.com"))
    rule = rules(wanted)[0]
    assert (rule.rule_name, rule.priority) == ("rule-80-1", 1)
    assert values(rule, "Path") == patterns
    assert values(rule, "Host") == ["*.shop.com"]
    assert leads_to(wanted, rule) == {"shop-tea-80": 100}


def test_rules_keep_the_order_of_ingresses_and_paths():
    second = ingress(path("/a"), path("/b", "coffee"), name="b")
    wanted = model(second, ingress(path("/c"), name="a"))
    assert [values(rule, "Path")[0] for rule in rules(wanted)] == ["/c", "/a", "/b"]
    assert [rule.priority for rule in rules(wanted)] == [1, 2, 3]
    assert leads_to(wanted, rules(wanted)[2]) == {"shop-coffee-80": 100}


def test_what_cannot_be_a_rule_is_left_out_alone():
    resource = {"path": "/r", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "x"}}}
    wanted = model(ingress(resource, path("/a*"), path("/b")))
    assert [values(rule, "Path")[0] for rule in rules(wanted)] == ["/b"]
    assert "backend of path /r is not a Service" in texts(wanted)[0]
    assert "prefix path shouldn't contain wildcards: /a*" in texts(wanted)[1]


def test_requests_that_fit_no_rule_get_an_empty_group_or_the_default_backend():
    wanted = model(ingress(path("/tea")))
    empty = group(wanted, "kube-system-fake-svc-80")
    assert empty.backend_servers == []
    assert group_names(wanted)[listeners(wanted)[80].v_server_group_id] == "kube-system-fake-svc-80"
    wanted = model(
        ingress(name="a", defaultBackend=backend("coffee")), ingress(name="b", defaultBackend=backend("tea"))
    )
    assert group_names(wanted)[listeners(wanted)[80].v_server_group_id] == "shop-coffee-80"
    assert wanted.problems == ((("shop", "b"), "defaultBackend: listener 80 has that of Ingress shop/a already"),)


def test_a_redirect_is_308_to_443_and_only_on_http():
    certificates = Certificates((Known("c-1", "c-1", frozenset({"a.com"}), expired=False),))
    wanted = model(ingress(path("/"), host="a.com", notes={"ssl-redirect": "true"}), certificates=certificates)
    action = rules(wanted, 80)[0].rule_actions[0]
    assert (action.type, action.protocol, action.port, action.http_code) == ("Redirect", "HTTPS", 443, 308)
    assert leads_to(wanted, rules(wanted, 443)[0]) == {"shop-tea-80": 100}


def test_a_rewrite_comes_before_the_forward():
    wanted = model(ingress(path("/tea"), notes={"rewrite-target": "/cup"}))
    assert [(action.type, action.path) for action in rules(wanted)[0].rule_actions] == [
        ("Rewrite", "/cup"),
        ("ForwardGroup", None),
    ]


def canary(name="canary", host="a.com", at="/", **notes):
    suffixes = {f"canary-{key.replace('_', '-')}": value for key, value in notes.items()}
    return ingress(path(at, "coffee"), name=name, host=host, notes={"canary": "true", **suffixes})


def test_a_canary_takes_its_share():
    wanted = model(ingress(path("/"), host="a.com"), canary(weight="20"))
    assert len(rules(wanted)) == 1
    assert leads_to(wanted, rules(wanted)[0]) == {"shop-tea-80": 80, "shop-coffee-80": 20}


def test_a_canary_by_header_or_cookie_goes_before_the_rest_whatever_its_name():
    wanted = model(ingress(path("/"), name="a", host="a.com"), canary("z", by_header="x-try", by_cookie="try"))
    first, second, third = rules(wanted)
    header, cookie = first.rule_conditions[-1], second.rule_conditions[-1]
    assert (header.type, header.key, header.values) == ("Header", "x-try", ["always"])
    assert (cookie.type, cookie.key, cookie.values) == ("Cookie", "try", ["always"])
    assert leads_to(wanted, first) == leads_to(wanted, second) == {"shop-coffee-80": 100}
    assert leads_to(wanted, third) == {"shop-tea-80": 100}
    wanted = model(ingress(path("/"), host="a.com"), canary(by_header="x-try", by_header_value="yes", weight="5"))
    assert rules(wanted)[0].rule_conditions[-1].values == ["yes"]
    assert leads_to(wanted, rules(wanted)[1]) == {"shop-tea-80": 95, "shop-coffee-80": 5}


def test_canaries_that_can_have_no_effect_are_told():
    lonely = model(ingress(path("/"), host="b.com"), canary(weight="20"))
    assert "no other Ingress in shop has host a.com and path /" in texts(lonely)[0]
    aimless = model(ingress(path("/"), host="a.com"), canary())
    assert "canary needs one of" in texts(aimless)[0]
    greedy = model(ingress(path("/"), host="a.com"), canary("x", weight="70"), canary("y", weight="40"))
    assert greedy.problems[0][0] == ("shop", "y")
    assert leads_to(greedy, rules(greedy)[0]) == {"shop-tea-80": 30, "shop-coffee-80": 70}


def test_rules_over_the_limit_are_left_out():
    wanted = model(ingress(*(path(f"/{number}") for number in range(205))))
    assert len(rules(wanted)) == 200
    assert len(texts(wanted)) == 1


# Server groups


def test_servers_follow_the_service_and_the_nodes():
    wanted = group(model(ingress(path("/"))), "shop-tea-80")
    assert [(server.server_id, server.port, server.weight) for server in wanted.backend_servers] == [
        ("i-1", 30080, 100),
        ("i-2", 30080, 100),
    ]
    assert (wanted.scheduler, wanted.protocol, wanted.server_group_type) == ("wrr", "HTTP", "Instance")
    local = observed({"tea": service("LoadBalancer", externalTrafficPolicy="Local")})
    servers = group(model(ingress(path("/")), seen=local), "shop-tea-80").backend_servers
    assert [(server.server_id, server.weight) for server in servers] == [("i-1", 1)]
    nodes = {"n1": NODES["n1"], "n2": node("n2", 2, {"alpha.service-controller.kubernetes.io/exclude-alb": ""})}
    servers = group(model(ingress(path("/")), seen=observed(nodes=nodes)), "shop-tea-80").backend_servers
    assert [server.server_id for server in servers] == ["i-1"]


def test_cluster_ip_services_need_eni():
    plain = observed({"tea": service("ClusterIP")})
    wanted = model(ingress(path("/")), seen=plain)
    assert group(wanted, "shop-tea-80").backend_servers == []
    assert "cluster service type just support eni mode for alb ingress" in texts(wanted)[0]
    assert rules(wanted), "its requests get 503, not another rule's answer"
    eni = observed({"tea": service("ClusterIP", {BACKEND_TYPE: "eni"})})
    servers = group(model(ingress(path("/")), seen=eni), "shop-tea-80").backend_servers
    assert [(server.server_ip, server.port, server.type) for server in servers] == [("10.0.0.1", 8080, "eni")]
    by_config = model(ingress(path("/")), seen=replace(plain, backend_type="eni"))
    assert group(by_config, "shop-tea-80").backend_servers
    terway = build(config(), ordered([ingress(path("/"))]), ALB, replace(FACTS, routed=False), plain, Certificates())
    assert group(terway, "shop-tea-80").backend_servers


@pytest.mark.parametrize(
    ("to", "text"),
    [
        (backend("gone"), "Service shop/gone, port 80: there is no such Service"),
        (backend("tea", 81), "unable to find port 81 on service shop/tea"),
        (backend("tea", "admin"), "unable to find port admin on service shop/tea"),
    ],
)
def test_a_backend_that_is_not_there_is_told_of_and_the_others_go_on(to, text):
    wrong = {"path": "/wrong", "pathType": "Prefix", "backend": to}
    wanted = model(ingress(wrong, path("/")))
    assert text in texts(wanted)[0]
    assert len(rules(wanted)) == 2
    assert group(wanted, "shop-tea-80").backend_servers


def test_a_port_by_its_name():
    named = {"path": "/", "pathType": "Prefix", "backend": backend("tea", "http")}
    wanted = model(ingress(named))
    assert len(group(wanted, "shop-tea-80").backend_servers) == 2


def test_no_more_servers_than_the_quota():
    wanted = model(ingress(path("/")), seen=observed(max_servers=1))
    assert len(group(wanted, "shop-tea-80").backend_servers) == 1
    assert "BackendServerNumberOverLimit" in texts(wanted)[0]


def test_backend_label_and_a_wrong_one():
    nodes = {"n1": NODES["n1"], "n2": node("n2", 2, {"pool": "web"})}
    wanted = model(ingress(path("/"), notes={"backend-label": "pool=web"}), seen=observed(nodes=nodes))
    assert [server.server_id for server in group(wanted, "shop-tea-80").backend_servers] == ["i-2"]
    wrong = model(ingress(path("/"), notes={"backend-label": "pool"}))
    assert [item.servers_known for item in wrong.groups if item.spec.v_server_group_name == "shop-tea-80"] == [False]
    assert len(texts(wrong)) == 1


def test_health_checks_and_stickiness():
    check = group(model(ingress(path("/"))), "shop-tea-80").health_check_config.wire()
    assert check == {
        "healthCheckEnabled": False,
        "healthCheckUrl": "/",
        "healthCheckType": "HTTP",
        "httpCheckMethod": "HEAD",
        "healthCheckHttpCode": ["http_2xx"],
        "healthCheckConnectTimeout": 5,
        "healthCheckInterval": 2,
        "healthCheckConnectPort": 0,
        "healthyThreshold": 3,
        "unhealthyThreshold": 3,
    }
    notes = {
        "healthcheck-enabled": "true",
        "healthcheck-httpcode": "http_2xx,http_3xx",
        "sticky-session": "true",
        "backend-scheduler": "wlc",
    }
    spec = group(model(ingress(path("/"), notes=notes)), "shop-tea-80")
    assert spec.health_check_config.health_check_enabled
    assert spec.health_check_config.health_check_http_code == ["http_2xx", "http_3xx"]
    assert spec.sticky_session_config.wire() == {
        "stickySessionEnabled": True,
        "stickySessionType": "Insert",
        "cookieTimeout": 1000,
    }
    assert spec.scheduler == "wlc"


def test_two_ingresses_check_one_service_each_in_its_own_way():
    wanted = model(ingress(path("/a"), name="a"), ingress(path("/b"), name="b", notes={"healthcheck-enabled": "true"}))
    checks = [item.spec.health_check_config for item in wanted.groups if item.spec.v_server_group_name == "shop-tea-80"]
    assert [check.health_check_enabled for check in checks] == [False, True]


# Certificates


def pair(*hosts, valid=True):
    request = Request(hosts[0], Usage.SERVER, hosts=hosts)
    made = issue(new_authority("test"), request)
    data = {"tls.crt": made.certificate, "tls.key": made.key}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": "secret", "labels": {"ackbox.dev/certificate-id": "c-1"}}, "data": encoded}


def test_the_domains_of_a_certificate_are_read():
    now = datetime.now(UTC)
    found = known(pair("a.com", "*.b.com"), now)
    assert found.domains == {"a.com", "*.b.com"}
    assert not found.expired
    assert known(pair("a.com"), now + timedelta(days=36500)).expired
    broken = pair("a.com")
    broken["data"]["tls.crt"] = "!"
    assert known(broken, now) is None


ACCOUNT = (
    Known("c-a", "s-a", frozenset({"a.com"}), expired=False),
    Known("c-b", "s-b", frozenset({"*.b.com"}), expired=False),
    Known("c-old", "s-old", frozenset({"a.com"}), expired=True),
    Known("c-copy", "c-copy", frozenset({"a.com"}), expired=False, owner="mark"),
)


def secure(*hosts, secret=None, name="web"):
    tls = {"hosts": list(hosts), **({"secretName": secret} if secret else {})}
    return ingress(path("/"), name=name, tls=[tls])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (secure("a.com"), ["c-a"]),
        (secure("x.b.com"), ["c-b"]),
        (secure("a.com", "x.b.com"), ["c-a", "c-b"]),
        (secure("a.com", secret="own"), ["cert-own"]),
    ],
)
def test_certificates_are_found_by_domain_or_taken_from_the_secret(asked, expected):
    certificates = Certificates(ACCOUNT, {("shop", "own"): "cert-own"})
    spec = listeners(model(asked, certificates=certificates))[443]
    assert [*spec.certificate_ids, *spec.additional_certificate_ids] == expected
    assert (spec.security_policy_id, spec.enable_http2) == ("tls_cipher_policy_1_0", "on")


def test_the_default_certificate_of_the_albconfig_is_the_first():
    named = [{"CertificateId": "c-b"}, {"CertificateId": "c-a", "IsDefault": True}, {"CertificateId": "c-gone"}]
    certificates = Certificates(ACCOUNT, {("shop", "own"): "cert-own"})
    of = config([{"port": 443, "protocol": "HTTPS", "certificates": named}])
    wanted = model(secure("y.com", secret="own"), of=of, certificates=certificates)
    spec = listeners(wanted)[443]
    assert (spec.certificate_ids, spec.additional_certificate_ids) == (["c-a"], ["c-b", "c-gone", "cert-own"])
    ((owner, text),) = wanted.problems
    assert owner is None
    assert text.startswith("can not found cert by id c-gone: ")


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (secure("b.com"), "no cert was discovered: [b.com]"),
        (secure("a.com", secret="gone"), "there is no Secret shop/gone of type kubernetes.io/tls"),
    ],
)
def test_without_a_certificate_there_is_no_https_listener_but_the_others(asked, text):
    wanted = model(asked, ingress(path("/"), name="plain"), certificates=Certificates(ACCOUNT, {}))
    assert listeners(wanted)[443] is None
    assert rules(wanted, 80)
    assert text in texts(wanted)[0]
    assert any("https listener: 443 must provider one default cert" in item for item in texts(wanted))


# The way there


def there(objects=(), override=False):
    by_name = {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}
    mine = [obj for obj in objects if obj["metadata"].get("labels", {}).get(names.OWNER_LABEL) == "mark"]
    return There(
        get=lambda kind, name: by_name.get((kind.kind, name)),
        listeners=[obj for obj in mine if obj["kind"] == "Listener"],
        groups=[obj for obj in mine if obj["kind"] == "ServerGroup"],
        mark="mark",
        override=override,
    )


def made(steps):
    """The objects after the steps of a plan for which nothing was there."""
    return [
        {
            "kind": change.kind.kind,
            **json.loads(json.dumps(change.body)) | {"metadata": {**change.body["metadata"], "uid": "u"}},
        }
        for change in (*steps.first, *steps.then)
        if isinstance(change, Create)
    ]


def test_groups_come_before_the_listeners_that_name_them_and_go_after_them():
    wanted = model(ingress(path("/")))
    steps = plan(wanted, there(), slb(), FACTS)
    assert {change.kind for change in steps.first} == {SERVER_GROUP}
    assert [(change.kind, change.name) for change in steps.then] == [(LISTENER, f"{ALB}-80-tcp")]
    assert not steps.last
    objects = made(steps)
    assert objects[0]["metadata"]["labels"] == {"ackbox.dev/cluster": "one", "ackbox.dev/albconfig": "mark"}
    assert objects[0]["metadata"]["ownerReferences"][0]["name"] == ALB
    gone = plan(model(), there(objects), slb(), FACTS)
    assert [type(change) for change in gone.then] == [Delete]
    assert {change.name for change in gone.last} == {
        obj["metadata"]["name"] for obj in objects if obj["kind"] == "ServerGroup"
    }


def test_nothing_is_written_when_nothing_differs_and_only_the_difference_else():
    wanted = model(ingress(path("/")))
    objects = made(plan(wanted, there(), slb(), FACTS))
    same = plan(wanted, there(objects), slb(), FACTS)
    assert same.first == same.then == same.last == ()
    more = model(ingress(path("/")), seen=observed(nodes={**NODES, "n3": node("n3", 3)}))
    changed = plan(more, there(objects), slb(), FACTS)
    (patch,) = (*changed.first, *changed.then)
    assert isinstance(patch, Patch)
    assert patch.patch.keys() == {"spec"}
    assert patch.patch["spec"].keys() == {"backendServers"}


def test_what_is_no_longer_said_is_taken_back():
    certificates = Certificates(ACCOUNT)
    at_443 = {"listen-ports": '[{"HTTPS":443}]'}
    before = made(
        plan(model(ingress(path("/"), host="a.com", notes=at_443), certificates=certificates), there(), slb(), FACTS)
    )
    now = model(ingress(path("/"), host="a.com", notes={"listen-ports": '[{"HTTP":443}]'}))
    (patch,) = plan(now, there(before), slb(), FACTS).then
    assert patch.patch["spec"]["certificateIds"] is None
    assert patch.patch["spec"]["securityPolicyId"] is None
    sticky = {"sticky-session": "true", "sticky-session-type": "Server", "cookie": "c"}
    before = made(plan(model(ingress(path("/"), notes=sticky)), there(), slb(), FACTS))
    (patch,) = plan(model(ingress(path("/"))), there(before), slb(), FACTS).first
    assert patch.patch["spec"] == {"stickySessionConfig": {"stickySessionEnabled": False}}


def test_a_listener_whose_certificate_is_gone_stays_as_it_is_with_its_groups():
    asked = secure("a.com")
    objects = made(plan(model(asked, certificates=Certificates(ACCOUNT)), there(), slb(), FACTS))
    steps = plan(model(asked), there(objects), slb(), FACTS)
    assert steps.first == steps.then == steps.last == ()
    asked["spec"]["rules"][0]["http"]["paths"] = [path("/", "coffee")]
    steps = plan(model(asked), there(objects), slb(), FACTS)
    assert [type(change) for change in steps.first] == [Create]
    assert steps.then == steps.last == (), "the listener still leads to tea"


def test_a_listener_of_somebody_else_is_left_alone_unless_told():
    foreign = {
        "kind": "Listener",
        "metadata": {"name": f"{ALB}-80-tcp", "uid": "x"},
        "spec": {"loadBalancerId": ALB, "listenerPort": 80, "listenerProtocol": "http"},
    }
    wanted = model(ingress(path("/")))
    steps = plan(wanted, there([foreign]), slb(), FACTS)
    assert not steps.then
    assert "listener 80 of load balancer alb-1 is there already" in steps.problems[0][1]
    steps = plan(wanted, there([foreign], override=True), slb(), FACTS)
    assert steps.then[0].patch["metadata"] == {"labels": {"ackbox.dev/albconfig": "mark"}}


# Status


def test_an_ingress_shows_name_and_address():
    balancer = slb().model_copy(
        update={"status": slb().status.model_copy(update={"reachable": "127.1.16.1", "dns_name": "alb-1.x"})}
    )
    shown = [{"ip": "127.1.16.1", "hostname": "alb-1.x"}]
    obj = ingress()
    assert ingress_patch(obj, balancer) == {"status": {"loadBalancer": {"ingress": shown}}}
    obj["status"] = {"loadBalancer": {"ingress": shown}}
    assert ingress_patch(obj, balancer) == {}
    assert ingress_patch(obj, slb()) == {}
    assert ingress_patch(obj, None) == {"status": {"loadBalancer": {"ingress": None}}}


# The table and the kind


def test_every_row_reads_its_default_and_refuses_nonsense():
    for row in INGRESS_ANNOTATIONS.values():
        key = row.keys[-1]
        if row.default is not None and row.suffix != "listen-ports":
            assert not read({key: row.default}).problems, row.suffix
        if row.format is not Format.TEXT:
            assert read({key: "no\tsense ,"}).problems, row.suffix


def test_the_twin_of_nginx_wins_and_unknown_keys_are_named():
    wishes = read({NGINX_PREFIX + "canary-weight": "7", ALB_PREFIX + "canary-weight": "9", ALB_PREFIX + "magic": "x"})
    assert wishes.number("canary-weight") == 7
    assert wishes.unknown == (ALB_PREFIX + "magic",)


def test_albconfigs_keep_fields_that_mean_nothing_and_say_so():
    manifest = {"config": {"edition": "Standard"}, "listeners": [{"port": 80, "gzipEnabled": True}], "tags": []}
    parsed = AlbConfig.model_validate({"metadata": {"name": "x"}, "spec": manifest})
    assert list(unknown_fields(parsed.spec)) == ["spec.tags", "spec.listeners[0].gzipEnabled"]
    schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    listener = schema["properties"]["listeners"]["items"]
    for part in (schema, schema["properties"]["config"], listener):
        assert part["x-kubernetes-preserve-unknown-fields"] is True
    assert listener["properties"]["port"] == {"x-kubernetes-int-or-string": True}
    assert listener["properties"]["certificates"]["items"]["required"] == ["CertificateId"]


TEXT = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["true", "false", "on", "5", "-1", "wrr", "/a", "http_2xx", '[{"HTTP":80}]', "[{}]", '{"logStore":"s"}', "a=b"]
    ),
)
NOTES = st.dictionaries(
    st.sampled_from([key for row in INGRESS_ANNOTATIONS.values() for key in row.keys]), TEXT, max_size=8
)
PATHS = st.builds(
    path,
    st.text("/ab*?", max_size=5),
    st.sampled_from(["tea", "coffee", "gone"]),
    st.sampled_from(["Exact", "Prefix", "ImplementationSpecific"]),
)


@given(
    st.lists(
        st.builds(
            lambda paths, host, notes, name: ingress(*paths, host=host, notes=notes, name=name),
            st.lists(PATHS, max_size=4),
            st.sampled_from(["", "a.com", "*.a.com"]),
            NOTES,
            st.sampled_from(["x", "y", "z"]),
        ),
        max_size=4,
        unique_by=lambda item: item["metadata"]["name"],
    )
)
def test_whatever_is_written_the_model_is_valid_and_stable(ingresses):
    wanted = model(*ingresses, certificates=Certificates(ACCOUNT))
    steps = plan(wanted, there(), slb(), FACTS)
    objects = made(steps)
    names_there = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "ServerGroup"}
    for item in wanted.listeners:
        if item.spec is not None:
            named = {
                group.server_group_id
                for rule in item.spec.rules
                for action in rule.rule_actions
                for group in action.server_groups
            }
            assert named | {item.spec.v_server_group_id} <= names_there
            assert all(
                sum(group.weight for group in rule.rule_actions[-1].server_groups) in (0, 100)
                for rule in item.spec.rules
            )
    again = plan(wanted, there(objects), slb(), FACTS)
    assert again.first == again.then == again.last == ()
