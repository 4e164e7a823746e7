"""ALB Ingress controller: brings the load balancer of each AlbConfig to what it and its Ingresses say.

The key is the AlbConfig, since its Ingresses share listeners: their rules stand in one order.
"""

import contextlib
import logging
from collections.abc import Sequence

from pydantic import ValidationError

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import balancer, names, status
from ackbox.ccm.ingress.albconfig import AlbConfig, unknown_fields
from ackbox.ccm.ingress.cleanup import clear
from ackbox.ccm.ingress.contents import Contents, Outcome
from ackbox.ccm.ingress.kinds import ALB_CONFIG, INGRESS
from ackbox.ccm.ingress.rules import Problem
from ackbox.ccm.ingress.triggers import NOBODY, Triggers
from ackbox.ccm.ingress.view import ingress_view, is_leaving, membership, ordered
from ackbox.ccm.ingress.voice import FAILED_APPLY, FAILED_BUILD, Voice
from ackbox.ccm.management import marked
from ackbox.ccm.metrics import Verb
from ackbox.ccm.metrics import load_balancer as measured
from ackbox.ccm.reporter import Reporter
from ackbox.ccm.services.lookup import SyncError
from ackbox.ccm.services.status import port_mappings
from ackbox.ccm.store import Store
from ackbox.kube.client import Object
from ackbox.kube.errors import AlreadyExists, Forbidden, Invalid, NotFound
from ackbox.kube.queue import Retry, WorkQueue
from ackbox.resources import LISTENER, Kind, ServiceLoadBalancer
from ackbox.resources.base import PAUSED_ANNOTATION
from ackbox.resources.loadbalancer import LoadBalancerType

logger = logging.getLogger(__name__)

WORKERS = 3
FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 300.0


