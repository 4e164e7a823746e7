"""Whether a machine does its work."""

from ackbox.resources import Instance
from ackbox.resources.instance import InstancePhase


def working(instance: Instance) -> bool:
    """Whether what is to run on a machine runs.

    It doesn't while the machine is off or boots, once it is released or has expired, and after something was done to it
    by hand that takes its node or master out of service: its conditions say what.
    """
    on = instance.status.phase == InstancePhase.RUNNING and not instance.deleting
    return on and not instance.out_of_service
