"""Several watches in one event loop, as the ccm keeps one for each cluster."""

import asyncio
import secrets

from ackbox.kube.cache import Cache
from ackbox.kube.client import CONFIG_MAP, Client
from ackbox.kube.connection import load_kubeconfig
from ackbox.kube.watching import watch
from e2e.stack import DEADLINE, Stack


def test_a_watch_that_ends_leaves_the_others_and_every_other_task_alone(stack: Stack, namespace: str):
    connection = load_kubeconfig(stack.home / "kubeconfig")
    name = f"c-{secrets.token_hex(4)}"

    async def two_watches() -> None:
        async with Client(connection) as client:
            first, first_ready = Cache(CONFIG_MAP), asyncio.Event()
            second, second_ready = Cache(CONFIG_MAP), asyncio.Event()
            seen, bystander = asyncio.Event(), asyncio.Event()
            second.subscribe(lambda _, new: seen.set() if new and new["metadata"]["name"] == name else None)

            ends = asyncio.create_task(watch(client, [first], first_ready))
            await asyncio.wait_for(first_ready.wait(), DEADLINE)
            stays = asyncio.create_task(watch(client, [second], second_ready))
            other = asyncio.create_task(bystander.wait())
            await asyncio.wait_for(second_ready.wait(), DEADLINE)

            ends.cancel()
            await asyncio.wait([ends])
            await client.create(CONFIG_MAP, {"metadata": {"name": name}}, namespace)
            await asyncio.wait_for(seen.wait(), DEADLINE)
            assert not other.done()
            assert not stays.done()
            bystander.set()
            stays.cancel()
            await asyncio.wait([stays, other])

    asyncio.run(two_watches())