class IngressController:
    """Reconciles the AlbConfigs of one workload cluster. Keys are their names."""

    def __init__(self, facts: ClusterFacts, management: Store, workload: Store, reporter: Reporter) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._voice = Voice(reporter)
        self._queue = WorkQueue[str](
            self._reconcile, f"ingresses of {facts.name}", WORKERS, FIRST_BACK_OFF, LONGEST_BACK_OFF
        )
        self._triggers = Triggers(facts, management, workload, self._queue)
        self._contents = Contents(facts, management, workload, self._triggers.nodes_now)

    async def run(self) -> None:
        """Work until cancelled; the caches must be filled."""
        with self._triggers.active():
            await self._queue.run()

    async def _reconcile(self, name: str) -> None:
        mine = [item for item in self._workload[INGRESS].all() if self._triggers.config_of(item) == name]
        members = [item for item in mine if not is_leaving(item)]
        config = self._workload[ALB_CONFIG].get("", name)
        if name == NOBODY:
            await self._release(mine)
            return
        if config is None and members:
            config = await self._make(name, members)
        if config is not None and (config["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true":
            return
        if config is None or "deletionTimestamp" in config["metadata"]:
            await self._clear(name, config, members)
            settled = True
        else:
            settled = await self._sync(config, members)
        if settled:
            await self._release([item for item in mine if is_leaving(item)])

    async def _make(self, name: str, members: Sequence[Object]) -> Object | None:
        """Make the AlbConfig of Ingresses that name none which is there; one that an IngressClass names is the user's."""
        cache = self._triggers.ingress_class
        free = [item for item in members if (found := membership(item, cache)) and found.named_by is None]
        for item in members:
            found = membership(item, cache)
            if found is not None and found.named_by is not None and not free:
                text = f"AlbConfig {name}, which IngressClass {found.named_by} names, does not exist; create it"
                self._voice.problems(item, [(FAILED_BUILD, text)])
        if not free:
            return None
        first = ordered(free)[0]
        try:
            return await self._workload.create(ALB_CONFIG, balancer.made_for(first, name))
        except AlreadyExists:
            raise Retry(f"AlbConfig {name} is there already", 0.05) from None

    async def _sync(self, obj: Object, members: list[Object]) -> bool:
        """Bring everything up to date; False while something of it is on its way out."""
        obj = await self._add_finalizer(ALB_CONFIG, obj)
        members = [await self._add_finalizer(INGRESS, item) for item in members]
        outcome, load_balancer, failures = Outcome(), None, list[str]()
        try:
            config = _parsed(obj)
            self._voice.unknown(obj, "UnsupportedField", list(unknown_fields(config.spec)))
            verb = Verb.UPDATE if balancer.find(self._management, self._facts, config) else Verb.CREATION
            with measured(LoadBalancerType.ALB, verb) as measure:
                load_balancer = await balancer.ensure(self._management, self._facts, config)
                failures = balancer.immutable_problems(load_balancer, config)
                outcome = await self._contents.bring(config, members, load_balancer)
                measure.failed = bool(failures or outcome.problems or outcome.refused)
        except SyncError as error:
            # Time won't mend it, and whatever can is watched.
            logger.info("albconfig %s: %s", obj["metadata"]["name"], error)
            failures = [str(error)]
        except (Forbidden, Invalid) as error:
            outcome = Outcome(refused=[error])
        problems: list[Problem] = [*((None, text) for text in failures), *outcome.problems]
        await self._show(obj, members, load_balancer, problems, [str(error) for error in outcome.refused])
        if outcome.refused:
            raise outcome.refused[0]  # said already; it may be taken later
        return outcome.settled

    async def _show(
        self,
        obj: Object,
        members: Sequence[Object],
        load_balancer: ServiceLoadBalancer | None,
        problems: Sequence[Problem],
        refused: Sequence[str],
    ) -> None:
        """Statuses, then what there is to say: of the AlbConfig to all, of an Ingress to itself."""
        common = [text for key, text in problems if key is None]
        where = status.state(load_balancer, [*common, *refused])
        await self._patch_status(ALB_CONFIG, obj, status.config_patch(obj, load_balancer, where))
        shared = [*((FAILED_BUILD, text) for text in common), *((FAILED_APPLY, text) for text in refused)]
        self._say(obj, shared, where.ready == "True")
        mark = names.owner_mark(self._facts.cluster_id, obj["metadata"]["name"])
        mapped = port_mappings(marked(self._management, LISTENER, self._facts.namespace, mark)).values()
        for item in members:
            self._voice.mapped(item, mapped)
            if load_balancer is not None:
                await self._patch_status(INGRESS, item, status.ingress_patch(item, load_balancer))
            view = ingress_view(item)
            own = [(FAILED_BUILD, text) for key, text in problems if key == view.key]
            self._voice.unknown(item, "UnsupportedAnnotation", view.wishes.unknown)
            self._say(item, [*shared, *own], where.ready == "True")

    def _say(self, obj: Object, problems: list[tuple[str, str]], well: bool) -> None:
        self._voice.problems(obj, problems)
        if well and not problems:
            self._voice.well(obj)

    async def _clear(self, name: str, config: Object | None, members: Sequence[Object]) -> None:
        """Take everything away that the AlbConfig had.

        Raises:
            Retry: something of it is on its way out.
        """
        with measured(LoadBalancerType.ALB, Verb.DELETION) if config is not None else contextlib.nullcontext():
            if not await clear(self._management, self._facts, name):
                raise Retry("what it had is being deleted", 5.0)
        for item in members:
            await self._patch_status(INGRESS, item, status.ingress_patch(item, None))
        if config is not None:
            await self._remove_finalizer(ALB_CONFIG, config)
            self._voice.forget(config)

    async def _release(self, leaving: Sequence[Object]) -> None:
        """Let go of Ingresses that have nothing here any more."""
        for item in leaving:
            if names.FINALIZER in (item["metadata"].get("finalizers") or []):
                await self._patch_status(INGRESS, item, status.ingress_patch(item, None))
                await self._remove_finalizer(INGRESS, item)
            self._voice.forget(item)

    async def _patch_status(self, kind: Kind, obj: Object, patch: Object) -> None:
        if patch:
            metadata = obj["metadata"]
            with self._voice.failing(obj, "FailedUpdateStatus", ""):
                await self._workload.patch(kind, metadata["name"], metadata.get("namespace"), patch, "status")

    async def _add_finalizer(self, kind: Kind, obj: Object) -> Object:
        before = obj["metadata"].get("finalizers") or []
        if names.FINALIZER in before:
            return obj
        with self._voice.failing(obj, "FailedAddFinalizer", "Failed add finalizer due to "):
            return await self._set_finalizers(kind, obj, [*before, names.FINALIZER])

    async def _remove_finalizer(self, kind: Kind, obj: Object) -> None:
        before = obj["metadata"].get("finalizers") or []
        if names.FINALIZER in before:
            kept = [item for item in before if item != names.FINALIZER]
            # It may be gone already.
            with (
                contextlib.suppress(NotFound),
                self._voice.failing(obj, "FailedRemoveFinalizer", "Failed remove finalizer due to "),
            ):
                await self._set_finalizers(kind, obj, kept)

    async def _set_finalizers(self, kind: Kind, obj: Object, finalizers: list[str]) -> Object:
        name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
        # A status patch just before has a newer version of the object than the one in hand.
        current = self._workload[kind].get(namespace or "", name) or obj
        patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"], "finalizers": finalizers}}
        return await self._workload.patch(kind, name, namespace, patch)


def _parsed(obj: Object) -> AlbConfig:
    """An AlbConfig.

    Raises:
        SyncError: it was written before its fields were checked, and one of them is wrong.
    """
    try:
        return AlbConfig.model_validate(obj)
    except ValidationError as error:
        first = error.errors()[0]
        raise SyncError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
