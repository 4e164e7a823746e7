"""Upgrades the control plane of a cluster: checks, then replaces its API servers one by one.

What has begun is told by `status.upgrade` and `status.controlPlane` alone, so an operator that starts again goes on where
the last one stopped. The list of members is only changed here; the controller of clusters makes it so.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ackbox.catalog.versions import KubernetesVersion, VersionOffer, offer
from ackbox.cloud.clusters.endpoint import name_of
from ackbox.cloud.clusters.members import DEDICATED, first_names, member_owner, oldest_version
from ackbox.cloud.clusters.parts import Outcome
from ackbox.cloud.clusters.upgrade_check import check
from ackbox.cloud.clusters.upgrade_plan import (
    FAIL,
    RUNNING,
    SUCCESS,
    Step,
    auto_upgrade_aspect,
    expiry_aspect,
    goal,
    step,
    under_way,
)
from ackbox.cloud.reconciling import Cloud
from ackbox.kube.client import Client, Object
from ackbox.kube.conditions import progressing, stalled
from ackbox.kube.errors import ApiError
from ackbox.resources import ManagedCluster
from ackbox.resources.managedcluster import (
    ClusterPhase,
    ControlPlaneMember,
    UpgradeFinding,
    UpgradeStatus,
)
from ackbox.resources.servergroup import ServerHealth
from ackbox.runtime.loopback import API_PORT, AddressUse

LOOK_PERIOD = 0.3
"""Seconds between looks at a control plane that is being upgraded."""

CHECK_PERIOD = 5.0
"""Seconds between checks of a cluster whose upgrade something stands against."""

STARTED, SUCCEEDED, BLOCKED = "ClusterUpgradeStart", "ClusterUpgradeSuccess", "UpgradeBlocked"


class Upgrades:
    """The part of a cluster that brings its control plane to the wanted version."""

    def __init__(self, cloud: Cloud, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._cloud = cloud
        self._now = now

    async def ensure(self, obj: Object, cluster: ManagedCluster, workload: Client) -> Outcome:
        """See `Part.ensure`."""
        members, table, now = cluster.status.control_plane, offer(), self._now()
        if not members:
            return Outcome()
        running = table.parse(oldest_version(members))
        target = goal(cluster, table, running, now)
        if under_way(cluster.status.upgrade):
            outcome = await self._go_on(obj, cluster, workload, target)
        elif target.order > running.order:
            outcome = await self._begin(obj, workload, table, running, target)
        else:
            outcome = _idle(cluster)
        aspects = expiry_aspect(table, running), auto_upgrade_aspect(cluster, table, running, now)
        return replace(outcome, aspects=aspects)

    def forget(self, uid: str) -> None:
        """See `Part.forget`; nothing is remembered."""

    async def _begin(
        self, obj: Object, workload: Client, table: VersionOffer, running: KubernetesVersion, target: KubernetesVersion
    ) -> Outcome:
        findings = await check(workload, table, running, target)
        if findings:
            message = "; ".join(finding.message for finding in findings[:3])
            more = f"; and {len(findings) - 3} more, see status.upgrade.findings" if len(findings) > 3 else ""
            return Outcome(
                fields=_upgrade(target.name, FAIL, "not_start", findings),
                state=stalled(BLOCKED, f"the upgrade to {target.name} can't begin: {message}{more}"),
                again=CHECK_PERIOD,
            )
        await self._cloud.events.normal(obj, STARTED, f"from {running.name} to {target.name}")
        return _at_work(_upgrade(target.name, RUNNING, "upgrading"), target, "")

    async def _go_on(
        self, obj: Object, cluster: ManagedCluster, workload: Client, target: KubernetesVersion
    ) -> Outcome:
        members = cluster.status.control_plane
        serving = await self._serving(cluster, workload)
        dedicated = cluster.spec.cluster_type == DEDICATED
        surge = cluster.spec.pro and not dedicated
        count = len(members) if dedicated else len(first_names(cluster))
        now = step(members, target.name, surge, count, serving)
        if now.done:
            await self._cloud.events.normal(obj, SUCCEEDED, f"the control plane runs {target.name}")
            return Outcome(fields=_upgrade(target.name, SUCCESS, "success"), again=0.0)
        if now.waits_for is not None:
            return _at_work({}, target, f", waits for {now.waits_for}")
        rows = [
            member.model_dump(by_alias=True, exclude_none=True) for member in await self._members(cluster, now, target)
        ]
        return _at_work({"controlPlane": rows}, target, "")

    async def _members(
        self, cluster: ManagedCluster, now: Step, target: KubernetesVersion
    ) -> Sequence[ControlPlaneMember]:
        if now.new is None:
            return now.members
        # The address is reserved under the member's name, so a second look gets the same one.
        address = await self._cloud.addresses.reserve(member_owner(cluster, now.new), AddressUse.API_SERVER)
        old = next(member for member in now.members if member.version != target.name)
        new = ControlPlaneMember(name=now.new, address=address, version=target.name, zone_id=old.zone_id)
        return (*now.members, new)

    async def _serving(self, cluster: ManagedCluster, workload: Client) -> set[str]:
        """The API servers that answer in the version that they are said to have, and that users are sent to."""
        members = cluster.status.control_plane
        versions = await asyncio.gather(*(_version(workload, member) for member in members))
        reached = self._reached(cluster)
        table = offer()
        return {
            member.name
            for member, version in zip(members, versions, strict=True)
            if version == table.parse(member.version).git_version and member.address in reached
        }

    def _reached(self, cluster: ManagedCluster) -> set[str]:
        """The addresses to which the API server's load balancer sends users."""
        group = self._cloud.world.server_groups.get(cluster.metadata.namespace, name_of(cluster)) or {}
        servers = (group.get("status") or {}).get("backendServers") or ()
        return {server["serverIp"] for server in servers if server["serverHealthStatus"] != ServerHealth.ABNORMAL}


async def _version(workload: Client, member: ControlPlaneMember) -> str | None:
    """What an API server says that it runs, once it is ready to serve."""
    server = f"https://{member.address}:{API_PORT}"
    try:
        async with Client(replace(workload.connection, server=server)) as client:
            await client.text("/readyz")
            version: str = json.loads(await client.text("/version"))["gitVersion"]
            return version
    except ApiError:
        return None


def _idle(cluster: ManagedCluster) -> Outcome:
    """Nothing is to be upgraded; findings against an upgrade that nobody wants any more go."""
    upgrade = cluster.status.upgrade
    return Outcome(fields={"upgrade": None} if upgrade is not None and upgrade.status == FAIL else {})


def _at_work(fields: Object, target: KubernetesVersion, detail: str) -> Outcome:
    return Outcome(
        fields=fields,
        state=progressing("Upgrading", f"the control plane is being upgraded to {target.name}{detail}"),
        phase=ClusterPhase.UPGRADING.value,
        again=LOOK_PERIOD,
    )


def _upgrade(version: str, status: str, upgrade_step: str, findings: Sequence[UpgradeFinding] = ()) -> Object:
    found = UpgradeStatus(next_version=version, status=status, upgrade_step=upgrade_step, findings=list(findings))
    return {"upgrade": found.model_dump(by_alias=True)}
