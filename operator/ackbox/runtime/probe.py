"""Asks a server of ours whether it is well, and does the few calls that need no Kubernetes client."""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from ackbox.runtime.certificates import KeyFiles
from ackbox.runtime.errors import RuntimeProblem

CALL_SECONDS = 10.0
POLL_SECONDS = 0.1


class Endpoint:
    """A TLS server of ours and the certificate to show it."""

    def __init__(self, url: str, authority: str, client: KeyFiles) -> None:
        """Load the certificates; `authority` is a PEM text."""
        self._url = url
        self._context = ssl.create_default_context(cadata=authority)
        self._context.load_cert_chain(client.certificate, client.key)

    async def healthy(self, path: str) -> bool:
        """Whether the path answers with 200 now."""
        try:
            status, _ = await self._request("GET", path, None)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        return status == 200

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send and receive JSON.

        Raises:
            RuntimeProblem: no answer, or a refusal.
        """
        try:
            status, text = await self._request("POST", path, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RuntimeProblem(f"{self._url}{path} can't be reached: {error}") from error
        if status != 200:
            raise RuntimeProblem(f"{self._url}{path} refused with HTTP {status}: {text}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def _request(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, str]:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self._url + path, json=body, ssl=self._context) as response,
        ):
            return response.status, await response.text()


async def wait_until(condition: Callable[[], Awaitable[bool]], seconds: float, complaint: Callable[[], str]) -> None:
    """Wait for a condition.

    Raises:
        RuntimeProblem: not in time; `complaint` gives the message.
    """
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise RuntimeProblem(complaint())
        await asyncio.sleep(POLL_SECONDS)
