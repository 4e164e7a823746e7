"""How a Node tells what was done to its machine by hand: the Instance's conditions, played by its kubelet. Pure."""

from datetime import datetime

from ackbox.catalog.high_risk import instance_conditions
from ackbox.ccm.nodes.model import node_condition
from ackbox.resources import Instance
from ackbox.resources.base import NODE_DELETED_ANNOTATION, Condition
from ackbox.resources.instance import Harm

NETWORK = "NetworkUnavailable"


def found(instance: Instance) -> list[Condition]:
    """The Instance's conditions that tell of something wrong."""
    known = instance_conditions()
    return [each for each in instance.status.conditions if each.status == "True" and each.type in known]


def harm_conditions(instance: Instance, now: datetime) -> list[dict[str, str]]:
    """The same conditions on its Node."""
    return [node_condition(each.type, "True", each.reason, each.message, now) for each in found(instance)]


def harm_over(kind: str, now: datetime) -> dict[str, str]:
    """The condition of a harm that was put right."""
    return node_condition(kind, "False", f"No{kind}", "", now)


def network_down(instance: Instance, now: datetime) -> dict[str, str] | None:
    """The condition NetworkUnavailable of a Node whose network was broken by hand; None when it wasn't."""
    broken = next((each for each in found(instance) if each.reason == Harm.NETWORK_DOWN), None)
    return node_condition(NETWORK, "True", broken.type, broken.message, now) if broken is not None else None


def network_up(now: datetime) -> dict[str, str]:
    """The condition NetworkUnavailable of a Node that needs no route and whose network is well again."""
    return node_condition(NETWORK, "False", "NetworkRestored", "the network of the node works again", now)


def unregistered(instance: Instance) -> bool:
    """Whether the Node was deleted by hand, and the machine not restarted since."""
    gone = instance.metadata.annotations.get(NODE_DELETED_ANNOTATION)
    return gone is not None and gone == instance.status.start_time
