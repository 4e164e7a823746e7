import pytest

from ackbox.ccm.services.names import OwnedName, Owner, default_load_balancer_name, group_object_name, parse_name

OWNER = Owner("c1", "shop", "web")


def test_the_default_name_is_a_and_the_uid():
    assert default_load_balancer_name("5e4dbfc9-c2ae-4642-b033-5607860aef6a") == "a5e4dbfc9c2ae4642b0335607860aef6"


def test_a_name_says_whose_it_is():
    name = OwnedName("80", OWNER)
    assert str(name) == "k8s/80/web/shop/c1"
    assert parse_name(str(name)) == name


@pytest.mark.parametrize(
    "text", [None, "", "my listener", "k8s/80/web/shop", "k8s/80/web/shop/c1/x", "k9s/80/a/b/c", "k8s//a/b/c"]
)
def test_other_names_are_the_users(text):
    assert parse_name(text) is None


def test_group_objects_are_told_apart_by_load_balancer_and_group():
    name = OwnedName("30080", OWNER)
    assert group_object_name("lb", name) == group_object_name("lb", name)
    assert len({group_object_name("lb", name), group_object_name("lc", name)}) == 2
    assert len({group_object_name("lb", name), group_object_name("lb", OwnedName("30081", OWNER))}) == 2
