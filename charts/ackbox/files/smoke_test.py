"""`helm test`: a load balancer is made with a listener, and answers on its address; everything is taken away again."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from ackbox.kube.client import Client, Object
from ackbox.kube.connection import connect
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, Kind

NAMESPACE = os.environ["ACKBOX_POD_NAMESPACE"]
NAME, PORT = "helm-test", 80
SECONDS = 120.0
CONNECT_SECONDS = 5.0
OBJECTS = (
    (SERVICE_LOAD_BALANCER, NAME, {"addressType": "internet"}),
    (SERVER_GROUP, NAME, {"loadBalancerId": NAME, "vServerGroupName": NAME}),
    (
        LISTENER,
        f"{NAME}-{PORT}-tcp",
        {"loadBalancerId": NAME, "listenerPort": PORT, "listenerProtocol": "tcp", "vServerGroupId": NAME},
    ),
)

Found = TypeVar("Found")


class NotYet(Exception):
    """It may be so later."""


async def main() -> None:
    """Make, wait, connect, delete; ends with an error when one of these fails."""
    async with Client(connect(None)) as client:
        try:
            for kind, name, spec in OBJECTS:
                with contextlib.suppress(AlreadyExists):
                    await client.create(kind, {"metadata": {"name": name}, "spec": spec}, NAMESPACE)
            found = [await eventually(partial(ready, client, kind, name)) for kind, name, _ in OBJECTS]
            await eventually(partial(answers, found[0]["status"]["reachable"]))
        finally:
            for kind, name, _ in reversed(OBJECTS):
                with contextlib.suppress(NotFound):
                    await client.delete(kind, name, NAMESPACE)
            for kind, name, _ in OBJECTS:
                await eventually(partial(gone, client, kind, name))


async def eventually(attempt: Callable[[], Awaitable[Found]]) -> Found:
    """What an attempt finds in the end; ends the test with its last complaint when there is no end."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            return await attempt()
        except NotYet as error:
            if time.monotonic() > end:
                raise SystemExit(f"after {SECONDS:.0f} s {error}") from None
        await asyncio.sleep(0.5)


async def ready(client: Client, kind: Kind, name: str) -> Object:
    """An object that is Ready."""
    found = await client.get(kind, name, NAMESPACE)
    conditions = (found.get("status") or {}).get("conditions") or ()
    state = next((each for each in conditions if each["type"] == "Ready"), None)
    if state is None or state["status"] != "True":
        raise NotYet(f"{kind} {name} is not Ready: {state and state['message']}")
    print(f"{kind} {name} is Ready")
    return found


async def answers(address: str) -> None:
    """Connect; nodes may learn of a Service's ports later than its listener is Ready."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, PORT), CONNECT_SECONDS)
    except OSError as error:
        raise NotYet(f"the load balancer {NAME} does not answer at {address}:{PORT}: {error}") from error
    writer.close()
    print(f"the load balancer {NAME} answers at {address}:{PORT}")


async def gone(client: Client, kind: Kind, name: str) -> None:
    """Return when there is no such object."""
    with contextlib.suppress(NotFound):
        await client.get(kind, name, NAMESPACE)
        raise NotYet(f"{kind} {name} is still there")


if __name__ == "__main__":
    asyncio.run(main())
