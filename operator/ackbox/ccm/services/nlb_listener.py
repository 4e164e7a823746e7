"""Which annotations of an NLB listener go together, and which don't. Pure; rule source: the CCM's `pkg/controller/service/nlbv2`.

What an annotation doesn't say may still be there, because a removed annotation leaves what it set: so every rule looks at
the listener as it would be.
"""

from collections.abc import Mapping
from typing import Any

from ackbox.catalog.annotations import PREFIX, Level
from ackbox.ccm.services.annotations import Wishes
from ackbox.ccm.services.listener_look import Look, Said
from ackbox.ccm.services.model import Observed
from ackbox.resources.listener import Protocol

PPV2_FIELDS = {
    "ppv2-pvl-ep-id-enabled": "ppv2_private_link_ep_id_enabled",
    "ppv2-pvl-eps-id-enabled": "ppv2_private_link_eps_id_enabled",
    "ppv2-pvl-vpc-id-enabled": "ppv2_vpc_id_enabled",
}
NEEDS_CERTIFICATE = f"Annotation {PREFIX}cert-id is needed by a tcpssl listener"


def said_of(wishes: Wishes, protocol: Protocol, there: Mapping[str, Any], observed: Observed) -> Said:
    """The fields that annotations set on a listener of a protocol.

    Args:
        wishes: the annotations.
        protocol: what the listener speaks.
        there: the spec of the listener that is there; empty when none is, or one of another protocol.
        observed: knows certificates.
    """
    look = Look(wishes.fields(Level.LISTENER, protocol), there, observed)
    _proxy_protocol(look, wishes, protocol)
    if protocol is Protocol.TCPSSL:
        _certificate(look)
        _additional(look)
        _authorities(look)
        _alpn(look)
    return look.said()


def _proxy_protocol(look: Look, wishes: Wishes, protocol: Protocol) -> None:
    said = {name: wishes.values[suffix] for suffix, name in PPV2_FIELDS.items() if suffix in wishes}
    if not said or protocol is Protocol.UDP:
        return
    look.fields["proxy_protocol_v2_config"] = said
    if not look.effective("proxy_protocol_enabled"):
        suffix = next(suffix for suffix in PPV2_FIELDS if suffix in wishes)
        look.ignore(suffix, "proxy_protocol_v2_config", "proxy-protocol: on")


def _certificate(look: Look) -> None:
    before = look.before("certificate_ids") or []
    references = look.fields.get("certificate_ids")
    if references is None:
        if not before:
            look.problems.append(NEEDS_CERTIFICATE)
            look.held = True
    elif look.wrong(references, before):
        del look.fields["certificate_ids"]
        look.held = not before


def _additional(look: Look) -> None:
    references = look.fields.get("additional_certificate_ids")
    if references is not None:
        bad = look.wrong(references, look.before("additional_certificate_ids") or [])
        look.fields["additional_certificate_ids"] = [reference for reference in references if reference not in bad]


def _authorities(look: Look) -> None:
    """Without its CA certificates a listener would let in everybody, so then it isn't made at all."""
    if look.effective("ca_enabled"):
        references, before = look.fields.get("ca_certificate_ids"), look.before("ca_certificate_ids") or []
        if not look.effective("ca_certificate_ids"):
            look.problems.append(f"Annotation {PREFIX}cacert: on needs annotation {PREFIX}cacert-id")
        elif not look.wrong(references or [], before):
            return
        look.drop("ca_enabled", "ca_certificate_ids")
        look.held = look.held or not look.before("ca_enabled")
    else:
        look.ignore("cacert-id", "ca_certificate_ids", "cacert: on")


def _alpn(look: Look) -> None:
    if not look.effective("alpn_enabled"):
        look.ignore("alpn-policy", "alpn_policy", "alpn: on")
    elif look.effective("alpn_policy") is None:
        look.problems.append(f"Annotation {PREFIX}alpn: on needs annotation {PREFIX}alpn-policy")
        look.drop("alpn_enabled")
