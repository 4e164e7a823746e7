"""Control planes with real etcds, API servers, controllers and KWOK, without ackbox's own processes."""

import asyncio
import base64
import contextlib
import datetime
import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509

from ackbox.controlplane import kwok
from ackbox.controlplane.layout import audit_log
from ackbox.controlplane.local import LocalControlPlane
from ackbox.controlplane.spec import ApiServerSettings, ControlPlaneSpec, EtcdMember, Member
from ackbox.kube.client import CONFIG_MAP, NAMESPACE, NODE, SECRET, Client
from ackbox.kube.errors import ApiError, NotFound, Unavailable
from ackbox.resources import Kind
from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.certificates import new_authority, new_private_key, utc_now
from ackbox.runtime.etcd import ETCD_STOP_SECONDS
from ackbox.runtime.home import Home, prepare, remove
from ackbox.runtime.management import ETCD_MEMBER, WORKLOAD_ETCD, ManagementPlane
from ackbox.runtime.probe import wait_until
from ackbox.runtime.programs import Program, single
from ackbox.runtime.progress import Silent
from ackbox.runtime.supervisor import Supervisor

LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
DEADLINE = 120.0
SETTINGS = ApiServerSettings(max_requests_inflight=400, max_mutating_requests_inflight=200)
NEWEST = tools.MANAGEMENT_MINOR

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """A home in which nothing runs but the etcd that clusters share."""
    home = prepare(tmp_path_factory.mktemp("control") / "home")
    supervisor = Supervisor(home)
    try:
        await supervisor.start()
        etcd = ManagementPlane(home).workload_etcd
        binaries = await locate(tools.etcd(), Silent())
        command = etcd.command(binaries["etcd"], ETCD_MEMBER)
        await supervisor.ensure(single(Program(WORKLOAD_ETCD, command, stop_seconds=ETCD_STOP_SECONDS), 1))
        await soon(lambda: etcd.endpoint(ETCD_MEMBER).healthy("/health"))
        yield home
    finally:
        await supervisor.stop()
        remove(home)


@pytest.fixture(scope="module")
def plane(home: Home) -> LocalControlPlane:
    return LocalControlPlane(home)


def spec_of(home: Home, number: int, *members: Member, **changes: Any) -> ControlPlaneSpec:
    """A control plane of its own; each test takes another number."""
    authority = new_authority("test", changes.pop("made", None))
    base = ControlPlaneSpec(
        namespace="default",
        name=f"cluster-{number}",
        cluster_id=f"c{number:032x}",
        members=members or (Member("a", address(home, number, 1), NEWEST),),
        etcd=(),
        endpoint=f"https://{address(home, number, 9)}:6443",
        kubelet_address=address(home, number, 1),
        service_cidr="172.19.0.0/20",
        pod_cidr="10.32.0.0/16",
        settings=SETTINGS,
        timezone=None,
        ca_cert_pem=authority.certificate,
        ca_key_pem=authority.key,
        sa_key_pem=new_private_key(),
    )
    return replace(base, **changes)


def address(home: Home, number: int, last: int) -> IPv4Address:
    return home.loopback[number * 256 + last]


async def soon(condition: Callable[[], Awaitable[bool]], seconds: float = DEADLINE) -> None:
    await wait_until(condition, seconds, lambda: "it did not come to that")


async def works(plane: LocalControlPlane, spec: ControlPlaneSpec) -> bool:
    return await plane.ensure(spec) and await plane.ready(spec)


async def pids(home: Home, spec: ControlPlaneSpec) -> dict[str, int]:
    """Process ids by the name of the program, without the cluster's id."""
    statuses = await Supervisor(home).statuses()
    mine = [status for status in statuses if status.name.startswith(spec.cluster_id) and status.pid]
    return {status.name.removeprefix(f"{spec.cluster_id}-"): status.pid or 0 for status in mine}


