import pytest
from hypothesis import given
from hypothesis import strategies as st

from ackbox.ccm.services.names import (
    OwnedName,
    Owner,
    default_load_balancer_name,
    finalizer,
    group_object_name,
    parse_name,
)
from ackbox.resources.loadbalancer import LoadBalancerType

OWNER = Owner("c1", "shop", "web")

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9\-]{0,10}[a-z0-9])?", fullmatch=True)


def test_the_default_name_is_a_and_the_uid():
    assert default_load_balancer_name("5e4dbfc9-c2ae-4642-b033-5607860aef6a") == "a5e4dbfc9c2ae4642b0335607860aef6"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (OwnedName("80", OWNER), "k8s/80/web/shop/c1"),
        (OwnedName("443", OWNER, "TCPSSL"), "k8s.443.TCPSSL.web.shop.c1"),
        (OwnedName("80_400", OWNER, "UDP"), "k8s.80_400.UDP.web.shop.c1"),
    ],
)
def test_a_name_says_whose_it_is(name, text):
    assert str(name) == text
    assert parse_name(text) == name


@given(LABEL, LABEL, LABEL, LABEL, st.sampled_from([None, "TCP", "UDP", "TCPSSL"]))
def test_every_name_is_read_back(port, service, namespace, cluster, protocol):
    name = OwnedName(port, Owner(cluster, namespace, service), protocol)
    assert parse_name(str(name)) == name


@given(st.text())
def test_whatever_is_read_as_a_name_is_written_the_same(text):
    name = parse_name(text)
    assert name is None or str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "my listener",
        "k8s/80/web/shop",
        "k8s/80/web/shop/c1/x",
        "k9s/80/a/b/c",
        "k8s//a/b/c",
        "k8s.80.TCP.web.shop",
        "k8s.80.TCP.web.shop.c1.x",
        "k8s.80.HTTP.web.shop.c1",
        "k8s.80.tcp.web.shop.c1",
        "k9s.80.TCP.web.shop.c1",
        "k8s.80.TCP..shop.c1",
    ],
)
def test_other_names_are_the_users(text):
    assert parse_name(text) is None


def test_group_objects_are_told_apart_by_load_balancer_and_group():
    name = OwnedName("30080", OWNER)
    assert group_object_name("lb", name) == group_object_name("lb", name)
    assert len({group_object_name("lb", name), group_object_name("lc", name)}) == 2
    others = [name, OwnedName("30081", OWNER), OwnedName("30080", OWNER, "TCP"), OwnedName("30080", OWNER, "UDP")]
    assert len({group_object_name("lb", other) for other in others}) == len(others)
    assert len({group_object_name("lb", name, kind) for kind in ("", "Ip")}) == 2


def test_each_kind_of_load_balancer_has_its_own_finalizer():
    assert finalizer(LoadBalancerType.CLB) == "service.k8s.alibaba/resources"
    assert finalizer(LoadBalancerType.NLB) == "service.k8s.alibaba/nlb"
