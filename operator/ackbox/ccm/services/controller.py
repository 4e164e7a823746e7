"""Service controller: brings the load balancer of each Service to what the Service says, and says how it went.

The order of steps, the events and their texts follow the CCM (`pkg/controller/service/clbv1`). Unlike upstream, which skips load
balancer and listeners while a Service's fingerprint is unchanged, every look compares everything: what an annotation
sets is put back when somebody changes it; what no annotation sets stays as it is.
"""

import logging

from ackbox.catalog.quotas import QuotaName
from ackbox.ccm.certificates import certificate
from ackbox.ccm.config import CloudConfig, current
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.management import listeners_on, owned, quota
from ackbox.ccm.metrics import Verb, load_balancer
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.services import annotations, balancer, kinds
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.apply import apply
from ackbox.ccm.services.balancer import Balancer
from ackbox.ccm.services.by_hand import ByHand
from ackbox.ccm.services.cleanup import clean
from ackbox.ccm.services.hash import service_hash
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.model import Observed, Wanted
from ackbox.ccm.services.names import (
    FINALIZERS,
    HASH_LABEL,
    LOAD_BALANCER_LABEL,
    SECURITY_GROUP_LABEL,
    Owner,
    finalizer,
)
from ackbox.ccm.services.plan import There, plan
from ackbox.ccm.services.readiness import GatedPod, ReadinessGates
from ackbox.ccm.services.status import condition, ingress, lacks_eip, not_ready, port_mappings, service_patch
from ackbox.ccm.services.triggers import Triggers
from ackbox.ccm.services.view import ServiceView, kind_of, service_view, to_clean
from ackbox.ccm.services.voice import SYNC_FAILED, Voice
from ackbox.ccm.store import Store
from ackbox.kube.cache import Key
from ackbox.kube.client import ENDPOINT_SLICE, SERVICE, Object
from ackbox.kube.errors import ApiError, Forbidden, Invalid
from ackbox.kube.queue import Retry, WorkQueue
from ackbox.kube.refs import resolve
from ackbox.resources import ACCESS_CONTROL_LIST, LISTENER, SERVER_GROUP, Kind, ServerGroup
from ackbox.resources.base import PAUSED_ANNOTATION
from ackbox.resources.loadbalancer import LoadBalancerType

logger = logging.getLogger(__name__)

WORKERS = 16
FIRST_BACK_OFF = 1.0
LONGEST_BACK_OFF = 300.0
GATE_PERIOD = 10.0
"""Seconds between looks at pods that wait for a load balancer and can't be taken in yet."""


