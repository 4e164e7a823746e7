"""Finds in the caches what a listener speaks of."""

from ipaddress import IPv4Network

from ackbox.dataplane import plan, ports, rules
from ackbox.dataplane.caches import Caches
from ackbox.dataplane.model import Identity, Targets
from ackbox.dataplane.real_servers import EXTERNAL, api_server_targets, is_of_api_servers, real_targets
from ackbox.kube.cache import key_of
from ackbox.kube.conditions import progressing
from ackbox.kube.refs import resolve
from ackbox.resources import Listener, ManagedCluster, ServerGroup, ServiceLoadBalancer
from ackbox.resources.balancer_service import Transport, target_ports
from ackbox.resources.listener import listener_name


class Lookup:
    """Answers from the caches alone.

    Args:
        caches: the management cluster's objects.
        lowest_port: the lowest port that can be bound.
        home: this home's own /16, where its API servers are; None in a cluster, where load balancers and API servers
            are dialled by Services.
    """

    def __init__(self, caches: Caches, lowest_port: int, home: IPv4Network | None) -> None:
        self._caches = caches
        self._home = home
        self._lowest_port = lowest_port

    def references(self, listener: Listener) -> plan.References:
        """What a listener names."""
        caches, namespace, spec = self._caches, listener.metadata.namespace, listener.spec
        balancer = self.balancer(namespace, spec.load_balancer_id)
        group = self.group(namespace, spec.v_server_group_id)
        return plan.References(
            balancer,
            group,
            self.balancer(namespace, group.spec.load_balancer_id) if group else None,
            self._holder(listener, balancer.metadata.name) if balancer else None,
            {
                name: caches.list_view.get(key_of(found)) if (found := resolve(caches.lists, namespace, name)) else None
                for name in spec.acl_ids or ()
            },
            {name: resolve(caches.secrets, namespace, name) for name in plan.certificates(spec)},
            self._targets(balancer, spec.transport) if self._home is None and balancer else None,
        )

    def balancer(self, namespace: str, reference: str | None) -> ServiceLoadBalancer | None:
        """A load balancer, by name or id."""
        found = resolve(self._caches.balancers, namespace, reference)
        return self._caches.balancer_view.get(key_of(found)) if found else None

    def group(self, namespace: str, reference: str | None) -> ServerGroup | None:
        """A server group, by name or id."""
        found = resolve(self._caches.groups, namespace, reference)
        return self._caches.group_view.get(key_of(found)) if found else None

    def branches(self, listener: Listener) -> tuple[dict[str, ServerGroup], list[plan.Problem]]:
        """The server groups that a listener's rules name, as they name them, and those that can't be used."""
        namespace, found = listener.metadata.namespace, {}
        problems: list[plan.Problem] = []
        own = self.balancer(namespace, listener.spec.load_balancer_id)
        for reference in rules.groups(listener.spec):
            group = self.group(namespace, reference)
            balancer = self.balancer(namespace, group.spec.load_balancer_id) if group else None
            if group is None or group.deleting:
                problems.append(("ServerGroupNotFound", f"waits for server group {reference} of a rule"))
            elif own is None or balancer is None or balancer.key != own.key:
                text = f"server group {reference} of a rule belongs to another load balancer"
                problems.append(("ServerGroupMismatch", text))
            else:
                found[reference] = group
        return found, problems

    def up(self, group: ServerGroup) -> dict[Identity, bool]:
        """Which servers of a group are machines that run."""
        namespace = group.metadata.namespace
        return {
            server.identity: self._caches.running(namespace, server.server_id) for server in group.spec.backend_servers
        }

    def problem(self, group: ServerGroup) -> Targets | None:
        """What is wrong with a group, whoever uses it: where its real servers may be dialled; None for virtual ones."""
        if is_of_api_servers(group):
            return api_server_targets(group, self._home)
        cluster = self._cluster(group)
        if group.spec.cluster_id is not None and cluster is None:
            state = progressing("ClusterNotFound", f"waits for ManagedCluster {group.spec.cluster_id}")
            return Targets(real=False, addresses={}, problem=state)
        if cluster is not None and cluster.spec.cluster_type == EXTERNAL:
            return real_targets(group, cluster)
        return None

    def _targets(self, balancer: ServiceLoadBalancer, transport: Transport) -> dict[int, int]:
        found = {}
        for service in self._caches.services.by("balancer", "/".join(balancer.key)):
            found.update({port: target for (port, own), target in target_ports(service).items() if own == transport})
        return found

    def _cluster(self, group: ServerGroup) -> ManagedCluster | None:
        found = resolve(self._caches.clusters, group.metadata.namespace, group.spec.cluster_id)
        return self._caches.cluster_view.get(key_of(found)) if found else None

    def _holder(self, listener: Listener, balancer: str) -> str | None:
        """The listener whose own port is the stand-in of this one's."""
        own = listener.spec.listener_port
        port = ports.dialled(own, self._lowest_port)
        if own in {0, port}:
            return None
        name = listener_name(balancer, port, listener.spec.transport)
        holder = self._caches.listener_view.get((listener.metadata.namespace, name))
        return name if holder is not None and not holder.deleting and holder.spec.listener_port == port else None
