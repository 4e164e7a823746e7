"""Forwarding rules of an ALB listener, felt through a real Envoy."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from http_plane import HttpPlane, ask, http_plane, served_by

from ackbox.dataplane.rules import problem
from ackbox.resources.listener_settings import ListenerRule

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUPS = {"main": ["i-main"], "other": ["i-other"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HttpPlane]:
    async with http_plane(tmp_path_factory.mktemp("home")) as plane:
        yield plane


def rule(*actions: dict[str, Any], conditions: list[dict[str, Any]] | None = None, priority: int = 1) -> dict[str, Any]:
    return {
        "ruleName": f"rule-{priority}",
        "priority": priority,
        "ruleConditions": conditions or [],
        "ruleActions": list(actions),
    }


def forward(*groups: tuple[str, int]) -> dict[str, Any]:
    entries = [{"serverGroupId": group, "weight": weight} for group, weight in groups]
    return {"type": "ForwardGroup", "serverGroups": entries}


OTHER = forward(("other", 100))


@pytest.mark.parametrize(
    ("conditions", "fits", "others"),
    [
        (
            [{"type": "Path", "values": ["/a", "/a/*"]}],
            [{"path": "/a"}, {"path": "/a?x=/b"}, {"path": "/a/b/c"}],
            [{"path": "/"}, {"path": "/ab"}, {"path": "/b?/a"}, {"path": "/A"}],
        ),
        (
            [{"type": "Path", "values": ["/?.html"]}],
            [{"path": "/a.html"}],
            [{"path": "/ab.html"}, {"path": "/axhtml"}],
        ),
        (
            [{"type": "Host", "values": ["www.example.com", "*.example.org"]}],
            [{"Host": "www.example.com"}, {"Host": "WWW.Example.com:8080"}, {"Host": "a.b.example.org"}],
            [{"Host": "example.com"}, {"Host": "www.example.com.evil"}, {"Host": "example.org"}],
        ),
        (
            [{"type": "Header", "key": "X-Canary", "values": ["always", "be*"]}],
            [{"x_canary": "always"}, {"x_canary": "beta"}],
            [{}, {"x_canary": "never"}, {"x_other": "always"}],
        ),
        (
            [{"type": "Cookie", "key": "canary", "values": ["always"]}],
            [{"cookie": "canary=always"}, {"cookie": "a=b; canary=always; c=d"}],
            [{}, {"cookie": "canary=never"}, {"cookie": "xcanary=always"}, {"cookie": "canary=alwaysnot"}],
        ),
        ([{"type": "Method", "values": ["PUT", "DELETE"]}], [{"method": "PUT"}, {"method": "DELETE"}], [{}]),
        (
            [{"type": "QueryString", "key": "v", "values": ["2*"]}],
            [{"path": "/?v=2"}, {"path": "/?a=b&v=21"}],
            [{}, {"path": "/?v=1"}, {"path": "/?vv=2"}],
        ),
        (
            [{"type": "QueryString", "values": ["beta"]}],
            [{"path": "/?beta"}, {"path": "/?a=b&c=beta&d"}],
            [{}, {"path": "/?alphabeta"}, {"path": "/beta"}],
        ),
        (
            [{"type": "SourceIp", "values": ["127.0.9.0/28", "127.0.8.1"]}],
            [{"source": "127.0.9.5"}, {"source": "127.0.8.1"}],
            [{}, {"source": "127.0.9.77"}, {"source": "127.0.8.2"}],
        ),
        (
            [{"type": "Path", "values": ["/a"]}, {"type": "Method", "values": ["PUT"]}],
            [{"path": "/a", "method": "PUT"}],
            [{"path": "/a"}, {"method": "PUT"}],
        ),
        ([], [{}, {"path": "/anything", "method": "POST"}], []),
    ],
    ids=lambda value: "-".join(one["type"] for one in value) if value and "type" in value[0] else None,
)
async def test_conditions(
    plane: HttpPlane, conditions: list[dict[str, Any]], fits: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    listener = await plane.listen(GROUPS, rules=[rule(OTHER, conditions=conditions)])
    for options in fits:
        assert await served_by(listener, **options) == ["i-other"], options
    for options in others:
        assert await served_by(listener, **options) == ["i-main"], options


async def test_lowest_priority_number_first(plane: HttpPlane) -> None:
    listener = await plane.listen(
        {"main": ["i-main"], "other": ["i-other"], "third": ["i-third"]},
        rules=[
            rule(forward(("third", 100)), priority=20),
            rule(OTHER, conditions=[{"type": "Path", "values": ["/a"]}], priority=10),
        ],
    )
    assert await served_by(listener, path="/a") == ["i-other"]
    assert await served_by(listener, path="/b") == ["i-third"]


async def test_requests_are_shared_by_weight(plane: HttpPlane) -> None:
    listener = await plane.listen(GROUPS, rules=[rule(forward(("main", 80), ("other", 20)))])
    found = Counter(await served_by(listener, 300))
    assert 20 <= found["i-other"] <= 110
    assert found["i-main"] == 300 - found["i-other"]
    whole = await plane.listen(GROUPS, rules=[rule(forward(("main", 0), ("other", 20)))])
    assert set(await served_by(whole, 20)) == {"i-other"}
    nobody = await plane.listen(GROUPS, rules=[rule(forward(("main", 0), ("other", 0)))])
    assert (await ask(nobody))[0] == 503


async def test_fixed_response(plane: HttpPlane) -> None:
    listener = await plane.listen(rules=[rule({"type": "FixedResponse", "httpCode": 418, "content": "100% teapot"})])
    status, headers, text = await ask(listener)
    assert (status, text, headers["content-type"]) == (418, "100% teapot", "text/plain")


@pytest.mark.parametrize(
    ("action", "status", "location"),
    [
        ({"protocol": "HTTPS", "port": 443, "httpCode": 308}, 308, "https://{host}:443/a?b=c"),
        ({"protocol": "HTTPS", "port": 8443}, 301, "https://{host}:8443/a?b=c"),
        ({"host": "example.com", "httpCode": 302}, 302, "http://example.com:8080/a?b=c"),
        ({"host": "${host}", "path": "/new", "httpCode": 307}, 307, "http://{host}:8080/new?b=c"),
        ({"host": "example.com", "protocol": "HTTPS"}, 301, "https://example.com/a?b=c"),
        ({"path": "/old${path}", "httpCode": 303}, 303, "http://{host}:8080/old/a?b=c"),
    ],
)
async def test_redirects(plane: HttpPlane, action: dict[str, Any], status: int, location: str) -> None:
    listener = await plane.listen(rules=[rule({"type": "Redirect", **action})])
    found, headers, _ = await ask(listener, "/a?b=c")
    assert (found, headers["location"]) == (status, location.format(host=listener[0]))


async def test_rewrite_and_headers(plane: HttpPlane) -> None:
    listener = await plane.listen(
        GROUPS,
        rules=[
            rule(
                {"type": "Rewrite", "host": "inner.example.com", "path": "/v2${path}"},
                {"type": "InsertHeader", "key": "X-Stage", "value": "50% canary"},
                {"type": "RemoveHeader", "key": "X-Secret"},
                OTHER,
            )
        ],
    )
    _, _, answer = await ask(listener, "/a?b=c", x_secret="s", x_stage="mine")
    assert answer["serverId"] == "i-other"
    assert answer["path"] == "/v2/a?b=c"
    assert answer["headers"]["host"] == "inner.example.com"
    assert answer["headers"]["x-stage"] == "50% canary"
    assert "x-secret" not in answer["headers"]
    assert answer["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert not [name for name in answer["headers"] if name.startswith("x-envoy")]


async def test_a_wrong_rule_is_passed_over(plane: HttpPlane) -> None:
    listener = await plane.listen(
        GROUPS,
        rules=[
            rule(OTHER, conditions=[{"type": "SourceIp", "values": ["nowhere"]}], priority=1),
            rule({"type": "InsertHeader", "key": "Host:", "value": "x"}, OTHER, priority=2),
            rule(OTHER, conditions=[{"type": "Path", "values": ["/a"]}], priority=3),
        ],
    )
    assert await served_by(listener, path="/a") == ["i-other"]
    assert await served_by(listener, path="/b") == ["i-main"]


def any_rule(choose: random.Random, priority: int) -> dict[str, Any]:
    def text() -> str:
        return "".join(choose.choices("/ab%$(){}[]*?+|^\\ \"'\n\0é🙂:;=,.-_~#&", k=choose.randint(0, 12)))

    kinds = ["Host", "Path", "Header", "Cookie", "Method", "QueryString"]
    conditions = [
        {"type": choose.choice(kinds), "key": choose.choice([text(), "a-b"]), "values": ["/" + text(), text()]}
        for _ in range(choose.randint(0, 3))
    ]
    change = choose.choice(["Rewrite", "InsertHeader", "RemoveHeader"])
    ends: list[dict[str, Any]] = [
        OTHER,
        {"type": "Redirect", "path": "/" + text(), "host": choose.choice([None, text(), "*.a_b:80"])},
        {"type": "FixedResponse", "content": text(), "httpCode": choose.randint(200, 599)},
    ]
    changes = {"type": change, "key": choose.choice([text(), "a-b"]), "value": text(), "path": "/" + text()}
    return rule(changes, choose.choice(ends), conditions=conditions, priority=priority)


async def test_envoy_takes_every_rule_that_is_in_order(plane: HttpPlane) -> None:
    choose = random.Random(7)
    rules = [any_rule(choose, priority) for priority in range(1, 800)]
    usable = [one for one in rules if problem(ListenerRule.model_validate(one), "main") is None]
    assert len(usable) > 100
    listener = await plane.listen(GROUPS, rules=usable[:200])
    assert (await ask(listener, "/none/of/them/fits"))[0] in range(200, 600)


async def test_a_missing_group_is_503_and_the_rest_goes_on(plane: HttpPlane) -> None:
    conditions = [{"type": "Path", "values": ["/a"]}]
    listener = await plane.listen(GROUPS, rules=[rule(forward(("gone", 100)), conditions=conditions)])
    assert (await ask(listener, "/a"))[0] == 503
    assert await served_by(listener) == ["i-main"]


async def test_rules_without_a_group_of_the_listener(plane: HttpPlane) -> None:
    conditions = [{"type": "Path", "values": ["/a"]}]
    listener = await plane.listen({"other": ["i-other"]}, rules=[rule(OTHER, conditions=conditions)])
    assert await served_by(listener, path="/a") == ["i-other"]
    assert (await ask(listener, "/b"))[0] == 404


async def test_a_groups_cookie_ties_its_own_clients_only(plane: HttpPlane) -> None:
    groups = {"main": ["i-1", "i-2"], "other": ["i-3", "i-4"], "third": ["i-5", "i-6"]}
    insert = {"stickySessionEnabled": True, "stickySessionType": "Insert", "cookieTimeout": 100}
    server = {"stickySessionEnabled": True, "stickySessionType": "Server", "cookie": "mine"}
    listener = await plane.listen(
        groups,
        cookies={"other": insert, "third": server},
        rules=[
            rule(OTHER, conditions=[{"type": "Path", "values": ["/other"]}], priority=1),
            rule(
                forward(("third", 50), ("third", 50), ("main", 0)),
                conditions=[{"type": "Path", "values": ["/third"]}],
                priority=2,
            ),
        ],
    )
    _, headers, answer = await ask(listener, "/other")
    cookie = headers["set-cookie"].split(";")[0]
    assert set(await served_by(listener, 6, path="/other", cookie=cookie)) == {answer["serverId"]}
    assert set(await served_by(listener, 6, cookie=cookie)) == {"i-1", "i-2"}
    _, headers, answer = await ask(listener, "/third?ackbox-set-cookie=mine%3Dx")
    cookie = headers["set-cookie"].split(";")[0]
    assert set(await served_by(listener, 6, path="/third", cookie=cookie)) == {answer["serverId"]}