def environment(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


async def shown(spec: ControlPlaneSpec, member: Member) -> x509.Certificate:
    """The certificate that an API server shows."""
    context = ssl.create_default_context(cadata=spec.ca_cert_pem)
    _, writer = await asyncio.open_connection(str(member.address), 6443, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return x509.load_der_x509_certificate(der)


async def test_a_control_plane_with_every_setting(home: Home, plane: LocalControlPlane) -> None:
    settings = replace(
        SETTINGS,
        hosts=("10.1.2.3", "api.example.test"),
        cluster_domain="corp.test",
        audit=True,
        encryption_key=base64.b64encode(os.urandom(32)).decode(),
    )
    spec = spec_of(home, 1, settings=settings, timezone="Asia/Kolkata")
    await soon(partial(works, plane, spec))
    async with Client(await plane.own_connection(spec)) as client:
        secret = await client.create(
            SECRET, {"metadata": {"name": "s"}, "stringData": {"k": "in the clear"}}, "default"
        )
        assert base64.b64decode(secret["data"]["k"]) == b"in the clear"
    found = (
        await ManagementPlane(home)
        .workload_etcd.endpoint(ETCD_MEMBER)
        .post("/v3/kv/range", {"key": base64.b64encode(f"/{spec.cluster_id}/secrets/default/s".encode()).decode()})
    )
    assert base64.b64decode(found["kvs"][0]["value"]).startswith(b"k8s:enc:secretbox:v1:key1:")
    names = (await shown(spec, spec.members[0])).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert IPv4Address("10.1.2.3") in names.get_values_for_type(x509.IPAddress)
    assert {"api.example.test", "kubernetes.default.svc.corp.test"} <= set(names.get_values_for_type(x509.DNSName))
    running = await pids(home, spec)
    assert "TZ=Asia/Kolkata" in environment(running["a-kube-controller-manager"])
    assert "TZ=Asia/Kolkata" not in environment(running["a-kube-apiserver"])
    log = audit_log(home, spec.cluster_id, "a").read_text()
    assert '"resource":"secrets","namespace":"default","name":"s"' in log
    assert "in the clear" not in log
    await plane.remove(spec.cluster_id)
    assert not await pids(home, spec)
    assert not (home.clusters / spec.cluster_id).exists()
    assert not list(home.logs.glob(f"{spec.cluster_id}*"))


async def test_certificates_renew_themselves_and_count_without_a_restart(home: Home) -> None:
    long_ago = utc_now() - datetime.timedelta(days=680)
    spec = spec_of(home, 2, made=long_ago)
    before, after = LocalControlPlane(home, lambda: long_ago), LocalControlPlane(home)
    await soon(partial(works, before, spec))
    old, first, text = await pids(home, spec), await shown(spec, spec.members[0]), before.admin_kubeconfig(spec)
    assert first.not_valid_after_utc - utc_now() < datetime.timedelta(days=60)
    await soon(partial(works, after, spec))

    async def renewed() -> bool:
        return (await shown(spec, spec.members[0])).serial_number != first.serial_number

    await soon(renewed)
    new = await pids(home, spec)
    assert {name for name in new if new[name] != old[name]} == {"kwok"}
    assert after.admin_kubeconfig(spec) != text
    async with Client(await after.own_connection(spec)) as client:
        await client.create(NAMESPACE, {"metadata": {"name": "later"}})
        await soon(partial(there, client, "later"))  # made by the controller manager
    await after.remove(spec.cluster_id)


async def there(client: Client, namespace: str) -> bool:
    try:
        await client.get(Kind("", "v1", "serviceaccounts", "ServiceAccount"), "default", namespace)
    except NotFound:
        return False
    return True


@contextlib.asynccontextmanager
async def balancer(spec: ControlPlaneSpec) -> AsyncIterator[None]:
    """Stands for the API server's load balancer: forwards a connection to the first member that takes it."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for member in spec.members:
            try:
                there_reader, there_writer = await asyncio.open_connection(str(member.address), 6443)
            except OSError:
                continue
            await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))
            return
        writer.close()

    host = spec.endpoint.removeprefix("https://").removesuffix(":6443")
    server = await asyncio.start_server(forward, host, 6443)
    try:
        yield
    finally:
        server.close()


def available(spec: ControlPlaneSpec, count: int, etcd: int) -> ControlPlaneSpec:
    """A spec with several API servers and an etcd of its own."""
    first = int(spec.members[0].address)
    members = tuple(Member("abc"[index], IPv4Address(first + index), NEWEST) for index in range(count))
    own = tuple(EtcdMember(f"e{index}", IPv4Address(first + 20 + index)) for index in range(etcd))
    hosts = (spec.endpoint.removeprefix("https://").removesuffix(":6443"),)
    return replace(spec, members=members, etcd=own, settings=replace(SETTINGS, hosts=hosts))


async def holder(client: Client, name: str) -> str:
    return (await client.get(LEASE, name, "kube-system"))["spec"].get("holderIdentity") or ""


class Writer:
    """A client with ordinary retries that never stops reading and writing."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.done = 0
        self.longest = 0.0
        self.failed: list[str] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started, name = loop.time(), f"w{self.done}"
            await self._again(lambda name=name: self.client.create(CONFIG_MAP, {"metadata": {"name": name}}, "default"))
            await self._again(lambda name=name: self.client.get(CONFIG_MAP, name, "default"))
            self.done += 1
            self.longest = max(self.longest, loop.time() - started)
            await asyncio.sleep(0.02)

    async def _again(self, call: Callable[[], Awaitable[Any]]) -> None:
        deadline = asyncio.get_running_loop().time() + 60
        while True:
            try:
                await call()
                return
            except ApiError as error:
                if error.status == 409:
                    return
                if asyncio.get_running_loop().time() > deadline:
                    self.failed.append(str(error))
                    return
            except Unavailable as error:
                if asyncio.get_running_loop().time() > deadline:
                    self.failed.append(str(error))
                    return
            await asyncio.sleep(0.1)


async def outages(spec: ControlPlaneSpec) -> int:
    """How often no API server took a connection, until cancelled."""
    count = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            taken = await asyncio.gather(*(takes_connections(member) for member in spec.members))
            count += not any(taken)
            await asyncio.sleep(0.05)
    return count


async def takes_connections(member: Member) -> bool:
    try:
        _, writer = await asyncio.open_connection(str(member.address), 6443)
    except OSError:
        return False
    writer.close()
    return True


async def test_any_process_may_die_while_clients_go_on(home: Home, plane: LocalControlPlane) -> None:
    spec = available(spec_of(home, 3), 2, 3)
    async with balancer(spec):
        await soon(partial(works, plane, spec))
        running = await pids(home, spec)
        assert sorted(running) == sorted(
            [
                f"{member}-{name}"
                for member in "ab"
                for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
            ]
            + [f"etcd-e{number}" for number in range(3)]
            + ["kwok"]
        )
        connection = replace(await plane.own_connection(spec), server=spec.endpoint)
        async with Client(connection) as client:
            writer = Writer(client)
            task = asyncio.create_task(writer.run())
            for name in sorted(running):
                os.kill(running[name], signal.SIGKILL)
                count = writer.done
                await soon(partial(works, plane, spec))

                async def went_on(count: int = count) -> bool:
                    return writer.done > count + 5

                await soon(went_on)
            for name in ("kube-controller-manager", "kube-scheduler"):
                assert await holder(client, name)
            before = await pids(home, spec)
            slower = replace(spec, settings=replace(spec.settings, max_requests_inflight=399))
            watching = asyncio.create_task(outages(spec))
            await soon(partial(works, plane, slower))
            watching.cancel()
            assert await watching == 0
            after = await pids(home, spec)
            changed = {name for name in after if after[name] != before.get(name)}
            assert changed == {"a-kube-apiserver", "b-kube-apiserver"}
            task.cancel()
            assert not writer.failed
    await plane.remove(spec.cluster_id)


async def test_a_version_is_replaced_by_surging_a_member(home: Home, plane: LocalControlPlane) -> None:
    old_minor = list(tools.KUBERNETES_PATCHES)[1]
    base = spec_of(home, 4)
    old = Member("a", address(home, 4, 1), old_minor)
    new = Member("b", address(home, 4, 2), NEWEST)
    hosts = (str(address(home, 4, 9)),)
    base = replace(base, settings=replace(SETTINGS, hosts=hosts))
    before, during, after = (replace(base, members=members) for members in ((old,), (old, new), (new,)))
    async with balancer(during):
        await soon(partial(works, plane, before))
        connection = replace(await plane.own_connection(before), server=base.endpoint)
        async with Client(connection) as client:
            assert f"v{old_minor}." in await client.text("/version")
            await client.create(NODE, {"metadata": {"name": "n", "labels": {kwok.EMULATED_LABEL: "true"}}})
            await soon(partial(heartbeat, client))
            writer = Writer(client)
            task = asyncio.create_task(writer.run())
            first = await pids(home, before)
            await soon(partial(works, plane, during))
            assert (await pids(home, during))["a-kube-apiserver"] == first["a-kube-apiserver"]
            await soon(partial(works, plane, after))
            assert {name.partition("-")[0] for name in await pids(home, after)} == {"b", "kwok"}
            count = writer.done

            async def went_on() -> bool:
                return writer.done > count + 5

            await soon(went_on)
            task.cancel()
            assert not writer.failed
            for number in range(writer.done):
                await client.get(CONFIG_MAP, f"w{number}", "default")
            await soon(partial(heartbeat, client))
    await plane.remove(base.cluster_id)


async def heartbeat(client: Client) -> bool:
    """Whether KWOK has renewed the node's Lease within its last turn."""
    try:
        lease = await client.get(LEASE, "n", "kube-node-lease")
    except NotFound:
        return False
    renewed = datetime.datetime.fromisoformat(lease["spec"]["renewTime"])
    return utc_now() - renewed < datetime.timedelta(seconds=15)


async def test_members_whose_machines_are_off_come_back_with_what_they_kept(
    home: Home, plane: LocalControlPlane
) -> None:
    whole = available(spec_of(home, 5), 1, 3)
    one_off, two_off = (
        replace(whole, etcd=tuple(replace(each, running=index >= off) for index, each in enumerate(whole.etcd)))
        for off in (1, 2)
    )
    await soon(partial(works, plane, whole))
    async with Client(await plane.own_connection(whole)) as client:
        await client.create(CONFIG_MAP, {"metadata": {"name": "kept"}}, "default")
        await soon(partial(works, plane, one_off))
        assert "etcd-e0" not in await pids(home, whole)
        await client.create(CONFIG_MAP, {"metadata": {"name": "later"}}, "default")
        await plane.ensure(two_off)

        async def lost() -> bool:
            return not await plane.ready(two_off)

        await soon(lost)
        await soon(partial(works, plane, whole))
        for name in ("kept", "later"):
            await client.get(CONFIG_MAP, name, "default")
    await plane.ensure(replace(whole, members=tuple(replace(each, running=False) for each in whole.members)))
    assert not {name for name in await pids(home, whole) if "kube" in name}
    await plane.remove(whole.cluster_id)
