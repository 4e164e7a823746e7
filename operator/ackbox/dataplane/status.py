"""What Listeners and ServerGroups say about themselves. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ackbox.dataplane.model import Blocked, Identity, Serving
from ackbox.kube.conditions import State, progressing, ready, stalled
from ackbox.resources import ServerGroup
from ackbox.resources.listener import ListenerPhase
from ackbox.resources.servergroup import ServerHealth

Seen: TypeAlias = Mapping[Identity, bool | None]
"""How a listener finds its servers; None where it can't tell."""

Report: TypeAlias = tuple[dict[str, Any], State]
"""Status fields, and the state for the conditions."""


@dataclass(frozen=True)
class Delivery:
    """How far a listener's configuration got.

    Attributes:
        running: Envoy runs the listener as it should be, and has endpoints for it.
        current: it has the latest endpoints, too.
        serving: Envoy runs some version.
        connected: Envoy is there.
        rejection: why Envoy refused it.
    """

    running: bool
    serving: bool
    connected: bool
    current: bool = False
    rejection: str | None = None

    @property
    def settled(self) -> bool:
        """Whether Envoy's last word is here."""
        return (self.running and self.current) or self.rejection is not None


def listener_report(outcome: Serving | Blocked, delivery: Delivery, servers: int, seen: Seen) -> Report:
    """The status of a listener with so many servers in its group."""
    if isinstance(outcome, Blocked):
        phase = ListenerPhase.STOPPED if outcome.state.stalled else ListenerPhase.STARTING
        return {"phase": phase.value, "reachable": None, "backends": None}, outcome.state
    host, port = next(iter(outcome.frontend.dialled), outcome.frontend.address)
    fields = {
        "phase": (ListenerPhase.RUNNING if delivery.serving else ListenerPhase.STARTING).value,
        "reachable": f"{host}:{port}",
        "backends": {"total": servers, "healthy": sum(1 for healthy in seen.values() if healthy)},
    }
    if delivery.rejection is not None:
        if not delivery.serving:
            fields["phase"] = ListenerPhase.STOPPED.value
        return fields, stalled("Rejected", f"Envoy refused the listener: {delivery.rejection}")
    if delivery.running:
        return fields, outcome.problem or ready("Serving")
    message = "Envoy has not taken the configuration yet" if delivery.connected else "Envoy is not connected"
    return fields, progressing("Programming", message)


def group_report(group: ServerGroup, views: Iterable[Seen], problem: State | None) -> Report:
    """The status of a server group, given how each of its listeners finds its servers."""
    views = list(views)
    healths = [
        (server.identity, _health([view.get(server.identity) for view in views]))
        for server in group.spec.backend_servers
    ]
    fields = {
        "vServerGroupId": group.status.v_server_group_id or group_id(group.metadata.uid),
        "total": len(healths),
        "healthy": sum(1 for _, health in healths if health is ServerHealth.NORMAL),
        "backendServers": [
            {"serverId": server_id, "serverIp": ip, "port": port, "serverHealthStatus": health.value}
            for (server_id, ip, port), health in healths
        ],
    }
    return fields, problem or ready("Ready")


def group_id(uid: str) -> str:
    """The cloud id of a server group; the same for the same object."""
    return f"rsp-{hashlib.sha256(uid.encode()).hexdigest()[:14]}"


def _health(seen: list[bool | None]) -> ServerHealth:
    if any(healthy is False for healthy in seen):
        return ServerHealth.ABNORMAL
    return ServerHealth.NORMAL if any(seen) else ServerHealth.UNAVAILABLE
