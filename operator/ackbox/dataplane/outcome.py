"""What became of a listener, and the resources of Envoy that make it up. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ackbox.dataplane import envoy_config, envoy_http, envoy_listener, envoy_tls
from ackbox.dataplane.model import Address, Blocked, Branch, Identity, Passage, Serving
from ackbox.dataplane.servers import Transport
from ackbox.dataplane.xds_store import ResourceType
from ackbox.kube.cache import Key


class Use(NamedTuple):
    """A server group, and the transport that it is used on."""

    group: Key
    transport: Transport


@dataclass(frozen=True)
class Part:
    """A server group behind a listener.

    Attributes:
        cluster: the name of its cluster.
        seen: how the listener finds virtual servers, and real ones that nobody checks.
        probed: Envoy finds out about the health.
        problem: what keeps it from being served as asked.
    """

    use: Use
    cluster: str
    branch: Branch
    seen: Mapping[Identity, bool] = field(default_factory=dict)
    probed: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a listener.

    Attributes:
        parts: its server groups, its own first.
        servers: how many servers its own group has.
        passage: how virtual servers treat its connections.
    """

    result: Serving | Blocked
    parts: tuple[Part, ...] = ()
    servers: int = 0
    passage: Passage = field(default_factory=Passage)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens."""
        if isinstance(self.result, Blocked):
            return ()
        return self.result.frontend.bound

    @property
    def passages(self) -> Mapping[Address, Passage]:
        """How virtual servers treat its connections, by where it listens."""
        if isinstance(self.result, Blocked):
            return {}
        frontend = self.result.frontend
        asked = frontend.dialled or (None,) * len(frontend.bound)
        return {
            address: replace(self.passage, asked=dialled)
            for address, dialled in zip(frontend.bound, asked, strict=True)
        }


class Wanted(NamedTuple):
    """A resource that Envoy shall have; `needs` are clusters whose endpoints must be there first."""

    kind: ResourceType
    name: str
    message: Any
    needs: tuple[str, ...] = ()


def resources(name: str, serving: Serving) -> Iterator[Wanted]:
    """Everything that a listener is made of, in the order in which it comes into being."""
    for cluster, branch in serving.branches.items():
        yield Wanted(ResourceType.CLUSTER, cluster, envoy_config.cluster(cluster, branch.upstream))
        yield Wanted(ResourceType.ENDPOINTS, cluster, envoy_config.endpoints(cluster, branch))
    if serving.credentials is not None:
        for secret, message in envoy_tls.secrets(name, serving.credentials).items():
            yield Wanted(ResourceType.SECRET, secret, message)
    needs = tuple(serving.branches)
    if serving.frontend.http is not None:
        yield Wanted(ResourceType.ROUTES, name, envoy_http.routes(name, serving.frontend.http), needs)
    yield Wanted(ResourceType.LISTENER, name, envoy_listener.listener(name, serving.frontend), needs)
