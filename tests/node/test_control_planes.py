"""Control planes as Pods of a real node: started, changed while they answer, put to sleep, removed."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
import pytest_asyncio

from ackbox.cloud.allocation.addresses_in_cluster import ServiceAddresses
from ackbox.cloud.allocation.exposure import Exposure
from ackbox.controlplane.images import Images, PodOptions
from ackbox.controlplane.incluster import InClusterControlPlane
from ackbox.controlplane.incluster_manifests import STATEFUL_SET, WORKLOADS
from ackbox.controlplane.spec import ApiServerSettings, ControlPlaneSpec, EtcdMember, Member
from ackbox.kube.client import CONFIG_MAP, ENDPOINT_SLICE, NAMESPACE, NODE, POD, SECRET, SERVICE, Client
from ackbox.kube.connection import load_kubeconfig, parse_kubeconfig
from ackbox.kube.errors import ApiError, NotFound
from ackbox.resources import MANAGED_CLUSTER, Kind
from ackbox.resources.base import CLUSTER_LABEL, EMULATED_LABEL, PAUSED_ANNOTATION
from ackbox.runtime.certificates import new_authority, new_private_key
from ackbox.runtime.loopback import AddressUse
from ackbox.runtime.probe import wait_until
from ackbox.runtime.tools import MANAGEMENT_MINOR
from node.harness.images import NAME as ACKBOX_IMAGE
from node.harness.node import Node

DEADLINE = 180.0
SPACE = "control-planes"
ENDING = "deletionTimestamp"
POD_CIDR, SERVICE_CIDR = "10.32.0.0/16", "172.19.0.0/20"
NUMBERS = IPv4Network("127.16.0.0/16")
CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class World:
    """The management cluster and the driver in it."""

    client: Client
    plane: InClusterControlPlane

    async def works(self, spec: ControlPlaneSpec) -> bool:
        return await self.plane.ensure(spec) and await self.plane.ready(spec)

    async def pods(self, spec: ControlPlaneSpec) -> set[str]:
        """The names of its Pods; one that is still ending counts too."""
        return {pod["metadata"]["name"] for pod in await self.of(POD, spec)}

    async def staying(self, spec: ControlPlaneSpec) -> set[str]:
        return {pod["metadata"]["name"] for pod in await self.of(POD, spec) if not pod["metadata"].get(ENDING)}

    async def of(self, kind: Kind, spec: ControlPlaneSpec) -> list[dict[str, Any]]:
        found, _ = await self.client.list(kind, SPACE, label_selector=f"{CLUSTER_LABEL}={spec.name}")
        return found

    async def versions(self, spec: ControlPlaneSpec) -> dict[str, str]:
        kinds = (*WORKLOADS, SECRET, SERVICE)
        found = [obj for kind in kinds for obj in await self.of(kind, spec)]
        return {obj["metadata"]["uid"]: str(obj["metadata"].get("generation")) for obj in found}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(node: Node) -> AsyncIterator[World]:
    await asyncio.to_thread(_images, node)
    async with Client(load_kubeconfig(node.layout.kubeconfig)) as client:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        await client.create(NAMESPACE, {"metadata": {"name": SPACE, "labels": labels}})
        yield World(client, InClusterControlPlane(client, PodOptions(Images(ACKBOX_IMAGE))))
        await _forget_owners(client)
        await client.delete(NAMESPACE, SPACE)


def _images(node: Node) -> None:
    node.import_ackbox()
    node.import_control_planes(MANAGEMENT_MINOR)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def single(world: World) -> ControlPlaneSpec:
    return await spec_of(world, "single", ["apiserver1"], [])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def available(world: World) -> ControlPlaneSpec:
    return await spec_of(world, "available", ["apiserver1", "apiserver2"], ["etcd1", "etcd2", "etcd3"])


async def spec_of(world: World, name: str, members: Sequence[str], etcd: Sequence[str]) -> ControlPlaneSpec:
    """A control plane with Services for its addresses, as the operator reserves them."""
    uid = await _owner(world.client, name)
    cluster = {"metadata": {"name": name, "uid": uid}}
    addresses = ServiceAddresses(world.client, lambda *_: cluster, NUMBERS, Exposure())

    async def reserve(component: str, member: str) -> IPv4Address:
        return IPv4Address(await addresses.reserve(f"{component}/{SPACE}/{name}/{member}", AddressUse.API_SERVER))

    servers = [Member(each, await reserve("apiserver", each), MANAGEMENT_MINOR) for each in members]
    stores = [EtcdMember(each, await reserve("etcd", each)) for each in etcd]
    authority = new_authority(name)
    return ControlPlaneSpec(
        namespace=SPACE,
        name=name,
        cluster_id=f"c{uuid.uuid4().hex}",
        members=tuple(servers),
        etcd=tuple(stores),
        endpoint=f"https://{servers[0].address}:6443",
        kubelet_address=await reserve("kubelet", "kwok"),
        service_cidr=SERVICE_CIDR,
        pod_cidr=POD_CIDR,
        settings=ApiServerSettings(max_requests_inflight=400, max_mutating_requests_inflight=200),
        timezone="Asia/Shanghai",
        ca_cert_pem=authority.certificate,
        ca_key_pem=authority.key,
        sa_key_pem=new_private_key(),
        uid=uid,
    )


async def _owner(client: Client, name: str) -> str:
    """What owns a control plane: a ManagedCluster that no operator looks at, where its kind is known."""
    metadata = {"name": name, "annotations": {PAUSED_ANNOTATION: "true"}}
    spec = {"regionId": "cn-hangzhou", "vpcId": "none", "containerCidr": POD_CIDR, "serviceCidr": SERVICE_CIDR}
    body = {"metadata": metadata, "spec": spec}
    try:
        made = await client.create(MANAGED_CLUSTER, body, SPACE)
    except NotFound:
        return str(uuid.uuid4())
    uid: str = made["metadata"]["uid"]
    return uid


async def _forget_owners(client: Client) -> None:
    for name in ("single", "available"):
        with contextlib.suppress(NotFound):
            await client.delete(MANAGED_CLUSTER, name, SPACE)


async def soon(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    await wait_until(condition, DEADLINE, lambda: f"it did not come to that: {what}")


async def is_running(workload: Client, name: str) -> bool:
    pod = await workload.get(POD, name, "default")
    return bool((pod.get("status") or {}).get("phase") == "Running")


async def test_a_cluster_in_pods_runs_pods_on_emulated_nodes(world: World, single: ControlPlaneSpec) -> None:
    await soon(lambda: world.works(single), "the control plane works")
    async with Client(parse_kubeconfig(world.plane.admin_kubeconfig(single))) as workload:
        node = {"metadata": {"name": "n1", "labels": {EMULATED_LABEL: "true"}}}
        await workload.create(NODE, node)
        spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "any"}]}
        await workload.create(POD, {"metadata": {"name": "p"}, "spec": spec}, "default")
        await soon(lambda: is_running(workload, "p"), "the pod runs")
        # Pods with real containers come to their API server by its Service.
        (found,), _ = await workload.list(ENDPOINT_SLICE, "default")
        assert found["endpoints"][0]["addresses"] == [str(single.members[0].address)]


async def test_a_second_look_changes_nothing(world: World, single: ControlPlaneSpec) -> None:
    await soon(lambda: world.works(single), "the control plane works")
    before = await world.versions(single)
    assert await world.works(single)
    # Another operator takes over, which remembers nothing.
    after = World(world.client, InClusterControlPlane(world.client, PodOptions(Images(ACKBOX_IMAGE))))
    assert await after.works(single)
    assert await world.versions(single) == before
    assert after.plane.admin_kubeconfig(single) == world.plane.admin_kubeconfig(single)


async def test_it_sleeps_without_pods_and_wakes_with_its_data(world: World, single: ControlPlaneSpec) -> None:
    await soon(lambda: world.works(single), "the control plane works")
    async with Client(await world.plane.own_connection(single)) as workload:
        await workload.create(CONFIG_MAP, {"metadata": {"name": "kept"}}, "default")
    await world.plane.stop(single.cluster_id)
    await world.plane.stop(single.cluster_id)

    async def asleep() -> bool:
        return not await world.pods(single)

    await soon(asleep, "no Pod is left")
    await soon(lambda: world.works(single), "it is awake")
    async with Client(await world.plane.own_connection(single)) as workload:
        await workload.get(CONFIG_MAP, "kept", "default")


async def test_members_are_replaced_one_at_a_time_while_the_cluster_answers(
    world: World, available: ControlPlaneSpec
) -> None:
    await soon(lambda: world.works(available), "the control plane works")
    before, failures = await world.staying(available), list[str]()
    # Everything that is kept in etcd's and the API servers' Pods is new: other images' names would do the same.
    other = replace(available, settings=replace(available.settings, max_requests_inflight=500), timezone="Asia/Tokyo")
    asking = asyncio.create_task(_ask(world, available, failures))
    try:
        await soon(lambda: world.works(other), "the new settings are everywhere")
    finally:
        asking.cancel()
    assert failures == []
    kept = {name.partition("-")[2][:4] for name in before & await world.staying(other)}
    assert kept == {"etcd", "kwok"}


async def _ask(world: World, spec: ControlPlaneSpec, failures: list[str]) -> None:
    """Ask again and again, by the API server that answers first, as ackbox itself does."""
    while True:
        try:
            async with Client(await world.plane.own_connection(spec)) as workload:
                await workload.list(NODE)
        except ApiError as error:
            failures.append(str(error))
        await asyncio.sleep(0.05)


async def test_a_cluster_loses_a_machine_and_still_takes_writes(world: World, available: ControlPlaneSpec) -> None:
    (first, second), (lost, *left) = available.members, available.etcd
    off = replace(
        available, members=(replace(first, running=False), second), etcd=(replace(lost, running=False), *left)
    )
    await soon(lambda: world.works(off), "the rest works")
    stores = {obj["metadata"]["name"]: obj["spec"]["replicas"] for obj in await world.of(STATEFUL_SET, off)}
    assert sorted(stores.values()) == [0, 1, 1]
    async with Client(await world.plane.own_connection(off)) as workload:
        await workload.create(CONFIG_MAP, {"metadata": {"name": "written"}}, "default")


async def test_a_removed_cluster_leaves_no_pod_and_no_volume(world: World, single: ControlPlaneSpec) -> None:
    await soon(lambda: world.works(single), "the control plane works")
    await world.plane.remove(single.cluster_id)
    await world.plane.remove(single.cluster_id)

    async def gone() -> bool:
        claims, _ = await world.client.list(CLAIM, SPACE)
        return not await world.pods(single) and not [claim for claim in claims if "single" in claim["metadata"]["name"]]

    await soon(gone, "Pods and volumes are gone")
