"""What a Service is to have on its classic load balancer. Pure; rule source: the CCM's `pkg/controller/service/clbv1`."""

from dataclasses import replace

from ackbox.catalog.annotations import PREFIX
from ackbox.ccm.config import CloudConfig
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.backends import BackendError, Mode
from ackbox.ccm.services.clb_listener import Listeners
from ackbox.ccm.services.groups import Groups, choice_of, families, protocol_of
from ackbox.ccm.services.model import Observed, Wanted, WantedGroup, WantedListener
from ackbox.ccm.services.names import OwnedName
from ackbox.ccm.services.view import ServicePort, ServiceView
from ackbox.resources import ServiceLoadBalancer
from ackbox.resources.listener import LAYER7, Protocol


def build(
    view: ServiceView,
    wishes: Wishes,
    load_balancer: ServiceLoadBalancer,
    reused: bool,
    observed: Observed,
    config: CloudConfig,
) -> Wanted:
    """The wanted state on a load balancer.

    Raises:
        SyncError: an annotation is wrong in a way that leaves no safe default.
    """
    choice = choice_of(view, wishes, config)
    groups = Groups(view, wishes, load_balancer, reused, observed, choice)
    protocols, problems = _protocols(view, wishes)
    listeners = Listeners(view, wishes, load_balancer, observed, choice.mode is Mode.LOCAL, protocols)
    found: list[WantedListener] = []
    made: dict[str, WantedGroup] = {}
    complaint = families(wishes, config)[1]
    problems += [complaint] if complaint else []
    hints = _hints(wishes, reused)
    for port, protocol in protocols.items():
        try:
            group = groups.group(port, OwnedName(groups.target(port), view.owner))
        except BackendError as error:
            problems.append(f"port {port.port}: {error}")
            continue
        try:
            group = replace(group, servers=groups.servers(port, group))
        except BackendError as error:
            problems.append(f"port {port.port}: {error}")
        if protocol in LAYER7 and view.affinity_seconds is not None:
            problems.append(f"port {port.port}: sessionAffinity ClientIP has no effect on an {protocol} listener")
        made[group.object_name] = group
        listener, said = listeners.listener(port, protocol, group.object_name)
        found.append(listener)
        problems += [f"port {port.port}: {problem}" for problem in said.problems]
        hints += [f"port {port.port}: {hint}" for hint in said.hints]
    managed = not reused or wishes.text("force-override-listeners") == "true"
    return Wanted(tuple(found) if managed else (), tuple(made.values()), tuple(problems), managed, tuple(hints))


def _protocols(view: ServiceView, wishes: Wishes) -> tuple[dict[ServicePort, Protocol], list[str]]:
    """The protocol of each port, and what is wrong with the ports that have none."""
    found: dict[ServicePort, Protocol] = {}
    problems: list[str] = []
    for port in view.ports:
        try:
            found[port] = protocol_of(view, port, wishes.by_port("protocol-port"))
        except BackendError as error:
            problems.append(f"port {port.port}: {error}")
    return found, problems


def _hints(wishes: Wishes, reused: bool) -> list[str]:
    """Annotations that count only together with others."""
    hints = []
    if "vgroup-port" in wishes and not reused:
        hints.append(f"Annotation {PREFIX}vgroup-port has no effect: it counts together with id only")
    if "weight" in wishes and not (reused and "vgroup-port" in wishes):
        hints.append(f"Annotation {PREFIX}weight has no effect: it counts together with id and vgroup-port only")
    return hints
