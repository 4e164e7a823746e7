"""Runs control planes as Pods of the management cluster. What there is to be says `incluster_manifests.py`."""

import asyncio
import base64
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from ipaddress import IPv4Address
from typing import TypeAlias

from ackbox.controlplane import kwok
from ackbox.controlplane.images import PodOptions
from ackbox.controlplane.incluster_calls import Held, connection, etcd_answers, healthy, server_answers
from ackbox.controlplane.incluster_keys import Keyring
from ackbox.controlplane.incluster_manifests import (
    DISRUPTION_BUDGET,
    WORKLOADS,
    Manifests,
    Workload,
    etcd_service,
    manifests,
    secret_name,
    stand_in,
)
from ackbox.controlplane.incluster_objects import Objects
from ackbox.controlplane.incluster_programs import Programs
from ackbox.controlplane.incluster_state import changed, rolled_out, settled, troubles
from ackbox.controlplane.labels import CLUSTER_ID_LABEL, object_name
from ackbox.controlplane.local import RBAC, SERVICE_ACCOUNT
from ackbox.controlplane.spec import ControlPlaneSpec, EtcdMember, Member
from ackbox.controlplane.turns import ETCD_RUNS, ETCD_WORKS, Ask, Members, first, waiting
from ackbox.kube.client import POD, SECRET, SERVICE, Client, Object
from ackbox.kube.connection import Connection
from ackbox.kube.errors import ApiError, NotFound
from ackbox.resources import Kind
from ackbox.runtime.certificates import Clock, utc_now
from ackbox.runtime.kubernetes import API_PORT
from ackbox.runtime.manifests import apply, documents

logger = logging.getLogger(__name__)

Live: TypeAlias = dict[tuple[Kind, str], Object]
"""What there is of a control plane, by kind and name."""


