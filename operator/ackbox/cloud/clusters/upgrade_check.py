"""The check before an upgrade: what would break, by name. An upgrade is never undone, so it begins only without findings."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ackbox.catalog.removed_apis import RemovedApi, removed_between
from ackbox.catalog.versions import KubernetesVersion, VersionOffer
from ackbox.kube.client import NODE, Client, Object
from ackbox.resources.base import Kind
from ackbox.resources.managedcluster import UpgradeFinding
from ackbox.runtime.errors import BinaryMissing
from ackbox.runtime.tools import kubernetes

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MOST_FINDINGS = 100
"""As many as the cluster's status holds."""


async def check(
    workload: Client, offer: VersionOffer, running: KubernetesVersion, target: KubernetesVersion
) -> list[UpgradeFinding]:
    """Everything that stands against an upgrade, nothing when it may begin.

    Raises:
        ApiError: the cluster's API server doesn't tell.
    """
    nodes, _ = await workload.list(NODE)
    removed = removed_between(running, target)
    objects = [obj async for obj in _objects_of(workload, removed)] if removed else []
    findings = [
        *path_findings(offer, running, target),
        *node_findings(nodes, offer, target),
        *removed_api_findings(objects, removed, target),
    ]
    if len(findings) <= MOST_FINDINGS:
        return findings
    more = len(findings) - MOST_FINDINGS + 1
    return [*findings[: MOST_FINDINGS - 1], UpgradeFinding(code="MoreFindings", message=f"and {more} more")]


def path_findings(
    offer: VersionOffer, running: KubernetesVersion, target: KubernetesVersion
) -> Iterator[UpgradeFinding]:
    """Whether ACK upgrades from the one version to the other, and ackbox has the programs for it."""
    targets = offer.targets(running)
    if target not in targets:
        allowed = ", ".join(version.name for version in targets) or "nothing: its upgrade path is closed"
        message = (
            f"spec.kubernetesVersion: {target.name} is not what {running.name} can be upgraded to; allowed: {allowed}"
        )
        yield UpgradeFinding(code="InvalidKubernetesVersion", message=message)
    try:
        tool = kubernetes(target.minor)
    except BinaryMissing as error:
        yield UpgradeFinding(code="VersionNotAvailable", message=str(error))
        return
    if tool.version != target.git_version:
        message = f"{target.name} is {target.git_version}, of {target.minor} ackbox runs {tool.version}"
        yield UpgradeFinding(code="VersionNotAvailable", message=message)


def node_findings(nodes: Iterable[Object], offer: VersionOffer, target: KubernetesVersion) -> Iterator[UpgradeFinding]:
    """Nodes that are not well, and nodes whose kubelet would be too old for the new API server."""
    for node in sorted(nodes, key=lambda each: str(each["metadata"]["name"])):
        name, status = node["metadata"]["name"], node.get("status") or {}
        if not _ready(status):
            message = f"node {name} is not Ready; repair it, or take it out of the cluster"
            yield UpgradeFinding(code="NodeNotReady", message=message)
        version = (status.get("nodeInfo") or {}).get("kubeletVersion") or ""
        try:
            kubelet = offer.parse(version)
        except ValueError:
            continue  # No kubelet of Kubernetes' own, such as that of a virtual node.
        behind = target.minor_number - kubelet.minor_number
        if behind > offer.kubelet_skew:
            message = (
                f"node {name} runs {version}, {behind} minors behind {target.minor}; at most {offer.kubelet_skew}"
                " are allowed: upgrade its node pool first"
            )
            yield UpgradeFinding(code="NodeVersionSkew", message=message)


def removed_api_findings(
    objects: Iterable[Object], removed: Sequence[RemovedApi], target: KubernetesVersion
) -> Iterator[UpgradeFinding]:
    """Objects that somebody still writes in a version of their API that the target no longer serves."""
    gone = {(row.api_version, kind): row for row in removed for kind in row.kinds}
    for obj in objects:
        for api_version, writer in sorted(_spoken(obj)):
            row = gone.get((api_version, obj["kind"]))
            if row is None:
                continue
            metadata = obj["metadata"]
            place = f" in namespace {metadata['namespace']}" if metadata.get("namespace") else ""
            cure = f"write it as {row.use}" if row.use else "remove it"
            message = (
                f"{obj['kind']} {metadata['name']}{place} is written as {api_version} by {writer}, which Kubernetes"
                f" {target.minor} no longer serves; {cure}"
            )
            yield UpgradeFinding(code="RemovedAPI", message=message)


def _spoken(obj: Object) -> set[tuple[str, str]]:
    """The API versions in which an object was last written, and by whom: what each of its writers wrote last."""
    metadata = obj["metadata"]
    latest: dict[str, tuple[str, str]] = {}
    for entry in metadata.get("managedFields") or []:
        writer, when = entry.get("manager") or "somebody", entry.get("time") or ""
        if entry.get("subresource"):
            continue  # Controllers write status in whatever version they know; that changes with them.
        if writer not in latest or latest[writer][0] < when:
            latest[writer] = when, entry.get("apiVersion") or ""
    spoken = {(version, writer) for writer, (_, version) in latest.items()}
    applied = (metadata.get("annotations") or {}).get(LAST_APPLIED)
    if applied:
        try:
            spoken.add((str(json.loads(applied)["apiVersion"]), "kubectl apply"))
        except (ValueError, KeyError, TypeError):
            pass  # Somebody else's text under kubectl's name says nothing.
    return spoken


async def _objects_of(workload: Client, removed: Sequence[RemovedApi]) -> AsyncIterator[Object]:
    """The objects of all kinds that some removed version served, read as the API server serves them now."""
    names = {kind for row in removed for kind in row.kinds}
    listed: set[tuple[str, str]] = set()
    for group in json.loads(await workload.text("/apis"))["groups"]:
        for version in group["versions"]:
            for resource in json.loads(await workload.text(f"/apis/{version['groupVersion']}"))["resources"]:
                place = group["name"], resource["name"]
                if not listable(resource, names) or place in listed:
                    continue
                listed.add(place)
                kind = Kind(group["name"], version["version"], resource["name"], resource["kind"])
                for obj in (await workload.list(kind))[0]:
                    yield obj


def listable(resource: Mapping[str, object], kinds: set[str]) -> bool:
    """Whether a resource of an API server's discovery is a whole one, of one of these kinds."""
    verbs = resource.get("verbs")
    return (
        resource["kind"] in kinds and "/" not in str(resource["name"]) and isinstance(verbs, list) and "list" in verbs
    )


def _ready(status: Mapping[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or [])
