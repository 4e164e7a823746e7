"""Service controller: brings the load balancer of each Service to what the Service says, and says how it went.

The order of steps, the events and their texts follow the CCM (`reference/ccm.md` §2). Unlike upstream, which skips load
balancer and listeners while a Service's fingerprint is unchanged, every look compares everything: what an annotation
sets is put back when somebody changes it; what no annotation sets stays as it is.
"""

import logging

from ackbox.catalog.quotas import QuotaName
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.management import owned, quota
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.services import annotations, balancer, model
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.apply import apply
from ackbox.ccm.services.balancer import Balancer
from ackbox.ccm.services.cleanup import clean
from ackbox.ccm.services.hash import service_hash
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.model import Observed
from ackbox.ccm.services.names import FINALIZER, HASH_LABEL, LOAD_BALANCER_LABEL
from ackbox.ccm.services.plan import There, plan
from ackbox.ccm.services.status import ingress, not_ready, port_mappings, service_patch
from ackbox.ccm.services.triggers import Triggers
from ackbox.ccm.services.view import service_view, to_clean, wanted
from ackbox.ccm.services.voice import SYNC_FAILED, Voice
from ackbox.ccm.store import Store
from ackbox.kube.cache import Key
from ackbox.kube.client import ENDPOINT_SLICE, SERVICE, Object
from ackbox.kube.errors import ApiError
from ackbox.kube.queue import Retry, WorkQueue
from ackbox.kube.refs import resolve
from ackbox.resources import LISTENER, SERVER_GROUP, Kind, ServerGroup
from ackbox.resources.base import PAUSED_ANNOTATION

logger = logging.getLogger(__name__)

WORKERS = 16
FIRST_BACK_OFF = 1.0
LONGEST_BACK_OFF = 300.0


