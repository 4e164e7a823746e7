"""The listener of a port on a classic load balancer. Pure; rule source: the CCM's `pkg/controller/service/clbv1`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.listener_look import Said
from ackbox.ccm.services.listener_rules import forward_problem, said_of
from ackbox.ccm.services.model import Observed, WantedListener
from ackbox.ccm.services.names import OwnedName
from ackbox.ccm.services.view import ServicePort, ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.base import GROUP
from ackbox.resources.listener import LAYER7, ListenerSpec, Protocol, listener_name

MAX_PERSISTENCE = 3600
AFFINITY_MARK = f"{GROUP}/session-affinity"
"""On a Listener: its persistence time-out comes from the Service's sessionAffinity, and goes with it."""
HEALTHZ_URI = "/healthz"
HEALTHZ_FIELDS = {
    "health_check_type": "healthCheckType",
    "health_check_uri": "healthCheckURI",
    "health_check_connect_port": "healthCheckConnectPort",
}


@dataclass(frozen=True)
class Listeners:
    """Builds the listeners of a Service's ports; `local` says that only nodes with pods of it are servers."""

    view: ServiceView
    wishes: Wishes
    load_balancer: ServiceLoadBalancer
    observed: Observed
    local: bool
    protocols: Mapping[ServicePort, Protocol]

    def listener(self, port: ServicePort, protocol: Protocol, group: str) -> tuple[WantedListener, Said]:
        """The listener of a port, and what was wrong with what the Service says of it."""
        transport = "udp" if protocol is Protocol.UDP else "tcp"
        object_name = listener_name(self.load_balancer.metadata.name, port.port, transport)
        name = OwnedName(str(port.port), self.view.owner)
        identity = {
            "load_balancer_id": self.load_balancer.metadata.name,
            "listener_port": port.port,
            "listener_protocol": protocol,
            "description": str(name),
        }
        there = self.observed.listener(object_name) or {}
        if there.get("listenerProtocol") != protocol:
            there = {}
        target = self.wishes.by_port("forward-port").get(port.port)
        if target is not None:
            problem = forward_problem(port.port, protocol, target, self.protocols)
            if protocol is Protocol.HTTP:
                return self._forward(object_name, name, identity, target, problem)
        else:
            problem = None
        said = said_of(self.wishes, protocol, there, self.observed)
        if problem is not None:
            said = Said(said.fields, (problem, *said.problems), said.hints, said.held)
        healthz, unset = self._healthz(protocol, said.fields)
        affinity, marks, unset_affinity = self._affinity(protocol, said.fields)
        overlay = {**identity, "v_server_group_id": group, **healthz, **affinity, **said.fields}
        wanted = WantedListener(
            object_name=object_name,
            name=name,
            port=port.port,
            transport=transport,
            overlay=ListenerSpec.model_validate(overlay),
            defaults=_DEFAULTS[protocol],
            unset=(*unset, *unset_affinity),
            marks=marks,
            held=said.held,
        )
        return wanted, said

    def _forward(
        self, object_name: str, name: OwnedName, identity: Mapping[str, Any], target: int, problem: str | None
    ) -> tuple[WantedListener, Said]:
        """A listener that sends clients to another one; it has no servers, so nothing else of it counts."""
        overlay = ListenerSpec.model_validate({**identity, "listener_forward": "on", "forward_port": target})
        held = problem is not None
        wanted = WantedListener(object_name, name, int(name.port), "tcp", overlay, {}, held=held)
        return wanted, Said({}, (problem,) if problem is not None else (), (), held)

    def _affinity(
        self, protocol: Protocol, said: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str | None], tuple[str, ...]]:
        """The persistence time-out by `sessionAffinity`: fields, marks, and the fields to take back without it."""
        seconds = self.view.affinity_seconds
        if protocol in LAYER7 or protocol is Protocol.UDP or "persistence_timeout" in said:
            return {}, {AFFINITY_MARK: None}, ()
        if seconds is None:
            return {}, {AFFINITY_MARK: None}, ("persistenceTimeout",)
        return {"persistence_timeout": min(seconds, MAX_PERSISTENCE)}, {AFFINITY_MARK: "true"}, ()

    def _healthz(self, protocol: Protocol, said: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """With policy Local each node answers on a port of its own whether it has pods of the Service: check that one.

        Returns the fields to set and those to take back when the Service no longer is of that kind.
        """
        if HEALTHZ_FIELDS.keys() & said.keys():
            return {}, ()
        port = self.view.health_check_node_port
        if protocol is not Protocol.TCP or not self.local or port is None:
            return {}, tuple(HEALTHZ_FIELDS.values())
        return dict(zip(HEALTHZ_FIELDS, ("http", HEALTHZ_URI, port), strict=True)), ()


_LAYER4_DEFAULTS = {"bandwidth": -1, "scheduler": "rr"}
_LAYER7_DEFAULTS = {"scheduler": "rr", "healthCheck": "off", "stickySession": "off"}
_DEFAULTS: Mapping[Protocol, Mapping[str, Any]] = {
    Protocol.TCP: _LAYER4_DEFAULTS,
    Protocol.UDP: _LAYER4_DEFAULTS,
    Protocol.HTTP: _LAYER7_DEFAULTS,
    Protocol.HTTPS: {"bandwidth": -1, **_LAYER7_DEFAULTS},
}
