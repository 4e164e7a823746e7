"""The annotation tables: every row of each kind of load balancer with values it takes and values it refuses."""

import pytest
from pydantic import ValidationError

from ackbox.catalog.annotations import (
    BACKEND_TYPE,
    LEGACY_PREFIX,
    PREFIX,
    TABLES,
    TUNNEL_TYPE,
    TYPE,
    Annotation,
    Format,
    Level,
    Mutability,
)
from ackbox.ccm.services.annotations import read, value_of
from ackbox.ccm.services.values import parse
from ackbox.resources.listener import ListenerSpec, Protocol
from ackbox.resources.loadbalancer import LoadBalancerType, ServiceLoadBalancerSpec
from ackbox.resources.servergroup import HealthCheckConfig, ServerGroupSpec

CLB, NLB = LoadBalancerType.CLB, LoadBalancerType.NLB

ON_OFF_GOOD, ON_OFF_BAD = ["on", "off"], ["true", "1", "ON", "yes"]
POLICIES = ["tls_cipher_policy_1_0", "tls_cipher_policy_1_2_strict_with_1_3"]

SHARED_GOOD = {
    "id": ["lb-bp1abc", "my-slb"],
    "name": ["web", "x" * 80],
    "address-type": ["internet", "intranet"],
    "resource-group-id": ["rg-abc123"],
    "additional-resource-tags": ["a=b", "a=b,c=d,e", "a=", "a=1,a=2"],
    "force-override-listeners": ["true", "false"],
    "preserve-lb-on-delete": ["true", "anything"],
    "ip-version": ["ipv4"],
    "protocol-port": ["tcp:80", "tcp:80,udp:53"],
    "scheduler": ["rr", "wrr", "wlc", "sch", "tch", "qch"],
    "vgroup-port": ["rsp-a:80", "rsp-a:80,rsp-b:443"],
    "tls-cipher-policy": POLICIES,
    "proxy-protocol": ON_OFF_GOOD,
    "idle-timeout": ["1", "60"],
    "connection-drain": ON_OFF_GOOD,
    "connection-drain-timeout": ["10", "900"],
    "health-check-flag": ON_OFF_GOOD,
    "health-check-type": ["tcp", "http"],
    "health-check-uri": ["/", "/index.html?a=b"],
    "health-check-domain": ["www.example.com", "$_ip"],
    "health-check-httpcode": ["http_2xx", "http_2xx,http_3xx", "http_4xx, http_5xx"],
    "health-check-method": ["head", "get"],
    "health-check-connect-port": ["1", "65535"],
    "healthy-threshold": ["2", "10"],
    "unhealthy-threshold": ["2", "10"],
    "health-check-interval": ["1", "50"],
    "health-check-connect-timeout": ["1", "300"],
    "backend-label": ["a=b", "a=b,c=d", "a="],
    "backend-ip-version": ["ipv4", "ipv6", "dualstack"],
    "remove-unscheduled-backend": ON_OFF_GOOD,
    "weight": ["0", "100"],
    "default-weight": ["0", "100"],
    "ignore-weight-update": ON_OFF_GOOD,
    BACKEND_TYPE: ["ecs", "eni"],
}
SHARED_BAD = {
    "id": ["lb bp1", "-x"],
    "name": ["x" * 81],
    "address-type": ["public"],
    "resource-group-id": ["rg abc"],
    "additional-resource-tags": ["=b", "a=b,", "x" * 65 + "=b", "a=" + "x" * 129, ",".join(f"k{i}" for i in range(21))],
    "force-override-listeners": ["on", "True"],
    "preserve-lb-on-delete": [],
    "ip-version": ["ipv5", "6"],
    "protocol-port": ["http", "tcp:0", "tcp:99999", "80:tcp", "tcp:80,udp:80"],
    "scheduler": ["fastest"],
    "vgroup-port": ["rsp-a", "rsp-a:", ":80", "rsp-a:80,rsp-b:80"],
    "tls-cipher-policy": ["tls_cipher_policy_1_4", "TLS1.2"],
    "proxy-protocol": ["true", "v2"],
    "idle-timeout": ["0", "901", "15s"],
    "connection-drain": ["true", "yes"],
    "connection-drain-timeout": ["9", "901", "x"],
    "health-check-flag": ["1"],
    "health-check-type": ["icmp"],
    "health-check-uri": ["index.html", "/" + "x" * 80],
    "health-check-domain": ["a b", "x" * 81],
    "health-check-httpcode": ["200", "http_2xx,ok"],
    "health-check-method": ["post"],
    "health-check-connect-port": ["-1", "65536", "web"],
    "healthy-threshold": ["1", "11", "3.5"],
    "unhealthy-threshold": ["1", "11", """ ten"""],
    "health-check-interval": ["0", "51", "5s"],
    "health-check-connect-timeout": ["0", "301"],
    "backend-label": ["a", "=b", "a=b=c", "a=b,,"],
    "backend-ip-version": ["IPv4", "both"],
    "remove-unscheduled-backend": ["yes"],
    "weight": ["-1", "101", "x"],
    "default-weight": ["-1", "101", "1e2"],
    "ignore-weight-update": ["true"],
    BACKEND_TYPE: ["ENI", "pod"],
}

