"""Applies YAML files to an API server."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ackbox.kube.client import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, NAMESPACE, Client
from ackbox.kube.errors import Forbidden, Invalid, NotFound
from ackbox.resources import SERVICE_LOAD_BALANCER, Kind
from ackbox.resources.base import GROUP
from ackbox.runtime.probe import wait_until

FIELD_MANAGER = "ackbox"
SYSTEM_NAMESPACE = "ackbox-system"
"""Where ackbox keeps what belongs to no account."""

ESTABLISHED_SECONDS = 30.0

POLICIES_SECONDS = 120.0
"""The API server looks anew for the kinds that policies take their parameters from every 30 seconds."""

_ADMISSION, _RBAC = "admissionregistration.k8s.io", "rbac.authorization.k8s.io"
POLICY = Kind(_ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False)
BINDING = Kind(
    _ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
KINDS = {
    (kind.api_version, kind.kind): kind
    for kind in (
        CUSTOM_RESOURCE_DEFINITION,
        NAMESPACE,
        CONFIG_MAP,
        POLICY,
        BINDING,
        Kind(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
        Kind(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
        Kind(_RBAC, "v1", "roles", "Role"),
        Kind(_RBAC, "v1", "rolebindings", "RoleBinding"),
    )
}


def documents(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Every object in some YAML files."""
    for path in paths:
        yield from (document for document in yaml.safe_load_all(path.read_text()) if document)


async def apply(client: Client, objects: Iterable[dict[str, Any]]) -> None:
    """Apply objects by server-side apply, CustomResourceDefinitions first; returns when these are served.

    Raises:
        ApiError: the API server refuses one.
        RuntimeProblem: a definition is not served in time.
    """
    pending = list(objects)
    definitions = [each for each in pending if each["kind"] == CUSTOM_RESOURCE_DEFINITION.kind]
    for each in definitions:
        await _apply(client, each)
    for each in definitions:
        name = each["metadata"]["name"]
        await wait_until(partial(_established, client, name), ESTABLISHED_SECONDS, partial(_not_served, name))
    for each in pending:
        if each not in definitions:
            await _apply(client, each)


async def remove_outdated(client: Client, objects: Iterable[dict[str, Any]]) -> None:
    """Delete admission policies of ackbox that are none of these: those of an earlier version would go on refusing."""
    kept = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for kind in (BINDING, POLICY):
        there, _ = await client.list(kind)
        names = [each["metadata"]["name"] for each in there]
        for name in names:
            if name.endswith(f".{GROUP}") and (kind.kind, name) not in kept:
                await client.delete(kind, name)


async def wait_for_policies(client: Client) -> None:
    """Wait until the admission policies know the kinds of their parameters; before that they refuse everything.

    Raises:
        RuntimeProblem: they don't in time.
    """
    await wait_until(
        partial(_policies_work, client), POLICIES_SECONDS, partial(str, "the admission policies don't work")
    )


async def _policies_work(client: Client) -> bool:
    # A kind for which both an account and a quota are looked at; the least of it is valid.
    balancer = {"metadata": {"generateName": "try-"}, "spec": {}}
    try:
        await client.try_create(SERVICE_LOAD_BALANCER, balancer, "default")
    except Invalid as error:
        return "failed to configure policy" not in str(error)
    except Forbidden:
        return True  # by what a policy says
    except NotFound:
        return False
    return True


async def _apply(client: Client, body: dict[str, Any]) -> None:
    kind = KINDS[body["apiVersion"], body["kind"]]
    await client.apply(kind, body, FIELD_MANAGER, body["metadata"].get("namespace"))


async def _established(client: Client, name: str) -> bool:
    definition = await client.get(CUSTOM_RESOURCE_DEFINITION, name)
    conditions = (definition.get("status") or {}).get("conditions") or ()  # null at first
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _not_served(name: str) -> str:
    return f"the API server does not serve {name}"
