"""Brings every Listener into the store that Envoy is served from: look up, plan, apply."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ackbox.dataplane import envoy_config, envoy_listener, health, plan, ports
from ackbox.dataplane.admin import Found
from ackbox.dataplane.caches import Caches
from ackbox.dataplane.checks import health_check
from ackbox.dataplane.model import Blocked, Identity, Serving, Targets
from ackbox.dataplane.responder import GroupNames, Server
from ackbox.dataplane.servers import Exhausted, Transport, VirtualGroup, VirtualServers
from ackbox.dataplane.status import Seen
from ackbox.dataplane.xds_store import ResourceStore, ResourceType
from ackbox.kube.cache import Key, key_of
from ackbox.kube.conditions import progressing
from ackbox.kube.queue import WorkQueue
from ackbox.kube.refs import resolve
from ackbox.resources import Listener, ManagedCluster, ServerGroup
from ackbox.resources.listener import Protocol, listener_name


class Subject(Enum):
    """What a key of the work queue speaks of."""

    LISTENER = "Listener"
    GROUP = "ServerGroup"


class WorkKey(NamedTuple):
    """A Listener or a ServerGroup to look at."""

    subject: Subject
    key: Key


@dataclass(frozen=True)
class Outcome:
    """What became of a listener.

    Attributes:
        group: the server group in use, with the transport that it is used on.
        servers: how many servers the group has.
        seen: how the listener finds virtual servers, and real ones that nobody checks.
        probed: Envoy finds out about the health.
    """

    result: Serving | Blocked
    group: tuple[Key, Transport] | None = None
    servers: int = 0
    seen: Mapping[Identity, bool] | None = None
    probed: bool = False


def resource_name(key: Key) -> str:
    """What a listener's resources are called in Envoy."""
    return "/".join(key)


def key_of_resource(name: str) -> Key:
    """The listener of a resource of Envoy."""
    namespace, _, own = name.partition("/")
    return namespace, own