GOOD = {
    CLB: SHARED_GOOD
    | {
        "vswitch-id": ["vsw-abc", "my-switch"],
        "network-type": ["classic", "vpc"],
        "charge-type": ["paybytraffic", "paybybandwidth"],
        "bandwidth": ["1", "5000"],
        "instance-charge-type": ["PayBySpec", "PayByCLCU"],
        "spec": ["slb.s1.small", "slb.s3.large"],
        "master-zoneid": ["cn-hangzhou-a"],
        "slave-zoneid": ["cn-hangzhou-b"],
        "ip-version": ["ipv4", "ipv6"],
        "ip": ["192.168.0.7", "0.0.0.0", "255.255.255.255"],
        "delete-protection": ON_OFF_GOOD,
        "modification-protection": ["ConsoleProtection", "NonProtection"],
        "external-ip-type": ["eip"],
        "hostname": ["www.example.com", "a"],
        "protocol-port": ["http:80", "http:80,tcp:443,udp:53", "https:443"],
        "cert-id": ["123_abc-def"],
        "domain-extensions": ["a.com:cert-1", "*.a.com:cert-1,b.com:cert-2"],
        "http2-enabled": ON_OFF_GOOD,
        "forward-port": ["80:443", "80:443,81:444"],
        "request-timeout": ["1", "180"],
        "established-timeout": ["10", "900"],
        "persistence-timeout": ["0", "3600"],
        "acl-status": ON_OFF_GOOD,
        "acl-id": ["acl-a", "acl-a,acl-b"],
        "acl-type": ["white", "black"],
        "sticky-session": ON_OFF_GOOD,
        "sticky-session-type": ["insert", "server"],
        "cookie": ["JSESSIONID", "x" * 200],
        "cookie-timeout": ["1", "86400"],
        "xforwardedfor-proto": ON_OFF_GOOD,
        "xforwardedfor-slbport": ON_OFF_GOOD,
        "xforwardedfor-clientsrcport": ON_OFF_GOOD,
        "health-check-switch": ON_OFF_GOOD,
        "health-check-timeout": ["1", "300"],
    },
    NLB: SHARED_GOOD
    | {
        "zone-maps": ["cn-hangzhou-a:vsw-1", "cn-hangzhou-a:vsw-1:192.168.0.7:eip-1,cn-hangzhou-b:vsw-2::eip-2"],
        "address-type": ["internet", "Internet", "INTRANET"],
        "ip-version": ["ipv4", "DualStack", "dualstack"],
        "ipv6-address-type": ["internet", "Intranet"],
        "security-group-ids": ["sg-a", "sg-a,sg-b"],
        "bandwidth-package-id": ["cbwp-a"],
        "cross-zone-enabled": ON_OFF_GOOD,
        "protocol-port": ["tcpssl:443", "TCPSSL:443,TCP:80,udp:53"],
        "listener-port-range": ["80-400:80", "80-400:80,500-500:443"],
        "cert-id": ["cert-1", "cert-1,cert-2"],
        "additional-cert-ids": ["cert-1", "cert-1,cert-2"],
        "cacert": ON_OFF_GOOD,
        "cacert-id": ["ca-1"],
        "alpn": ON_OFF_GOOD,
        "alpn-policy": ["HTTP1Only", "HTTP2Only", "HTTP2Preferred", "HTTP2Optional"],
        "ppv2-pvl-ep-id-enabled": ON_OFF_GOOD,
        "ppv2-pvl-eps-id-enabled": ON_OFF_GOOD,
        "ppv2-pvl-vpc-id-enabled": ON_OFF_GOOD,
        "idle-timeout": ["1", "900"],
        "cps": ["0", "1000000"],
        "scheduler": ["wrr", "RR", "Sch", "tch", "qch", "wlc"],
        "preserve-client-ip": ON_OFF_GOOD,
        "server-group-type": ["Instance", "Ip"],
        "health-check-type": ["tcp", "HTTP", "udp"],
        "health-check-method": ["head", "GET"],
        "health-check-connect-port": ["0", "65535"],
    },
}
BAD = {
    CLB: SHARED_BAD
    | {
        "vswitch-id": ["vsw abc", "vsw/1"],
        "network-type": ["VPC"],
        "charge-type": ["free"],
        "bandwidth": ["0", "5001", "10M"],
        "instance-charge-type": ["paybyspec"],
        "spec": ["slb.s9.huge", "small"],
        "master-zoneid": ["cn hangzhou"],
        "slave-zoneid": ["-a"],
        "ip-version": ["ipv5", "DualStack"],
        "ip": ["192.168.0", "256.1.1.1", "fd00::1", "1.2.3.4."],
        "address-type": ["Internet", "public"],
        "delete-protection": ON_OFF_BAD,
        "modification-protection": ["on"],
        "external-ip-type": ["ip"],
        "hostname": ["-x.example.com", "a b", "x" * 254],
        "protocol-port": [*SHARED_BAD["protocol-port"], "tcpssl:443", "HTTP:80", "http:80,tcp:80"],
        "scheduler": ["fastest", "RR"],
        "cert-id": ["a b", "a,b"],
        "domain-extensions": ["a.com", "a.com:", ":cert", "a b:cert"],
        "http2-enabled": ON_OFF_BAD,
        "forward-port": ["80", "80-443", "80:80", "x:443", "80:443,80:444"],
        "request-timeout": ["0", "181"],
        "idle-timeout": ["0", "61", "15s"],
        "established-timeout": ["9", "901"],
        "persistence-timeout": ["-1", "3601"],
        "acl-status": ON_OFF_BAD,
        "acl-id": ["acl a", "acl-a,acl-b c"],
        "acl-type": ["grey"],
        "sticky-session": ON_OFF_BAD,
        "sticky-session-type": ["Insert"],
        "cookie": ["$x", "a b", "x" * 201],
        "cookie-timeout": ["0", "86401"],
        "xforwardedfor-proto": ON_OFF_BAD,
        "xforwardedfor-slbport": ON_OFF_BAD,
        "xforwardedfor-clientsrcport": ON_OFF_BAD,
        "health-check-switch": ON_OFF_BAD,
        "health-check-type": ["udp", "HTTP"],
        "health-check-method": ["HEAD"],
        "health-check-connect-port": ["0", "65536", "web"],
        "health-check-timeout": ["0", "301"],
    },
    NLB: SHARED_BAD
    | {
        "zone-maps": ["cn-hangzhou-a", ":vsw-1", "cn-hangzhou-a:vsw-1,cn-hangzhou-a:vsw-2", "a:b:c:d:e"],
        "ipv6-address-type": ["public"],
        "security-group-ids": ["sg a"],
        "bandwidth-package-id": ["cbwp a"],
        "cross-zone-enabled": ["true"],
        "protocol-port": ["http:80", "tcpssl", "tcp:80,udp:80"],
        "listener-port-range": ["80:80", "400-80:80", "0-1:80", "1-2:80,3-4:80"],
        "cert-id": ["a b"],
        "additional-cert-ids": ["a b"],
        "cacert": ["true"],
        "cacert-id": ["a b"],
        "alpn": ["true"],
        "alpn-policy": ["http1only"],
        "ppv2-pvl-ep-id-enabled": ["true"],
        "ppv2-pvl-eps-id-enabled": ["true"],
        "ppv2-pvl-vpc-id-enabled": ["true"],
        "cps": ["-1", "1000001"],
        "preserve-client-ip": ["true"],
        "server-group-type": ["instance", "Pod"],
    },
}


