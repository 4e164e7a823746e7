"""Which annotations of a CLB listener go together, and which don't. Pure; rule source: the CCM's `pkg/controller/service/clbv1`.

What an annotation doesn't say may still be there, because a removed annotation leaves what it set: so every rule looks at
the listener as it would be.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ackbox.catalog.annotations import PREFIX, Level
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.listener_look import Look, Said
from ackbox.ccm.services.model import Observed
from ackbox.ccm.services.view import ServicePort
from ackbox.resources.listener import Protocol


def said_of(wishes: Wishes, protocol: Protocol, there: Mapping[str, Any], observed: Observed) -> Said:
    """The fields that annotations set on a listener of a protocol.

    Args:
        wishes: the annotations.
        protocol: what the listener speaks.
        there: the spec of the listener that is there; empty when none is, or one of another protocol.
        observed: knows certificates and access control lists.
    """
    look = Look(wishes.fields(Level.LISTENER, protocol), there, observed)
    for rule in _RULES[protocol]:
        rule(look)
    return look.said()


def forward_problem(
    port: int, protocol: Protocol, target: int, protocols: Mapping[ServicePort, Protocol]
) -> str | None:
    """What is wrong with sending clients of a port to another one; None when nothing is."""
    if protocol is not Protocol.HTTP:
        return f"Annotation {PREFIX}forward-port: port {port} must be an http port, but it is {protocol}"
    if not any(other.port == target and speaks is Protocol.HTTPS for other, speaks in protocols.items()):
        return f"Annotation {PREFIX}forward-port: [{port}:{target}] must name an https port of the Service"
    return None


def _acl(look: Look) -> None:
    if look.fields.get("acl_status") != "on":
        if look.effective("acl_status") is None:
            look.ignore("acl-id", "acl_ids", "acl-status: on")
            look.ignore("acl-type", "acl_type", "acl-status: on")
        look.drop("acl_ids", "acl_type")
        return
    problems = [
        f"Annotation {PREFIX}acl-status: on needs annotation {PREFIX}{suffix}"
        for suffix, name in (("acl-id", "acl_ids"), ("acl-type", "acl_type"))
        if not look.effective(name)
    ]
    unknown = [reference for reference in look.fields.get("acl_ids", ()) if not look.observed.acl(reference)]
    problems += [f"can not find acl by id {reference}" for reference in unknown]
    if problems:
        # Without its list a listener would be open to everybody, or to nobody.
        look.problems += problems
        look.drop("acl_status", "acl_type", "acl_ids")
        look.held = True
        return
    before = look.there.get("aclIds") or []
    if "acl_ids" in look.fields and set(before) == set(look.fields["acl_ids"]):
        look.fields["acl_ids"] = before


def _drain(look: Look) -> None:
    drain = look.effective("connection_drain")
    if drain is None:
        look.ignore("connection-drain-timeout", "connection_drain_timeout", "connection-drain: on")
    elif drain == "off":
        look.drop("connection_drain_timeout")


def _sticky(look: Look) -> None:
    kind = look.effective("sticky_session_type")
    if look.effective("sticky_session") == "on":
        needed = {None: ("sticky-session-type", None), "insert": ("cookie-timeout", "cookie_timeout")}
        suffix, name = needed.get(kind, ("cookie", "cookie"))
        if name is None or look.effective(name) is None:
            what = f"sticky-session-type: {kind}" if kind else "sticky-session: on"
            look.problems.append(f"Annotation {PREFIX}{what} needs annotation {PREFIX}{suffix}")
            look.drop("sticky_session", "sticky_session_type", "cookie", "cookie_timeout")
            return
    if kind == "insert":
        look.ignore("cookie", "cookie", "sticky-session-type: server")
    elif kind == "server":
        look.ignore("cookie-timeout", "cookie_timeout", "sticky-session-type: insert")


def _certificate(look: Look) -> None:
    reference, before = look.fields.get("server_certificate_id"), look.there.get("serverCertificateId")
    if reference is None:
        if before is None:
            look.problems.append(f"Annotation {PREFIX}cert-id is needed by an https listener")
            look.held = True
        return
    problem = look.certificate_problem(reference) if reference != before else None
    if problem is not None:
        look.problems.append(problem)
        look.drop("server_certificate_id")
        look.held = before is None


def _domains(look: Look) -> None:
    items = look.fields.get("domain_extensions")
    if items is None:
        return
    before = {item["domain"]: item["serverCertificateId"] for item in look.there.get("domainExtensions") or []}
    right = []
    for item in items:
        domain, reference = item["domain"], item["server_certificate_id"]
        problem = look.certificate_problem(reference) if before.get(domain) != reference else None
        if problem is None:
            right.append(item)
            continue
        look.problems.append(f"domain {domain}: {problem}")
        if domain in before:
            right.append({"domain": domain, "server_certificate_id": before[domain]})
    look.fields["domain_extensions"] = right


_RULES: Mapping[Protocol, tuple[Callable[[Look], None], ...]] = {
    Protocol.TCP: (_acl, _drain),
    Protocol.UDP: (_acl, _drain),
    Protocol.HTTP: (_acl, _sticky),
    Protocol.HTTPS: (_acl, _sticky, _certificate, _domains),
}
