"""Who may connect to a listener: access control lists and source ranges, by clients with addresses of their own."""

import asyncio
from typing import Any

import pytest
from dataplane_world import DEADLINE, World, address, ask_udp, reason, server

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSIDE, OUTSIDE = "127.0.7.1", "127.0.8.1"


async def enters(status: dict[str, Any], source: str) -> bool:
    """Whether a client at an address is served; one that isn't finds its connection closed."""
    try:
        reader, writer = await asyncio.open_connection(*address(status), local_addr=(source, 0))
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        async with asyncio.timeout(DEADLINE):
            return await reader.readline() != b""
    except ConnectionResetError:
        return False


async def enters_udp(status: dict[str, Any], source: str) -> bool:
    try:
        async with asyncio.timeout(0.5):
            return await ask_udp(address(status), b"x", source) != b""
    except TimeoutError:
        return False


async def put_list(world: World, name: str, *entries: str) -> None:
    await world.put(world.caches.lists, name, {"aclEntries": [{"entry": entry} for entry in entries]})


async def behind(world: World, protocol: str = "tcp", balancer: dict[str, Any] | None = None, **spec: Any) -> str:
    name = await world.balancer(**(balancer or {}))
    await world.instance("i-acl")
    group = await world.group(name, [server("i-acl")])
    return await world.listener(name, 8080, group, protocol, **spec)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "http"])
@pytest.mark.parametrize("kind", ["white", "black"])
async def test_list(world: World, protocol: str, kind: str) -> None:
    ask = enters_udp if protocol == "udp" else enters
    name = f"acl-{protocol}-{kind}"
    await put_list(world, name, "127.0.7.0/24", "192.0.2.1")
    listener = await behind(world, protocol, aclStatus="on", aclType=kind, aclIds=[name])
    status = await world.ready(listener)
    assert await ask(status, INSIDE) == (kind == "white")
    assert await ask(status, OUTSIDE) == (kind == "black")


async def test_new_entry_counts_and_cuts_no_connection(world: World) -> None:
    await put_list(world, "acl-grows", "127.0.7.0/24")
    status = await world.ready(await behind(world, aclStatus="on", aclType="white", aclIds=["acl-grows"]))
    reader, writer = await asyncio.open_connection(*address(status), local_addr=(INSIDE, 0))
    writer.write(b"1\n")
    await reader.readline()
    assert await reader.readline() == b"1\n"
    assert not await enters(status, OUTSIDE)
    await put_list(world, "acl-grows", "127.0.8.0/24")
    async with asyncio.timeout(DEADLINE):
        while await enters(status, INSIDE):
            pass
    assert await enters(status, OUTSIDE)
    writer.write(b"2\n")
    assert await reader.readline() == b"2\n"
    writer.close()


async def test_lists_together_and_an_empty_one(world: World) -> None:
    for name, entries in (("acl-one", ["127.0.7.1"]), ("acl-two", ["127.0.8.1"]), ("acl-empty", [])):
        await put_list(world, name, *entries)
    both = await world.ready(await behind(world, aclStatus="on", aclType="white", aclIds=["acl-one", "acl-two"]))
    empty = await world.ready(await behind(world, aclStatus="on", aclType="white", aclIds=["acl-empty"]))
    off = await world.ready(await behind(world, aclStatus="off", aclType="black", aclIds=["acl-one"]))
    assert [await enters(both, source) for source in (INSIDE, OUTSIDE, "127.0.9.1")] == [True, True, False]
    assert await enters(empty, INSIDE)
    assert await enters(off, INSIDE)


async def test_source_ranges_of_the_load_balancer(world: World) -> None:
    await put_list(world, "acl-black", "127.0.7.1")
    ranges = {"loadBalancerType": "nlb", "sourceRanges": ["127.0.7.0/24"]}
    status = await world.ready(await behind(world, balancer=ranges))
    assert [await enters(status, source) for source in (INSIDE, OUTSIDE)] == [True, False]
    lists = {"aclStatus": "on", "aclType": "black", "aclIds": ["acl-black"]}
    both = await world.ready(await behind(world, balancer=ranges, **lists))
    assert [await enters(both, source) for source in (INSIDE, "127.0.7.2", OUTSIDE)] == [False, True, False]


async def test_unknown_list_lets_nobody_in_until_it_is_there(world: World) -> None:
    listener = await behind(world, aclStatus="on", aclType="white", aclIds=["acl-late"])
    status = await world.until(world.caches.listeners, listener, lambda status: reason(status) == "AclNotFound")
    assert "acl-late" in str(status["conditions"])
    await put_list(world, "acl-late", INSIDE)
    assert await enters(await world.ready(listener), INSIDE)
