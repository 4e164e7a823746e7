"""Addresses of a control plane, reserved before anything is started there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from ackbox.catalog.regions import regions
from ackbox.catalog.versions import wanted
from ackbox.cloud.allocation.loopback import AddressPool
from ackbox.cloud.clusters.members import etcd_names, etcd_owner, first_names, kubelet_owner, member_owner, prefixes
from ackbox.resources import Instance, ManagedCluster
from ackbox.resources.managedcluster import ControlPlaneMember
from ackbox.runtime.loopback import AddressUse


@dataclass(frozen=True)
class Addresses:
    """What a control plane has beside its API servers.

    Attributes:
        etcd: of its own etcd's members, by name.
        kubelet: where the emulated nodes' kubelet port is served.
    """

    etcd: Mapping[str, str]
    kubelet: IPv4Address


class Reservations:
    """Gives control planes their addresses; asking again gives the same ones."""

    def __init__(self, addresses: AddressPool) -> None:
        self._pool = addresses

    async def first_members(
        self, cluster: ManagedCluster, machines: Mapping[str, Instance]
    ) -> list[ControlPlaneMember]:
        """The API servers that a new cluster gets.

        Args:
            cluster: the cluster.
            machines: the masters of a dedicated cluster, by the name of their API server.

        Raises:
            AddressesExhausted: none is left.
        """
        version = wanted(cluster.spec.kubernetes_version, cluster.status.current_version)
        assert version is not None, "the plan refuses unknown versions"
        zones = regions()[cluster.spec.region_id].zones
        found = []
        for index, name in enumerate(first_names(cluster)):
            machine = machines.get(name)
            found.append(
                ControlPlaneMember(
                    name=name,
                    address=await self._reserve(member_owner(cluster, name)),
                    version=version.name,
                    zone_id=machine.spec.zone_id if machine else zones[index % len(zones)],
                    instance_id=machine.metadata.name if machine else None,
                )
            )
        return found

    async def addresses(self, cluster: ManagedCluster) -> Addresses:
        """The other addresses.

        Raises:
            AddressesExhausted: none is left.
        """
        etcd = {name: await self._reserve(etcd_owner(cluster, name)) for name in etcd_names(cluster)}
        return Addresses(etcd, IPv4Address(await self._reserve(kubelet_owner(cluster), cluster.status.kubelet_address)))

    async def hold(self, cluster: ManagedCluster, plane: Sequence[ControlPlaneMember]) -> list[ControlPlaneMember]:
        """Keep the addresses of the API servers that there are, and give back those of others.

        Returns:
            the API servers; one whose address was lost, and is somebody else's by now, has another one.

        Raises:
            AddressesExhausted: none is left.
        """
        owners = {member_owner(cluster, member.name): member for member in plane}
        held = [
            member.model_copy(update={"address": await self._reserve(owner, member.address)})
            for owner, member in owners.items()
        ]
        await self._pool.release_others(member_owner(cluster, ""), owners)
        return held

    async def release(self, cluster: ManagedCluster) -> None:
        """Give back all of them."""
        for prefix in prefixes(cluster):
            await self._pool.release_others(prefix, ())

    async def _reserve(self, owner: str, before: str | None = None) -> str:
        return await self._pool.reserve(owner, AddressUse.API_SERVER, before)
