"""Programs are downloaded through the proxy that the environment names, and its password stays there."""

import asyncio
import base64
import hashlib
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ackbox.runtime.certificates import Authority, Request, Usage
from ackbox.runtime.download import SERVERS, WAY_OUT
from ackbox.runtime.home import prepare
from ackbox.runtime.management import ManagementPlane

PROGRAM = b"a program"
USER = "ann:s3cret"
MIRROR = "mirror.invalid"
"""A name that only the proxy knows the way to."""

DOWNLOAD = """
import asyncio, sys
from pathlib import Path
from ackbox.runtime.download import DownloadFailed, download
from ackbox.runtime.progress import Silent
from ackbox.runtime.tools import Release
try:
    asyncio.run(download(Release("{kubernetes}/tool", "{kubernetes}/tool.sha256"), Path(sys.argv[1]), Silent()))
except DownloadFailed as error:
    sys.exit(f"failed: {error}")
"""


@dataclass
class Proxy:
    """An HTTP proxy with a password; every name leads to one port of this machine."""

    target: int
    asked: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.splitlines()[0])
        if f"Basic {base64.b64encode(USER.encode()).decode()}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@dataclass(frozen=True)
class Network:
    proxy: Proxy
    authority: Path

    async def download(self, target: Path, **environment: str) -> str:
        """Download in a process of its own: TLS settings are read when it starts. Returns what it says when it fails."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            DOWNLOAD,
            str(target),
            env={"SSL_CERT_FILE": str(self.authority), **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return output.decode()


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    authority = Authority(tmp_path / "pki")
    files = authority.obtain("mirror", Request(MIRROR, Usage.SERVER, hosts=(MIRROR, "127.0.0.1")))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)

    async def answer(request: web.Request) -> web.Response:
        digest = hashlib.sha256(PROGRAM).hexdigest()
        return web.Response(body=digest.encode() if request.path.endswith(".sha256") else PROGRAM)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    server = TestServer(application, scheme="https")
    await server.start_server(ssl=context)
    assert server.port is not None
    proxy = Proxy(server.port)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1")
    proxy.port = listening.sockets[0].getsockname()[1]
    yield Network(proxy, authority.certificate)
    listening.close()
    await server.close()


async def test_a_release_comes_through_the_proxy(network: Network, tmp_path: Path) -> None:
    way = {"HTTPS_PROXY": f"http://{USER}@127.0.0.1:{network.proxy.port}", "ACKBOX_KUBERNETES_URL": f"https://{MIRROR}"}
    assert await network.download(tmp_path / "tool", **way) == ""
    assert (tmp_path / "tool").read_bytes() == PROGRAM
    assert set(network.proxy.asked) == {f"CONNECT {MIRROR}:443 HTTP/1.1"}


async def test_a_refusing_proxy_is_named_without_its_password(network: Network, tmp_path: Path) -> None:
    way = {
        "HTTPS_PROXY": f"http://bob:other-s3cret@127.0.0.1:{network.proxy.port}",
        "ACKBOX_KUBERNETES_URL": f"https://{MIRROR}",
    }
    said = await network.download(tmp_path / "tool", **way)
    assert said.startswith("failed: ")
    assert "407" in said
    assert "s3cret" not in said
    assert not (tmp_path / "tool").exists()


async def test_what_no_proxy_names_is_reached_without_it(network: Network, tmp_path: Path) -> None:
    way = {
        "HTTPS_PROXY": f"http://{USER}@127.0.0.1:{network.proxy.port}",
        "NO_PROXY": "127.0.0.1",
        "ACKBOX_KUBERNETES_URL": f"https://127.0.0.1:{network.proxy.target}",
    }
    assert await network.download(tmp_path / "tool", **way) == ""
    assert network.proxy.asked == []


def test_the_operator_gets_programs_by_the_way_that_up_was_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    for variable in WAY_OUT:
        monkeypatch.delenv(variable, raising=False)
    plane = ManagementPlane(prepare(tmp_path / "home"))
    plane.write_kubeconfigs()
    given = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "local", "GOPROXY": "off"}
    given |= {variable: "https://mirror" for variable, _ in SERVERS.values()}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    operator, *others = (group.programs[0] for group in plane.own())
    assert operator.name == "operator"
    assert given.items() <= operator.environment.items()
    for program in others:
        assert not given.keys() & program.environment.keys(), "nobody else gets anything from there"


def test_a_newer_ackbox_restarts_its_own_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    plane = ManagementPlane(prepare(tmp_path / "home"))
    plane.write_kubeconfigs()
    before = plane.own()
    assert plane.own() == before
    monkeypatch.setattr("ackbox.runtime.management.__version__", "99.0")
    assert all(old != new for old, new in zip(before, plane.own(), strict=True))
