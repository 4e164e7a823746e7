"""Which backend servers a port of a Service has. Pure; rule source: the CCM's `pkg/controller/service/reconcile/backend`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ackbox.ccm.facts import instance_id
from ackbox.ccm.nodes import machine
from ackbox.resources.servergroup import BackendServer

EXCLUDE_LABELS = (
    "node-role.kubernetes.io/master",
    "node.kubernetes.io/exclude-from-external-load-balancers",
    "alpha.service-controller.kubernetes.io/exclude-balancer",
    *machine.EXCLUDE_LABELS,
)
EXCLUDE_TAINT = "ToBeDeletedByClusterAutoscaler"
MAX_WEIGHT = 100
NO_NODE_PORT = (
    "the Service has no nodePort (allocateLoadBalancerNodePorts: false); set annotation "
    "service.beta.kubernetes.io/backend-type to eni, or let node ports be allocated"
)


class Mode(StrEnum):
    """Where traffic enters the cluster."""

    CLUSTER = "Cluster"
    LOCAL = "Local"
    ENI = "ENI"


class BackendError(Exception):
    """Backends can't be told; the message is for the user."""


@dataclass(frozen=True)
class NodeView:
    """What the rules need of a Node.

    Attributes:
        server_id: the instance's id; for nodes of no cloud the Node's name; None when it can't be a backend server.
        excluded: whether a rule that no annotation changes keeps it out.
        virtual: a virtual-kubelet node, whose pods are backends themselves.
    """

    name: str
    address: str | None
    server_id: str | None
    excluded: bool
    unschedulable: bool
    virtual: bool
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Endpoint:
    """A ready pod (or address) behind one port of a Service."""

    address: str
    port: int
    node: str | None


@dataclass(frozen=True)
class Choice:
    """What the annotations say about backends."""

    mode: Mode
    labels: Mapping[str, str]
    remove_unscheduled: bool = False
    default_weight: int = MAX_WEIGHT
    total_weight: int | None = None
    families: tuple[str, ...] = ("IPv4",)


def node_view(node: Mapping[str, Any], external: bool) -> NodeView:
    """Read a Node. In a registered (`external`) cluster a node of no cloud goes by its name."""
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    labels = metadata.get("labels") or {}
    virtual = labels.get("type") == "virtual-kubelet"
    conditions = status.get("conditions") or []
    is_ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    excluded = (
        any(label in labels for label in EXCLUDE_LABELS)
        or any(taint.get("key") == EXCLUDE_TAINT for taint in spec.get("taints") or [])
        or not conditions
        or not (is_ready or virtual)
        or spec.get("providerID", "").startswith(machine.HYBRID_PREFIX)
        or "deletionTimestamp" in metadata
    )
    return NodeView(
        name=metadata["name"],
        address=_internal_ip(status),
        server_id=instance_id(spec.get("providerID")) or (metadata["name"] if external else None),
        excluded=excluded,
        unschedulable=bool(spec.get("unschedulable")),
        virtual=virtual,
        labels=labels,
    )


def _internal_ip(status: Mapping[str, Any]) -> str | None:
    addresses = status.get("addresses") or []
    return next((a["address"] for a in addresses if a["type"] == "InternalIP" and ":" not in a["address"]), None)


def endpoints(
    slices: Iterable[Mapping[str, Any]],
    port_name: str,
    families: Sequence[str] = ("IPv4",),
    gated: frozenset[str] = frozenset(),
) -> list[Endpoint]:
    """The ready endpoints of a port by its name; slices without that port, or of another address family, are left out.

    Args:
        slices: the Service's EndpointSlices.
        port_name: the port's name; empty for an unnamed one.
        families: address types that count.
        gated: addresses of pods that wait only for this load balancer to take them in.
    """
    found: dict[Endpoint, None] = {}
    for item in slices:
        if item.get("addressType") not in families:
            continue
        port = next((p.get("port") for p in item.get("ports") or [] if (p.get("name") or "") == port_name), None)
        if port is None:
            continue
        for endpoint in item.get("endpoints") or []:
            for address in endpoint.get("addresses") or []:
                if _takes_traffic(endpoint, address in gated):
                    found[Endpoint(address, port, endpoint.get("nodeName"))] = None
    return list(found)


