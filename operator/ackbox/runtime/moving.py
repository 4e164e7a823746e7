"""Takes the addresses of a restored home into its own loopback range, where it couldn't get the one it had.

It happens before ackbox's own processes start, and with every address that they or people dial: the home that has the
range may be up, and takes the same keys. What else shows an address (certificates, Services, Nodes) follows from these
when they run. Running it twice changes nothing.
"""

import base64
import json
import re
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ackbox.kube.client import CONFIG_MAP, SECRET, Client, Object
from ackbox.kube.errors import NotFound
from ackbox.resources import LISTENER, MANAGED_CLUSTER, SERVER_GROUP, SERVICE_LOAD_BALANCER, Kind
from ackbox.runtime.loopback import RESERVATIONS
from ackbox.runtime.manifests import SYSTEM_NAMESPACE

DIALLED = (MANAGED_CLUSTER, SERVICE_LOAD_BALANCER, LISTENER, SERVER_GROUP)
"""Kinds whose status says where something listens."""


async def move_addresses(client: Client, before: IPv4Network, network: IPv4Network) -> None:
    """Move every reservation, and the addresses in every status and every Secret of the management cluster.

    Raises:
        ApiError: the API server refuses something.
    """
    try:
        found = await client.get(CONFIG_MAP, RESERVATIONS, SYSTEM_NAMESPACE)
        change = moved_reservations(found.get("data") or {}, before, network)
        if change:
            await client.patch(CONFIG_MAP, RESERVATIONS, SYSTEM_NAMESPACE, {"data": change})
    except NotFound:
        pass  # no cluster was ever made
    for kind in DIALLED:
        for each in (await client.list(kind))[0]:
            status = moved_status(each, before, network)
            if status is not None:
                await _patch(client, kind, each, {"status": status}, "status")
    for secret in (await client.list(SECRET))[0]:
        data = moved_secret(secret, before, network)
        if data:
            await _patch(client, SECRET, secret, {"data": data})


def moved_reservations(data: dict[str, str], before: IPv4Network, network: IPv4Network) -> dict[str, str | None]:
    """The merge patch that moves reservations, which are named by their address with dashes."""
    change: dict[str, str | None] = {}
    for key, owner in data.items():
        address = IPv4Address(key.replace("-", "."))
        if address in before:
            change[key] = None
            change[moved_text(str(address), before, network).replace(".", "-")] = owner
    return change


def moved_status(obj: Object, before: IPv4Network, network: IPv4Network) -> dict[str, Any] | None:
    """The status of an object with its addresses moved; None when they all are."""
    text = json.dumps(obj.get("status") or {})
    after = moved_text(text, before, network)
    status: dict[str, Any] | None = json.loads(after) if after != text else None
    return status


def moved_secret(secret: Object, before: IPv4Network, network: IPv4Network) -> dict[str, str]:
    """The values of a Secret in which an address moves, such as a kubeconfig; none of one that can't be changed."""
    if secret.get("immutable"):
        return {}
    change = {}
    for key, value in (secret.get("data") or {}).items():
        content = base64.b64decode(value)
        # Latin-1 gives every byte back, so whatever else is in it stays as it is.
        after = moved_text(content.decode("latin-1"), before, network).encode("latin-1")
        if after != content:
            change[key] = base64.b64encode(after).decode()
    return change


def moved_text(text: str, before: IPv4Network, network: IPv4Network) -> str:
    """A text in which addresses of one /16 are those at the same places of the other."""
    old, new = (str(each.network_address).removesuffix("0.0") for each in (before, network))
    return re.sub(rf"(?<![\d.]){re.escape(old)}(?=\d+\.\d)", new, text)


async def _patch(client: Client, kind: Kind, obj: Object, body: Object, subresource: str | None = None) -> None:
    metadata = obj["metadata"]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, **body}
    await client.patch(kind, metadata["name"], metadata["namespace"], body, subresource)