class ServiceController:
    """Reconciles the Services of one workload cluster."""

    def __init__(self, facts: ClusterFacts, management: Store, workload: Store, reporter: Reporter) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._reporter = reporter
        self._voices: dict[Key, Voice] = {}
        self._queue = WorkQueue[Key](
            self._reconcile, f"services of {facts.name}", WORKERS, FIRST_BACK_OFF, LONGEST_BACK_OFF
        )
        self._triggers = Triggers(facts, management, workload, self._queue, self._voice)

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        with self._triggers.active():
            await self._queue.run()

    def _voice(self, key: Key) -> Voice:
        return self._voices.setdefault(key, Voice(self._reporter))

    async def _reconcile(self, key: Key) -> None:
        service = self._workload[SERVICE].get(*key)
        if service is None:
            self._voices.pop(key, None)
            return
        if (service["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true":
            return
        voice = self._voice(key)
        voice.cause(service)
        try:
            if to_clean(service, self._facts):
                await self._clean(service, voice)
            elif wanted(service, self._facts):
                await self._sync(service, voice)
        except SyncError as error:
            # Said already. Time won't mend it, and whatever can is watched.
            logger.info("service %s/%s: %s", *key, error)

    async def _clean(self, service: Object, voice: Voice) -> None:
        view = service_view(service, self._facts.cluster_id)
        shown = view.labels.get(LOAD_BALANCER_LABEL, "")
        with voice.failing(service, "CleanLoadBalancerFailed", f"Error deleting load balancer [{shown}]: "):
            world = balancer.world(self._management, self._facts)
            if not await clean(self._management, self._facts, view, world):
                raise Retry("what it had is being deleted", 5.0)
        with voice.failing(service, "FailedUpdateStatus", "Error updating load balancer status: "):
            await self._patch_status(service, service_patch(service, {HASH_LABEL: None, LOAD_BALANCER_LABEL: None}, []))
        kept = [item for item in service["metadata"]["finalizers"] if item != FINALIZER]
        with voice.failing(service, "FailedRemoveFinalizer", ""):
            await self._set_finalizers(service, kept)
        voice.cleaned(service)

    async def _sync(self, service: Object, voice: Voice) -> None:
        finalizers = service["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            with voice.failing(service, "FailedAddFinalizer", ""):
                service = await self._set_finalizers(service, [*finalizers, FINALIZER])
        view = service_view(service, self._facts.cluster_id)
        wishes = annotations.read(view.annotations)
        voice.unknown(service, wishes.unknown)
        shown = view.labels.get(LOAD_BALANCER_LABEL, "")
        with voice.failing(service, SYNC_FAILED, f"Error syncing load balancer [{shown}]: "):
            has = await balancer.ensure(self._management, self._facts, view, wishes)
            problems, refused = await self._contents(service, wishes, has, voice)
        problems = [*wishes.problems, *has.problems, *problems, *map(str, refused)]
        await self._finish(service, wishes, has, problems, voice)
        if refused:
            raise refused[0]  # said already; it may be taken later

    async def _contents(
        self, service: Object, wishes: Wishes, has: Balancer, voice: Voice
    ) -> tuple[list[str], list[ApiError]]:
        """Bring listeners and server groups up to date; answers what can't be had, and what was refused."""
        view = service_view(service, self._facts.cluster_id)
        slices = self._workload[ENDPOINT_SLICE].by("service", str(view.owner))
        observed = Observed(slices, self._triggers.nodes, self._group)
        target = model.build(view, wishes, has.load_balancer, has.reused, observed)
        there = There(
            get=lambda kind, name: self._management[kind].get(self._facts.namespace, name),
            listeners=self._owned_on(LISTENER, service, has),
            groups=self._owned_on(SERVER_GROUP, service, has),
            owner=view.owner,
            max_servers=quota(self._management, self._facts.namespace, QuotaName.BACKENDS),
        )
        changes = plan(target, there, has.load_balancer, self._facts)
        refused = await apply(self._management, self._facts.namespace, changes.changes)
        refused += await apply(self._management, self._facts.namespace, changes.last)
        voice.empty(service, bool(target.groups) and all(group.servers == () for group in target.groups))
        return [*target.problems, *changes.problems], refused

    def _owned_on(self, kind: Kind, service: Object, has: Balancer) -> list[Object]:
        """What names the Service as its owner on this load balancer."""
        owner = service_view(service, self._facts.cluster_id).owner
        here = (has.load_balancer.metadata.name, has.load_balancer.status.load_balancer_id)
        objects = owned(self._management, kind, self._facts.namespace, owner)
        return [obj for obj in objects if obj["spec"].get("loadBalancerId") in here]

    async def _finish(self, service: Object, wishes: Wishes, has: Balancer, problems: list[str], voice: Voice) -> None:
        """Labels and status, then what there is to say."""
        stuck = not_ready(has.load_balancer)
        if stuck is not None:
            problems.append(stuck)
        load_balancer_id = has.load_balancer.status.load_balancer_id
        shown = ingress(has.load_balancer, wishes)
        labels: dict[str, str | None] = {}
        if load_balancer_id is not None:
            labels[LOAD_BALANCER_LABEL] = load_balancer_id
        if shown is not None and not problems:
            labels[HASH_LABEL] = service_hash(service)
        patch = service_patch(service, labels, shown)
        with voice.failing(service, "FailedUpdateStatus", "Error updating load balancer status: "):
            await self._patch_status(service, patch)
        if shown is not None or problems:
            voice.synced(service, load_balancer_id, problems, ensured=bool(patch))
        voice.mapped(service, port_mappings(self._owned_on(LISTENER, service, has)))

    async def _patch_status(self, service: Object, patch: Object) -> None:
        if patch:
            metadata = service["metadata"]
            await self._workload.patch(SERVICE, metadata["name"], metadata["namespace"], patch, "status")

    async def _set_finalizers(self, service: Object, finalizers: list[str]) -> Object:
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        # The status patch just before has a newer version of the object than the one in hand.
        current = self._workload[SERVICE].get(namespace, name) or service
        patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"], "finalizers": finalizers}}
        return await self._workload.patch(SERVICE, name, namespace, patch)

    def _group(self, reference: str) -> ServerGroup | None:
        obj = resolve(self._management[SERVER_GROUP], self._facts.namespace, reference)
        return ServerGroup.model_validate(obj) if obj is not None else None