def _takes_traffic(endpoint: Mapping[str, Any], gated: bool) -> bool:
    """Whether an endpoint is ready: an absent `ready` means so; one that terminates gets no new traffic."""
    conditions = endpoint.get("conditions") or {}
    return conditions.get("terminating") is not True and (gated or conditions.get("ready") is not False)


def backends(
    choice: Choice, node_port: int | None, ready: Sequence[Endpoint], nodes: Mapping[str, NodeView], description: str
) -> tuple[BackendServer, ...]:
    """The backend servers of one port, in a fixed order.

    Raises:
        BackendError: a nodePort is needed and the Service has none, or an endpoint doesn't say its node.
    """
    if choice.mode is Mode.ENI:
        servers = [_pod(endpoint, nodes, choice.default_weight) for endpoint in ready]
    else:
        if not node_port:
            raise BackendError(NO_NODE_PORT)
        eligible = {view.name: view for view in nodes.values() if _eligible(view, choice)}
        if choice.mode is Mode.LOCAL:
            servers = _local(ready, eligible, nodes, node_port)
        else:
            servers = [_node(view, node_port, choice.default_weight) for view in eligible.values()]
            servers += [_pod(e, nodes, choice.default_weight) for e in ready if _on_virtual(e, nodes)]
    servers = _shared_weight(servers, choice)
    described = {
        server.identity: server.model_copy(update={"description": description}) for server in servers if server
    }
    return tuple(described[identity] for identity in sorted(described))


def _eligible(view: NodeView, choice: Choice) -> bool:
    return (
        not view.excluded
        and not view.virtual
        and view.address is not None
        and view.server_id is not None
        and not (choice.remove_unscheduled and view.unschedulable)
        and all(view.labels.get(key) == value for key, value in choice.labels.items())
    )


def _on_virtual(endpoint: Endpoint, nodes: Mapping[str, NodeView]) -> bool:
    view = nodes.get(endpoint.node or "")
    return view is not None and view.virtual


def _local(
    ready: Sequence[Endpoint], eligible: Mapping[str, NodeView], nodes: Mapping[str, NodeView], port: int
) -> list[BackendServer]:
    lost = next((endpoint for endpoint in ready if endpoint.node is None), None)
    if lost is not None:
        raise BackendError(f"endpoint {lost.address} has no nodeName, which externalTrafficPolicy Local needs")
    pods = Counter(endpoint.node for endpoint in ready if endpoint.node is not None)
    servers = [_node(eligible[name], port, min(count, MAX_WEIGHT)) for name, count in pods.items() if name in eligible]
    return servers + [_pod(endpoint, nodes, 1) for endpoint in ready if _on_virtual(endpoint, nodes)]


def _node(view: NodeView, port: int, weight: int) -> BackendServer:
    assert view.server_id is not None
    assert view.address is not None
    return BackendServer(server_id=view.server_id, server_ip=view.address, port=port, weight=weight, type="ecs")


def _pod(endpoint: Endpoint, nodes: Mapping[str, NodeView], weight: int) -> BackendServer:
    view = nodes.get(endpoint.node or "")
    server_id = (view.server_id if view else None) or endpoint.address
    if server_id.startswith("i-"):
        # The network interface shares the suffix of its instance, so that health can follow the instance.
        server_id = "eni-" + server_id.removeprefix("i-")
    return BackendServer(server_id=server_id, server_ip=endpoint.address, port=endpoint.port, weight=weight, type="eni")


def _shared_weight(servers: Sequence[BackendServer], choice: Choice) -> list[BackendServer]:
    """Divide a total weight: by pods in Local mode, evenly else; at least 1 each unless the total is 0."""
    total = choice.total_weight
    if total is None or not servers:
        return list(servers)
    pods = sum(server.weight for server in servers)

    def share(server: BackendServer) -> int:
        if total == 0:
            return 0
        part = total * server.weight // pods if choice.mode is Mode.LOCAL else total // len(servers)
        return max(1, part)

    return [server.model_copy(update={"weight": share(server)}) for server in servers]
