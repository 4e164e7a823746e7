"""A home that goes down: it comes up again as it was, and a snapshot of it becomes another home beside it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ackbox.runtime.home import load
from ackbox.runtime.management import OWN_PROCESSES
from e2e.stack import CORE, Api, Stack, eventually, http
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


def test_a_home_and_the_copy_that_a_snapshot_of_it_becomes_come_up_side_by_side(stack, tmp_path_factory):
    file = tmp_path_factory.mktemp("files") / "prepared.tar.gz"
    with homes(tmp_path_factory, "first", "copy") as (first, copy):
        first.up()
        workload = small_cluster(first, "default")
        with_service(workload)
        address = eventually(lambda: reachable(first, "default"), "the Service answers")
        before = picture(first, workload)
        first.ackbox("down")
        with pytest.raises(OSError, match=r"refused"):
            http(address)
        assert stack.api.items(f"{CORE}/namespaces"), "the home of the other tests goes on"
        first.ackbox("snapshot", "save", str(file))
        copy.ackbox("snapshot", "restore", str(file))
        # An API server judges by its policies half a minute after its start; so both start at once.
        with ThreadPoolExecutor() as both:
            list(both.map(Stack.up, (first, copy)))
        eventually(lambda: reachable(first, "default") == address, "the same address answers again")
        eventually(lambda: picture(first, workload) == before, "the same objects as before")
        has_addresses_of_its_own(copy, first, address, before)
        pids = [status.pid for status in first.statuses()]
        first.up()
        assert picture(first, workload) == before
        assert [status.pid for status in first.statuses()] == pids, "nothing was started anew"
    assert not first.home.exists()


@contextmanager
def homes(tmp_path_factory: pytest.TempPathFactory, *names: str) -> Iterator[tuple[Stack, ...]]:
    """Homes that are cleaned afterwards; nothing is in them yet."""
    stacks = tuple(Stack(tmp_path_factory.mktemp(name) / "home") for name in names)
    try:
        yield stacks
    finally:
        with ThreadPoolExecutor() as every:
            list(every.map(lambda each: each.ackbox("clean", check=False), stacks))


def has_addresses_of_its_own(copy: Stack, first: Stack, address: str, before: dict[str, object]) -> None:
    own, other = (str(load(each.home).loopback).removesuffix("0.0/16") for each in (copy, first))
    assert own != other
    here = eventually(lambda: reachable(copy, "default"), "the Service of the copy answers")
    assert here == address.replace(other, own)
    assert http(address), "as it does in the first home"
    # The first one takes the same keys: whoever came to it from the copy could change what is there.
    workload = copy.workload("one")
    assert f"https://{own}" in workload.kubeconfig.read_text(), "the kubeconfig leads to the copy from the start"
    for process in OWN_PROCESSES:
        assert other not in (copy.home / "logs" / f"{process}.log").read_text(), "nor has a process come to the first"
    eventually(lambda: picture(copy, workload) == before, "the same objects as in the first home")
    management = copy.api
    eventually(lambda: f"/{other}" not in addresses(management) + addresses(workload), "no address of the other")
    pod = workload.items(f"{CORE}/namespaces/default/pods")[0]["metadata"]["name"]
    eventually(lambda: "emulated by ackbox" in workload.kubectl("logs", pod), "the kubelets answer there, too")


def picture(stack: Stack, workload: Api) -> dict[str, object]:
    """Who is there, by identity: nothing doubled, nothing lost."""
    found: dict[str, object] = {
        plural: sorted((o["metadata"]["name"], o["metadata"]["uid"]) for o in stack.api.objects(plural))
        for plural in ACKBOX_KINDS
    }
    found["nodes"] = sorted((n["metadata"]["name"], n["metadata"]["uid"]) for n in workload.nodes())
    return found


def addresses(api: Api) -> str:
    """All text in which an address may stand, each with `/` before it."""
    kinds = (
        "managedclusters,slb,lsn,sg,cm" if "ackbox.dev" in api.kubectl("api-versions") else "svc,endpointslices,nodes"
    )
    return api.kubectl("get", kinds, "-A", "-o", "json").replace('"', "/").replace(" ", "/").replace("//", "/")
