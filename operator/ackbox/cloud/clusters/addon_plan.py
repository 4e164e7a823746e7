"""Which addons a cluster is to have, in which versions, and how far they are. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ackbox.catalog.addons import Addon, Values
from ackbox.kube.client import Object
from ackbox.resources.cluster_settings import Addon as Wish
from ackbox.resources.managedcluster import AddonStatus, ManagedCluster

RESOURCES: Mapping[str, Values] = dict.fromkeys(("CpuRequest", "CpuLimit", "MemoryRequest", "MemoryLimit"), "quantity")
"""Keys that the config of every addon with workloads takes (ACK, UpgradeClusterAddons: `{"CpuRequest":"800m"}`)."""

QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?")


@dataclass(frozen=True)
class Installation:
    """An addon as it is to be in a cluster."""

    addon: Addon
    version: str
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What a cluster is to have.

    Attributes:
        problems: why an addon can't be had as it is asked for, by its name; what is there of it stays.
    """

    installations: tuple[Installation, ...]
    problems: Mapping[str, str] = field(default_factory=dict)

    def without(self, problems: Mapping[str, str]) -> "Choice":
        """The same, but for addons that turned out to have a problem."""
        if not problems:
            return self
        left = tuple(each for each in self.installations if each.addon.name not in problems)
        return Choice(left, {**self.problems, **problems})


def choose(cluster: ManagedCluster, catalogue: Mapping[str, Addon], minor: tuple[int, int]) -> Choice:
    """The addons that the spec asks for and those that come by themselves.

    Without a version an addon keeps the one it has; a new one gets the newest that runs on the cluster.

    Args:
        minor: Kubernetes minor version of the cluster.
    """
    there = {each.name: each.version for each in cluster.status.addons}
    wishes = wanted(cluster.spec.addons, cluster.spec.profile, catalogue)
    installations, problems = [], {}
    for name, wish in wishes.items():
        found = _installation(name, wish, catalogue, there.get(name), minor)
        if isinstance(found, str):
            problems[name] = found
        else:
            installations.append(found)
    names = {each.addon.name for each in installations}
    for each in installations:
        missing = [name for name in each.addon.requires if name not in names]
        if missing:
            problems[each.addon.name] = f"it requires {', '.join(missing)}"
    return Choice(tuple(installations)).without(problems)


def wanted(wishes: Sequence[Wish], profile: str, catalogue: Mapping[str, Addon]) -> dict[str, Wish]:
    """What the spec asks for, and the defaults that it neither disables nor replaces."""
    asked = {wish.name: wish for wish in wishes if not wish.disabled}
    replaced = {name for each in asked if each in catalogue for name in catalogue[each].instead}
    left_out = {wish.name for wish in wishes if wish.disabled} | replaced
    defaults = (each.name for each in catalogue.values() if profile in each.default and each.name not in left_out)
    return {name: Wish(name=name) for name in defaults} | asked


def _installation(
    name: str, wish: Wish, catalogue: Mapping[str, Addon], there: str | None, minor: tuple[int, int]
) -> Installation | str:
    addon = catalogue.get(name)
    if addon is None:
        return f"AddonNotFound: there is no such addon; there are: {', '.join(sorted(catalogue))}"
    newest = addon.newest(minor)
    version = wish.version or there or (newest.name if newest else None)
    found = next((each for each in addon.versions if each.name == version), None)
    if found is None and version != there:
        return f"there is no version {version}; there are: {', '.join(addon.version_names)}"
    if found is not None and found.minimum is not None and found.minimum > minor:
        return f"version {version} needs Kubernetes {found.minimum[0]}.{found.minimum[1]} or newer"
    assert version is not None, "an addon has versions"
    try:
        return Installation(addon, version, parse_config(addon, wish.config))
    except ValueError as error:
        return f"config: {error}"


def parse_config(addon: Addon, text: str | None) -> dict[str, object]:
    """The config of an addon.

    Raises:
        ValueError: it is no JSON object, or a key or value that the addon doesn't take.
    """
    if not text:
        return {}
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{text} is no JSON object")
    known = {**(addon.config or {}), **(RESOURCES if addon.workloads else {})}
    for key, value in config.items():
        if key not in known:
            raise ValueError(f"{key} is no setting of it; there are: {', '.join(sorted(known)) or 'none'}")
        if not _takes(known[key], value):
            raise ValueError(f"{key}: {json.dumps(value)}; allowed: {_allowed(known[key])}")
    return config


def _takes(values: Values, value: object) -> bool:
    if isinstance(values, tuple):
        return value in values
    if values == "object":
        return isinstance(value, dict)
    if values == "flag":
        return value in ("true", "false")
    return isinstance(value, str) and (values == "text" or QUANTITY.fullmatch(value) is not None)


def _allowed(values: Values) -> str:
    words = {
        "flag": '"true", "false"',
        "object": "an object",
        "text": "a text",
        "quantity": 'a quantity such as "800m"',
    }
    return words[values] if isinstance(values, str) else ", ".join(f'"{value}"' for value in values)


def rolled_out(workload: Object) -> bool:
    """Whether every pod that a Deployment or DaemonSet is to have is of its newest template, and none of another."""
    status, spec = workload.get("status") or {}, workload.get("spec") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if "replicas" in spec:
        updated = status.get("updatedReplicas", 0)
        return bool(updated >= spec["replicas"] and status.get("replicas", 0) == updated)
    return bool(status.get("updatedNumberScheduled", 0) >= status.get("desiredNumberScheduled", 0))


def state_of(before: AddonStatus | None, version: str, workloads: Iterable[Object]) -> tuple[str, str | None]:
    """ACK's word for how far an addon is, and which workloads it waits for."""
    waiting = [each["metadata"]["name"] for each in workloads if not rolled_out(each)]
    if not waiting:
        return "active", None
    another = before is not None and (before.version != version or before.state == "upgrading")
    return ("upgrading" if another else "updating"), f"{', '.join(waiting)}: pods are being replaced"
