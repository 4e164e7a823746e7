"""How programs are found and downloaded, against a release server on loopback."""

import hashlib
import io
import json
import re
import socket
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ackbox.runtime import binaries, build, tools
from ackbox.runtime.download import SERVERS
from ackbox.runtime.errors import BinaryMissing
from ackbox.runtime.progress import Silent, Step

PROGRAM = b"#!/bin/sh\n" + b"x" * 300_000
DIGEST = hashlib.sha256(PROGRAM).hexdigest()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Releases:
    """A server of releases: paths and what they answer."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Handler] = {}
        self.asked: list[str] = []
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self.server = TestServer(application)

    def kubernetes(self) -> None:
        """Publish Kubernetes, each program with its checksum beside it."""
        for program, release in tools.kubernetes("1.36").releases.items():
            path = release.url.removeprefix("{kubernetes}")
            self.answers[path] = PROGRAM + program.encode()
            self.answers[f"{path}.sha256"] = hashlib.sha256(PROGRAM + program.encode()).hexdigest().encode()

    def etcd(self) -> None:
        """Publish etcd: an archive and one list of checksums."""
        release = tools.etcd().releases["etcd"]
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            assert release.member
            entry = tarfile.TarInfo(release.member)
            entry.size = len(PROGRAM)
            tar.addfile(entry, io.BytesIO(PROGRAM))
        path = release.url.removeprefix("{github}")
        archive = packed.getvalue()
        self.answers[path] = archive
        lines = [f"{'0' * 64}  other.zip", f"{hashlib.sha256(archive).hexdigest()}  {path.rsplit('/', 1)[1]}", ""]
        self.answers[release.checksums.removeprefix("{github}")] = "\n".join(lines).encode()

    def kwok(self) -> str:
        """Publish KWOK, whose checksums only GitHub's own description has. Returns the path of the program."""
        release = tools.kwok().releases["kwok"]
        path = release.url.removeprefix("{github}")
        self.answers[path] = PROGRAM
        self.describe_kwok(DIGEST)
        return path

    def describe_kwok(self, digest: str) -> None:
        """Say what KWOK's checksum is."""
        release = tools.kwok().releases["kwok"]
        name = release.url.rsplit("/", 1)[1]
        assets = [{"name": "other", "digest": "sha256:" + "0" * 64}, {"name": name, "digest": f"sha256:{digest}"}]
        self.answers[release.checksums.removeprefix("{github_api}")] = json.dumps({"assets": assets}).encode()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        answer = self.answers.get(request.path)
        if answer is None:
            raise web.HTTPNotFound
        return web.Response(body=answer) if isinstance(answer, bytes) else await answer(request)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACKBOX_CACHE", str(tmp_path / "cache"))
    for variable in (*binaries.FOLDERS, "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(tool: tools.Tool, target: Path, step: Step) -> None:
        raise build.BuildFailed("no Go here")

    monkeypatch.setattr(binaries, "build", fail)


@pytest.fixture
async def releases(cache: Path, no_build: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Releases]:
    releases = Releases()
    await releases.server.start_server()
    for variable, _ in SERVERS.values():
        monkeypatch.setenv(variable, str(releases.server.make_url("")).rstrip("/"))
    yield releases
    await releases.server.close()


def nothing_left(cache: Path) -> bool:
    """Whether neither a program nor a temporary file is in the cache."""
    return not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def programs_in(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(PROGRAM)
        (folder / name).chmod(0o755)
    return folder


async def test_kubernetes_is_downloaded_with_a_checksum_a_file(releases: Releases, cache: Path) -> None:
    releases.kubernetes()
    found = await binaries.locate(tools.kubernetes("1.36"), Silent())
    assert sorted(found) == ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"]
    for program, path in found.items():
        assert path == cache / "kubernetes" / tools.kubernetes("1.36").version / program
        assert path.read_bytes() == PROGRAM + program.encode()
        assert path.stat().st_mode & 0o777 == 0o755


async def test_etcd_is_unpacked(releases: Releases) -> None:
    releases.etcd()
    found = await binaries.locate(tools.etcd(), Silent())
    assert found["etcd"].read_bytes() == PROGRAM


async def test_kwok_is_checked_against_githubs_digest(releases: Releases) -> None:
    releases.kwok()
    found = await binaries.locate(tools.kwok(), Silent())
    assert found["kwok"].read_bytes() == PROGRAM


async def test_second_time_the_cache_answers(releases: Releases) -> None:
    releases.kwok()
    first = await binaries.locate(tools.kwok(), Silent())
    releases.asked.clear()
    assert await binaries.locate(tools.kwok(), Silent()) == first
    assert releases.asked == []


@pytest.mark.parametrize("variable", binaries.FOLDERS)
async def test_a_folder_of_the_user_wins_over_the_cache(
    releases: Releases, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    programs_in(cache / "kwok" / tools.kwok().version, "kwok")
    own = programs_in(tmp_path / "own", "kwok")
    monkeypatch.setenv(variable, str(own))
    assert await binaries.locate(tools.kwok(), Silent()) == {"kwok": own / "kwok"}


async def test_a_folder_with_some_programs_is_not_mixed_with_others(
    releases: Releases, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tools.kubernetes("1.36")
    cached = programs_in(cache / "kubernetes" / tool.version, *tool.programs)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(programs_in(tmp_path / "assets", "kube-apiserver", "kubectl")))
    found = await binaries.locate(tool, Silent())
    assert {path.parent for path in found.values()} == {cached}


async def test_a_wrong_checksum_leaves_nothing(releases: Releases, cache: Path) -> None:
    releases.kwok()
    releases.describe_kwok("1" * 64)
    with pytest.raises(BinaryMissing, match=rf"its SHA-256 is {DIGEST}, but .* says {'1' * 64}"):
        await binaries.locate(tools.kwok(), Silent())
    assert nothing_left(cache)


async def test_a_missing_checksum_leaves_nothing(releases: Releases, cache: Path) -> None:
    path = releases.kwok()
    releases.describe_kwok("")
    with pytest.raises(BinaryMissing, match="no SHA-256 for kwok-linux"):
        await binaries.locate(tools.kwok(), Silent())
    assert nothing_left(cache)
    assert path not in releases.asked


async def test_a_truncated_file_leaves_nothing(releases: Releases, cache: Path) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(PROGRAM))})
        await response.prepare(request)
        await response.write(PROGRAM[:1000])
        assert request.transport
        request.transport.close()
        return response

    releases.answers[releases.kwok()] = cut
    with pytest.raises(BinaryMissing, match=r"download: .*kwok-linux"):
        await binaries.locate(tools.kwok(), Silent())
    assert nothing_left(cache)


