"""Installs, upgrades, configures and removes the addons of managed clusters."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ackbox.catalog.addons import Addon, Proof, addons, minor_of
from ackbox.catalog.versions import resolve
from ackbox.cloud.clusters.addon_objects import ADDON_LABEL, KINDS, NAMESPACE, WORKLOADS, kind_of, objects
from ackbox.cloud.clusters.addon_plan import Choice, Installation, choose, state_of
from ackbox.cloud.clusters.parts import Outcome
from ackbox.cloud.reconciling import Cloud
from ackbox.kube.client import Client, Object
from ackbox.kube.conditions import Aspect
from ackbox.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from ackbox.resources import ManagedCluster
from ackbox.resources.managedcluster import AddonStatus

FIELD_MANAGER = "ackbox-addons"
CONDITION = "AddonsReady"

LOOK_PERIOD = 20.0
"""Seconds between looks at addons that are as they should be; a cluster is looked at more often than that."""

APPLY_PERIOD = 300.0
"""Seconds after which everything is applied again, so that what somebody changed by hand is mended."""

UNDER_WAY = 2.0
"""Seconds between looks while pods are being replaced, or an addon doesn't work yet."""

METRICS_API = "/apis/metrics.k8s.io/v1beta1"


@dataclass
class _Known:
    """What is remembered of a cluster between looks; nothing of it is needed to go on."""

    digest: str = ""
    applied: float = 0.0
    looked: float = 0.0
    outcome: Outcome = field(default_factory=Outcome)


class Addons:
    """The part of every managed cluster that its addons are. See `Part`."""

    def __init__(self, cloud: Cloud) -> None:
        # The metrics API is served by a process of this home, whose certificates are the management cluster's.
        # In a cluster each ccm is a Pod of its own, and its metrics API shows a certificate of its own cluster.
        self._metrics_authority = cloud.client.connection.ca if cloud.services is None else None
        self._known: dict[str, _Known] = {}

    async def ensure(self, obj: Object, cluster: ManagedCluster, workload: Client) -> Outcome:  # noqa: ARG002
        """See `Part.ensure`."""
        known = self._known.setdefault(cluster.metadata.uid, _Known())
        choice = choose(cluster, addons(), _minor(cluster))
        wanted = self._objects(cluster, choice, workload)
        digest = hashlib.sha256(json.dumps([wanted, dict(choice.problems)]).encode()).hexdigest()
        now = asyncio.get_running_loop().time()
        anew = digest != known.digest or now - known.applied > APPLY_PERIOD
        if not anew and now - known.looked < (known.outcome.again or LOOK_PERIOD) * 0.9:
            return known.outcome
        there = await _there(workload)
        lost = anew or not {_place(each) for each in wanted} <= {_place(each) for each in there}
        if lost:
            choice = choice.without(await _apply(workload, wanted))
            known.digest, known.applied = digest, now
        left = await _prune(workload, there, wanted, set(choice.problems))
        seen = await _there(workload) if lost else there
        known.outcome = await _outcome(cluster, choice, seen, left, workload)
        known.looked = now
        return known.outcome

    def forget(self, uid: str) -> None:
        """See `Part.forget`."""
        self._known.pop(uid, None)

    def _objects(self, cluster: ManagedCluster, choice: Choice, workload: Client) -> list[Object]:
        host = cluster.status.kubelet_address or urlsplit(workload.connection.server).hostname or ""
        authority = base64.b64encode((self._metrics_authority or workload.connection.ca).encode()).decode()
        every = [
            made for each in choice.installations for made in objects(each, cluster.spec.service_cidr, host, authority)
        ]
        return sorted(every, key=lambda each: KINDS.index(kind_of(each)))


def _minor(cluster: ManagedCluster) -> tuple[int, int]:
    found = resolve(cluster.spec.kubernetes_version)
    name = cluster.status.current_version or (found.name if found else None)
    assert name is not None, "a cluster of an unknown version doesn't run"
    return minor_of(name)