class Controller:
    """Plans listeners and puts them into the store.

    Args:
        caches: the management cluster's objects.
        store: what Envoy is to have.
        servers: stands in for virtual servers.
        lowest_port: the lowest port that can be bound.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        caches: Caches,
        store: ResourceStore,
        servers: VirtualServers,
        lowest_port: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.queue = WorkQueue[WorkKey](self.reconcile, "slb", workers=1)
        self.outcomes: dict[Key, Outcome] = {}
        self.found: Found = {}
        self._caches = caches
        self._store = store
        self._servers = servers
        self._lowest_port = lowest_port
        self._clock = clock
        self._health: dict[Key, dict[Identity, health.Health]] = {}
        self._users: defaultdict[tuple[Key, Transport], dict[Key, None]] = defaultdict(dict)
        self._claims: dict[Key, int] = {}
        self._reports: list[Callable[[WorkKey], None]] = []

    def subscribe(self, report: Callable[[WorkKey], None]) -> None:
        """Call `report(key)` whenever the status of a Listener or ServerGroup may have changed."""
        self._reports.append(report)

    def _report(self, work: WorkKey) -> None:
        for report in self._reports:
            report(work)

    async def reconcile(self, work: WorkKey) -> None:
        """Bring one Listener, or the listeners of one ServerGroup, to what they should be."""
        if work.subject is Subject.LISTENER:
            await self._listener(work.key)
            return
        for key in self.users(work.key):
            self.queue.add(WorkKey(Subject.LISTENER, key))
        self._report(work)

    def users(self, group: Key) -> list[Key]:
        """The listeners that send to a group now."""
        transports: tuple[Transport, ...] = ("tcp", "udp")
        return [key for transport in transports for key in self._users.get((group, transport), ())]

    def seen(self, key: Key) -> Seen:
        """How a listener finds its servers."""
        outcome = self.outcomes.get(key)
        if outcome is None or isinstance(outcome.result, Blocked):
            return {}
        if not outcome.probed:
            return outcome.seen or {}
        found = self.found.get(resource_name(key), {})
        return {endpoint.identity: found.get(endpoint.address) for endpoint in outcome.result.endpoints}

    def problem(self, group: ServerGroup) -> Targets | None:
        """What is wrong with a group, whoever uses it: where its real servers may be dialled; None for virtual ones."""
        cluster = self._cluster(group)
        if group.spec.cluster_id is not None and cluster is None:
            state = progressing("ClusterNotFound", f"waits for ManagedCluster {group.spec.cluster_id}")
            return Targets(real=False, addresses={}, problem=state)
        if cluster is not None and cluster.spec.cluster_type == plan.EXTERNAL:
            return plan.real_targets(group, cluster)
        return None

    def probed(self) -> bool:
        """Whether Envoy probes anything."""
        return any(outcome.probed for outcome in self.outcomes.values())

    async def _listener(self, key: Key) -> None:
        listener = self._caches.listener_view.get(key)
        if listener is None or listener.deleting:
            self._settle(key, None)
            return
        references = self._references(listener)
        frontend = plan.admit(listener, references, self._lowest_port)
        if isinstance(frontend, Blocked):
            self._settle(key, Outcome(frontend))
            return
        self._claim(key, frontend.address[1])
        group = references.group
        assert group is not None
        up = {server.identity: self._caches.running(key[0], server.server_id) for server in group.spec.backend_servers}
        targets = await self._targets(group, listener.spec.transport, up)
        healthy = self._healthy(key, listener, targets, up)
        serving = plan.serve(listener, group, frontend, targets, healthy)
        probed = serving.upstream.check is not None and listener.spec.listener_protocol is not Protocol.UDP
        use = (group.key, listener.spec.transport)
        self._settle(key, Outcome(serving, use, len(group.spec.backend_servers), healthy, probed))

    def _references(self, listener: Listener) -> plan.References:
        caches, namespace, spec = self._caches, listener.metadata.namespace, listener.spec
        balancer = resolve(caches.balancers, namespace, spec.load_balancer_id)
        group = resolve(caches.groups, namespace, spec.v_server_group_id)
        model = caches.group_view.get(key_of(group)) if group else None
        other = resolve(caches.balancers, namespace, model.spec.load_balancer_id) if model else None
        holder = self._holder(listener, balancer["metadata"]["name"]) if balancer else None
        return plan.References(
            caches.balancer_view.get(key_of(balancer)) if balancer else None,
            model,
            caches.balancer_view.get(key_of(other)) if other else None,
            holder,
        )

    def _holder(self, listener: Listener, balancer: str) -> str | None:
        port = ports.dialled(listener.spec.listener_port, self._lowest_port)
        if port == listener.spec.listener_port:
            return None
        name = listener_name(balancer, port, listener.spec.transport)
        holder = self._caches.listener_view.get((listener.metadata.namespace, name))
        return name if holder is not None and not holder.deleting and holder.spec.listener_port == port else None

    def _cluster(self, group: ServerGroup) -> ManagedCluster | None:
        found = resolve(self._caches.clusters, group.metadata.namespace, group.spec.cluster_id)
        return self._caches.cluster_view.get(key_of(found)) if found else None

    async def _targets(self, group: ServerGroup, transport: Transport, up: Mapping[Identity, bool]) -> Targets:
        known = self.problem(group)
        if known is not None:
            self._servers.release(group.key, transport)
            return known
        names = GroupNames(group.spec.v_server_group_name, group.spec.load_balancer_id)
        servers = tuple(Server(identity, is_up) for identity, is_up in up.items())
        try:
            return Targets(False, await self._servers.serve(VirtualGroup(group.key, names, servers), transport))
        except Exhausted as error:
            return Targets(False, {}, progressing("NoLoopbackAddress", str(error)))

    def _healthy(
        self, key: Key, listener: Listener, targets: Targets, up: Mapping[Identity, bool]
    ) -> dict[Identity, bool]:
        if targets.real:
            self._health.pop(key, None)
            return dict.fromkeys(targets.addresses, True)
        check, now = health_check(listener.spec), self._clock()
        table = self._health[key] = health.observe_all(self._health.get(key, {}), up, check, now)
        due = health.next_change(table, check)
        if due is not None:
            self.queue.add(WorkKey(Subject.LISTENER, key), max(due - now, 0.001))
        return {identity: table[identity].healthy for identity in table if identity in targets.addresses}

    def _settle(self, key: Key, outcome: Outcome | None) -> None:
        """Take over an outcome: Envoy's resources, the ports in use, who uses which group, and the reports."""
        before = self.outcomes.pop(key, None)
        if outcome is not None:
            self.outcomes[key] = outcome
        self._use(key, before.group if before else None, outcome.group if outcome else None)
        if outcome is None or isinstance(outcome.result, Blocked):
            self._health.pop(key, None)
            self._claim(key, None)
            for kind in ResourceType:
                self._store.drop(kind, resource_name(key))
        else:
            self._put(resource_name(key), outcome.result)
        if outcome is not None:
            self._report(WorkKey(Subject.LISTENER, key))
        for group in {use[0] for use in (before and before.group, outcome and outcome.group) if use}:
            self._report(WorkKey(Subject.GROUP, group))

    def _put(self, name: str, serving: Serving) -> None:
        self._store.put(ResourceType.CLUSTER, name, envoy_config.cluster(name, serving.upstream))
        self._store.put(ResourceType.ENDPOINTS, name, envoy_config.endpoints(name, serving))
        self._store.put(ResourceType.LISTENER, name, envoy_listener.listener(name, serving.frontend))

    def _claim(self, key: Key, port: int | None) -> None:
        """Keep virtual servers off a listener's port; those that had it move."""
        before = self._claims.pop(key, None)
        if port is not None:
            self._claims[key] = port
        if before == port:
            return
        if before is not None:
            self._servers.unclaim(before)
        for group in self._servers.claim(port) if port is not None else ():
            for user in self.users(group):
                self.queue.add(WorkKey(Subject.LISTENER, user))

    def _use(self, key: Key, before: tuple[Key, Transport] | None, now: tuple[Key, Transport] | None) -> None:
        if now is not None:
            self._users[now][key] = None
        if before is not None and before != now:
            self._users[before].pop(key, None)
            if not self._users[before]:
                del self._users[before]
                self._servers.release(*before)
