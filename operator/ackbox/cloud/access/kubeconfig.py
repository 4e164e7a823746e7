"""The kubeconfig of a sub-account: issued by the authority of its cluster, and kept while it says what it should."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ackbox.cloud.access.plan import Grant
from ackbox.kube.connection import Connection, KubeconfigError, parse_kubeconfig
from ackbox.runtime.certificates import KeyPair, Request, Usage, issue, kubeconfig


@dataclass(frozen=True)
class Issuer:
    """A workload cluster, as the one who hands out kubeconfigs for it.

    Attributes:
        name: of the ManagedCluster.
        server: where users dial its API server.
        authority: its certificate authority.
    """

    name: str
    server: str
    authority: KeyPair

    def kubeconfig(self, grant: Grant) -> str:
        """A new kubeconfig."""
        request = Request(grant.user_name, Usage.CLIENT)
        client = issue(self.authority, request, until=grant.until)
        return kubeconfig(self.server, self.authority.certificate, client, self.name)

    def issued(self, text: str, grant: Grant) -> bool:
        """Whether a kubeconfig is what this issuer would give out for the grant."""
        try:
            connection = parse_kubeconfig(text)
            leads_here = (connection.server, connection.ca) == (self.server, self.authority.certificate)
            return leads_here and self._signed(connection, grant)
        except (KubeconfigError, ValueError, TypeError, InvalidSignature):
            return False

    def _signed(self, connection: Connection, grant: Grant) -> bool:
        certificate = x509.load_pem_x509_certificate((connection.certificate or "").encode())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(self.authority.certificate.encode()))
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, grant.user_name)])
        return certificate.subject == subject and certificate.not_valid_after_utc == grant.until