def cases(texts):
    return [(kind, suffix, text) for kind in TABLES for suffix, items in texts[kind].items() for text in items]


def rows(accept):
    found = [(kind, row) for kind, table in TABLES.items() for row in table.values() if accept(row)]
    return [pytest.param(row, id=f"{kind}-{row.suffix}") for kind, row in found]


@pytest.mark.parametrize("kind", TABLES)
def test_the_cases_cover_the_tables(kind):
    read_rows = {suffix for suffix, row in TABLES[kind].items() if row.level is not Level.SELECTION}
    assert GOOD[kind].keys() == BAD[kind].keys() == read_rows


@pytest.mark.parametrize(("kind", "suffix", "text"), cases(GOOD))
def test_a_right_value_is_taken(kind, suffix, text):
    row = TABLES[kind][suffix]
    parsed = parse(row, row.keys[0], text)
    assert parsed.value is not None
    assert not parsed.problems


@pytest.mark.parametrize(("kind", "suffix", "text"), cases(BAD))
def test_a_wrong_value_is_refused_by_name_and_value(kind, suffix, text):
    row = TABLES[kind][suffix]
    problem, *_ = parse(row, row.keys[0], text).problems
    assert row.keys[0] in problem
    assert text.strip().rsplit(",", maxsplit=1)[-1] in problem