async def _there(workload: Client) -> list[Object]:
    """Every object of an addon in a cluster."""
    return [
        each
        for kind in KINDS
        for each in (await workload.list(kind, NAMESPACE if kind.namespaced else None, label_selector=ADDON_LABEL))[0]
    ]


async def _apply(workload: Client, wanted: Sequence[Object]) -> dict[str, str]:
    """Apply objects; what the API server says of those that it refuses for good, by their addon."""
    refused = {}
    for each in wanted:
        try:
            await workload.apply(kind_of(each), each, FIELD_MANAGER, each["metadata"].get("namespace"))
        except (AlreadyExists, Conflict, Forbidden, Invalid) as error:
            refused[each["metadata"]["labels"][ADDON_LABEL]] = str(error)
    return refused


async def _prune(workload: Client, there: Sequence[Object], wanted: Sequence[Object], kept: set[str]) -> set[str]:
    """Delete what isn't wanted any more, but nothing of the addons in `kept`; the addons that something is left of."""
    places = {_place(each) for each in wanted}
    left = set()
    for each in there:
        name = each["metadata"]["labels"][ADDON_LABEL]
        if _place(each) in places or name in kept:
            continue
        left.add(name)
        try:
            await workload.delete(kind_of(each), each["metadata"]["name"], each["metadata"].get("namespace"))
        except NotFound:
            continue
    return left


async def _outcome(
    cluster: ManagedCluster, choice: Choice, there: Sequence[Object], left: set[str], workload: Client
) -> Outcome:
    before = {each.name: each for each in cluster.status.addons}
    workloads: dict[str, list[Object]] = {}
    for each in there:
        if kind_of(each) in WORKLOADS:
            workloads.setdefault(each["metadata"]["labels"][ADDON_LABEL], []).append(each)
    found = [
        await _status(each, before.get(each.addon.name), workloads.get(each.addon.name, []), workload)
        for each in choice.installations
    ]
    found += [_failed(name, before.get(name), message) for name, message in choice.problems.items()]
    gone = left - {each.name for each in found}
    found += [AddonStatus(name=each, version=before[each].version, state="deleting") for each in gone if each in before]
    waiting = gone or any(each.running is False or each.state in ("updating", "upgrading") for each in found)
    return Outcome(
        fields={"addons": [each.wire() for each in sorted(found, key=lambda each: each.name)]},
        aspects=(_aspect(choice.problems),),
        again=UNDER_WAY if waiting else None,
    )


async def _status(
    installation: Installation, before: AddonStatus | None, workloads: Sequence[Object], workload: Client
) -> AddonStatus:
    addon: Addon = installation.addon
    state, message = state_of(before, installation.version, workloads)
    status = AddonStatus(name=addon.name, version=installation.version, state=state)
    if addon.proof is Proof.METRICS_API:
        refusal = await _metrics_api(workload)
        status = status.model_copy(update={"running": refusal is None})
        message = message or refusal
    return AddonStatus.model_validate(status.wire() | ({"message": message} if message else {}))


async def _metrics_api(workload: Client) -> str | None:
    """Why the metrics API doesn't tell what a Node uses; None when it does. One Node is enough, all would be work."""
    try:
        nodes = json.loads(await workload.text("/api/v1/nodes?limit=1"))["items"]
        await workload.text("/".join([METRICS_API, *(f"nodes/{node['metadata']['name']}" for node in nodes)]))
    except ApiError as error:
        return f"{METRICS_API} doesn't answer: {error}"[:256]
    return None


def _failed(name: str, before: AddonStatus | None, message: str) -> AddonStatus:
    return AddonStatus(name=name, version=before.version if before else "", state="failed", message=message)


def _aspect(problems: Mapping[str, str]) -> Aspect:
    if not problems:
        return Aspect(CONDITION, "True", "Installed")
    message = "; ".join(f"spec.addons[{name}]: {text}" for name, text in sorted(problems.items()))
    return Aspect(CONDITION, "False", "AddonFailed", message, warn=True)


def _place(obj: Object) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]
