"""What was done to a machine by hand, told by its spec and what it was installed with. Pure.

The rules are the rows of `catalog/high_risk_operations.yaml` that have a cause.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from ackbox.catalog.high_risk import Cause, Field, Operation, instance_conditions, operations, operations_on_instances
from ackbox.catalog.security_groups import dns
from ackbox.cloud.allocation.security_groups import FLANNEL, find_group, opens, pod_networks
from ackbox.cloud.instances.plan import expired
from ackbox.kube.conditions import Aspect
from ackbox.resources import Instance, ManagedCluster, Vpc
from ackbox.resources.base import CLUSTER_LABEL, NODE_DELETED_ANNOTATION
from ackbox.resources.instance import Installation, InstancePhase

OFF = (InstancePhase.STOPPED, InstancePhase.STARTING)
"""States that only a machine which is being restarted comes through."""
DNS_PORT_CLOSED = "dns-port-closed"


@dataclass(frozen=True)
class Surroundings:
    """What a machine's conditions depend on beside the machine.

    Attributes:
        now: the time.
        phase: the machine's state from now on.
        versions: Kubernetes versions that its node may have beside the one it was installed with.
        dns_closed: the security group by which its pods can't ask the cluster's DNS; None when they can.
    """

    now: datetime
    phase: InstancePhase
    versions: frozenset[str] = frozenset()
    dns_closed: str | None = None


def installation(instance: Instance) -> Installation:
    """What a machine is like that was installed just now."""
    spec = instance.spec
    return Installation(
        image_id=spec.image_id,
        private_ip_address=spec.vpc_attributes.private_ip_address,
        security_group_ids=spec.security_group_ids,
        kubelet_version=spec.node.kubelet_version,
    )


def installed(instance: Instance, versions: Collection[str]) -> Installation:
    """What a machine was installed with, just now if never before.

    A kubelet of one of these versions, which are the cluster's, is an upgrade by ACK: it counts as installed.
    """
    there, kubelet = instance.status.installation, instance.spec.node.kubelet_version
    if there is None:
        return installation(instance)
    return there.model_copy(update={"kubelet_version": kubelet}) if kubelet in versions else there


def aspects(instance: Instance, around: Surroundings) -> list[Aspect]:
    """The conditions that tell what is wrong with a machine; those that no longer hold are taken away."""
    before = {each.type: each.message for each in instance.status.conditions if each.status == "True"}
    found: dict[str, Aspect] = {}
    for row, cause in operations_on_instances():
        if not row.condition or not _concerns(cause, instance):
            continue
        text = _found(instance, cause, around)
        message = row.told(text) if text else _still(row, cause, before.get(row.condition), around)
        if message is not None:
            found[row.condition] = _told(row, message)
    if around.dns_closed is not None:
        row = operations()[DNS_PORT_CLOSED]
        found[row.condition or ""] = _told(row, row.told(around.dns_closed))
    over = [each for each in before if each in instance_conditions() and each not in found]
    return [*found.values(), *(Aspect(each, None) for each in over)]


def dns_closed(instance: Instance, cluster: ManagedCluster, vpc: Vpc) -> str | None:
    """Why pods can't ask the DNS servers on a machine: its security groups keep them out; None when they can."""
    found = [find_group(vpc, each) for each in instance.spec.security_group_ids]
    groups = [group for group in found if group is not None]
    protocol, port = dns()
    terway = cluster.spec.network_plugin != FLANNEL
    for pods in pod_networks(cluster, vpc) if groups else ():
        if not opens(groups, protocol, port, pods, inside=terway):
            names = ", ".join(group.security_group_name for group in groups)
            return f"security group {names} doesn't open {protocol} {port} for {pods}"
    return None


def undone(instance: Instance) -> list[Aspect]:
    """What takes away the conditions of a machine whose system disk is replaced, the lasting ones too."""
    return [Aspect(each.type, None) for each in instance.status.conditions if each.type in instance_conditions()]


def reinstalled(instance: Instance) -> Instance:
    """A machine as it is on a new system disk."""
    conditions = [each for each in instance.status.conditions if each.type not in instance_conditions()]
    status = instance.status.model_copy(update={"installation": installation(instance), "conditions": conditions})
    return instance.model_copy(update={"status": status})


def _concerns(cause: Cause, instance: Instance) -> bool:
    """Whether a row speaks of such a machine; what is done to one that is in no cluster is its owner's business."""
    of_cluster = instance.spec.cluster_id is not None or CLUSTER_LABEL in instance.metadata.labels
    return (of_cluster or cause.field is Field.EXPIRED_TIME) and cause.role in (None, instance.spec.instance_role)


