"""TLS in Envoy's words: the transport socket of a listener, and the secrets that it asks for."""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2

from ackbox.dataplane.envoy_config import ads_source, packed
from ackbox.dataplane.model import Credentials, TlsSettings

VERSIONS = {
    "1.0": common_pb2.TlsParameters.TLSv1_0,
    "1.1": common_pb2.TlsParameters.TLSv1_1,
    "1.2": common_pb2.TlsParameters.TLSv1_2,
    "1.3": common_pb2.TlsParameters.TLSv1_3,
}

AUTHORITIES = "/authorities"
"""In place of a certificate's id, for the authorities; no id begins like this."""


def secret_name(listener: str, certificate: str) -> str:
    """What a listener's certificate is called in Envoy."""
    return f"{listener}/{certificate}"


def transport_socket(name: str, tls: TlsSettings, certificates: tuple[str, ...]) -> Any:
    """The TLS end of a listener that shows one of these certificates."""
    context = tls_pb2.DownstreamTlsContext()
    common = context.common_tls_context
    common.tls_params.tls_minimum_protocol_version = VERSIONS[tls.minimum]
    common.tls_params.tls_maximum_protocol_version = VERSIONS[tls.maximum]
    common.tls_params.cipher_suites.extend(tls.ciphers)
    common.alpn_protocols.extend(tls.alpn)
    for certificate in certificates:
        common.tls_certificate_sds_secret_configs.append(_secret_source(secret_name(name, certificate)))
    if tls.authorities:
        common.validation_context_sds_secret_config.CopyFrom(_secret_source(secret_name(name, AUTHORITIES)))
        context.require_client_certificate.value = True
    socket = base_pb2.TransportSocket(name="envoy.transport_sockets.tls")
    socket.typed_config.CopyFrom(packed(context))
    return socket


def _secret_source(name: str) -> Any:
    return secret_pb2.SdsSecretConfig(name=name, sds_config=ads_source())


def secrets(name: str, credentials: Credentials) -> dict[str, Any]:
    """The secrets of a listener, by their names."""
    found = {}
    for identity, pair in credentials.pairs.items():
        own = secret_name(name, identity)
        found[own] = secret_pb2.Secret(
            name=own,
            tls_certificate=common_pb2.TlsCertificate(
                certificate_chain=base_pb2.DataSource(inline_string=pair.certificate),
                private_key=base_pb2.DataSource(inline_string=pair.key),
            ),
        )
    if credentials.authorities:
        own = secret_name(name, AUTHORITIES)
        trusted = base_pb2.DataSource(inline_string=credentials.authorities)
        found[own] = secret_pb2.Secret(
            name=own, validation_context=common_pb2.CertificateValidationContext(trusted_ca=trusted)
        )
    return found
