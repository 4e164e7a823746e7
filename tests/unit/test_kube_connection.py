import base64

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from ackbox.kube.connection import KubeconfigError, no_redirects, parse_kubeconfig


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(user=None, cluster=None, **changes):
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [
            {
                "name": "k",
                "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": encoded("CA")}
                | (cluster or {}),
            }
        ],
        "users": [{"name": "u", "user": user or {"token": "secret"}}],
    }
    return yaml.safe_dump(config | changes)


def test_a_token_and_a_certificate_are_understood():
    assert parse_kubeconfig(kubeconfig()).token == "secret"
    pair = {"client-certificate-data": encoded("CERT"), "client-key-data": encoded("KEY")}
    connection = parse_kubeconfig(kubeconfig(pair))
    assert (connection.certificate, connection.key, connection.ca) == ("CERT", "KEY", "CA")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (kubeconfig({"exec": {"command": "sh"}}), "exec"),
        (kubeconfig({"auth-provider": {"name": "gcp"}}), "auth-provider"),
        (kubeconfig({"tokenFile": "/etc/passwd"}), "tokenFile"),
        (kubeconfig({"client-certificate": "/etc/x", "client-key": "/etc/y"}), "client-certificate"),
        (kubeconfig({"username": "a", "password": "b"}), "password"),
        (kubeconfig({"token": "t", "as": "admin"}), "as"),
        (kubeconfig(cluster={"proxy-url": "http://x"}), "proxy-url"),
        (kubeconfig(cluster={"insecure-skip-tls-verify": True}), "insecure-skip-tls-verify"),
        (kubeconfig(cluster={"certificate-authority": "/etc/ca"}), "certificate-authority"),
        (kubeconfig(cluster={"server": "http://127.0.0.1"}), "https://"),
        (kubeconfig(cluster={"certificate-authority-data": "%%%"}), "base64"),
        (kubeconfig(cluster={"certificate-authority-data": None}), "certificate-authority-data"),
        (kubeconfig(**{"current-context": "other"}), "other"),
        (kubeconfig({"client-key-data": encoded("KEY")}), "client-certificate-data"),
        ("[1, 2]", "mapping"),
        ("a: [", "YAML"),
        ("", "mapping"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(text, told):
    with pytest.raises(KubeconfigError, match=told):
        parse_kubeconfig(text)


@given(st.text() | st.builds(lambda user: kubeconfig({"token": user}), st.integers() | st.lists(st.text())))
def test_no_text_ends_in_another_error(text):
    try:
        parse_kubeconfig(text)
    except KubeconfigError:
        pass


def test_a_connection_does_not_show_its_secrets():
    assert "secret" not in repr(parse_kubeconfig(kubeconfig()))


async def test_a_redirect_is_not_followed():
    followed = []

    async def elsewhere(request: web.Request) -> web.Response:
        followed.append(request.path)
        raise web.HTTPFound("/secret")

    server = TestServer(web.Application())
    server.app.router.add_get("/{path:.*}", elsewhere)
    async with server, aiohttp.ClientSession(trace_configs=[no_redirects()]) as session:
        with pytest.raises(aiohttp.ClientError, match="redirect"):
            await session.get(server.make_url("/first"))
    assert followed == ["/first"]
