"""Brings certificates, listeners and server groups on a load balancer to what an AlbConfig and its Ingresses say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ackbox.catalog.quotas import QuotaName
from ackbox.ccm.config import current
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import copies, names
from ackbox.ccm.ingress.albconfig import AlbConfig
from ackbox.ccm.ingress.certificates import Certificates, Known, known, read, tls_secrets
from ackbox.ccm.ingress.groups import Observed
from ackbox.ccm.ingress.model import Wanted, build
from ackbox.ccm.ingress.plan import There, plan
from ackbox.ccm.ingress.rules import Problem
from ackbox.ccm.ingress.view import ordered
from ackbox.ccm.management import marked, quota
from ackbox.ccm.services.apply import apply
from ackbox.ccm.services.backends import NodeView
from ackbox.ccm.store import Store
from ackbox.kube.cache import Key
from ackbox.kube.client import ENDPOINT_SLICE, SECRET, SERVICE, Object
from ackbox.kube.errors import ApiError
from ackbox.resources import LISTENER, SERVER_GROUP, ServiceLoadBalancer


@dataclass(frozen=True)
class Outcome:
    """How it went.

    Attributes:
        problems: what can't be had.
        refused: what the API server refused.
        settled: nothing is on its way out.
    """

    problems: Sequence[Problem] = ()
    refused: Sequence[ApiError] = ()
    settled: bool = True


class Contents:
    """Works on the load balancers of one workload cluster."""

    def __init__(
        self, facts: ClusterFacts, management: Store, workload: Store, nodes: Callable[[], Mapping[str, NodeView]]
    ) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._nodes = nodes

    async def bring(self, config: AlbConfig, members: Sequence[Object], load_balancer: ServiceLoadBalancer) -> Outcome:
        """Bring it up to date; what is refused doesn't stop the rest."""
        facts, management, namespace = self._facts, self._management, self._facts.namespace
        mark = names.owner_mark(facts.cluster_id, config.metadata.name)
        views, there = ordered(members), self._there(mark, config)
        secrets = {names.certificate_id(load_balancer.metadata.name, *key): key for key in tls_secrets(views)}
        usable = {name: secret for name, key in secrets.items() if (secret := self._secret(key)) is not None}
        await copies.bring(management, facts, load_balancer, mark, usable)
        certificates = Certificates(self._account(), {secrets[name]: name for name in usable})
        wanted = build(config, views, load_balancer.metadata.name, facts, self._observed(), certificates)
        steps = plan(wanted, there, load_balancer, facts)
        refused = await apply(management, namespace, steps.first)
        refused += await apply(management, namespace, steps.then)
        refused += await apply(management, namespace, steps.last)
        await copies.remove(management, facts, mark, _kept(secrets, wanted))
        staying = {item.object_name for item in wanted.listeners} | {item.object_name for item in wanted.groups}
        settled = _names(there) <= staying
        return Outcome([*wanted.problems, *steps.problems], refused, settled)

    def _there(self, mark: str, config: AlbConfig) -> There:
        namespace, settings = self._facts.namespace, config.spec.config
        return There(
            get=lambda kind, name: self._management[kind].get(namespace, name),
            listeners=marked(self._management, LISTENER, namespace, mark),
            groups=marked(self._management, SERVER_GROUP, namespace, mark),
            mark=mark,
            override=settings.listener_force_override or settings.force_override,
        )

    def _observed(self) -> Observed:
        return Observed(
            service=self._workload[SERVICE].get,
            slices=lambda namespace, name: self._workload[ENDPOINT_SLICE].by("service", f"{namespace}/{name}"),
            nodes=self._nodes(),
            backend_type=current(self._workload).service_backend_type,
            max_servers=quota(self._management, self._facts.namespace, QuotaName.BACKENDS),
        )

    def _account(self) -> list[Known]:
        now, secrets = datetime.now(UTC), self._management[SECRET].all(self._facts.namespace)
        return [found for secret in secrets if (found := known(secret, now)) is not None]

    def _secret(self, key: Key) -> Object | None:
        secret = self._workload[SECRET].get(*key)
        return secret if secret is not None and read(secret) is not None else None


def _kept(secrets: Mapping[str, Key], wanted: Wanted) -> set[str]:
    """The copies that stay: those that Ingresses name, whatever their Secrets hold now."""
    used = {name for item in wanted.listeners if item.spec is not None for name in item.spec.certificate_ids or ()}
    return {*secrets, *used}


def _names(there: There) -> set[str]:
    return {obj["metadata"]["name"] for obj in [*there.listeners, *there.groups]}