TARGETS = {
    Level.LISTENER: ListenerSpec,
    Level.LOAD_BALANCER: ServiceLoadBalancerSpec,
    Level.SERVER_GROUP: ServerGroupSpec,
    Level.HEALTH_CHECK: HealthCheckConfig,
}
NEEDED = {
    ListenerSpec: {"load_balancer_id": "lb", "listener_port": 80, "listener_protocol": "tcp"},
    ServerGroupSpec: {"load_balancer_id": "lb", "v_server_group_name": "g"},
}


@pytest.mark.parametrize("row", rows(lambda row: row.field))
def test_every_field_is_one_of_the_target(row):
    assert row.field in TARGETS[row.level].model_fields


@pytest.mark.parametrize("row", rows(lambda row: row.field and row.limits))
def test_ranges_are_those_of_the_schema(row: Annotation):
    target = TARGETS[row.level]

    def taken(value):
        return getattr(target.model_validate({**NEEDED.get(target, {}), row.field: value}), row.field)

    low, high = row.limits
    assert (taken(low), taken(high)) == (low, high)
    # One field serves both kinds, with NLB's wider range.
    for value in (low - 1, high + 1) if row.suffix != "idle-timeout" else (0, 901):
        with pytest.raises(ValidationError):
            taken(value)


@pytest.mark.parametrize("row", rows(lambda row: row.field and row.choices and row.suffix != "protocol-port"))
def test_choices_are_those_of_the_schema(row: Annotation):
    target = TARGETS[row.level]
    for word in row.choices:
        parsed = parse(row, row.keys[0], word).value
        fitting = [parsed] if target is HealthCheckConfig and row.format is Format.CHOICES else parsed
        target.model_validate({**NEEDED.get(target, {}), row.field: fitting})


@pytest.mark.parametrize("row", rows(lambda _: True))
def test_every_row_says_what_it_means_and_allows(row: Annotation):
    assert row.meaning.endswith(".")
    assert row.allowed
    assert (row.immutable_error is not None) == (row.mutability is Mutability.IMMUTABLE)
    assert (row.limits is not None) == (row.format in (Format.INTEGER, Format.WEIGHT))
    assert row.felt or row.field or row.note or row.level is Level.SELECTION


