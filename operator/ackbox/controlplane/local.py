"""Runs control planes as supervised processes on this machine."""

import asyncio
import base64
import shutil
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ackbox.controlplane import kwok
from ackbox.controlplane.fetching import Fetching
from ackbox.controlplane.flags import prefix
from ackbox.controlplane.layout import Groups, Layout, Programs, identity
from ackbox.controlplane.spec import ControlPlaneSpec, Member
from ackbox.controlplane.turns import ETCD_RUNS, ETCD_WORKS, Members, first, waiting
from ackbox.kube.client import Client
from ackbox.kube.connection import Connection, parse_kubeconfig
from ackbox.kube.errors import NotFound, Unavailable
from ackbox.resources import Kind
from ackbox.runtime import tools
from ackbox.runtime.certificates import Clock, utc_now
from ackbox.runtime.home import Home
from ackbox.runtime.kubernetes import ADMIN_GROUP
from ackbox.runtime.management import ETCD_MEMBER, ManagementPlane
from ackbox.runtime.manifests import apply, documents
from ackbox.runtime.probe import Endpoint
from ackbox.runtime.programs import Group
from ackbox.runtime.supervisor import Supervisor

SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
RBAC = Path(__file__).with_name("rbac.yaml")


class LocalControlPlane:
    """The control planes of one home. Every method can be called again and again, and by several tasks."""

    def __init__(self, home: Home, clock: Clock = utc_now) -> None:
        self._home = home
        self._clock = clock
        self._supervisor = Supervisor(home)
        self._fetching = Fetching()
        self._equipped: set[str] = set()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ensure(self, spec: ControlPlaneSpec) -> bool:
        """Write what the processes need, start those that don't run, stop those that no member has any more.

        Doesn't wait for what it starts; see `ready`. What runs differently from what the spec says is restarted, of the
        API servers and of the own etcd one at a time, and only while the others answer.

        Returns:
            whether all is as the spec says; if not, something is still to be got or restarted: call again.

        Raises:
            RuntimeProblem: a program can't be had or supervisord doesn't answer.
        """
        async with self._locks[spec.cluster_id]:
            programs = await self._programs(spec)
            if programs is None:
                return False
            layout = Layout(self._home, spec, self._clock)
            groups = await asyncio.to_thread(layout.groups, programs)
            late = await self._late(layout, groups)
            await self._supervisor.ensure(*(group for group in groups.all if group.name not in late))
            wanted = {group.name for group in groups.all}
            await self._stop(await self._supervisor.groups(spec.cluster_id) - wanted)
            return not late

    def progress(self, spec: ControlPlaneSpec) -> str | None:
        """Which programs of the control plane are being got now and how far that is, for people."""
        return self._fetching.progress(_tools(spec))

    async def ready(self, spec: ControlPlaneSpec) -> bool:
        """Whether the control plane works: its API servers answer, pods can be made, and KWOK plays the kubelets.

        Members whose machines are off don't count, but one must be on. Also gives KWOK its role, for which it waits,
        once an API server answers.

        Raises:
            RuntimeProblem: supervisord doesn't answer.
        """
        states = await asyncio.gather(*(self.member_ready(spec, member) for member in spec.running))
        if not states or not all(states):
            return False
        layout = Layout(self._home, spec, self._clock)
        server = layout.server(spec.running[0])
        user = identity(server)
        try:
            async with Client(parse_kubeconfig(server.kubeconfig(user))) as client:
                if spec.cluster_id not in self._equipped:
                    await apply(client, documents([RBAC]))
                    self._equipped.add(spec.cluster_id)
                # Without it the API server refuses every pod; the controller manager makes it.
                await client.get(SERVICE_ACCOUNT, "default", "default")
        except (NotFound, Unavailable):
            return False
        kubelet = Endpoint(f"https://{spec.kubelet_address}:{kwok.KUBELET_PORT}", spec.ca_cert_pem, user)
        return await kubelet.healthy("/healthz") and await self._supervisor.group_running(layout.kwok_name)

    async def member_ready(self, spec: ControlPlaneSpec, member: Member) -> bool:
        """Whether the API server of a member answers and its controllers run.

        Raises:
            RuntimeProblem: supervisord doesn't answer.
        """
        layout = Layout(self._home, spec, self._clock)
        if not await self._answers(layout, member):
            return False
        return not member.controllers or await self._supervisor.group_running(layout.controllers_name(member))

    async def stop(self, cluster_id: str) -> None:
        """Stop the processes of a cluster; what they kept stays, and `ensure` starts them again.

        Raises:
            RuntimeProblem: supervisord doesn't answer.
        """
        async with self._locks[cluster_id]:
            await self._stop(await self._supervisor.groups(cluster_id))

    async def remove(self, cluster_id: str) -> None:
        """Stop the processes of a cluster and delete everything they kept. Harmless when that is already so.

        Raises:
            RuntimeProblem: supervisord or etcd doesn't answer.
        """
        async with self._locks[cluster_id]:
            await self._stop(await self._supervisor.groups(cluster_id))
            await self._delete_prefix(prefix(cluster_id))
            self._equipped.discard(cluster_id)
            await asyncio.to_thread(self._delete_files, cluster_id)
        self._locks.pop(cluster_id, None)

    async def own_connection(self, spec: ControlPlaneSpec) -> Connection:
        """How ackbox itself calls the cluster: as one who may do everything, by the API server that answers first."""
        layout = Layout(self._home, spec, self._clock)
        member = await first(spec.running, partial(self._answers, layout)) or spec.members[0]
        server = layout.server(member)
        return parse_kubeconfig(server.kubeconfig(identity(server)))

    def admin_kubeconfig(self, spec: ControlPlaneSpec) -> str:
        """Text of the kubeconfig for the cluster's administrator, the same on every call until it is renewed."""
        return self._kubeconfig(spec, "admin")

    def ccm_kubeconfig(self, spec: ControlPlaneSpec) -> str:
        """The same for the cloud-controller-manager: a user of its own, whom the API server serves beside the others."""
        return self._kubeconfig(spec, "ccm")

    def _kubeconfig(self, spec: ControlPlaneSpec, name: str) -> str:
        server = Layout(self._home, spec, self._clock).server(spec.members[0])
        return server.kubeconfig(server.identity(f"ackbox:{name}", ADMIN_GROUP, file_name=name), spec.endpoint)

    async def _programs(self, spec: ControlPlaneSpec) -> Programs | None:
        minors = _minors(spec)
        found = await self._fetching.programs(_tools(spec))
        if found is None:
            return None
        others = {name: path for programs in found[len(minors) :] for name, path in programs.items()}
        return Programs(dict(zip(minors, found, strict=False)), others)

    async def _late(self, layout: Layout, groups: Groups) -> set[str]:
        """Names of the groups that should be restarted, but not now."""
        works = {name: partial(self._etcd_answers, layout, name, ETCD_WORKS) for name in groups.etcd}
        runs = {name: partial(self._etcd_answers, layout, name, ETCD_RUNS) for name in groups.etcd}
        serves = {name: partial(self._answers_to_name, layout, name) for name in groups.api_servers}
        etcd, api_servers = await waiting(
            Members(self._changed(groups.etcd), works, runs), Members(self._changed(groups.api_servers), serves)
        )
        return {groups.etcd[name].name for name in etcd} | {groups.api_servers[name].name for name in api_servers}

    def _changed(self, groups: Mapping[str, Group]) -> list[str]:
        return [name for name, group in groups.items() if self._supervisor.changed(group)]

    async def _answers(self, layout: Layout, member: Member) -> bool:
        server = layout.server(member)
        return await server.endpoint(identity(server)).healthy("/readyz")

    async def _answers_to_name(self, layout: Layout, name: str) -> bool:
        return await self._answers(layout, next(each for each in layout.spec.members if each.name == name))

    async def _etcd_answers(self, layout: Layout, name: str, path: str) -> bool:
        return await layout.etcd.endpoint(name).healthy(path)

    async def _stop(self, names: set[str]) -> None:
        await asyncio.gather(*map(self._supervisor.remove, names))

    async def _delete_prefix(self, keys: str) -> None:
        # "/0" is the first key after all that begin with "/…/": "0" follows "/" in ASCII.
        begin, end = f"{keys}/", f"{keys}0"
        body = {"key": _base64(begin), "range_end": _base64(end)}
        etcd = ManagementPlane(self._home).workload_etcd
        await etcd.endpoint(ETCD_MEMBER).post("/v3/kv/deleterange", body)

    def _delete_files(self, cluster_id: str) -> None:
        folder = self._home.clusters / cluster_id
        if folder.exists():
            shutil.rmtree(folder)
        for log in self._home.logs.glob(f"{cluster_id}-*"):
            log.unlink()


def _minors(spec: ControlPlaneSpec) -> list[str]:
    return sorted({member.minor for member in spec.members})


def _tools(spec: ControlPlaneSpec) -> list[tools.Tool]:
    own = [tools.etcd()] if spec.etcd else []
    return [*(tools.kubernetes(minor) for minor in _minors(spec)), tools.kwok(), *own]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
