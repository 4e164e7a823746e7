"""How an API server is reached: read from a kubeconfig, trusted or not."""

import base64
import binascii
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml


class KubeconfigError(ValueError):
    """A kubeconfig that can't be used; the message names the field."""


@dataclass(frozen=True, repr=False)
class Connection:
    """One API server and the credentials for it. PEM texts, never file paths; never printed."""

    server: str
    ca: str
    certificate: str | None = None
    key: str | None = None
    token: str | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """A context that verifies the server against the kubeconfig's own CA."""
        context = ssl.create_default_context(cadata=self.ca)
        if self.certificate and self.key:
            # The ssl module reads key material from files only; a memory file leaves nothing on disk.
            with _memory_file(self.certificate + "\n" + self.key) as path:
                context.load_cert_chain(path)
        return context


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


def load_kubeconfig(path: Path) -> Connection:
    """Read a kubeconfig file of our own (blocking: call it before the event loop starts)."""
    return parse_kubeconfig(path.read_text())


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
