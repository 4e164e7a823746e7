"""Downloads a program of an official release and verifies it against the published checksum."""

import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any, cast

import aiohttp

from ackbox.runtime.progress import Step
from ackbox.runtime.tools import Release

# Where the servers are, unless the environment names a mirror.
SERVERS = {
    "kubernetes": ("ACKBOX_KUBERNETES_URL", "https://dl.k8s.io/release"),
    "github": ("ACKBOX_GITHUB_URL", "https://github.com"),
    "helm": ("ACKBOX_HELM_URL", "https://get.helm.sh"),
    "github_api": ("ACKBOX_GITHUB_API_URL", "https://api.github.com"),
}

# Without a way out to the network this is how long ackbox waits before it builds instead.
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
CHUNK = 1 << 20


# What decides on which way programs come: a proxy, its authority, mirrors, Go's own settings of the same kind.
WAY_OUT = (
    *(name for each in ("http_proxy", "https_proxy", "no_proxy") for name in (each, each.upper())),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    *(variable for variable, _ in SERVERS.values()),
    *("GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOENV"),
)
"""Variables that a process must get from its caller's environment if it is to get programs as its caller would."""


class DownloadFailed(Exception):
    """A file could not be had, or is not what was published."""


async def download(release: Release, target: Path, step: Step) -> None:
    """Put a program of a release at `target`, whole and verified or not at all.

    Raises:
        DownloadFailed: no route, an HTTP error, a broken transfer or a wrong checksum.
    """
    servers = {name: server(name) for name in SERVERS}
    url, checksums = release.url.format(**servers), release.checksums.format(**servers)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    # Bytes as they are published: a server must not pack them, nor aiohttp unpack an archive.
    options: dict[str, Any] = {"headers": {"Accept-Encoding": "identity"}, "auto_decompress": False}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as folder:
        file = Path(folder) / "file"
        try:
            async with aiohttp.ClientSession(timeout=timeout, trust_env=True, **options) as session:
                expected = await _published(session, checksums, url.rsplit("/", 1)[1])
                digest = await _fetch(session, url, file, step)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DownloadFailed(f"{url}: {str(error) or type(error).__name__}") from error
        if digest != expected:
            raise DownloadFailed(f"{url}: its SHA-256 is {digest}, but {checksums} says {expected}")
        if release.member:
            file = _extract(file, release.member)
        file.chmod(0o755)
        file.replace(target)


def server(name: str) -> str:
    """The address of a server of releases: what a variable names, such as `ACKBOX_KUBERNETES_URL`, else the official."""
    variable, default = SERVERS[name]
    return os.environ.get(variable) or default


async def _published(session: aiohttp.ClientSession, url: str, file: str) -> str:
    """The SHA-256 that the project publishes for a file."""
    async with session.get(url) as response:
        _check(response)
        text = await response.text()
    found = _digest_in(text, file)
    if found is None:
        raise DownloadFailed(f"{url}: no SHA-256 for {file} in it")
    return found


def _digest_in(text: str, file: str) -> str | None:
    if text.startswith("{"):
        for asset in json.loads(text).get("assets", ()):
            if asset.get("name") == file:
                return cast(str, asset.get("digest") or "").removeprefix("sha256:") or None
        return None
    for line in text.splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})(?:\s+\*?(\S+))?", line.strip())
        if match and match[2] in (None, file):
            return match[1]
    return None


async def _fetch(session: aiohttp.ClientSession, url: str, file: Path, step: Step) -> str:
    digest = hashlib.sha256()
    done = 0
    async with session.get(url) as response:
        _check(response)
        size = response.content_length
        with file.open("wb") as target:
            async for chunk in response.content.iter_chunked(CHUNK):
                target.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                step.update(f"{done >> 20} of {size >> 20} MiB" if size else f"{done >> 20} MiB")
    return digest.hexdigest()


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status != 200:
        raise DownloadFailed(f"{response.url}: HTTP {response.status} {response.reason}")


def _extract(archive: Path, member: str) -> Path:
    target = archive.with_name("member")
    try:
        with tarfile.open(archive, "r:gz") as tar, target.open("wb") as file:
            shutil.copyfileobj(cast(IO[bytes], tar.extractfile(member)), file)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise DownloadFailed(f"{archive.name}: {member} can't be unpacked: {error}") from error
    return target
