"""HTTP listeners from the custom resources to the wire: what the data plane makes of the objects, and what it says."""

import asyncio
import json
import ssl
from typing import Any

import pytest
from dataplane_world import DEADLINE, Plane, World, address, reason, server
from http_plane import ask, served_by
from test_dataplane_envoy_tls import AUTHORITY, pair, put_certificate

from ackbox.dataplane import access_log

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
# GET https://h2.test/ in HPACK: three entries of the static table, and a literal name.
HEADERS = b"\x82\x87\x84\x41\x07h2.test"


def forward(group: str, path: str, priority: int = 1) -> dict[str, Any]:
    return {
        "ruleName": f"rule-{priority}",
        "priority": priority,
        "ruleConditions": [{"type": "Path", "values": [path]}],
        "ruleActions": [{"type": "ForwardGroup", "serverGroups": [{"serverGroupId": group}]}],
    }


async def alb(world: World, *names: str) -> tuple[str, list[str]]:
    """An ALB and a server group for each name, whose one server has that name."""
    balancer = await world.balancer(loadBalancerType="alb")
    groups = []
    for name in names:
        await world.instance(name)
        groups.append(await world.group(balancer, [server(name)], scheduler="wrr"))
    return balancer, groups


async def serves(where: tuple[str, int], name: str, path: str) -> None:
    """Wait until a path is answered by a server: Envoy's workers take a change in a moment after it said so."""
    async with asyncio.timeout(DEADLINE):
        while (answer := await ask(where, path))[0] != 200 or answer[2]["serverId"] != name:
            pass


async def test_a_rules_groups_are_served_as_they_come_and_change(world: World) -> None:
    balancer, (own, first) = await alb(world, "i-own", "i-first")
    rules = [forward(first, "/first"), forward("sgp-later", "/later", 2)]
    name = await world.listener(balancer, 8080, own, "http", rules=rules)
    status = await world.until(world.caches.listeners, name, lambda s: reason(s) == "ServerGroupNotFound")
    assert "sgp-later" in str(status["conditions"])
    where = address(status)
    assert await served_by(where, path="/first") == ["i-first"]
    assert await served_by(where) == ["i-own"]
    assert (await ask(where, "/later"))[0] == 503
    await world.instance("i-later")
    await world.regroup("sgp-later", balancer, [server("i-later")])
    await world.ready(name)
    await serves(where, "i-later", "/later")
    await world.instance("i-new")
    await world.regroup("sgp-later", balancer, [server("i-new")])
    await serves(where, "i-new", "/later")
    found = await world.until(world.caches.groups, "sgp-later", lambda s: s.get("healthy") == 1)
    assert found["total"] == 1


async def test_a_wrong_rule_is_told_and_the_rest_goes_on(world: World) -> None:
    balancer, (own, first) = await alb(world, "i-w1", "i-w2")
    wrong = {**forward(first, "/first"), "ruleName": "wrong", "ruleActions": [{"type": "Redirect", "httpCode": 200}]}
    name = await world.listener(balancer, 8080, own, "http", rules=[wrong, forward(first, "/right", 2)])
    status = await world.until(world.caches.listeners, name, lambda s: reason(s) == "InvalidRule")
    assert "rule wrong is passed over: action Redirect: httpCode 200" in str(status["conditions"])
    assert await served_by(address(status), path="/right") == ["i-w2"]
    assert await served_by(address(status), path="/first") == ["i-w1"]


async def test_a_rules_group_has_cookies_of_its_own(world: World) -> None:
    balancer, (own,) = await alb(world, "i-c1")
    for name in ("i-c2", "i-c3"):
        await world.instance(name)
    sticky = {"stickySessionEnabled": True, "stickySessionType": "Insert", "cookieTimeout": 60}
    group = await world.group(balancer, [server("i-c2"), server("i-c3")], stickySessionConfig=sticky)
    status = await world.ready(await world.listener(balancer, 8080, own, "http", rules=[forward(group, "/sticky")]))
    _, headers, answer = await ask(address(status), "/sticky")
    cookie = headers["set-cookie"].split(";")[0]
    assert set(await served_by(address(status), 6, path="/sticky", cookie=cookie)) == {answer["serverId"]}


async def test_changed_rules_drop_no_connection(world: World) -> None:
    balancer, (own, other) = await alb(world, "i-k1", "i-k2")
    name = await world.listener(balancer, 8080, own, "http")
    where = address(await world.ready(name))
    reader, writer = await asyncio.open_connection(*where)

    async def server_id() -> str:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(DEADLINE):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"connection: close" not in head.lower()
            body = await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        return str(json.loads(body)["serverId"])

    assert await server_id() == "i-k1"
    await world.listener(balancer, 8080, own, "http", rules=[forward(other, "/*")], requestTimeout=5)
    await world.ready(name)
    async with asyncio.timeout(DEADLINE):
        while await server_id() != "i-k2":
            pass
    writer.close()


async def test_a_forwarding_listener_needs_no_group(world: World) -> None:
    balancer = await world.balancer()
    spec = {"vServerGroupId": None, "listenerForward": "on", "forwardPort": 8443}
    status = await world.ready(await world.listener(balancer, 8080, "", "http", **spec))
    found, headers, _ = await ask(address(status), "/a?b")
    assert (found, headers["location"]) == (301, f"https://{address(status)[0]}:8443/a?b")


async def test_access_log_is_in_the_home(world: World, plane: Plane) -> None:
    balancer = await world.balancer()
    await world.instance("i-log")
    group = await world.group(balancer, [server("i-log")])
    name = await world.listener(balancer, 8080, group, "http", accessLog="on")
    await ask(address(await world.ready(name)), "/logged")
    file = access_log.file(access_log.folder(plane.settings.home), ("default", name))
    async with asyncio.timeout(DEADLINE):
        while not (file.exists() and file.read_text().endswith("\n")):
            await asyncio.sleep(0.05)
    (line,) = [json.loads(text) for text in file.read_text().splitlines()]
    assert (line["slbid"], line["request_uri"], line["upstream_addr"]) == (balancer, "/logged", "i-log/10.0.0.1:30080")


async def frames(reader: asyncio.StreamReader) -> dict[int, bytes]:
    """The frames of an HTTP/2 connection by kind, up to the end of the first stream."""
    found: dict[int, bytes] = {}
    while True:
        head = await reader.readexactly(9)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        found[kind] = found.get(kind, b"") + await reader.readexactly(int.from_bytes(head[:3], "big"))
        if stream == 1 and flags & 1:
            return found


async def test_http2(world: World) -> None:
    await put_certificate(world, "h2", pair("h2.test"))
    balancer = await world.balancer()
    await world.instance("i-h2")
    group = await world.group(balancer, [server("i-h2")])
    spec = {"serverCertificateId": "h2", "xForwardedForProto": "on", "xForwardedForSlbPort": "on"}
    status = await world.ready(await world.listener(balancer, 443, group, "https", **spec))
    context = ssl.create_default_context(cadata=AUTHORITY.certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(*address(status), ssl=context, server_hostname="h2.test")
        writer.write(PREFACE + SETTINGS + len(HEADERS).to_bytes(3, "big") + b"\1\5\0\0\0\1" + HEADERS)
        found = await frames(reader)
    writer.close()
    answer = json.loads(found[0])
    assert answer["serverId"] == "i-h2"
    assert answer["headers"]["x-forwarded-proto"] == "https"
    assert answer["headers"]["x-forwarded-port"] == "443"