class InClusterControlPlane:
    """The control planes of a management cluster. Every method can be called again and again, and by several tasks."""

    def __init__(self, client: Client, options: PodOptions, clock: Clock = utc_now) -> None:
        self._client = client
        self._objects = Objects(client)
        self._options = options
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._equipped: set[str] = set()
        self._told: dict[str, str] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ensure(self, spec: ControlPlaneSpec) -> bool:
        """Apply everything that the control plane consists of, and delete what is no longer wanted.

        What runs differently from what the spec says is replaced, of the API servers and of the etcd one at a time,
        and only while the others answer. What dials the API servers is started when one of them answers.

        Returns:
            whether all is as the spec says; if not, something is still to be replaced or started: call again.

        Raises:
            ApiError: the management cluster refuses something or can't be reached.
            RuntimeProblem: an object that is somebody else's has a name that the control plane needs.
        """
        async with self._locks[spec.cluster_id]:
            etcd = spec.etcd or stand_in(await self._etcd_address(spec))
            wanted = await self._prepare(spec, etcd)
            live = await self._live(spec)
            late = await self._late(spec, wanted, live)
            if not await self._equip(spec):
                late |= {each.name for each in wanted.controllers if not _runs(live.get((each.kind, each.name)))}
            there = []
            for each in wanted.workloads:
                obj = live.get((each.kind, each.name))
                if each.name not in late:
                    body = settled(each.body, obj)
                    obj = await self._objects.apply(each.kind, body, spec.uid, known=obj is not None)
                there.append(obj)
            for budget in wanted.budgets:
                known = (DISRUPTION_BUDGET, budget["metadata"]["name"]) in live
                await self._objects.apply(DISRUPTION_BUDGET, budget, spec.uid, known)
            await self._delete_others(wanted, live)
            return not late and all(map(rolled_out, there))

    def progress(self, spec: ControlPlaneSpec) -> str | None:
        """Which Pods don't start and why, for people, as far as it was seen at the last look."""
        return self._told.get(spec.cluster_id)

    async def ready(self, spec: ControlPlaneSpec) -> bool:
        """Whether the control plane works: its API servers answer, pods can be made, and KWOK plays the kubelets.

        Members whose machines are off don't count, but one must be on.

        Raises:
            ApiError: the management cluster can't be reached.
        """
        found = await self._works(spec)
        if found:
            self._told.pop(spec.cluster_id, None)
        else:
            selector = f"{CLUSTER_ID_LABEL}={spec.cluster_id}"
            pods, _ = await self._client.list(POD, spec.namespace, label_selector=selector)
            live = await self._objects.of_cluster(spec.cluster_id, WORKLOADS, spec.namespace)
            self._told[spec.cluster_id] = troubles(pods, [obj for _, obj in live])
        return found

    async def member_ready(self, spec: ControlPlaneSpec, member: Member) -> bool:
        """Whether the API server of a member answers and its controllers run.

        Raises:
            ApiError: the management cluster can't be reached.
        """
        if not await self._answers(spec, member):
            return False
        return not member.controllers or await self._rolled_out(spec, f"{member.name}-controllers")

    async def stop(self, cluster_id: str) -> None:
        """Stop the Pods of a cluster; its volumes stay, and `ensure` starts them again.

        Raises:
            ApiError: the management cluster refuses or can't be reached.
        """
        async with self._locks[cluster_id]:
            self._equipped.discard(cluster_id)
            for kind, obj in await self._objects.of_cluster(cluster_id, WORKLOADS):
                if _runs(obj):
                    name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
                    await self._client.patch(kind, name, namespace, {"spec": {"replicas": 0}})

    async def remove(self, cluster_id: str) -> None:
        """Delete the Pods of a cluster and its volumes. Harmless when that is already so.

        Its Secret and its Services go with the ManagedCluster, which owns them.

        Raises:
            ApiError: the management cluster refuses or can't be reached.
        """
        async with self._locks[cluster_id]:
            for kind, obj in await self._objects.of_cluster(cluster_id, (*WORKLOADS, DISRUPTION_BUDGET)):
                await self._objects.delete(kind, obj)
            self._equipped.discard(cluster_id)
            self._held.pop(cluster_id, None)
            self._told.pop(cluster_id, None)
        self._locks.pop(cluster_id, None)

    def admin_kubeconfig(self, spec: ControlPlaneSpec) -> str:
        """Text of the kubeconfig for the cluster's administrator, the same on every call until it is renewed."""
        return self._programs(spec).kubeconfig("admin")

    def ccm_kubeconfig(self, spec: ControlPlaneSpec) -> str:
        """The same for the cloud-controller-manager: a user of its own, whom the API server serves beside the others."""
        return self._programs(spec).kubeconfig("ccm")

    async def own_connection(self, spec: ControlPlaneSpec) -> Connection:
        """How ackbox itself calls the cluster: as one who may do everything, by the API server that answers first."""
        member = await first(spec.running, partial(self._answers, spec)) or spec.members[0]
        return self._connection(spec, member.address, API_PORT)

    def _programs(self, spec: ControlPlaneSpec) -> Programs:
        held = self._held[spec.cluster_id]
        return Programs(spec, held.etcd, Keyring(held.files, self._clock), self._options.images)

    async def _etcd_address(self, spec: ControlPlaneSpec) -> str:
        """Where the etcd is dialled of a cluster without an etcd in its spec."""
        body, held = etcd_service(spec), self._held.get(spec.cluster_id)
        found = await self._objects.find(SERVICE, body["metadata"]["name"], spec.namespace, spec.uid)
        # Only to get it back: who applies the address is written down, and that would be a write at each new operator.
        if found is None and held is not None:
            body["spec"]["clusterIP"] = str(held.etcd[0].address)
        made = await self._objects.apply(SERVICE, body, spec.uid, known=True)
        address: str = made["spec"]["clusterIP"]
        return address

    async def _prepare(self, spec: ControlPlaneSpec, etcd: tuple[EtcdMember, ...]) -> Manifests:
        """What there is to be; its Secret is written before any of it starts."""
        held = self._held.get(spec.cluster_id)
        found = await self._objects.find(SECRET, secret_name(spec.name), spec.namespace, spec.uid)
        kept = _texts(found) if found is not None else held.files if held is not None else {}
        keyring = Keyring(kept, self._clock)
        wanted = await asyncio.to_thread(manifests, spec, etcd, keyring, self._options)
        await self._objects.write_secret(wanted.secret, found)
        self._held[spec.cluster_id] = Held(etcd, keyring.files)
        return wanted

    async def _live(self, spec: ControlPlaneSpec) -> Live:
        """What there is of the control plane."""
        kinds = (*WORKLOADS, DISRUPTION_BUDGET)
        found = await self._objects.of_cluster(spec.cluster_id, kinds, spec.namespace)
        return {(kind, obj["metadata"]["name"]): obj for kind, obj in found}

    def _connection(self, spec: ControlPlaneSpec, address: IPv4Address, port: int) -> Connection:
        return connection(self._held[spec.cluster_id], spec, address, port)

    async def _late(self, spec: ControlPlaneSpec, wanted: Manifests, live: Live) -> set[str]:
        """Names of the workloads that should be replaced, but not now."""
        held, etcd = self._held[spec.cluster_id], {each.name: each for each in spec.etcd if each.running}
        works = {name: partial(etcd_answers, held, each, ETCD_WORKS) for name, each in etcd.items()}
        runs = {name: partial(etcd_answers, held, each, ETCD_RUNS) for name, each in etcd.items()}
        serves = {each.name: partial(server_answers, held, spec, each) for each in spec.running}
        of_etcd, of_servers = await waiting(
            Members(
                _changed(wanted.etcd, etcd, live), _whole(wanted.etcd, works, live), _whole(wanted.etcd, runs, live)
            ),
            Members(_changed(wanted.api_servers, serves, live), _whole(wanted.api_servers, serves, live)),
        )
        return {wanted.etcd[name].name for name in of_etcd} | {wanted.api_servers[name].name for name in of_servers}

    async def _equip(self, spec: ControlPlaneSpec) -> bool:
        """Give the cluster what its own users need, as soon as an API server answers; whether it has it."""
        if spec.cluster_id in self._equipped:
            return True
        for member in spec.running:
            if not await self._answers(spec, member):
                continue
            try:
                async with Client(self._connection(spec, member.address, API_PORT)) as workload:
                    await apply(workload, documents([RBAC]))
            except ApiError as error:
                # What else is to be applied may be what mends it.
                logger.warning("cluster %s/%s refuses what KWOK needs: %s", spec.namespace, spec.name, error)
                continue
            self._equipped.add(spec.cluster_id)
            return True
        return False

    async def _works(self, spec: ControlPlaneSpec) -> bool:
        states = await asyncio.gather(*(self.member_ready(spec, member) for member in spec.running))
        if not states or not all(states):
            return False
        try:
            async with Client(await self.own_connection(spec)) as workload:
                # Without it the API server refuses every pod; the controller manager makes it.
                await workload.get(SERVICE_ACCOUNT, "default", "default")
        except ApiError:
            return False
        kubelet = self._connection(spec, spec.kubelet_address, kwok.KUBELET_PORT)
        return await healthy(kubelet, "/healthz") and await self._rolled_out(spec, "kwok")

    async def _rolled_out(self, spec: ControlPlaneSpec, part: str) -> bool:
        try:
            return rolled_out(await self._client.get(WORKLOADS[0], object_name(spec.name, part), spec.namespace))
        except NotFound:
            return False

    async def _answers(self, spec: ControlPlaneSpec, member: Member) -> bool:
        held = self._held.get(spec.cluster_id)
        return held is not None and await server_answers(held, spec, member)

    async def _delete_others(self, wanted: Manifests, live: Live) -> None:
        kept = {(each.kind, each.name) for each in wanted.workloads}
        kept |= {(DISRUPTION_BUDGET, each["metadata"]["name"]) for each in wanted.budgets}
        for (kind, name), obj in live.items():
            if (kind, name) not in kept:
                await self._objects.delete(kind, obj)


def _changed(workloads: Mapping[str, Workload], members: Iterable[str], live: Live) -> list[str]:
    """Which of these members run differently from what is wanted."""
    there = {name: live.get((workloads[name].kind, workloads[name].name)) for name in members}
    return [name for name, obj in there.items() if obj is not None and changed(workloads[name].body, obj)]


def _whole(workloads: Mapping[str, Workload], questions: Mapping[str, Ask], live: Live) -> dict[str, Ask]:
    """The same questions; a member whose Pod isn't ready, or is another's than the one wanted, needn't be asked."""

    async def ask(name: str) -> bool:
        return rolled_out(live.get((workloads[name].kind, workloads[name].name))) and await questions[name]()

    return {name: partial(ask, name) for name in questions}


def _runs(obj: Object | None) -> bool:
    return obj is not None and obj["spec"].get("replicas", 1) > 0


def _texts(secret: Object) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in (secret.get("data") or {}).items()}
