"""To which version a cluster goes, and by which steps. Pure.

Rule sources: ACK Product Introduction of 2022-07-08, Kubernetes versions (neighbouring minors only, patches free, no way
back, end of life); ACK's CreateCluster, `operationPolicy.clusterAutoUpgrade` (channels).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ackbox.catalog.versions import Expiry, KubernetesVersion, VersionOffer
from ackbox.cloud.clusters.maintenance import schedule
from ackbox.kube.conditions import Aspect, timestamp
from ackbox.resources import ManagedCluster
from ackbox.resources.managedcluster import ControlPlaneMember, UpgradeStatus

RUNNING, SUCCESS, FAIL = "running", "success", "fail"
"""ACK's words for how an upgrade stands."""

AUTO_UPGRADE, VERSION_EXPIRED = "AutoUpgrade", "VersionExpired"


def under_way(upgrade: UpgradeStatus | None) -> bool:
    """Whether an upgrade has begun and not ended: from then on it goes on, whatever else is asked for."""
    return upgrade is not None and upgrade.status == RUNNING


def goal(cluster: ManagedCluster, offer: VersionOffer, running: KubernetesVersion, now: datetime) -> KubernetesVersion:
    """The version that the cluster shall have now; the running one when there is nothing to do."""
    upgrade = cluster.status.upgrade
    if upgrade is not None and under_way(upgrade):
        return offer.parse(upgrade.next_version)
    asked = offer.wanted(cluster.spec.kubernetes_version, running.name) or running
    if asked.order > running.order:
        return asked
    automatic = automatic_goal(cluster, offer, running)
    return automatic if automatic is not None and window_open(cluster, now) else running


def automatic_goal(
    cluster: ManagedCluster, offer: VersionOffer, running: KubernetesVersion
) -> KubernetesVersion | None:
    """What the cluster's channel of automatic upgrades would bring next; None for nothing."""
    policy = cluster.spec.operation_policy.cluster_auto_upgrade
    if not policy.enabled or not cluster.spec.maintenance_window.enable or not cluster.spec.pro:
        return None
    # patch: the newest patch; stable: up to the second newest minor; rapid: up to the newest.
    limits = {"patch": running.minor, "stable": offer.minors[min(1, len(offer.minors) - 1)], "rapid": offer.minors[0]}
    limit = max(offer.parse(f"{limits[policy.channel]}.0").order[:2], running.order[:2])
    return next((target for target in offer.targets(running) if target.order[:2] <= limit), None)


def window_open(cluster: ManagedCluster, now: datetime) -> bool:
    """Whether ACK may work on the cluster by itself now."""
    try:
        return schedule(cluster.spec.maintenance_window).window(now).holds(now)
    except ValueError:
        return False  # `auto_upgrade_aspect` tells.


def expiry_aspect(offer: VersionOffer, running: KubernetesVersion) -> Aspect:
    """What is to be said of a version that is no longer supported."""
    expiry = offer.expiry(running)
    supported = ", ".join(offer.minors[: offer.policy.supported])
    if expiry is Expiry.MINOR:
        message = (
            f"Kubernetes {running.name} is older than the supported minors ({supported}): it may run unsteadily, and"
            " there is no upgrade from it any more; create a new cluster and move to it"
        )
        return Aspect(VERSION_EXPIRED, "True", expiry.value, message, warn=True)
    if expiry is Expiry.PATCH:
        newest = offer.targets(running)[-1].name
        newer = next((each.name for each in offer.targets(running) if each.minor == running.minor), newest)
        message = f"Kubernetes {running.name} has a newer patch, and only that one is supported: upgrade to {newer}"
        return Aspect(VERSION_EXPIRED, "True", expiry.value, message, warn=True)
    return Aspect(VERSION_EXPIRED, None)


def auto_upgrade_aspect(
    cluster: ManagedCluster, offer: VersionOffer, running: KubernetesVersion, now: datetime
) -> Aspect:
    """How it stands with automatic upgrades: off, without effect, or what comes when."""
    window = cluster.spec.maintenance_window
    if not cluster.spec.operation_policy.cluster_auto_upgrade.enabled:
        return Aspect(AUTO_UPGRADE, None)
    if not cluster.spec.pro:
        message = "spec.operationPolicy.clusterAutoUpgrade counts for Pro editions only"
        return Aspect(AUTO_UPGRADE, "False", "NotPro", message, warn=True)
    if not window.enable:
        message = "spec.operationPolicy.clusterAutoUpgrade has no effect without spec.maintenanceWindow.enable"
        return Aspect(AUTO_UPGRADE, "False", "NoMaintenanceWindow", message, warn=True)
    try:
        times = schedule(window).window(now)
    except ValueError as error:
        return Aspect(AUTO_UPGRADE, "False", "InvalidMaintenanceWindow", str(error), warn=True)
    target = automatic_goal(cluster, offer, running)
    if target is None:
        return Aspect(AUTO_UPGRADE, "True", "UpToDate", "there is nothing newer in the channel")
    begin = timestamp(times.begin.astimezone(UTC))
    return Aspect(AUTO_UPGRADE, "True", "Scheduled", f"{target.name} comes in the window that begins at {begin}")


@dataclass(frozen=True)
class Step:
    """A step of an upgrade.

    Attributes:
        members: what the control plane shall consist of next.
        new: name of a member to be added to them, once it has an address.
        waits_for: what has to come first, when there is nothing to change now.
        done: nothing is left to do.
    """

    members: tuple[ControlPlaneMember, ...] = ()
    new: str | None = None
    waits_for: str | None = None
    done: bool = False


def step(members: Sequence[ControlPlaneMember], target: str, surge: bool, count: int, serving: Collection[str]) -> Step:
    """The next step of an upgrade of the control plane, one API server at a time.

    Args:
        members: the API servers there are to be now.
        target: the version that they shall have in the end.
        surge: make a new API server before an old one goes; else an API server is replaced where it is.
        count: how many there are when no upgrade is under way.
        serving: names of those that serve users in the version that they are said to have.
    """
    absent = [member.name for member in members if member.name not in serving]
    if absent:
        return Step(waits_for=f"{', '.join(absent)} to serve")
    outdated = next((member for member in members if member.version != target), None)
    if outdated is None:
        return Step(done=True)
    if not surge:
        renewed = outdated.model_copy(update={"version": target})
        return Step(tuple(renewed if member is outdated else member for member in members))
    if len(members) > count:
        return Step(tuple(member for member in members if member is not outdated))
    return Step(tuple(members), new=new_name(members))


def new_name(members: Sequence[ControlPlaneMember]) -> str:
    """A name that no API server of the cluster ever had: the newest has the highest number, and never goes first."""
    stem = members[-1].name.rstrip("0123456789")
    highest = max(int(member.name.removeprefix(stem) or 0) for member in members)
    return f"{stem}{highest + 1}"
