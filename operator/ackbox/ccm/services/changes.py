"""Changes of objects in the management cluster, as plain data."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ackbox.kube.client import Object
from ackbox.resources import SERVER_GROUP, Kind


@dataclass(frozen=True)
class Create:
    """An object to make."""

    kind: Kind
    body: Object

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True)
class Patch:
    """A merge patch."""

    kind: Kind
    name: str
    patch: Object


@dataclass(frozen=True)
class Delete:
    """An object to remove."""

    kind: Kind
    name: str
    uid: str


Change = Create | Patch | Delete


def in_order(listeners: Sequence[Object]) -> tuple[list[Object], list[Object]]:
    """The listeners that may go at once, and those that others of them send clients to, which go afterwards."""
    forwarding = [listener["spec"] for listener in listeners if listener["spec"].get("listenerForward") == "on"]
    targets = {spec.get("forwardPort") for spec in forwarding}
    after = [listener for listener in listeners if listener["spec"].get("listenerPort") in targets]
    return [listener for listener in listeners if listener not in after], after


def deletes(kind: Kind, existing: Sequence[Object], keep: Collection[str] = ()) -> list[Change]:
    """The deletion of objects that aren't to be kept and aren't on their way out already."""
    return [
        Delete(kind, obj["metadata"]["name"], obj["metadata"]["uid"])
        for obj in existing
        if obj["metadata"]["name"] not in keep and not is_deleting(obj)
    ]


def group_removals(groups: Sequence[Object], keep: Collection[str] = ()) -> list[Change]:
    """What takes a Service's groups away; a group in which somebody has put other servers stays with those."""
    changes: list[Change] = []
    for group in groups:
        metadata, spec = group["metadata"], group["spec"]
        servers = spec.get("backendServers") or []
        others = [server for server in servers if server.get("description") != spec.get("vServerGroupName")]
        if metadata["name"] in keep or is_deleting(group):
            continue
        if not others:
            changes.append(Delete(SERVER_GROUP, metadata["name"], metadata["uid"]))
        elif others != servers:
            version = {"resourceVersion": metadata["resourceVersion"]}
            changes.append(
                Patch(SERVER_GROUP, metadata["name"], {"metadata": version, "spec": {"backendServers": others}})
            )
    return changes


def is_deleting(obj: Object) -> bool:
    """Whether an object waits for its finalizers."""
    return "deletionTimestamp" in obj["metadata"]
