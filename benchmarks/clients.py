"""Plain clients of a listener: one that waits for the first answer, and many that ask as fast as they are answered."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
ONE_REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
BODY = b"0123456789abcdef"
"""What the real backend server of the throughput part answers."""

ANSWER_SECONDS = 5.0
AGAIN_SECONDS = 0.002


async def ask(host: str, port: int) -> dict[str, Any] | None:
    """One request on a connection of its own: what the responder answers, None while nothing does."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(ONE_REQUEST)
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return None
    found: dict[str, Any] = json.loads(body)
    return found


async def answered(host: str, port: int) -> dict[str, Any]:
    """Ask until there is an answer."""
    while (answer := await ask(host, port)) is None:
        await asyncio.sleep(AGAIN_SECONDS)
    return answer


@dataclass
class Load(asyncio.Protocol):
    """One connection that sends its next request when the last is answered."""

    until: float
    done: asyncio.Future[None]
    times: list[float] = field(default_factory=list)
    _sent: float = 0.0
    _tail: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        if not self._tail and not data.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(f"refused under load: {data[:200]!r}"))
            self._transport.close()
            return
        self._tail = (self._tail + data)[-len(BODY) :]
        if self._tail != BODY:
            return
        now = time.perf_counter()
        self.times.append(now - self._sent)
        if now < self.until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if time.perf_counter() < self.until:
            self.done.set_exception(RuntimeError(f"a connection was cut under load: {error}"))
        else:
            self.done.set_result(None)

    def _ask(self) -> None:
        self._tail = b""
        self._sent = time.perf_counter()
        self._transport.write(REQUEST)


async def load(host: str, port: int, connections: int, seconds: float) -> list[float]:
    """Ask on many connections at a time; the seconds that each answer took."""
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: Load(until, loop.create_future()), host, port)
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    return [each for client in clients for each in client.times]
