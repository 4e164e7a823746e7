"""What an AlbConfig and its Ingresses are to have on their load balancer: listeners with rules, server groups. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import rules
from ackbox.ccm.ingress.albconfig import AlbConfig, AlbListener
from ackbox.ccm.ingress.certificates import Certificates
from ackbox.ccm.ingress.groups import Observed, WantedGroup, empty_group, object_name, server_group
from ackbox.ccm.ingress.rules import Problem
from ackbox.ccm.ingress.view import Backend, IngressView
from ackbox.resources.listener import ListenerSpec, Protocol, listener_name

IDLE_TIMEOUT = 15
REQUEST_TIMEOUT = 60
SECURITY_POLICY = "tls_cipher_policy_1_0"
ENCRYPTION = (
    "certificate_ids",
    "additional_certificate_ids",
    "security_policy_id",
    "enable_http2",
    "ca_enabled",
    "ca_certificate_ids",
)
"""Fields that an HTTP listener doesn't have, even if it was an HTTPS listener before."""


@dataclass(frozen=True)
class WantedListener:
    """A listener; `spec` is None when it can't be made, and one that is there shall stay as it is."""

    object_name: str
    port: int
    spec: ListenerSpec | None


@dataclass(frozen=True)
class Wanted:
    """Everything that is to be on the load balancer, and what can't be had."""

    listeners: tuple[WantedListener, ...]
    groups: tuple[WantedGroup, ...]
    problems: tuple[Problem, ...]


def build(
    config: AlbConfig,
    views: Sequence[IngressView],
    load_balancer: str,
    facts: ClusterFacts,
    observed: Observed,
    certificates: Certificates,
) -> Wanted:
    """The wanted state.

    Args:
        config: the AlbConfig.
        views: its Ingresses, in their order.
        load_balancer: name of the load balancer's object.
        facts: the cluster.
        observed: what server groups are built from.
        certificates: the certificates that can be had.
    """
    builder = _Builder(config, load_balancer, facts, observed, certificates)
    problems: list[Problem] = [(view.key, text) for view in views for text in view.wishes.problems]
    plans = _listeners(config, views, problems)
    listeners = [builder.listener(listener, members, problems) for listener, members in plans]
    problems += builder.group_problems
    return Wanted(tuple(listeners), tuple(builder.groups.values()), tuple(dict.fromkeys(problems)))


def _listeners(
    config: AlbConfig, views: Sequence[IngressView], problems: list[Problem]
) -> list[tuple[AlbListener, list[IngressView]]]:
    """The listeners of the AlbConfig and those that Ingresses ask for besides, each with its Ingresses."""
    found: dict[int, AlbListener] = {}
    members: dict[int, list[IngressView]] = {}
    for listener in config.spec.listeners:
        if listener.protocol == "QUIC":
            problems.append((None, f"listener {listener.port}: protocol QUIC is not there; allowed are HTTP and HTTPS"))
        elif listener.port in found:
            problems.append((None, f"listener {listener.port} is there twice; the first counts"))
        else:
            found[listener.port], members[listener.port] = listener, []
    for view in views:
        for port, protocol in view.ports.items():
            word = protocol.value.upper()
            listener = found.setdefault(port, AlbListener.model_validate({"port": port, "protocol": word}))
            if listener.protocol != word:
                text = (
                    f"listener {port} is of {listener.protocol}, not of {word} as the Ingress asks; choose another port"
                )
                problems.append((view.key, text))
            else:
                members.setdefault(port, []).append(view)
    return [(found[port], members.get(port, [])) for port in sorted(found)]


