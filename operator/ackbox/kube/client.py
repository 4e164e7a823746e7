"""The one place that calls an API server: plain objects in and out, no discovery."""

import json
from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import aiohttp
from kubernetes.aio.client import ApiClient, ApiException, Configuration
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.exceptions import DynamicApiError

from ackbox.kube import failpoint
from ackbox.kube.connection import Connection, authorization, no_redirects
from ackbox.kube.errors import NotFound, Unavailable, api_error
from ackbox.resources import Kind

Object: TypeAlias = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

MAX_CONNECTIONS = 50
REQUEST_TIMEOUT = 60.0

NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
SERVICE = Kind("", "v1", "services", "Service")
POD = Kind("", "v1", "pods", "Pod")
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
EVENT = Kind("", "v1", "events", "Event")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
CUSTOM_RESOURCE_DEFINITION = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)


async def _no_discovery(_client: DynamicClient, _cache_file: str | None) -> None:
    """Stands in for discovery: a `Kind` already holds what it would find out."""


class Client:
    """Calls one API server. Use as an async context manager.

    Every method raises an `ApiError`; a server that can't be reached raises `Unavailable`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._dynamic: DynamicClient | None = None
        self._api: ApiClient | None = None

    async def __aenter__(self) -> Self:
        configuration = Configuration(host=self.connection.server)
        connector = aiohttp.TCPConnector(ssl=self.connection.ssl_context(), limit=MAX_CONNECTIONS)
        configuration.client_session_kwargs = {
            "connector": connector,
            "trust_env": False,
            "trace_configs": [no_redirects()],
            **authorization(self.connection),
        }
        self._api = ApiClient(configuration)
        self._connector = connector
        self._dynamic = await DynamicClient(self._api, discoverer=_no_discovery)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._api is not None:
            await self._api.close()
            await self._connector.close()

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Read one object."""
        return await self._call("get", kind.path(namespace, name))

    async def list(
        self, kind: Kind, namespace: str | None = None, label_selector: str | None = None
    ) -> tuple[list[Object], str]:
        """Read all objects of a kind, and the resourceVersion of the list."""
        answer = await self._call("get", kind.path(namespace), label_selector=label_selector)
        items = answer.get("items") or []
        for item in items:
            # Lists leave these out; objects from watches have them.
            item["apiVersion"], item["kind"] = kind.api_version, kind.kind
        return items, answer["metadata"]["resourceVersion"]

    async def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        """Create an object; `AlreadyExists` when its name is taken."""
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return await self._write("post", kind.path(namespace), body)

    async def try_create(self, kind: Kind, body: Object, namespace: str | None = None) -> None:
        """Have the creation of an object checked as `create` would be, and nothing made."""
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        await self._call("post", kind.path(namespace), body=body, dry_run="All")

    async def patch(
        self, kind: Kind, name: str, namespace: str | None, patch: Object, subresource: str | None = None
    ) -> Object:
        """Merge-patch an object. A `metadata.resourceVersion` in the patch makes it conditional (`Conflict`)."""
        return await self._write("patch", kind.path(namespace, name, subresource), patch, content_type=MERGE_PATCH)

    async def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object], subresource: str | None = None
    ) -> Object:
        """Apply RFC 6902 operations; a failed `test` raises `Invalid`."""
        path = kind.path(namespace, name, subresource)
        return await self._write("patch", path, operations, content_type=JSON_PATCH)

    async def apply(self, kind: Kind, body: Object, field_manager: str, namespace: str | None = None) -> Object:
        """Server-side apply, forced: the fields in `body` become ours."""
        path = kind.path(namespace, body["metadata"]["name"])
        before = await self._version(path) if failpoint.armed() else ""
        answer = await self._call(
            "patch",
            path,
            body={"apiVersion": kind.api_version, "kind": kind.kind, **body},
            content_type=APPLY_PATCH,
            field_manager=field_manager,
            force_conflicts=True,
        )
        # What changes nothing isn't written by the API server either.
        if answer["metadata"]["resourceVersion"] != before:
            failpoint.written()
        return answer

    async def _version(self, path: str) -> str:
        try:
            answer = await self._call("get", path)
        except NotFound:
            return ""
        version: str = answer["metadata"]["resourceVersion"]
        return version

    async def delete(self, kind: Kind, name: str, namespace: str | None = None, uid: str | None = None) -> None:
        """Ask for an object's deletion; with `uid`, only of exactly that object (`Conflict`)."""
        body = {"preconditions": {"uid": uid}} if uid else None
        await self._write("delete", kind.path(namespace, name), body)

    async def text(self, path: str) -> str:
        """Read what is no object, such as `/version` or `/readyz`."""
        return (await self._read("get", path)).decode()

    async def _write(self, method: str, path: str, body: object, **params: Any) -> Object:
        answer = await self._call(method, path, body=body, **params)
        failpoint.written()
        return answer

    async def _call(self, method: str, path: str, **params: Any) -> Object:
        answer: Object = json.loads(await self._read(method, path, **params))
        return answer

    async def _read(self, method: str, path: str, **params: Any) -> bytes:
        assert self._dynamic is not None, "use the client as an async context manager"
        try:
            response = await self._dynamic.request(
                method, path, serialize=False, _request_timeout=REQUEST_TIMEOUT, **params
            )
            body: bytes = await response.read()
            return body
        except (ApiException, DynamicApiError) as error:
            raise _translated(error) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            text = str(error) or type(error).__name__
            raise Unavailable(0, "Unreachable", f"{self.connection.server} can't be reached: {text}") from error


def _translated(error: ApiException | DynamicApiError) -> Exception:
    body = error.body
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        status = json.loads(body or "{}")
    except ValueError:
        status = {}
    message = status.get("message") or str(error.reason)
    return api_error(int(error.status or 0), status.get("reason") or str(error.reason), message)
