"""A home that goes down: it comes up again as it was, and a snapshot of it becomes another home beside it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ackbox.runtime.home import load
from e2e.stack import CORE, Stack, eventually, http
from e2e.test_stack_lifecycle import reachable, small_cluster, with_service

pytestmark = pytest.mark.e2e

ACKBOX_KINDS = (
    "managedclusters",
    "nodepools",
    "instances",
    "serviceloadbalancers",
    "listeners",
    "servergroups",
    "vpcs",
)


@dataclass(frozen=True)
class Prepared:
    """A home with a cluster and a Service in it, which is down.

    Attributes:
        address: where the Service answered.
        picture: who was there.
    """

    stack: Stack
    address: str
    picture: dict[str, object]


@pytest.fixture(scope="module")
def prepared(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    assert stack.home.exists(), "the first home is there before the second one"
    other = Stack(tmp_path_factory.mktemp("other"))
    try:
        other.up()
        with_service(small_cluster(other, "default"))
        address = eventually(lambda: reachable(other, "default"), "the Service of the other home answers")
        before = picture(other)
        other.ackbox("down")
        yield Prepared(other, address, before)
    finally:
        other.ackbox("clean", check=False)
    assert not other.home.exists()


def test_a_snapshot_becomes_a_home_with_addresses_of_its_own(prepared, tmp_path_factory):
    file = tmp_path_factory.mktemp("files") / "prepared.tar.gz"
    prepared.stack.ackbox("snapshot", "save", str(file))
    copy = Stack(tmp_path_factory.mktemp("elsewhere") / "home")
    try:
        copy.ackbox("snapshot", "restore", str(file))
        copy.up()
        own, other = (str(load(each.home).loopback).removesuffix("0.0/16") for each in (copy, prepared.stack))
        assert own != other
        address = eventually(lambda: reached_in(own, copy), "the Service answers in the range of the copy")
        assert address == prepared.address.replace(other, own)
        eventually(lambda: picture(copy) == prepared.picture, "the same objects as in the first home")
        management, workload = copy.api, copy.workload("one")
        eventually(lambda: f"/{other}" not in addresses(management) + addresses(workload), "no address of the other")
        pod = workload.items(f"{CORE}/namespaces/default/pods")[0]["metadata"]["name"]
        eventually(lambda: "emulated by ackbox" in workload.kubectl("logs", pod), "the kubelets answer there, too")
    finally:
        copy.ackbox("clean", check=False)


def test_two_homes_side_by_side_and_one_that_goes_down_and_up(stack, prepared):
    other = prepared.stack
    assert prepared.address.split(".")[1] != str(stack.api._client.url).split(".")[1]
    with pytest.raises(OSError, match=r"refused"):
        http(prepared.address)
    assert stack.api.items(f"{CORE}/namespaces"), "the first home goes on"
    other.up()
    eventually(lambda: reachable(other, "default") == prepared.address, "the same address answers again")
    eventually(lambda: picture(other) == prepared.picture, "the same objects as before")
    pids = [status.pid for status in other.statuses()]
    other.up()
    assert picture(other) == prepared.picture
    assert [status.pid for status in other.statuses()] == pids, "nothing was started anew"


def picture(stack: Stack) -> dict[str, object]:
    """Who is there, by identity: nothing doubled, nothing lost."""
    found: dict[str, object] = {
        plural: sorted((o["metadata"]["name"], o["metadata"]["uid"]) for o in stack.api.objects(plural))
        for plural in ACKBOX_KINDS
    }
    found["nodes"] = sorted((n["metadata"]["name"], n["metadata"]["uid"]) for n in stack.workload("one").nodes())
    return found


def reached_in(own: str, stack: Stack) -> str:
    address = reachable(stack, "default")
    return address if address.startswith(own) else ""


def addresses(api) -> str:
    """All text in which an address may stand, each with `/` before it."""
    kinds = (
        "managedclusters,slb,lsn,sg,cm" if "ackbox.dev" in api.kubectl("api-versions") else "svc,endpointslices,nodes"
    )
    return api.kubectl("get", kinds, "-A", "-o", "json").replace('"', "/").replace(" ", "/").replace("//", "/")
