"""The account's certificates, as far as the CCM must know them: whether one is there, and whether its time is over.

The Secrets are listed by their label every few seconds and not watched, so that no other Secret is ever seen.
"""

import asyncio
import base64
import binascii
import logging
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509

from ackbox.ccm.services.model import Certificate
from ackbox.ccm.store import Store
from ackbox.kube.cache import Cache
from ackbox.kube.client import SECRET, Object
from ackbox.kube.errors import ApiError
from ackbox.kube.refs import resolve
from ackbox.resources.base import CERTIFICATE_LABEL

logger = logging.getLogger(__name__)

PERIOD = 3.0
"""Seconds between two looks, spread by a fifth each way."""


def certificate_cache() -> Cache:
    """A cache for the Secrets; `keep` fills it, no watch does."""
    return Cache(SECRET, {"id": _by_id})


def _by_id(secret: Object) -> Iterable[str]:
    metadata = secret["metadata"]
    return [f"{metadata['namespace']}/{(metadata.get('labels') or {}).get(CERTIFICATE_LABEL)}"]


async def keep(management: Store, namespace: str | None = None) -> None:
    """Look again and again until cancelled, at all namespaces or at one."""
    while True:
        try:
            await look(management, namespace)
        except ApiError as error:
            logger.info("the account's certificates: %s", error)
        await asyncio.sleep(PERIOD * random.uniform(0.8, 1.2))


async def look(management: Store, namespace: str | None = None) -> None:
    """Bring the cache up to date.

    Raises:
        ApiError: the Secrets can't be listed.
    """
    listed = await management.client.list(SECRET, namespace, label_selector=CERTIFICATE_LABEL)
    management[SECRET].replace(*listed)


def certificate(management: Store, namespace: str, reference: str, now: datetime | None = None) -> Certificate | None:
    """A certificate by its id or the name of its Secret; None when there is none of that account."""
    secret = resolve(management[SECRET], namespace, reference)
    if secret is None:
        return None
    data = secret.get("data") or {}
    end = _end(data.get("tls.crt") or data.get("ca.crt") or "")
    return Certificate(reference, expired=end is not None and end < (now or datetime.now(UTC)))


@lru_cache(maxsize=4096)
def _end(encoded: str) -> datetime | None:
    """When a certificate's time is over; None for one that can't be read, which the data plane tells of."""
    try:
        return x509.load_pem_x509_certificate(base64.b64decode(encoded)).not_valid_after_utc
    except (binascii.Error, ValueError):
        return None
