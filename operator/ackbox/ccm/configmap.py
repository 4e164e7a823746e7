"""Keeps ConfigMap `kube-system/cloud-config` of a workload cluster: makes it where it is missing, and looks at it often.

It is read every few seconds and not watched: a watch would need the right to read every ConfigMap of a registered
cluster, and would hold them all in memory.
"""

import asyncio
import json
import logging
import random

from ackbox.ccm.config import KEY, NAME, NAMESPACE, current
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.store import Store
from ackbox.kube.client import CONFIG_MAP, Object
from ackbox.kube.errors import AlreadyExists, ApiError, Forbidden, NotFound
from ackbox.kube.refs import resolve
from ackbox.resources import MANAGED_CLUSTER, VPC, ManagedCluster, Vpc

logger = logging.getLogger(__name__)

PERIOD = 3.0
"""Seconds between two looks, spread by a fifth each way."""

INVALID = "InvalidCloudConfig"


class CloudConfigMap:
    """The ConfigMap of one workload cluster, kept in the workload store's cache."""

    def __init__(self, facts: ClusterFacts, management: Store, workload: Store, reporter: Reporter) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._reporter = reporter
        self._said: tuple[str, ...] = ()

    async def look(self) -> None:
        """Read it once, and make it when a managed cluster has none.

        Raises:
            ApiError: the cluster doesn't answer as it should.
        """
        try:
            await self._workload.read(CONFIG_MAP, NAME, NAMESPACE)
        except NotFound:
            self._forget()
            await self._create()
        except Forbidden as error:
            # The owner of a registered cluster doesn't have to let us read it.
            self._forget()
            logger.debug("cluster %s/%s: no cloud config: %s", self._facts.namespace, self._facts.name, error)
        self._say()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(PERIOD * random.uniform(0.8, 1.2))
            try:
                await self.look()
            except ApiError as error:
                logger.info("cluster %s/%s: its cloud config: %s", self._facts.namespace, self._facts.name, error)

    async def _create(self) -> None:
        if self._facts.external:
            return  # kube-system of a registered cluster is its owner's
        obj = self._management[MANAGED_CLUSTER].get(self._facts.namespace, self._facts.name)
        if obj is None:
            return
        cluster = ManagedCluster.model_validate(obj)
        found = resolve(self._management[VPC], self._facts.namespace, cluster.spec.vpc_id)
        body = {
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "data": {KEY: first_config(cluster, Vpc.model_validate(found) if found is not None else None)},
        }
        try:
            await self._workload.create(CONFIG_MAP, body, NAMESPACE)
        except AlreadyExists:
            pass  # somebody was faster; it is in the cache now
        except (NotFound, Forbidden) as error:
            # A namespace that is missing still, or is going away: the next look tries again.
            logger.info("cluster %s/%s: no cloud config yet: %s", self._facts.namespace, self._facts.name, error)

    def _forget(self) -> None:
        there = self._there()
        if there is not None:
            self._workload[CONFIG_MAP].remove(there)

    def _there(self) -> Object | None:
        return self._workload[CONFIG_MAP].get(NAMESPACE, NAME)

    def _say(self) -> None:
        problems, there = current(self._workload).problems, self._there()
        if there is not None and problems and problems != self._said:
            logger.warning("cluster %s/%s: %s", self._facts.namespace, self._facts.name, "; ".join(problems))
            self._reporter.warning(there, INVALID, "; ".join(problems))
        self._said = problems


def first_config(cluster: ManagedCluster, vpc: Vpc | None) -> str:
    """The config that a managed cluster begins with, as ACK writes it: who it is, and the vSwitches it may use."""
    spec = cluster.spec
    values = {
        "clusterID": cluster.status.cluster_id,
        "region": spec.region_id,
        "vpcid": vpc.status.vpc_id if vpc is not None else spec.vpc_id,
        "vswitchid": ",".join(_vswitches(cluster, vpc)) if vpc is not None else None,
        "resourceGroupID": spec.resource_group_id,
    }
    return json.dumps({"Global": {key: value for key, value in values.items() if value}}, indent=2) + "\n"


def _vswitches(cluster: ManagedCluster, vpc: Vpc) -> list[str]:
    """`zone:id` of the cluster's vSwitches; those without an id yet go by their name."""
    ids = {vswitch.v_switch_name: vswitch.v_switch_id for vswitch in vpc.status.vswitches}
    zones = {vswitch.v_switch_name: vswitch.zone_id for vswitch in vpc.spec.vswitches}
    names = {ids.get(name, name): name for name in zones}
    wanted = [names.get(reference, reference) for reference in cluster.spec.vswitch_ids]
    return [f"{zones[name]}:{ids.get(name, name)}" for name in dict.fromkeys(wanted) if name in zones]
