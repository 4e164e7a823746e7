"""`ackbox up` and `ackbox down`: brings a home up in order, or leaves nothing behind."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ackbox.catalog.policies import admission_policies
from ackbox.kube.client import Client
from ackbox.kube.connection import parse_kubeconfig
from ackbox.resources import MANAGED_CLUSTER
from ackbox.runtime import logs
from ackbox.runtime.errors import RuntimeProblem
from ackbox.runtime.files import link, locked_for_long
from ackbox.runtime.home import Home, settle
from ackbox.runtime.kubernetes import ADMIN_GROUP
from ackbox.runtime.management import (
    API_SERVER,
    ETCD,
    ETCD_MEMBER,
    OWN_PROCESSES,
    RBAC,
    STORES,
    USER_ROLES,
    WORKLOAD_ETCD,
    ManagementPlane,
    find_binaries,
)
from ackbox.runtime.manifests import SYSTEM_NAMESPACE, apply, documents, remove_outdated, wait_for_policies
from ackbox.runtime.moving import move_addresses
from ackbox.runtime.probe import wait_until
from ackbox.runtime.programs import Group
from ackbox.runtime.progress import Progress
from ackbox.runtime.shared import shared_folder
from ackbox.runtime.supervisor import Supervisor

POLICIES = "admission-policies.yaml"
START_SECONDS = 120.0
LAST_LINES = 15

WATCHED_BY_ALL = f"{MANAGED_CLUSTER.path()}?limit=1"
"""What every process of ackbox may read."""


@dataclass(frozen=True)
class Launch:
    """A home on its way up or down."""

    home: Home
    progress: Progress

    async def up(self, own_processes: bool = True) -> None:
        """Start everything that doesn't run and change what should run differently. Harmless when all is well.

        What this call has started is stopped again when it fails half-way.

        Raises:
            RuntimeProblem: with what failed and where to look.
        """
        async with locked_for_long(
            self.home.up_lock, lambda: self.progress.say("waiting for another `ackbox up` of this home")
        ):
            await self._up(own_processes)

    async def down(self) -> None:
        """Stop everything; returns when nothing of the home runs any more."""
        with self.progress.step("stopping every process") as step:
            await Supervisor(self.home).stop(last=STORES, say=step.update)

    async def _up(self, own_processes: bool) -> None:
        binaries = await find_binaries(self.progress)
        supervisor = Supervisor(self.home)
        was_running = await supervisor.running()
        plane = ManagementPlane(self.home)
        plane.write_kubeconfigs()
        plane.issue_metrics_certificates()
        link(self.home.bin / "kubectl", binaries.kubectl)
        try:
            await supervisor.start()
            await self._start(supervisor, plane.stores(binaries), "starting etcd")
            await self._wait_for_stores(plane)
            await self._start(supervisor, plane.cluster(binaries), "starting the management cluster")
            await self._wait_for_api_server(plane)
            await self._install(plane)
            await self._settle(plane)
            await self._wait_for_rights(plane)
            if own_processes:
                await self._start(supervisor, plane.own(), "starting ackbox")
                await self._wait_for_own(supervisor)
        except BaseException:
            if not was_running:
                await self.down()
            raise

    async def _start(self, supervisor: Supervisor, groups: tuple[Group, ...], title: str) -> None:
        with self.progress.step(title) as step:
            for group in groups:
                step.update(group.name)
                await supervisor.ensure(group)

    async def _wait_for_stores(self, plane: ManagementPlane) -> None:
        for name, etcd in ((ETCD, plane.etcd), (WORKLOAD_ETCD, plane.workload_etcd)):
            endpoint = etcd.endpoint(ETCD_MEMBER)
            with self.progress.step(f"waiting for {name} at {etcd.members[ETCD_MEMBER]}"):
                await wait_until(partial(endpoint.healthy, "/health"), START_SECONDS, partial(self._complaint, name))

    async def _wait_for_api_server(self, plane: ManagementPlane) -> None:
        endpoint = plane.api_server.endpoint(plane.bootstrap_user)
        with self.progress.step(f"waiting for the API server at {plane.api_server.url}"):
            await wait_until(partial(endpoint.healthy, "/readyz"), START_SECONDS, partial(self._complaint, API_SERVER))

    async def _install(self, plane: ManagementPlane) -> None:
        connection = parse_kubeconfig(plane.api_server.kubeconfig(plane.bootstrap_user))
        async with Client(connection) as client:
            with self.progress.step("installing the custom resources"):
                # The policies hold values of the catalog, which may be another one than that of the files.
                kinds = sorted(path for path in definitions().glob("*.yaml") if path.name != POLICIES)
                policies = await asyncio.to_thread(admission_policies)
                objects = documents([*kinds, RBAC, USER_ROLES])
                every = [_namespace(), admin_binding(), *objects, *policies]
                await apply(client, every)
                await remove_outdated(client, every)
            with self.progress.step("waiting for the admission policies, half a minute at a restart"):
                await wait_for_policies(client)

    async def _settle(self, plane: ManagementPlane) -> None:
        """Give a restored home the addresses of its own range, before anybody uses those that it had."""
        if self.home.moved_from is None:
            return
        connection = parse_kubeconfig(plane.api_server.kubeconfig(plane.bootstrap_user))
        with self.progress.step(f"moving addresses from {self.home.moved_from} to {self.home.loopback}"):
            async with Client(connection) as client:
                await move_addresses(client, self.home.moved_from, self.home.loopback)
        settle(self.home)

    async def _wait_for_rights(self, plane: ManagementPlane) -> None:
        """The API server grants a role some time after it is stored; a process that comes too early ends."""
        with self.progress.step("waiting for the rights of ackbox") as step:
            for name in OWN_PROCESSES:
                step.update(name)
                endpoint = plane.api_server.endpoint(plane.process_user(name))
                await wait_until(partial(endpoint.healthy, WATCHED_BY_ALL), START_SECONDS, partial(_no_rights, name))

    async def _wait_for_own(self, supervisor: Supervisor) -> None:
        for name in OWN_PROCESSES:
            with self.progress.step(f"waiting for ackbox {name}"):
                running = partial(supervisor.group_running, name)
                await wait_until(running, START_SECONDS, partial(self._complaint, name))

    def _complaint(self, program: str) -> str:
        log = self.home.logs / f"{program}.log"
        lines = "\n".join(f"  {line}" for line in logs.tail(log, LAST_LINES))
        return f"{program} did not get ready in {START_SECONDS:.0f} s. The end of {log}:\n{lines}"


def definitions() -> Path:
    """The folder `crds/`.

    Raises:
        RuntimeProblem: this installation lacks it.
    """
    folder = shared_folder("crds")
    if folder is None:
        raise RuntimeProblem("the custom resources are missing: this ackbox was installed without its folder crds/")
    return folder


def admin_binding() -> dict[str, Any]:
    """Makes the administrators that ackbox hands kubeconfigs to administrators."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ADMIN_GROUP},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": ADMIN_GROUP}],
    }


def _no_rights(process: str) -> str:
    return f"the API server does not grant ackbox {process} its rights"


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
