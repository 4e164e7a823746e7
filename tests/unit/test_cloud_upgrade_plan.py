"""To which version a cluster goes, by which steps, and what is said of versions."""

from datetime import UTC, datetime

import pytest

from ackbox.catalog.versions import KubernetesVersion, Minors, VersionOffer, VersionPolicy
from ackbox.cloud.clusters.upgrade_plan import auto_upgrade_aspect, expiry_aspect, goal, step
from ackbox.resources import ManagedCluster
from ackbox.resources.managedcluster import ControlPlaneMember

NOW = datetime(2026, 11, 18, 19, 30, tzinfo=UTC)
"""Half an hour after a window begins."""

WINDOW = {"enable": True, "maintenanceTime": "2026-11-19T03:00:00+08:00"}
NAMES = ("1.36.3", "1.36.1", "1.35.4", "1.34.4", "1.34.2", "1.33.1")


def version(name):
    return KubernetesVersion(f"{name}-aliyun.1", f"v{name}")


OFFER = VersionOffer(VersionPolicy(Minors.ALL, 2, 3), tuple(map(version, NAMES)), 3)


def cluster(current="1.34.4", upgrade=None, **spec):
    status = {"currentVersion": f"{current}-aliyun.1", "upgrade": upgrade}
    spec = {"regionId": "cn-hangzhou", "vpcId": "v", **spec}
    return ManagedCluster.model_validate({"metadata": {"name": "c", "uid": "u"}, "spec": spec, "status": status})


def automatic(channel="stable", window=WINDOW, edition="ack.pro.small"):
    policy = {"clusterAutoUpgrade": {"enabled": True, "channel": channel}}
    return {"operationPolicy": policy, "maintenanceWindow": window, "clusterSpec": edition}


def goal_of(current="1.34.4", now=NOW, **changes):
    return goal(cluster(current, **changes), OFFER, version(current), now).name.removesuffix("-aliyun.1")


def test_nothing_is_upgraded_that_nobody_asked_for():
    assert goal_of() == "1.34.4"
    assert goal_of(kubernetesVersion="1.34") == "1.34.4"


def test_what_is_asked_for_is_the_goal_at_any_time():
    assert goal_of(kubernetesVersion="1.35") == "1.35.4"
    assert goal_of("1.34.2", kubernetesVersion="1.34.4") == "1.34.4"


def test_what_is_older_is_never_gone_back_to():
    assert goal_of("1.35.4", kubernetesVersion="1.34") == "1.35.4"


def test_an_upgrade_that_has_begun_goes_on_whatever_is_asked_for_then():
    begun = {"nextVersion": "1.35.4-aliyun.1", "status": "running", "upgradeStep": "upgrading"}
    assert goal_of(upgrade=begun, kubernetesVersion="1.34") == "1.35.4"
    assert goal_of(upgrade=begun, now=datetime(2026, 11, 20, tzinfo=UTC), **automatic()) == "1.35.4"
    assert goal_of(upgrade={**begun, "status": "fail"}) == "1.34.4"


@pytest.mark.parametrize(
    ("channel", "current", "expected"),
    [
        ("patch", "1.34.2", "1.34.4"),
        ("patch", "1.34.4", "1.34.4"),
        ("stable", "1.34.4", "1.35.4"),
        ("stable", "1.35.4", "1.35.4"),
        ("stable", "1.36.1", "1.36.3"),
        ("rapid", "1.35.4", "1.36.3"),
        ("rapid", "1.34.4", "1.35.4"),
        ("rapid", "1.33.1", "1.33.1"),
    ],
)
def test_a_channel_brings_one_neighbour_after_the_other_in_the_window(channel, current, expected):
    assert goal_of(current, **automatic(channel)) == expected


def test_outside_the_window_nothing_comes_by_itself():
    assert goal_of(now=datetime(2026, 11, 20, tzinfo=UTC), **automatic()) == "1.34.4"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (automatic(window={"enable": False}), "NoMaintenanceWindow"),
        (automatic(edition="ack.standard"), "NotPro"),
        (automatic(window={"enable": True}), "InvalidMaintenanceWindow"),
    ],
)
def test_automatic_upgrades_without_effect_say_why(settings, reason):
    assert goal_of(**settings) == "1.34.4"
    aspect = auto_upgrade_aspect(cluster(**settings), OFFER, version("1.34.4"), NOW)
    assert (aspect.status, aspect.reason, aspect.warn) == ("False", reason, True)


def test_automatic_upgrades_say_what_comes_when():
    later = datetime(2026, 11, 20, tzinfo=UTC)
    told = auto_upgrade_aspect(cluster(**automatic()), OFFER, version("1.34.4"), later)
    assert told.message == "1.35.4-aliyun.1 comes in the window that begins at 2026-11-25T19:00:00Z"
    assert auto_upgrade_aspect(cluster(**automatic()), OFFER, version("1.35.4"), later).reason == "UpToDate"
    assert auto_upgrade_aspect(cluster(), OFFER, version("1.35.4"), later).status is None


def test_an_expired_minor_has_no_way_on_and_an_expired_patch_has():
    old = expiry_aspect(OFFER, version("1.33.1"))
    assert (old.status, old.reason, old.warn) == ("True", "MinorExpired", True)
    assert "1.36, 1.35, 1.34" in old.message
    assert "no upgrade" in old.message
    patch = expiry_aspect(OFFER, version("1.34.2"))
    assert (patch.reason, patch.warn) == ("PatchExpired", True)
    assert "upgrade to 1.34.4-aliyun.1" in patch.message
    assert expiry_aspect(OFFER, version("1.34.4")).status is None


def member(name, at="old"):
    return ControlPlaneMember(name=name, address="127.1.1.1", version=at)


def upgraded(members, surge):
    """Every list of members on the way to the version `new`, each as `name@version`."""
    count, lists = len(members), []
    while True:
        now = step(members, "new", surge, count, {each.name for each in members})
        assert now.waits_for is None
        if now.done:
            return lists
        members = list(now.members) + ([member(now.new, "new")] if now.new else [])
        lists.append([f"{each.name}@{each.version}" for each in members])


def test_a_standard_cluster_is_upgraded_where_it_is():
    assert upgraded([member("apiserver1")], surge=False) == [["apiserver1@new"]]


def test_masters_are_upgraded_one_at_a_time():
    members = [member(f"master{number}") for number in (1, 2, 3)]
    assert upgraded(members, surge=False) == [
        ["master1@new", "master2@old", "master3@old"],
        ["master1@new", "master2@new", "master3@old"],
        ["master1@new", "master2@new", "master3@new"],
    ]


def test_a_pro_cluster_has_a_new_api_server_before_an_old_one_goes():
    assert upgraded([member("apiserver9")], surge=True) == [["apiserver9@old", "apiserver10@new"], ["apiserver10@new"]]
    assert upgraded([member("apiserver1"), member("apiserver2")], surge=True) == [
        ["apiserver1@old", "apiserver2@old", "apiserver3@new"],
        ["apiserver2@old", "apiserver3@new"],
        ["apiserver2@old", "apiserver3@new", "apiserver4@new"],
        ["apiserver3@new", "apiserver4@new"],
    ]


@pytest.mark.parametrize("surge", [False, True])
def test_nothing_is_replaced_while_an_api_server_does_not_serve(surge):
    members = [member("apiserver1"), member("apiserver2", "new")]
    now = step(members, "new", surge, 1, {"apiserver1"})
    assert now.waits_for == "apiserver2 to serve"
    assert not now.members
