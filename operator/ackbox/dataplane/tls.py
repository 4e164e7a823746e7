"""What a listener's TLS is to be, and the certificates that it names. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ackbox.catalog.tls_policies import default_tls_policy, tls_policies
from ackbox.dataplane.certificates import CertificateError, authority, key_pair
from ackbox.dataplane.model import Credentials, KeyPair, TlsSettings
from ackbox.kube.client import Object
from ackbox.resources.listener import ListenerSpec, Protocol

ALPN = {
    "HTTP1Only": ("http/1.1", "http/1.0"),
    "HTTP2Only": ("h2",),
    "HTTP2Preferred": ("h2", "http/1.1", "http/1.0"),
    "HTTP2Optional": ("http/1.1", "http/1.0", "h2"),
}
"""NLB's policies for the choice of the application protocol, best first."""


def tls_settings(spec: ListenerSpec) -> TlsSettings:
    """How a listener ends TLS.

    Raises:
        ValueError: it names no certificate, or a policy that doesn't exist.
    """
    own = [spec.server_certificate_id] if spec.server_certificate_id else list(spec.certificate_ids or ())
    if not own:
        raise ValueError(
            f"a listener of {spec.listener_protocol.value} needs serverCertificateId (CLB) or certificateIds"
        )
    policy = spec.tls_cipher_policy or spec.security_policy_id or default_tls_policy()
    if policy not in tls_policies():
        allowed = ", ".join(tls_policies())
        raise ValueError(f"tlsCipherPolicy, securityPolicyId: {policy} is unknown; allowed are {allowed}")
    chosen = tls_policies()[policy]
    return TlsSettings(
        certificates=tuple(dict.fromkeys([*own, *(spec.additional_certificate_ids or ())])),
        # A name in capital letters is the same name: its last certificate counts.
        domains=tuple({one.domain.lower(): one.server_certificate_id for one in spec.domain_extensions}.items()),
        authorities=_authorities(spec),
        minimum=chosen.minimum,
        maximum=chosen.maximum,
        ciphers=chosen.ciphers,
        alpn=_alpn(spec),
    )


def _authorities(spec: ListenerSpec) -> tuple[str, ...]:
    if spec.ca_enabled is False:
        return ()
    found = [spec.ca_certificate_id] if spec.ca_certificate_id else list(spec.ca_certificate_ids or ())
    if spec.ca_enabled and not found:
        raise ValueError("caEnabled is set, so caCertificateIds must name a CA certificate")
    return tuple(found) if spec.ca_enabled or spec.ca_certificate_id else ()


def _alpn(spec: ListenerSpec) -> tuple[str, ...]:
    if spec.listener_protocol is Protocol.HTTPS:
        return ("http/1.1",) if spec.enable_http2 == "off" else ("h2", "http/1.1")
    if not spec.alpn_enabled:
        return ()
    if spec.alpn_policy is None:
        raise ValueError(f"alpnEnabled is set, so alpnPolicy must be one of {', '.join(ALPN)}")
    return ALPN[spec.alpn_policy]


def named(settings: TlsSettings) -> tuple[str, ...]:
    """Every certificate that a listener names."""
    return tuple(dict.fromkeys([*settings.certificates, *(one for _, one in settings.domains), *settings.authorities]))


@dataclass(frozen=True)
class Furnished:
    """TLS as far as its certificates are there, and what is wrong with the others."""

    settings: TlsSettings
    credentials: Credentials
    problems: tuple[CertificateError, ...] = ()


def furnish(settings: TlsSettings, secrets: Mapping[str, Object | None]) -> Furnished:
    """Give a listener its certificates; one of a domain or an additional one may be missing.

    Raises:
        CertificateError: the listener's own certificate or a CA is not there, or can't be used.
    """
    pairs: dict[str, KeyPair] = {}
    problems: list[CertificateError] = []
    for identity in named(replace(settings, authorities=())):
        try:
            pairs[identity] = key_pair(identity, secrets.get(identity))
        except CertificateError as error:
            if identity == settings.certificates[0]:
                raise
            problems.append(error)
    authorities = "".join(authority(identity, secrets.get(identity)) for identity in settings.authorities)
    usable = replace(
        settings,
        certificates=tuple(identity for identity in settings.certificates if identity in pairs),
        domains=tuple((domain, identity) for domain, identity in settings.domains if identity in pairs),
    )
    return Furnished(usable, Credentials(pairs, authorities), tuple(problems))
