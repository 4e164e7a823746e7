"""The Secrets of a managed cluster: its CA, made once and then kept, and its kubeconfig."""

import base64
import hashlib
from dataclasses import dataclass, field

from ackbox.kube.client import SECRET, Client, Object
from ackbox.kube.conditions import merge_difference
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.kube.refs import owner_reference
from ackbox.resources import MANAGED_CLUSTER
from ackbox.resources.base import CLUSTER_LABEL
from ackbox.runtime.certificates import new_authority, new_private_key

KUBECONFIG_KEY, CCM_KEY = "value", "ccm"
CA_FIELDS = ("tls.crt", "tls.key", "sa.key")


@dataclass(frozen=True)
class ClusterKeys:
    """What a cluster's trust rests on, all PEM."""

    ca_certificate: str
    ca_key: str = field(repr=False)
    service_account_key: str = field(repr=False)


class KeysReplaced(Exception):
    """The Secret holds other keys than those that the cluster was made with, or is gone; the message is for the user."""


def fingerprint(keys: ClusterKeys) -> str:
    """What tells the keys of one cluster from all others."""
    parts = (keys.ca_certificate, keys.ca_key, keys.service_account_key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


async def ensure_keys(
    client: Client, cluster: Object, remembered: ClusterKeys | None, known: str | None
) -> ClusterKeys:
    """The keys of a cluster, made now if it has none.

    Args:
        remembered: the keys it had; they are stored again if somebody deleted the Secret of a running cluster.
        known: the fingerprint of the keys that the cluster was made with.

    Raises:
        KeysReplaced: the Secret holds other keys, or is gone and nobody remembers them.
        ValueError: the Secret is incomplete.
    """
    namespace, name = cluster["metadata"]["namespace"], f"{cluster['metadata']['name']}-ca"
    try:
        return _checked(_keys(await client.get(SECRET, name, namespace)), known, name)
    except NotFound:
        keys = remembered or _new_keys(cluster)
    _checked(keys, known, name)
    values = (keys.ca_certificate, keys.ca_key, keys.service_account_key)
    body = _secret(cluster, name, dict(zip(CA_FIELDS, values, strict=True)))
    try:
        await client.create(SECRET, body, namespace)
    except AlreadyExists:
        return _checked(_keys(await client.get(SECRET, name, namespace)), known, name)
    return keys


def _checked(keys: ClusterKeys, known: str | None, name: str) -> ClusterKeys:
    if known in (None, fingerprint(keys)):
        return keys
    message = (
        f"Secret {name} no longer holds the certificates that the cluster was made with: no API server can run with"
        " others. Put back what it held, or create the cluster again"
    )
    raise KeysReplaced(message)


async def ensure_kubeconfigs(client: Client, cluster: Object, admin: str, ccm: str) -> None:
    """Store a cluster's kubeconfigs, that of its users and that of its ccm, writing only what differs."""
    namespace, name = cluster["metadata"]["namespace"], f"{cluster['metadata']['name']}-kubeconfig"
    wanted = _secret(cluster, name, {KUBECONFIG_KEY: admin, CCM_KEY: ccm})
    try:
        found = await client.get(SECRET, name, namespace)
    except NotFound:
        await client.create(SECRET, wanted, namespace)
        return
    difference = merge_difference(found.get("data"), wanted["data"])
    if difference:
        await client.patch(SECRET, name, namespace, {"data": difference})


async def read_value(client: Client, namespace: str, name: str, key: str) -> str | None:
    """One value of a Secret; None when the Secret or the key isn't there, or the value is no text."""
    try:
        secret = await client.get(SECRET, name, namespace)
    except NotFound:
        return None
    encoded = (secret.get("data") or {}).get(key)
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded).decode()
    except ValueError:
        return None


def _new_keys(cluster: Object) -> ClusterKeys:
    authority = new_authority(f"ackbox {cluster['metadata']['namespace']}/{cluster['metadata']['name']}"[:64])
    return ClusterKeys(authority.certificate, authority.key, new_private_key())


def _keys(secret: Object) -> ClusterKeys:
    data = secret.get("data") or {}
    missing = [name for name in CA_FIELDS if name not in data]
    if missing:
        raise ValueError(
            f"Secret {secret['metadata']['name']} lacks {', '.join(missing)}; delete it to have it made anew"
        )
    return ClusterKeys(*(base64.b64decode(data[name]).decode() for name in CA_FIELDS))


def _secret(cluster: Object, name: str, values: dict[str, str]) -> Object:
    metadata = cluster["metadata"]
    owner = owner_reference(MANAGED_CLUSTER, metadata["name"], metadata["uid"])
    return {
        "metadata": {"name": name, "labels": {CLUSTER_LABEL: metadata["name"]}, "ownerReferences": [owner]},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
