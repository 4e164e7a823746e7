"""Self-healing of a node pool's machines: when one is restarted, and when its system disk is replaced. Pure.

Rule source: ACK Product Introduction of 2022-07-08, high-risk operations on node pools (self-healing may reset a node).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ackbox.catalog.self_healing import self_healing
from ackbox.cloud.instances.plan import expired, moment, to_restart
from ackbox.kube.client import Object
from ackbox.kube.conditions import timestamp
from ackbox.resources import Instance, NodePool
from ackbox.resources.instance import OUT_OF_SERVICE, InstancePhase


@dataclass(frozen=True)
class Repair:
    """What self-healing does next.

    Attributes:
        spec: merge patch of the Instance's spec; None when it is not time yet.
        again_after: seconds until there is more to do; None when self-healing has done all it can.
    """

    spec: Object | None = None
    again_after: float | None = None


def repair(instance: Instance, pool: NodePool | None, now: datetime) -> Repair:
    """The next step for a machine: a restart first, then a new system disk.

    What was done is told by when the machine started: each step restarts it, so none is done twice for one trouble.
    """
    management = pool.spec.management if pool is not None else None
    since = _in_trouble_since(instance)
    if management is None or not (management.enable and management.auto_repair) or since is None:
        return Repair()
    busy = instance.status.phase != InstancePhase.RUNNING or to_restart(instance)
    if busy or expired(instance, now):
        return Repair()
    started = moment(instance.status.start_time or timestamp(since))
    restart = management.auto_repair_policy.restart_node and started <= since
    wait = self_healing().restart_after if restart else self_healing().replace_after
    due = since + timedelta(seconds=wait)
    if started > due:
        return Repair()
    if now < due:
        return Repair(again_after=(due - now).total_seconds())
    if restart:
        return Repair({"rebootRevision": instance.spec.reboot_revision + 1})
    disk = {"systemDiskRevision": instance.spec.system_disk_revision + 1, "operatingSystem": None}
    return Repair({**disk, **_original(instance)})


def _original(instance: Instance) -> Object:
    """What a reset gives back of what the node was installed with."""
    there = instance.status.installation
    if there is None:
        return {}
    return {"imageId": there.image_id, "node": {"kubeletVersion": there.kubelet_version}}


def _in_trouble_since(instance: Instance) -> datetime | None:
    troubles = [each for each in instance.status.conditions if each.status == "True" and each.reason in OUT_OF_SERVICE]
    return min((moment(each.last_transition_time) for each in troubles), default=None)
