"""How the programs of a control plane are set up, wherever they run: flags, and the documents that flags name. Pure."""

import base64
from dataclasses import dataclass
from pathlib import Path

import yaml

from ackbox.controlplane.spec import ApiServerSettings
from ackbox.runtime.certificates import KeyFiles, Request, Usage
from ackbox.runtime.management import FRONT_PROXY

API_SERVER, CONTROLLER_MANAGER = "kube-apiserver", "kube-controller-manager"
SCHEDULER, KWOK, ETCD = "kube-scheduler", "kwok", "etcd"

AUDIT_POLICY = Path(__file__).with_name("audit_policy.yaml")
AUDIT_MEGABYTES, AUDIT_BACKUPS = 20, 2

# Controllers with nothing to do here: no cloud provider inside, no pod ranges of their own, no bootstrap tokens.
CONTROLLERS = (
    "*",
    "-ttl-controller",
    "-node-ipam-controller",
    "-node-route-controller",
    "-service-lb-controller",
    "-cloud-node-lifecycle-controller",
    "-bootstrap-signer-controller",
    "-token-cleaner-controller",
    "-legacy-serviceaccount-token-cleaner-controller",
    "-storageversion-garbage-collector-controller",
    "-storage-version-migrator-controller",
)

KUBELET_CALLER = Request("kube-apiserver-kubelet-client", Usage.CLIENT)
"""Under this name API servers call KWOK, as they would call a kubelet."""

FRONT_PROXY_CLIENT = Request(FRONT_PROXY, Usage.CLIENT)
"""Under this name they hand requests on to the APIs that they aggregate."""


@dataclass(frozen=True)
class ApiServerFiles:
    """What an API server reads beside its own certificate, and where it writes.

    Attributes:
        authority: certificate of the cluster's CA.
        kubelet_caller: certificate for `KUBELET_CALLER`.
        front_proxy_authority: certificate of the CA that the aggregated APIs believe.
        front_proxy: its certificate for `FRONT_PROXY_CLIENT`.
        encryption: configuration of the encryption of Secrets.
        audit_policy: what is written to the audit log.
        audit_log: the audit log; `-` is the standard output.
    """

    authority: Path
    kubelet_caller: KeyFiles
    front_proxy_authority: Path
    front_proxy: KeyFiles
    encryption: Path
    audit_policy: Path
    audit_log: str


def api_server(settings: ApiServerSettings, files: ApiServerFiles) -> dict[str, object]:
    """The flags of an API server that no other cluster's has."""
    flags: dict[str, object] = {
        "kubelet-certificate-authority": files.authority,
        "kubelet-client-certificate": files.kubelet_caller.certificate,
        "kubelet-client-key": files.kubelet_caller.key,
        # Emulated nodes register the address where KWOK listens as their internal name; real ones have none.
        "kubelet-preferred-address-types": "InternalDNS,InternalIP",
        "max-requests-inflight": settings.max_requests_inflight,
        "max-mutating-requests-inflight": settings.max_mutating_requests_inflight,
        **_aggregation(files),
    }
    if settings.service_account_issuer is not None:
        flags["service-account-issuer"] = settings.service_account_issuer
    if settings.api_audiences is not None:
        flags["api-audiences"] = settings.api_audiences
    if settings.encryption_key is not None:
        flags["encryption-provider-config"] = files.encryption
    if settings.audit:
        flags |= {"audit-policy-file": files.audit_policy, "audit-log-path": files.audit_log}
        if files.audit_log != "-":
            flags |= {"audit-log-maxsize": AUDIT_MEGABYTES, "audit-log-maxbackup": AUDIT_BACKUPS}
    return flags


def _aggregation(files: ApiServerFiles) -> dict[str, object]:
    """How the API server proves itself to the APIs that it hands requests on to, such as the metrics API."""
    return {
        "requestheader-client-ca-file": files.front_proxy_authority,
        "requestheader-allowed-names": FRONT_PROXY,
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": files.front_proxy.certificate,
        "proxy-client-key-file": files.front_proxy.key,
    }


def controller_manager(authority: KeyFiles) -> dict[str, object]:
    """The flags of a controller manager; `authority` is the cluster's, by which it signs."""
    return {
        "allocate-node-cidrs": "false",
        "cluster-signing-cert-file": authority.certificate,
        "cluster-signing-key-file": authority.key,
        # A stopped machine shows within half a minute; KWOK renews the Leases every ten seconds.
        "node-monitor-grace-period": "20s",
    }


def encryption(key: str) -> str:
    """Configuration of the API server that encrypts Secrets, and still reads those that were not."""
    assert len(base64.b64decode(key)) == 32, "secretbox takes a key of 32 bytes"
    providers = [{"secretbox": {"keys": [{"name": "key1", "secret": key}]}}, {"identity": {}}]
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


def prefix(cluster_id: str) -> str:
    """Below which a cluster keeps its objects in etcd."""
    return f"/{cluster_id}"
