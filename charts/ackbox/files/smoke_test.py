"""`helm test`: a load balancer is made with a listener, and answers on its address; everything is taken away again."""

import asyncio
import contextlib
import os
import time

from ackbox.kube.client import Client, Object
from ackbox.kube.connection import connect
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.resources import LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, Kind

NAMESPACE = os.environ["ACKBOX_POD_NAMESPACE"]
NAME, PORT = "helm-test", 80
SECONDS = 120.0
OBJECTS = (
    (SERVICE_LOAD_BALANCER, NAME, {"addressType": "internet"}),
    (SERVER_GROUP, NAME, {"loadBalancerId": NAME, "vServerGroupName": NAME}),
    (
        LISTENER,
        f"{NAME}-{PORT}-tcp",
        {"loadBalancerId": NAME, "listenerPort": PORT, "listenerProtocol": "tcp", "vServerGroupId": NAME},
    ),
)


async def main() -> None:
    """Make, wait, connect, delete; ends with an error when one of these fails."""
    async with Client(connect(None)) as client:
        try:
            for kind, name, spec in OBJECTS:
                with contextlib.suppress(AlreadyExists):
                    await client.create(kind, {"metadata": {"name": name}, "spec": spec}, NAMESPACE)
            found = [await ready(client, kind, name) for kind, name, _ in OBJECTS]
            address = found[0]["status"]["reachable"]
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, PORT), SECONDS)
            writer.close()
            print(f"the load balancer {NAME} answers at {address}:{PORT}")
        finally:
            for kind, name, _ in reversed(OBJECTS):
                with contextlib.suppress(NotFound):
                    await client.delete(kind, name, NAMESPACE)


async def ready(client: Client, kind: Kind, name: str) -> Object:
    """An object, once it is Ready."""
    end = time.monotonic() + SECONDS
    while True:
        found = await client.get(kind, name, NAMESPACE)
        conditions = (found.get("status") or {}).get("conditions") or ()
        state = next((each for each in conditions if each["type"] == "Ready"), None)
        if state and state["status"] == "True":
            print(f"{kind} {name} is Ready")
            return found
        if time.monotonic() > end:
            raise SystemExit(f"{kind} {name} is not Ready after {SECONDS:.0f} s: {state and state['message']}")
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main())
