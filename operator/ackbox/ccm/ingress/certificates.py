"""Which certificates an HTTPS listener has: of the account by their id or their domains, and of TLS Secrets. Pure.

A certificate of the account is a Secret in the namespace of the management cluster that carries its id as a label. A
TLS Secret of the workload cluster that an Ingress names becomes one, as ACK uploads it.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from ackbox.ccm.ingress import albconfig, names
from ackbox.ccm.ingress.rules import Problem
from ackbox.ccm.ingress.view import IngressView, Tls
from ackbox.ccm.services.model import no_certificate
from ackbox.kube.cache import Key
from ackbox.kube.client import Object
from ackbox.resources.base import CERTIFICATE_LABEL

TLS_TYPE = "kubernetes.io/tls"
CERTIFICATE, PRIVATE_KEY = "tls.crt", "tls.key"


@dataclass(frozen=True)
class Known:
    """A certificate of the account; `name` is that of its Secret, `owner` whose copy it is."""

    id: str
    name: str
    domains: frozenset[str]
    expired: bool
    owner: str | None = None


@dataclass(frozen=True)
class Certificates:
    """The certificates that can be had.

    Attributes:
        account: those of the account.
        secrets: ids of the usable TLS Secrets that Ingresses name, by namespace and name.
    """

    account: Sequence[Known] = ()
    secrets: Mapping[Key, str] | None = None

    def choose(
        self, named: Sequence[albconfig.Certificate], views: Sequence[IngressView]
    ) -> tuple[list[str], list[Problem]]:
        """Ids of a listener's certificates, the default first: the AlbConfig's, then those of the Ingresses.

        Domains are looked up among the account's certificates only where nobody names one.
        """
        problems: list[Problem] = []
        ids = [item.certificate_id for item in sorted(named, key=lambda item: not item.is_default)]
        problems += [(None, text) for text in map(self._refusal, ids) if text is not None]
        found: set[str] = set()
        for view in views:
            for tls in view.tls or (Tls((), None),):
                if tls.secret is not None:
                    found |= self._of_secret(view, tls.secret, problems)
                elif not named:
                    found |= self._discovered(view, tls.hosts or sorted(view.hosts), problems)
        return list(dict.fromkeys([*ids, *sorted(found)])), problems

    def _refusal(self, reference: str) -> str | None:
        known = next((item for item in self.account if reference in (item.id, item.name)), None)
        if known is None:
            return no_certificate(reference)
        return f"can not use cert {reference}, because it is expired" if known.expired else None

    def _of_secret(self, view: IngressView, name: str, problems: list[Problem]) -> set[str]:
        known = (self.secrets or {}).get((view.namespace, name))
        if known is None:
            text = f"spec.tls: there is no Secret {view.namespace}/{name} of type {TLS_TYPE} with a usable certificate"
            problems.append((view.key, text))
        return {known} if known is not None else set()

    def _discovered(self, view: IngressView, hosts: Sequence[str], problems: list[Problem]) -> set[str]:
        usable = [item for item in self.account if item.owner is None and not item.expired]
        found = {item.id for item in usable if any(_covers(domain, host) for domain in item.domains for host in hosts)}
        if not found:
            problems.append((view.key, f"no cert was discovered: [{' '.join(hosts)}]"))
        return found


def _covers(domain: str, host: str) -> bool:
    """Whether a certificate's domain, maybe `*.domain`, is good for a host."""
    return domain == host or (domain.startswith("*.") and host.partition(".")[2] == domain[2:])


def known(secret: Object, now: datetime) -> Known | None:
    """A certificate of the account; None for a Secret that holds none, such as a CA's."""
    metadata = secret["metadata"]
    labels = metadata.get("labels") or {}
    found = read(secret)
    if found is None:
        return None
    expired = found.not_valid_after_utc < now
    return Known(labels[CERTIFICATE_LABEL], metadata["name"], _domains(found), expired, labels.get(names.OWNER_LABEL))


def read(secret: Object) -> x509.Certificate | None:
    """The certificate in a Secret; None when there is none that can be used, or its private key is missing."""
    data = secret.get("data") or {}
    if CERTIFICATE not in data or PRIVATE_KEY not in data:
        return None
    try:
        return x509.load_pem_x509_certificates(base64.b64decode(data[CERTIFICATE]))[0]
    except (binascii.Error, ValueError):
        return None


def _domains(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return frozenset(extension.value.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, ValueError):
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return frozenset(str(item.value) for item in common)


def tls_secrets(views: Sequence[IngressView]) -> list[Key]:
    """The Secrets that Ingresses name."""
    return list(dict.fromkeys((view.namespace, tls.secret) for view in views for tls in view.tls if tls.secret))
