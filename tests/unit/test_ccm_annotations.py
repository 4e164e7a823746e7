"""The annotation table: every row with values it takes and values it refuses."""

import pytest
from pydantic import ValidationError

from ackbox.catalog.annotations import (
    BACKEND_TYPE,
    BY_SUFFIX,
    LEGACY_PREFIX,
    PREFIX,
    TABLE,
    Format,
    Level,
    Mutability,
)
from ackbox.ccm.services.annotations import read, value_of
from ackbox.ccm.services.values import parse
from ackbox.resources.listener import ListenerSpec, Protocol
from ackbox.resources.loadbalancer import ServiceLoadBalancerSpec

GOOD = {
    "id": ["lb-bp1abc", "my-slb"],
    "name": ["web", "x" * 80],
    "address-type": ["internet", "intranet"],
    "force-override-listeners": ["true", "false"],
    "hostname": ["www.example.com", "a"],
    "protocol-port": ["http:80", "http:80,tcp:443,udp:53"],
    "scheduler": ["rr", "wrr", "wlc", "sch"],
    "vgroup-port": ["rsp-a:80", "rsp-a:80,rsp-b:443"],
    "health-check-switch": ["on", "off"],
    "health-check-flag": ["on", "off"],
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
    "health-check-timeout": ["1", "300"],
    "backend-label": ["a=b", "a=b,c=d", "a="],
    "remove-unscheduled-backend": ["on", "off"],
    "weight": ["0", "100"],
    "default-weight": ["0", "100"],
    BACKEND_TYPE: ["ecs", "eni"],
}

BAD = {
    "id": ["lb bp1", "-x"],
    "name": ["x" * 81],
    "address-type": ["Internet", "public"],
    "force-override-listeners": ["on", "True"],
    "hostname": ["-x.example.com", "a b", "x" * 254],
    "protocol-port": ["https:443", "http", "http:0", "http:99999", "80:http", "http:80,tcp:80"],
    "scheduler": ["fastest", "RR"],
    "vgroup-port": ["rsp-a", "rsp-a:", ":80", "rsp-a:80,rsp-b:80"],
    "health-check-switch": ["true"],
    "health-check-flag": ["1"],
    "health-check-type": ["udp"],
    "health-check-uri": ["index.html", "/" + "x" * 80],
    "health-check-domain": ["a b", "x" * 81],
    "health-check-httpcode": ["200", "http_2xx,ok"],
    "health-check-method": ["post"],
    "health-check-connect-port": ["0", "65536", "web"],
    "healthy-threshold": ["1", "11", "3.5"],
    "unhealthy-threshold": ["1", "11", """ ten"""],
    "health-check-interval": ["0", "51", "5s"],
    "health-check-connect-timeout": ["0", "301"],
    "health-check-timeout": ["0", "301"],
    "backend-label": ["a", "=b", "a=b=c", "a=b,,"],
    "remove-unscheduled-backend": ["yes"],
    "weight": ["-1", "101", "x"],
    "default-weight": ["-1", "101", "1e2"],
    BACKEND_TYPE: ["ENI", "pod"],
}


def test_the_cases_cover_the_table():
    assert GOOD.keys() == BAD.keys() == BY_SUFFIX.keys()


@pytest.mark.parametrize(("suffix", "text"), [(suffix, text) for suffix, texts in GOOD.items() for text in texts])
def test_a_right_value_is_taken(suffix, text):
    row = BY_SUFFIX[suffix]
    parsed = parse(row, row.keys[0], text)
    assert parsed.value is not None
    assert not parsed.problems


@pytest.mark.parametrize(("suffix", "text"), [(suffix, text) for suffix, texts in BAD.items() for text in texts])
def test_a_wrong_value_is_refused_by_name_and_value(suffix, text):
    row = BY_SUFFIX[suffix]
    (problem,) = parse(row, row.keys[0], text).problems
    assert row.keys[0] in problem
    assert text.strip().rsplit(",", maxsplit=1)[-1] in problem


@pytest.mark.parametrize("row", [row for row in TABLE if row.field], ids=lambda row: row.suffix)
def test_every_field_is_one_of_the_target(row):
    target = ListenerSpec if row.level is Level.LISTENER else ServiceLoadBalancerSpec
    assert row.field in target.model_fields


@pytest.mark.parametrize(
    "row", [r for r in TABLE if r.level is Level.LISTENER and r.limits], ids=lambda row: row.suffix
)
def test_ranges_are_those_of_the_schema(row):
    def spec(value):
        fields = {"load_balancer_id": "lb", "listener_port": 80, "listener_protocol": "tcp", row.field: value}
        return ListenerSpec.model_validate(fields)

    low, high = row.limits
    assert (getattr(spec(low), row.field), getattr(spec(high), row.field)) == (low, high)
    for value in (low - 1, high + 1):
        with pytest.raises(ValidationError):
            spec(value)


def test_every_row_says_what_it_means_and_allows():
    for row in TABLE:
        assert row.meaning.endswith(".")
        assert row.allowed
        assert (row.immutable_error is not None) == (row.mutability is Mutability.IMMUTABLE)
        assert (row.limits is not None) == (row.format in (Format.INTEGER, Format.WEIGHT))


def test_upstreams_words():
    def problem(suffix, text):
        return parse(BY_SUFFIX[suffix], PREFIX + suffix, text).problems[0]

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


def test_unknown_keys_are_told():
    wishes = read({PREFIX + "bandwidth": "20", LEGACY_PREFIX + "spec": "s", "other": "x", PREFIX + "id": "lb-1"})
    assert wishes.unknown == (PREFIX + "bandwidth", LEGACY_PREFIX + "spec")


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
    assert wishes.listener_fields(Protocol.TCP) == {"health_check_switch": "off", "health_check_connect_timeout": 8}
    assert wishes.listener_fields(Protocol.HTTP) == {"health_check": "on", "health_check_timeout": 7}
