import asyncio
from unittest import mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from ackbox.kube.connection import TOKEN_SECONDS, Bearer, KubeconfigError, authorization, service_account
from ackbox.kube.serving import application, of_registry

ADDRESS = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ca.crt").write_text("CA")
    (tmp_path / "token").write_text("first\n")
    return tmp_path


def test_a_pod_reaches_its_cluster_by_address_without_dns(folder):
    connection = service_account(ADDRESS, folder)
    assert (connection.server, connection.ca) == ("https://10.96.0.1:443", "CA")
    assert "first" not in repr(connection)


def test_an_ipv6_address_stands_in_brackets(folder):
    assert service_account(ADDRESS | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, folder).server == "https://[fd00::1]:443"


def test_what_is_no_pod_or_has_no_token_is_told_apart(folder, tmp_path):
    with pytest.raises(KubeconfigError, match="KUBERNETES_SERVICE_HOST is not set"):
        service_account({}, folder)
    with pytest.raises(KubeconfigError, match="automountServiceAccountToken"):
        service_account(ADDRESS, tmp_path / "none")


async def test_each_request_shows_the_token_as_it_is_now(folder):
    now = 0.0
    bearer = Bearer(folder / "token", lambda: now)
    shown = []

    async def answer(request):
        shown.append(request.headers["Authorization"])
        return web.Response()

    served = web.Application()
    served.router.add_get("/", answer)
    async with TestServer(served) as server, aiohttp.ClientSession(middlewares=(bearer,)) as session:
        await session.get(server.make_url("/"))
        (folder / "token").write_text("second")
        await session.get(server.make_url("/"))
        now = TOKEN_SECONDS
        await session.get(server.make_url("/"))
    assert shown == ["Bearer first", "Bearer first", "Bearer second"]


def test_only_a_service_account_reads_a_token_from_a_file(folder):
    connection = service_account(ADDRESS, folder)
    assert set(authorization(connection)) == {"middlewares"}


async def test_probes_need_no_certificate_and_tell_readiness():
    ready = mock.Mock(return_value=False)
    served = application(of_registry(CollectorRegistry()), ready)
    async with TestServer(served) as server, aiohttp.ClientSession() as session:

        async def status(path):
            async with session.get(server.make_url(path)) as answer:
                return answer.status

        assert await asyncio.gather(*map(status, ("/healthz", "/readyz", "/metrics"))) == [200, 503, 200]
        ready.return_value = True
        assert await status("/readyz") == 200