class _Builder:
    """Builds listeners, and collects the server groups that they need."""

    def __init__(
        self,
        config: AlbConfig,
        load_balancer: str,
        facts: ClusterFacts,
        observed: Observed,
        certificates: Certificates,
    ) -> None:
        self._config = config
        self._load_balancer = load_balancer
        self._facts = facts
        self._observed = observed
        self._certificates = certificates
        self.groups: dict[str, WantedGroup] = {}
        self.group_problems: list[Problem] = []

    def listener(self, wish: AlbListener, views: Sequence[IngressView], problems: list[Problem]) -> WantedListener:
        """A listener with its rules."""
        protocol = Protocol(wish.protocol.lower())
        name = listener_name(self._load_balancer, wish.port, "tcp")
        built = rules.build(wish.port, protocol, views, self._group)
        problems += built.problems
        fields: dict[str, Any] = {
            "load_balancer_id": self._load_balancer,
            "listener_port": wish.port,
            "listener_protocol": protocol,
            "description": wish.description or f"ls-{wish.port}",
            "v_server_group_id": self._default(wish.port, views, problems),
            "rules": built.rules,
            **_settings(self._config, wish),
        }
        if protocol is Protocol.HTTPS:
            chosen, wrong = self._certificates.choose(wish.certificates, views)
            problems += wrong
            if not chosen:
                text = f"https listener: {wish.port} must provider one default cert; name one in the AlbConfig or in spec.tls"
                problems += [(view.key, text) for view in views] or [(None, text)]
                return WantedListener(name, wish.port, None)
            fields |= _encryption(wish, chosen)
        else:
            fields |= dict.fromkeys(ENCRYPTION)
        return WantedListener(name, wish.port, ListenerSpec.model_validate(fields))

    def _default(self, port: int, views: Sequence[IngressView], problems: list[Problem]) -> str:
        """The server group of requests that fit no rule: the first default backend of an Ingress, else an empty one."""
        having = [view for view in views if view.default is not None]
        for view in having[1:]:
            first = f"{having[0].namespace}/{having[0].name}"
            problems.append((view.key, f"defaultBackend: listener {port} has that of Ingress {first} already"))
        if having and having[0].default is not None:
            return self._group(having[0], having[0].default)
        group = empty_group(self._load_balancer, self._config.metadata.name, port, self._facts)
        self.groups[group.object_name] = group
        return group.object_name

    def _group(self, view: IngressView, backend: Backend) -> str:
        name = object_name(self._load_balancer, view, backend)
        if name not in self.groups:
            group = server_group(self._load_balancer, view, backend, self._facts, self._observed)
            self.groups[name] = replace(group, problem=None)
            if group.problem is not None:
                self.group_problems.append((view.key, group.problem))
        return name


def _settings(config: AlbConfig, wish: AlbListener) -> Mapping[str, Any]:
    """What the AlbConfig says of a listener of either protocol."""
    log, acl, headers = config.spec.config.access_log_config, wish.acl_config, wish.x_forwarded_for_config
    restricted = acl is not None and bool(acl.acl_ids)
    return {
        "idle_timeout": wish.idle_timeout or IDLE_TIMEOUT,
        "request_timeout": wish.request_timeout or REQUEST_TIMEOUT,
        "access_log": "on" if log.log_project and log.log_store else "off",
        "acl_status": "on" if restricted else "off",
        "acl_type": (acl.acl_type or "White").lower() if acl is not None and restricted else None,
        "acl_ids": acl.acl_ids if acl is not None and restricted else None,
        "x_forwarded_for_proto": "on" if headers.proto else "off",
        "x_forwarded_for_slb_port": "on" if headers.slb_port else "off",
        "x_forwarded_for_client_src_port": "on" if headers.client_port else "off",
    }


def _encryption(wish: AlbListener, chosen: Sequence[str]) -> Mapping[str, Any]:
    authorities = [item.certificate_id for item in wish.ca_certificates]
    return {
        "certificate_ids": [chosen[0]],
        "additional_certificate_ids": list(chosen[1:]),
        "security_policy_id": wish.security_policy_id or SECURITY_POLICY,
        "enable_http2": "on" if wish.http2_enabled else "off",
        "ca_enabled": wish.ca_enabled and bool(authorities),
        "ca_certificate_ids": authorities or None,
    }
