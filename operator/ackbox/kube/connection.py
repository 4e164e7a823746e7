"""How an API server is reached: read from a kubeconfig, trusted or not, or by the ServiceAccount of a Pod."""

import asyncio
import base64
import binascii
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

SERVICE_ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a Pod's credentials."""

TOKEN_SECONDS = 60.0
"""How long a token file's content is used; the kubelet writes a new token long before the old one ends."""


class KubeconfigError(ValueError):
    """A kubeconfig that can't be used; the message names the field."""


@dataclass(frozen=True, repr=False)
class Connection:
    """One API server and the credentials for it, never printed.

    Attributes:
        ca, certificate, key: PEM texts.
        token: sent as a bearer token.
        token_file: where a token is read anew as it changes, in `token`'s place. Only a Pod's own ServiceAccount has
            one; a kubeconfig may not name files.
    """

    server: str
    ca: str
    certificate: str | None = None
    key: str | None = None
    token: str | None = None
    token_file: Path | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """A context that verifies the server against the kubeconfig's own CA."""
        context = ssl.create_default_context(cadata=self.ca)
        if self.certificate and self.key:
            # The ssl module reads key material from files only; a memory file leaves nothing on disk.
            with _memory_file(self.certificate + "\n" + self.key) as path:
                context.load_cert_chain(path)
        return context


class Bearer:
    """A session's middleware that shows the token of a file, as it is now.

    Raises:
        OSError: on a request, when the file can't be read.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._now = now
        self._header = ""
        self._until = -float("inf")

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request with the token."""
        if self._now() >= self._until:
            token = await asyncio.to_thread(self._path.read_text)
            self._header, self._until = f"Bearer {token.strip()}", self._now() + TOKEN_SECONDS
        request.headers["Authorization"] = self._header
        return await handler(request)


def authorization(connection: Connection) -> dict[str, Any]:
    """What an aiohttp session is made with so that its requests carry the connection's token, if it has one."""
    if connection.token_file is not None:
        return {"middlewares": (Bearer(connection.token_file),)}
    if connection.token is not None:
        return {"headers": {"Authorization": f"Bearer {connection.token}"}}
    return {}


def no_redirects() -> aiohttp.TraceConfig:
    """Makes a session refuse redirects: an untrusted API server must not send us to other addresses."""

    async def refuse(_: object, __: object, answer: aiohttp.TraceRequestRedirectParams) -> None:
        raise aiohttp.ClientError(f"{answer.url} answers with a redirect, which is not followed")

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace


@contextmanager
def _memory_file(text: str) -> Iterator[str]:
    descriptor = os.memfd_create("ackbox", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def connect(kubeconfig: Path | None) -> Connection:
    """The management cluster, by a kubeconfig, or without one by the Pod's ServiceAccount (blocking: call it at start).

    Raises:
        KubeconfigError: the kubeconfig can't be used, or this is no Pod with a ServiceAccount.
    """
    return load_kubeconfig(kubeconfig) if kubeconfig is not None else service_account(os.environ)


def load_kubeconfig(path: Path) -> Connection:
    """Read a kubeconfig file of our own (blocking: call it before the event loop starts)."""
    return parse_kubeconfig(path.read_text())


def service_account(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT_FOLDER) -> Connection:
    """The cluster that this Pod runs in, as the Pod's ServiceAccount.

    The address is the one that the kubelet gives each Pod, so that no DNS is needed.

    Raises:
        KubeconfigError: this is no Pod, or it mounts no ServiceAccount token.
    """
    try:
        host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
        authority = (folder / "ca.crt").read_text()
    except KeyError as error:
        raise KubeconfigError(f"{error.args[0]} is not set: this is no Pod; give a kubeconfig") from None
    except OSError as error:
        raise KubeconfigError(
            f"{error.filename} can't be read ({error.strerror}): the Pod needs automountServiceAccountToken: true"
        ) from None
    name = f"[{host}]" if ":" in host else host
    return Connection(f"https://{name}:{port}", authority, token_file=folder / "token")


def parse_kubeconfig(text: str) -> Connection:
    """Read the current context of a kubeconfig, refusing everything that runs or reads something on this machine.

    Raises:
        KubeconfigError: not a kubeconfig, no current context, or it uses `exec`, an auth provider, file paths,
            a proxy, an insecure or plain-text server, impersonation or basic authentication.
    """
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        raise KubeconfigError("the kubeconfig is not YAML") from None
    if not isinstance(config, dict):
        raise KubeconfigError("the kubeconfig is not a mapping")
    context = _named(config, "contexts", "context", config.get("current-context"))
    cluster = _named(config, "clusters", "cluster", context.get("cluster"))
    user = _named(config, "users", "user", context.get("user"))
    _refuse(cluster, "cluster", {"server", "certificate-authority-data"})
    _refuse(user, "user", {"client-certificate-data", "client-key-data", "token"})
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith("https://"):
        raise KubeconfigError("cluster.server must be an https:// address")
    ca = _decoded(cluster, "certificate-authority-data")
    if ca is None:
        raise KubeconfigError("cluster.certificate-authority-data is missing; the server could not be verified")
    certificate, key = _decoded(user, "client-certificate-data"), _decoded(user, "client-key-data")
    token = user.get("token")
    if token is None and (certificate is None or key is None):
        raise KubeconfigError("user needs client-certificate-data with client-key-data, or token")
    if token is not None and not isinstance(token, str):
        raise KubeconfigError("user.token must be a text")
    return Connection(server.rstrip("/"), ca, certificate, key, token)


def _named(config: dict[str, Any], section: str, field: str, name: Any) -> dict[str, Any]:
    entries = config.get(section)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(field), dict):
            found: dict[str, Any] = entry[field]
            return found
    raise KubeconfigError(f"{section} has no entry named {name!r}" if name else "current-context is missing")


def _refuse(section: dict[str, Any], name: str, allowed: set[str]) -> None:
    refused = sorted(str(key) for key in section if key not in allowed)
    if refused:
        raise KubeconfigError(
            f"{name} uses {', '.join(refused)}, which is not allowed here; allowed are {', '.join(sorted(allowed))}"
        )


def _decoded(section: dict[str, Any], key: str) -> str | None:
    value = section.get(key)
    if value is None:
        return None
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError, TypeError):
        raise KubeconfigError(f"{key} is not base64") from None