async def test_a_missing_release_says_so(releases: Releases, cache: Path) -> None:
    with pytest.raises(BinaryMissing, match="HTTP 404 Not Found"):
        await binaries.locate(tools.kubernetes("1.36"), Silent())
    assert nothing_left(cache)


async def test_no_route_fails_fast_and_every_way_is_named(
    cache: Path, no_build: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for variable, _ in SERVERS.values():
            monkeypatch.setenv(variable, url)
        monkeypatch.setenv("ACKBOX_BIN", str(tmp_path))
        with pytest.raises(BinaryMissing) as caught:
            await binaries.locate(tools.etcd(), Silent())
    message = str(caught.value)
    for way in ("ACKBOX_BIN: ", "cache: ", f"download: {url}", "build: no Go here", "name it in ACKBOX_BIN"):
        assert way in message
    assert nothing_left(cache)


async def test_a_failed_download_is_followed_by_a_build(
    releases: Releases, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def succeed(tool: tools.Tool, target: Path, step: Step) -> None:
        (target / "etcd").write_bytes(PROGRAM)

    monkeypatch.setattr(binaries, "build", succeed)
    assert await binaries.locate(tools.etcd(), Silent()) == {
        "etcd": cache / "etcd" / tools.etcd().version / "etcd",
    }


async def test_what_was_downloaded_before_a_failure_is_kept(releases: Releases) -> None:
    releases.kubernetes()
    last = tools.kubernetes("1.36").releases["kubectl"].url.removeprefix("{kubernetes}")
    program = releases.answers.pop(last)
    with pytest.raises(BinaryMissing):
        await binaries.locate(tools.kubernetes("1.36"), Silent())
    releases.answers[last] = program
    releases.asked.clear()
    await binaries.locate(tools.kubernetes("1.36"), Silent())
    assert releases.asked == [f"{last}.sha256", last]


def test_an_unknown_minor_names_the_known_ones() -> None:
    with pytest.raises(BinaryMissing, match=re.escape("Kubernetes 1.9 is not among 1.36")):
        tools.kubernetes("1.9")


@pytest.mark.parametrize(
    ("tool", "module"),
    [
        (tools.kubernetes("1.36"), "k8s.io/kubernetes"),
        (tools.etcd(), "go.etcd.io/etcd/server/v3"),
        (tools.kwok(), "sigs.k8s.io/kwok"),
    ],
)
def test_what_is_built_is_what_is_downloaded(tool: tools.Tool, module: str) -> None:
    pinned = (build.sources() / tool.source / "go.mod").read_text()
    assert re.search(rf"^\s*(require )?{re.escape(module)} {re.escape(tool.version)}\b", pinned, re.MULTILINE)
    for package in tool.packages.values():
        assert package in pinned


async def test_an_old_go_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.19.4\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await build.find_go(build.sources() / tools.etcd().source)
    assert found != go
    monkeypatch.setattr(build, "_packaged_go", lambda: None)
    with pytest.raises(build.BuildFailed, match=r"the one on PATH is 1.19, none in the Python package"):
        await build.find_go(build.sources() / tools.etcd().source)


async def test_a_failed_build_has_gos_last_words(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text('#!/bin/sh\n[ "$1" = env ] && echo go1.99.0 && exit\necho "no such module" >&2\nexit 7\n')
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "_packaged_go", lambda: None)
    with pytest.raises(build.BuildFailed, match=r"(?s)ended with 7:.*no such module"):
        await build.build(tools.etcd(), cache / "etcd", Silent())
    assert nothing_left(cache)
