"""Which Kubernetes versions ACK offers to whom. Expected values: `tests/fixtures/version_rules.yaml`."""

from pathlib import Path

import pytest
import yaml

from ackbox.catalog.data import read_yaml
from ackbox.catalog.removed_apis import removed_apis, removed_between
from ackbox.catalog.versions import Expiry, KubernetesVersion, offer, offer_of, resolve, wanted
from ackbox.runtime.tools import kubernetes

RULES = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "version_rules.yaml").read_text())


def offered(released, policy="current"):
    """The offer of a policy of the catalog when these versions are released; a bare minor stands for its first patch."""
    full = [name if name.count(".") == 2 else f"{name}.1" for name in released]
    rows = [{"version": f"{name}-aliyun.1", "gitVersion": f"v{name}"} for name in full]
    return offer_of({**read_yaml("versions.yaml"), "policy": policy, "versions": rows})


def running(table, name):
    return next(
        version for version in table.versions if version.name.startswith(f"{name}.") or f"{name}-" in version.name
    )


@pytest.mark.parametrize("case", RULES["even_minors"], ids=lambda case: case["rule"])
def test_even_minors_come_and_go_as_the_product_introduction_says(case):
    table = offered(case["released"], "even-minors")
    if "minors" in case:
        assert list(table.minors) == case["minors"]
    if "creatable" in case:
        assert [version.minor for version in table.creatable] == case["creatable"]
    for minor in case.get("supported", []):
        assert table.expiry(running(table, minor)) is None
    for minor in case.get("expired", []):
        assert table.expiry(running(table, minor)) is Expiry.MINOR
    for minor, targets in case.get("upgrades", {}).items():
        assert [version.minor for version in table.targets(running(table, minor))] == targets


@pytest.mark.parametrize("policy", ["current", "even-minors"])
@pytest.mark.parametrize("case", RULES["patches"], ids=lambda case: case["rule"])
def test_patches_are_free_and_make_older_ones_expire(case, policy):
    table = offered(case["released"], policy)
    assert [version.name for version in table.creatable] == [f"{name}-aliyun.1" for name in case["creatable"]]
    for name in case["expired"]:
        assert table.expiry(running(table, name)) is Expiry.PATCH
    for name, targets in case["upgrades"].items():
        found = [version.git_version.removeprefix("v") for version in table.targets(running(table, name))]
        assert found == targets


def test_the_policy_in_force_offers_two_minors_and_supports_three():
    table = offer()
    assert [version.minor for version in table.creatable] == ["1.36", "1.35"]
    assert {version.minor: table.expiry(version) for version in table.versions} == dict.fromkeys(table.minors)
    assert table.upgrades["1.34.4-aliyun.1"] == ("1.35", "1.35.4", "1.35.4-aliyun.1")
    assert "1.34" not in table.accepted


def test_another_minor_moves_time_on():
    later = offered(["1.37", "1.36.3", "1.35.4", "1.34.4"])
    assert [version.minor for version in later.creatable] == ["1.37", "1.36"]
    assert later.expiry(running(later, "1.34")) is Expiry.MINOR
    assert "1.34.4-aliyun.1" not in later.upgrades


def test_a_version_that_is_no_longer_offered_at_all_has_expired():
    table = offered(["1.36", "1.35", "1.34"])
    old = table.parse("v1.20.4-aliyun.1")
    assert (old.name, old.git_version, old.minor) == ("1.20.4-aliyun.1", "v1.20.4", "1.20")
    assert table.expiry(old) is Expiry.MINOR
    assert table.targets(old) == ()


def test_an_odd_minor_goes_on_to_the_next_even_one():
    table = offered(["1.36", "1.35", "1.34"], "even-minors")
    assert [version.minor for version in table.targets(table.parse("1.35.1-aliyun.1"))] == ["1.36"]


@pytest.mark.parametrize("spelling", ["1.36", "1.36.3", "1.36.3-aliyun.1", None])
def test_a_version_has_several_spellings_and_the_newest_is_the_default(spelling):
    assert resolve(spelling) == KubernetesVersion("1.36.3-aliyun.1", "v1.36.3")


@pytest.mark.parametrize("spelling", ["", "1.3", "1.36.30", "v1.36.3", "1.36.3-aliyun.2"])
def test_an_unknown_version_is_unknown(spelling):
    assert resolve(spelling) is None
    assert spelling not in offer().accepted


@pytest.mark.parametrize(
    ("spelling", "current", "expected"),
    [
        (None, None, "1.36.3-aliyun.1"),
        ("1.35", None, "1.35.4-aliyun.1"),
        ("1.2", None, None),
        (None, "1.34.4-aliyun.1", "1.34.4-aliyun.1"),
        ("1.35", "1.34.4-aliyun.1", "1.35.4-aliyun.1"),
        ("1.35", "1.36.3-aliyun.1", "1.36.3-aliyun.1"),
        ("1.35", "1.35.2-aliyun.1", "1.35.2-aliyun.1"),
        ("1.35.4", "1.35.2-aliyun.1", "1.35.4-aliyun.1"),
        ("1.12", "1.12.1-aliyun.1", "1.12.1-aliyun.1"),
    ],
)
def test_a_cluster_is_upgraded_only_when_a_newer_version_is_asked_for(spelling, current, expected):
    version = wanted(spelling, current)
    assert (version.name if version else None) == expected


def test_ackbox_has_the_programs_of_every_version_that_it_offers():
    assert {version.git_version for version in offer().versions} == {
        kubernetes(version.minor).version for version in offer().versions
    }


def test_what_is_no_version_is_refused():
    with pytest.raises(ValueError, match="emulated is not a Kubernetes version"):
        offer().parse("emulated")


def test_removed_apis_lie_between_two_versions():
    old, new = KubernetesVersion("1.36.3-aliyun.1", "v1.36.3"), KubernetesVersion("1.37.0-aliyun.1", "v1.37.0")
    assert {row.api_version for row in removed_between(old, new)} == {
        "certificates.k8s.io/v1alpha1",
        "networking.k8s.io/v1beta1",
        "storage.k8s.io/v1beta1",
    }
    assert removed_between(new, new) == ()
    assert all(row.kinds and "/" in row.api_version for row in removed_apis())