def test_upstreams_words():
    def problem(suffix, text):
        return parse(TABLES[CLB][suffix], PREFIX + suffix, text).problems[0]

    key = PREFIX + "healthy-threshold"
    assert problem("healthy-threshold", "x").startswith(f"Annotation {key} must be integer, but got [x]")
    assert "weight must be integer in range [0,100] , got [x]" in problem("weight", "x")
    assert "parse backend label: x, [k1=v1,k2=v2]" in problem("backend-label", "x")
    assert "must be like 'vsp-xxx:443' with colon separated" in problem("vgroup-port", "x")


def test_of_a_list_the_right_entries_count():
    wishes = read({PREFIX + "protocol-port": "gopher:70,http:80"})
    assert wishes.by_port("protocol-port") == {80: "http"}
    assert "[gopher:70]" in wishes.problems[0]


def test_the_newer_prefix_wins_by_its_presence():
    both = {PREFIX + "scheduler": "", LEGACY_PREFIX + "scheduler": "wlc"}
    assert read(both).text("scheduler") is None
    assert read({LEGACY_PREFIX + "scheduler": "wlc"}).text("scheduler") == "wlc"
    assert value_of("scheduler", both) is None


def test_a_wrong_value_is_told_by_the_key_that_the_user_wrote():
    (problem,) = read({LEGACY_PREFIX + "scheduler": "x"}).problems
    assert LEGACY_PREFIX + "scheduler" in problem


def test_a_dangerous_default_is_blocked():
    assert read({PREFIX + "address-type": "privat"}).blocked == {"address-type"}
    assert read({PREFIX + "scheduler": "x"}).blocked == set()


def test_unknown_keys_are_told_by_the_kind():
    keys = {PREFIX + "zone-maps": "a:b", LEGACY_PREFIX + "hostname": "a", "other": "x", PREFIX + "bandwith": "1"}
    assert read(keys, CLB).unknown == (PREFIX + "bandwith", PREFIX + "zone-maps")
    assert read(keys, NLB).unknown == (PREFIX + "bandwith", LEGACY_PREFIX + "hostname")


def test_what_selects_the_controller_is_not_unknown():
    assert not read({TYPE: "nlb", TUNNEL_TYPE: "x"}, CLB).unknown
    assert read({TYPE: "nlb", TUNNEL_TYPE: "x"}, NLB).unknown == (TUNNEL_TYPE,)


def test_a_list_without_a_right_entry_takes_nothing_away():
    assert "domain-extensions" not in read({PREFIX + "domain-extensions": "a.com"})


@pytest.mark.parametrize(
    ("kind", "suffix", "expected"),
    [
        (CLB, "domain-extensions", []),
        (NLB, "additional-cert-ids", []),
        (NLB, "security-group-ids", []),
        (NLB, "bandwidth-package-id", ""),
    ],
)
def test_an_empty_value_says_none_where_presence_counts(kind, suffix, expected):
    assert read({PREFIX + suffix: " "}, kind).values == {suffix: expected}
    assert read({PREFIX + "cert-id": ""}, kind).values == {}


def test_tags_take_the_last_of_a_key():
    wishes = read({PREFIX + "additional-resource-tags": "a=1,b,a=2"})
    assert wishes.values["additional-resource-tags"] == [{"key": "a", "value": "2"}, {"key": "b", "value": ""}]


def test_words_in_any_case_mean_the_apis_own():
    assert read({PREFIX + "address-type": "Intranet"}, NLB).text("address-type") == "intranet"
    assert read({PREFIX + "protocol-port": "TCPSSL:443"}, NLB).by_port("protocol-port") == {443: "tcpssl"}


def test_listener_fields_follow_the_protocol():
    wishes = read(
        {
            PREFIX + "health-check-switch": "off",
            PREFIX + "health-check-flag": "on",
            PREFIX + "health-check-timeout": "7",
            PREFIX + "health-check-connect-timeout": "8",
            PREFIX + "protocol-port": "http:80",
        }
    )
    tcp, http = (wishes.fields(Level.LISTENER, protocol) for protocol in (Protocol.TCP, Protocol.HTTP))
    assert tcp == {"health_check_switch": "off", "health_check_connect_timeout": 8}
    assert http == {"health_check": "on", "health_check_timeout": 7}
