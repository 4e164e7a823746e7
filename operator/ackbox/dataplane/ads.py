"""The server that Envoy asks for its configuration: incremental ADS over a unix socket."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from ackbox.dataplane.xds_store import ResourceStore, ResourceType
from ackbox.dataplane.xds_stream import Answer, Stream

logger = logging.getLogger(__name__)

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"

Connected = Callable[[bool], None]
"""Called with True when a stream opens and with False when one closes."""


class AdsServer:
    """Serves a store to every Envoy that connects.

    Start it only when the store is complete: what is missing in it is taken away from a connecting Envoy.

    Args:
        store: what Envoy should have.
        answered: called with each of Envoy's answers.
        connected: called when a stream opens or closes.
    """

    def __init__(
        self, store: ResourceStore, answered: Callable[[Answer], None], connected: Connected = lambda _: None
    ) -> None:
        self._store = store
        self._on_answer = answered
        self._connected = connected
        self._streams: dict[Stream, None] = {}
        self._server: Any = None

    @property
    def connected(self) -> bool:
        """Whether an Envoy is there."""
        return bool(self._streams)

    def runs(self, kind: ResourceType, name: str) -> bool:
        """Whether every connected Envoy runs the present version of a resource."""
        resource = self._store.get(kind, name)
        return (
            resource is not None
            and self.connected
            and all(stream.acked(kind, name) == resource.version for stream in self._streams)
        )

    def has(self, kind: ResourceType, name: str) -> bool:
        """Whether every connected Envoy runs some version of a resource."""
        return self.connected and all(stream.acked(kind, name) is not None for stream in self._streams)

    def answered(self, kind: ResourceType, name: str) -> bool:
        """Whether Envoy has taken some version of a resource, or refused it."""
        return self.has(kind, name) or self.rejection(kind, name) is not None

    def rejection(self, kind: ResourceType, name: str) -> str | None:
        """Why an Envoy refused the present version of a resource, if one did."""
        found = (stream.rejection(kind, name) for stream in self._streams)
        return next((message for message in found if message is not None), None)

    def retry(self, name: str) -> None:
        """Offer what was refused under a name once more."""
        for stream in self._streams:
            for kind in ResourceType:
                stream.retry(kind, name)

    async def start(self, socket: Path) -> None:
        """Listen on a unix socket that only this user may open; one left over by a killed process is replaced."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
        )
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        # The socket is made here: it must never be open to others, not even for a moment.
        before = os.umask(0o177)
        try:
            socket.unlink(missing_ok=True)  # noqa: ASYNC240 - one call at the start
            self._server.add_insecure_port(f"unix:{socket}")
        finally:
            os.umask(before)
        await self._server.start()

    async def stop(self) -> None:
        """Close every stream; Envoy goes on with what it has."""
        if self._server is not None:
            await self._server.stop(grace=None)

    async def _serve(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        wake = asyncio.Event()
        stream = Stream(self._store, wake.set)
        self._streams[stream] = None
        self._connected(True)
        logger.info("Envoy connected")
        reader = asyncio.create_task(self._read(requests, stream, wake))
        reader.add_done_callback(lambda _: wake.set())
        try:
            while not reader.done():
                await wake.wait()
                wake.clear()
                for response in stream.responses():
                    yield response
            reader.result()
        finally:
            reader.cancel()
            stream.close()
            del self._streams[stream]
            self._connected(False)
            logger.info("Envoy disconnected")

    async def _read(self, requests: AsyncIterator[Any], stream: Stream, wake: asyncio.Event) -> None:
        async for request in requests:
            answer = stream.handle(request)
            wake.set()
            if answer is not None:
                if answer.error is not None:
                    logger.warning("Envoy refused %s: %s", ", ".join(answer.names), answer.error)
                self._on_answer(answer)