class ServiceController:
    """Reconciles the Services of one workload cluster."""

    def __init__(self, facts: ClusterFacts, management: Store, workload: Store, reporter: Reporter) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._reporter = reporter
        self._gates = ReadinessGates(workload.client)
        self._voices: dict[Key, Voice] = {}
        self._queue = WorkQueue[Key](
            self._reconcile, f"services of {facts.name}", WORKERS, FIRST_BACK_OFF, LONGEST_BACK_OFF
        )
        self._triggers = Triggers(facts, management, workload, self._queue, self._voice)
        self._by_hand = ByHand(facts, management, workload, reporter)

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        with self._triggers.active(), self._by_hand.active():
            await self._queue.run()

    def _voice(self, key: Key) -> Voice:
        return self._voices.setdefault(key, Voice(self._reporter))

    async def _reconcile(self, key: Key) -> None:
        service = self._workload[SERVICE].get(*key)
        if service is None:
            self._voices.pop(key, None)
            self._gates.forget(Owner(self._facts.cluster_id, *key))
            return
        if (service["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true":
            return
        voice = self._voice(key)
        voice.cause(service)
        config = current(self._workload)
        kind = kind_of(service, self._facts, config.gates)
        try:
            if to_clean(service, self._facts, config.gates):
                with load_balancer(_held_kind(service), Verb.DELETION):
                    await self._clean(service, voice)
            elif kind is not None:
                with load_balancer(kind, _verb(service)) as outcome:
                    outcome.failed = not await self._sync(service, kind, config, voice)
        except SyncError as error:
            # Said already. Time won't mend it, and whatever can is watched.
            logger.info("service %s/%s: %s", *key, error)

    async def _clean(self, service: Object, voice: Voice) -> None:
        finalizers = service["metadata"]["finalizers"]
        view = service_view(service, self._facts.cluster_id, _held_kind(service))
        preserve = annotations.value_of("preserve-lb-on-delete", view.annotations) is not None
        shown = view.labels.get(LOAD_BALANCER_LABEL, "")
        with voice.failing(service, "CleanLoadBalancerFailed", f"Error deleting load balancer [{shown}]: "):
            world = balancer.world(self._management, self._facts)
            if not await clean(self._management, self._facts, view, world, preserve):
                raise Retry("what it had is being deleted", 5.0)
        labels = dict.fromkeys((HASH_LABEL, LOAD_BALANCER_LABEL, SECURITY_GROUP_LABEL))
        with voice.failing(service, "FailedUpdateStatus", "Error updating load balancer status: "):
            await self._patch_status(service, service_patch(service, labels, []))
        kept = [item for item in finalizers if item not in FINALIZERS]
        with voice.failing(service, "FailedRemoveFinalizer", ""):
            await self._set_finalizers(service, kept)
        voice.cleaned(service)

    async def _sync(self, service: Object, kind: LoadBalancerType, config: CloudConfig, voice: Voice) -> bool:
        """Bring everything to what the Service says; False when something of it can't be had."""
        try:
            return await self._bring(service, kind, config, voice)
        except (SyncError, Forbidden, Invalid) as error:
            await self._patch_status(service, service_patch(service, {}, None, condition(service, [str(error)])))
            raise

    async def _bring(self, service: Object, kind: LoadBalancerType, config: CloudConfig, voice: Voice) -> bool:
        view = service_view(service, self._facts.cluster_id, kind)
        wishes = annotations.read(view.annotations, kind)
        with voice.failing(service, SYNC_FAILED, ""):
            _check_allowed(view, wishes, config)
        finalizers = service["metadata"].get("finalizers") or []
        if finalizer(kind) not in finalizers:
            with voice.failing(service, "FailedAddFinalizer", ""):
                service = await self._set_finalizers(service, [*finalizers, finalizer(kind)])
        voice.unknown(service, wishes.unknown)
        shown = view.labels.get(LOAD_BALANCER_LABEL, "")
        gated = await self._gates.look(view.owner, self._slices(view))
        with voice.failing(service, SYNC_FAILED, f"Error syncing load balancer [{shown}]: "):
            has = await balancer.ensure(self._management, self._facts, view, wishes, config)
            target = kinds.build(view, wishes, has.load_balancer, has.reused, self._observed(view, gated), config)
            problems, refused = await self._contents(view, target, has)
        if not refused:
            await self._open_gates(service, view, gated, voice)
        refused = [*has.refused, *refused]
        problems = [*wishes.problems, *has.problems, *target.problems, *problems, *map(str, refused)]
        voice.hints(service, [*has.hints, *target.hints])
        voice.empty(service, bool(target.groups) and all(group.servers == () for group in target.groups), kind)
        well = not problems
        await self._finish(service, wishes, has, problems, voice)
        if refused:
            raise refused[0]  # said already; it may be taken later
        return well

    async def _contents(self, view: ServiceView, target: Wanted, has: Balancer) -> tuple[list[str], list[ApiError]]:
        """Bring listeners and server groups up to date; answers what can't be had, and what was refused."""
        there = There(
            get=lambda kind, name: self._management[kind].get(self._facts.namespace, name),
            listeners=self._owned_on(LISTENER, view.owner, has),
            groups=self._owned_on(SERVER_GROUP, view.owner, has),
            owner=view.owner,
            max_servers=quota(self._management, self._facts.namespace, QuotaName.BACKENDS),
            alive=self._alive,
        )
        changes = plan(target, there, has.load_balancer, self._facts)
        refused: list[ApiError] = []
        for step in (changes.changes, changes.after, changes.last):
            refused += await apply(self._management, self._facts.namespace, step)
        return list(changes.problems), refused

    async def _open_gates(self, service: Object, view: ServiceView, gated: list[GatedPod], voice: Voice) -> None:
        """Tell the pods that waited for the load balancer; look again at those that can't be taken in yet."""
        text = f"Error updating pod readiness gates for service [{view.owner}]: "
        with voice.failing(service, "FailedUpdateReadinessGate", text):
            await self._gates.open(view.owner, gated)
        if not all(pod.takeable for pod in gated):
            self._queue.add((view.owner.namespace, view.owner.name), GATE_PERIOD)

    def _slices(self, view: ServiceView) -> list[Object]:
        return self._workload[ENDPOINT_SLICE].by("service", str(view.owner))

    def _observed(self, view: ServiceView, gated: list[GatedPod]) -> Observed:
        """What there is in both clusters that the Service's load balancer is built from."""
        management, namespace = self._management, self._facts.namespace

        def listener(name: str) -> Object | None:
            obj = management[LISTENER].get(namespace, name)
            return obj["spec"] if obj is not None else None

        return Observed(
            slices=self._slices(view),
            nodes=self._triggers.nodes,
            group=self._group,
            listener=listener,
            neighbours=lambda of: [obj["spec"] for obj in listeners_on(management, namespace, of)],
            certificate=lambda reference: certificate(management, namespace, reference),
            acl=lambda reference: resolve(management[ACCESS_CONTROL_LIST], namespace, reference) is not None,
            gated=frozenset(address for pod in gated if pod.takeable for address in pod.addresses),
        )

    def _alive(self, owner: Owner) -> bool:
        """Whether a Service may still be there; of other clusters nothing is known here."""
        if owner.cluster_id != self._facts.cluster_id:
            return True
        return self._workload[SERVICE].get(owner.namespace, owner.name) is not None

    def _owned_on(self, kind: Kind, owner: Owner, has: Balancer) -> list[Object]:
        """What names the Service as its owner on this load balancer."""
        here = (has.load_balancer.metadata.name, has.load_balancer.status.load_balancer_id)
        objects = owned(self._management, kind, self._facts.namespace, owner)
        return [obj for obj in objects if obj["spec"].get("loadBalancerId") in here]

    async def _finish(self, service: Object, wishes: Wishes, has: Balancer, problems: list[str], voice: Voice) -> None:
        """Labels and status, then what there is to say."""
        status = has.load_balancer.status
        stuck = not_ready(has.load_balancer)
        if stuck is not None:
            problems.append(stuck)
        shown = ingress(has.load_balancer, wishes)
        labels: dict[str, str | None] = {}
        if status.load_balancer_id is not None:
            labels[LOAD_BALANCER_LABEL] = status.load_balancer_id
        if wishes.kind is LoadBalancerType.NLB:
            labels[SECURITY_GROUP_LABEL] = status.source_range_security_group_id
        if shown is not None and not problems:
            labels[HASH_LABEL] = service_hash(service)
        told = shown is not None or bool(problems)
        patch = service_patch(service, labels, shown, condition(service, problems) if told else None)
        with voice.failing(service, "FailedUpdateStatus", "Error updating load balancer status: "):
            await self._patch_status(service, patch)
        self._remark(service, wishes, has, voice)
        if told:
            voice.synced(service, status.load_balancer_id, problems, ensured=bool(patch))
        voice.mapped(service, port_mappings(self._owned_on(LISTENER, _owner_of(service, self._facts), has)))

    def _remark(self, service: Object, wishes: Wishes, has: Balancer, voice: Voice) -> None:
        """What the Service's user must know although nothing is wrong."""
        shown = has.load_balancer.status.load_balancer_id
        kept = f"The lb [{shown}] will be preserved after the service is deleted."
        voice.remark(service, "PreservedOnDelete", kept if "preserve-lb-on-delete" in wishes and shown else None)
        no_eip = "get eip error, set external ip to slb ip"
        lacking = shown is not None and lacks_eip(has.load_balancer, wishes)
        voice.remark(service, "FailedSetEIPAddress", no_eip if lacking else None)
        closed = "LoadBalancerSourceRanges is not supported for user-managed LB."
        ranges = (
            wishes.kind is LoadBalancerType.NLB and has.reused and bool(service["spec"].get("loadBalancerSourceRanges"))
        )
        voice.remark(service, "FeatureNotSupported", closed if ranges else None)

    async def _patch_status(self, service: Object, patch: Object) -> None:
        if patch:
            metadata = service["metadata"]
            await self._workload.patch(SERVICE, metadata["name"], metadata["namespace"], patch, "status")

    async def _set_finalizers(self, service: Object, finalizers: list[str]) -> Object:
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        # The status patch just before has a newer version of the object than the one in hand.
        newest = self._workload[SERVICE].get(namespace, name) or service
        patch = {"metadata": {"resourceVersion": newest["metadata"]["resourceVersion"], "finalizers": finalizers}}
        return await self._workload.patch(SERVICE, name, namespace, patch)

    def _group(self, reference: str) -> ServerGroup | None:
        obj = resolve(self._management[SERVER_GROUP], self._facts.namespace, reference)
        return ServerGroup.model_validate(obj) if obj is not None else None


def _check_allowed(view: ServiceView, wishes: Wishes, config: CloudConfig) -> None:
    """Refuse a public classic load balancer where the cloud config forbids them.

    Raises:
        SyncError: it is refused.
    """
    public = (wishes.text("address-type") or "internet") == "internet"
    if config.disable_public_slb and public and view.kind is LoadBalancerType.CLB:
        raise SyncError("create public address slb is not allowed")


def _held_kind(service: Object) -> LoadBalancerType:
    """The kind of load balancer that a Service's finalizer says it has."""
    return next(kind for kind in LoadBalancerType if finalizer(kind) in service["metadata"]["finalizers"])


def _verb(service: Object) -> Verb:
    """Whether the work on a Service makes its load balancer or changes it."""
    return Verb.UPDATE if HASH_LABEL in (service["metadata"].get("labels") or {}) else Verb.CREATION


def _owner_of(service: Object, facts: ClusterFacts) -> Owner:
    return Owner(facts.cluster_id, service["metadata"]["namespace"], service["metadata"]["name"])