def _told(row: Operation, message: str) -> Aspect:
    return Aspect(row.condition or "", "True", row.reason or "", message, warn=True)


def _still(row: Operation, cause: Cause, before: str | None, around: Surroundings) -> str | None:
    """What to say of an operation that was undone, while its effect goes on."""
    if before is None:
        return None
    if cause.lasting:
        return before
    if cause.until_restart and around.phase not in OFF:
        return row.told("undone, but not restarted since")
    return None


def _found(instance: Instance, cause: Cause, around: Surroundings) -> str | None:
    if cause.field is not None:
        return _FIELDS[cause.field](instance, around)
    system = instance.spec.operating_system
    found = [
        *(f"sysctls: {name} is {value}" for name, value in system.sysctls.items() if _hurts(cause, name, value)),
        *(f"packages: {name} is installed" for name in system.packages if name in cause.packages),
        *(f"changedFiles: {path}" for path in system.changed_files if _row_of_file(instance, path) is cause),
    ]
    if cause.anything_else:
        found += _anything_else(instance)
    return f"spec.operatingSystem.{'; '.join(found)}" if found else None


def _hurts(cause: Cause, name: str, value: str) -> bool:
    if not _matches(name, cause.sysctls):
        return False
    value = " ".join(value.split())
    return value in cause.harmful or bool(cause.harmless and value not in cause.harmless)


def _row_of_file(instance: Instance, path: str) -> Cause | None:
    """The first row that speaks of a file of such a machine."""
    role = instance.spec.instance_role
    causes = (cause for _, cause in operations_on_instances() if cause.role in (None, role))
    return next((cause for cause in causes if _matches(path, cause.files)), None)


def _anything_else(instance: Instance) -> Iterable[str]:
    """Changes of the operating system that no other row speaks of."""
    system, causes = instance.spec.operating_system, [cause for _, cause in operations_on_instances()]
    sysctls = [pattern for cause in causes for pattern in cause.sysctls]
    packages = {name for cause in causes for name in cause.packages}
    return [
        *(f"sysctls: {name} is {value}" for name, value in system.sysctls.items() if not _matches(name, sysctls)),
        *(f"packages: {name} is installed" for name in system.packages if name not in packages),
        *(f"changedFiles: {path}" for path in system.changed_files if _row_of_file(instance, path) is None),
    ]


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _security_groups(instance: Instance, _: Surroundings) -> str | None:
    there = instance.status.installation
    lost = [each for each in there.security_group_ids if each not in instance.spec.security_group_ids] if there else []
    return f"spec.securityGroupIds: {', '.join(lost)} is missing" if lost else None


def _expiry(instance: Instance, around: Surroundings) -> str | None:
    return f"spec.expiredTime: {instance.spec.expired_time} has passed" if expired(instance, around.now) else None


def _image(instance: Instance, _: Surroundings) -> str | None:
    there, image = instance.status.installation, instance.spec.image_id
    if there is None or image == there.image_id:
        return None
    return f"spec.imageId: {image or 'none'}, and the node was installed with {there.image_id or 'none'}"


def _kubelet(instance: Instance, around: Surroundings) -> str | None:
    there, version = instance.status.installation, instance.spec.node.kubelet_version
    if there is None or version in (None, there.kubelet_version) or _bare(version) in map(_bare, around.versions):
        return None
    original = there.kubelet_version or ", ".join(sorted(around.versions)) or "the cluster's"
    return f"spec.node.kubeletVersion: {version}, and the original version is {original}"


def _bare(version: str | None) -> str:
    return (version or "").removeprefix("v")


def _address(instance: Instance, _: Surroundings) -> str | None:
    there, address = instance.status.installation, instance.spec.vpc_attributes.private_ip_address
    if there is None or address == there.private_ip_address:
        return None
    return f"spec.vpcAttributes.privateIpAddress: {address}, and the node was installed with {there.private_ip_address}"


def _node(instance: Instance, _: Surroundings) -> str | None:
    gone = instance.metadata.annotations.get(NODE_DELETED_ANNOTATION)
    return "the Node was deleted" if gone is not None and gone == instance.status.start_time else None


_FIELDS: Mapping[Field, Callable[[Instance, Surroundings], str | None]] = {
    Field.SECURITY_GROUPS: _security_groups,
    Field.EXPIRED_TIME: _expiry,
    Field.IMAGE: _image,
    Field.KUBELET_VERSION: _kubelet,
    Field.ADDRESS: _address,
    Field.NODE: _node,
}
