"""Several watches in one event loop, as the ccm keeps one for each cluster."""

import asyncio
import secrets
from dataclasses import replace

from ackbox.ccm.management import management_store, watched
from ackbox.kube.cache import Cache
from ackbox.kube.client import CONFIG_MAP, Client
from ackbox.kube.connection import load_kubeconfig
from ackbox.kube.watching import watch
from ackbox.resources import VPC
from e2e import objects
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


def test_the_ccm_of_one_cluster_needs_rights_in_its_namespace_only(stack: Stack, namespace: str, tmp_path):
    api = stack.api
    api.kubectl("create", "serviceaccount", "one-ccm", "-n", namespace)
    role = ("--clusterrole=ackbox:ccm", f"--serviceaccount={namespace}:one-ccm")
    api.kubectl("create", "rolebinding", "one-ccm", "-n", namespace, *role)
    token = tmp_path / "token"
    token.write_text(api.kubectl("create", "token", "one-ccm", "-n", namespace))
    admin = load_kubeconfig(stack.home / "kubeconfig")
    connection = replace(admin, certificate=None, key=None, token_file=token)

    async def watched_by_it() -> None:
        async with Client(connection) as client:
            store, ready = management_store(client), asyncio.Event()
            seen = asyncio.Event()
            store[VPC].subscribe(lambda _, new: seen.set() if new else None)
            watching = asyncio.create_task(watch(client, watched(store), ready, namespace))
            async with asyncio.timeout(DEADLINE):
                await ready.wait()
                await asyncio.to_thread(api.apply, objects.vpc(namespace=namespace))
                await seen.wait()
            assert not watching.done()
            watching.cancel()
            await asyncio.wait([watching])
            assert {obj["metadata"]["namespace"] for obj in store[VPC].all()} == {namespace}

    asyncio.run(watched_by_it())
