"""What admission says of the addons of a ManagedCluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ackbox.resources.managedcluster import MANAGED_CLUSTER
from ackbox.resources.policy import SPEC, Check, policy, table, text, texts

NESTED = 2
"""How deep the objects and lists inside a config may be nested; a regular expression can't look deeper."""


@dataclass(frozen=True)
class AddonRules:
    """What the catalogue says of an addon.

    Attributes:
        versions: the oldest first.
        minimum: the minor Kubernetes version that a version needs, of those that need one.
        default: profiles that get it without asking.
        required: it can't be disabled.
        requires: addons that it needs.
        instead: defaults that it takes the place of.
    """

    versions: Sequence[str]
    minimum: Mapping[str, int]
    default: Sequence[str]
    required: bool
    requires: Sequence[str]
    instead: Sequence[str]


def addon_policy(addons: Mapping[str, AddonRules]) -> list[dict[str, Any]]:
    """`addons` name addons of the catalogue in versions of it, with what they need, and never an older version."""
    variables = _catalogue(addons) | _asked()
    checks = [_registered(), _unknown(), _version(), _minimum(), _downgrade(), _requires(), _required(), _config()]
    return policy("addons", (MANAGED_CLUSTER,), checks, variables)


def _catalogue(addons: Mapping[str, AddonRules]) -> dict[str, str]:
    profiles = sorted({profile for each in addons.values() for profile in each.default})
    defaults = {profile: [name for name, each in addons.items() if profile in each.default] for profile in profiles}
    minima = {
        name: _table({version: str(minor) for version, minor in each.minimum.items()})
        for name, each in addons.items()
        if each.minimum
    }
    return {
        "versions": table({name: each.versions for name, each in addons.items()}),
        "minimum": _table(minima),
        "requires": table({name: each.requires for name, each in addons.items() if each.requires}),
        "instead": table({name: each.instead for name, each in addons.items() if each.instead}),
        "profiles": table(defaults),
        "defaults": f"{SPEC}.profile in variables.profiles ? variables.profiles[{SPEC}.profile] : []",
        "required": texts(name for name, each in addons.items() if each.required),
    }


def _asked() -> dict[str, str]:
    """Variables of the object: what it asks for, what it had, and the Kubernetes version it is for (0 when unknown)."""
    running = "has(object.status) && has(object.status.currentVersion) ? object.status.currentVersion : ''"
    there = "oldObject != null && has(oldObject.status) && has(oldObject.status.addons)"
    replaced = "variables.asked.exists(o, o in variables.instead && d in variables.instead[o])"
    return {
        "addons": f"has({SPEC}.addons) ? {SPEC}.addons : []",
        "there": f"{there} ? oldObject.status.addons : []",
        "kubernetes": f"has({SPEC}.kubernetesVersion) ? {SPEC}.kubernetesVersion : {running}",
        "minor": r"variables.kubernetes.matches('^v?[0-9]+[.][0-9]+([.]|$)') ? int(variables.kubernetes.split('.')[1]) : 0",
        "asked": "variables.addons.filter(a, !(has(a.disabled) && a.disabled)).map(a, a.name)",
        "off": "variables.addons.filter(a, has(a.disabled) && a.disabled).map(a, a.name)",
        "wanted": f"variables.asked + variables.defaults.filter(d, !(d in variables.off) && !{replaced})",
        "known": "variables.addons.filter(a, a.name in variables.versions)",
        "pinned": "variables.known.filter(a, has(a.version))",
    }


def _table(rows: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{text(key)}: {value}" for key, value in rows.items()) + "}"


def _none(wrong: str, each: str, message: str) -> Check:
    """None of the items of a list is wrong; the message names all that are.

    Args:
        wrong: CEL of the list of the wrong ones.
        each: CEL of what is said of one, `a`.
        message: CEL of what is said of them all.
    """
    return Check(f"{wrong}.size() == 0", f"'spec.addons: ' + {wrong}.map(a, {each}).join(', ') + {message}")


def _registered() -> Check:
    return Check(
        f"{SPEC}.clusterType != 'ExternalKubernetes' || variables.addons.size() == 0",
        "'spec.addons: ' + variables.addons.map(a, a.name).join(', ') + ' can not be installed: nothing is installed"
        " into a registered cluster, clusterType ExternalKubernetes'",
    )


def _unknown() -> Check:
    return _none(
        "variables.addons.filter(a, !(a.name in variables.versions))",
        "a.name",
        "' not found (AddonNotFound); there are: ' + variables.versions.map(n, n).join(', ')",
    )


def _version() -> Check:
    return _none(
        "variables.pinned.filter(a, !(a.version in variables.versions[a.name]))",
        "a.name + ' has no version ' + a.version + '; it has: ' + variables.versions[a.name].join(', ')",
        "''",
    )


def _minimum() -> Check:
    needs = "variables.minimum[a.name][a.version]"
    return _none(
        "variables.pinned.filter(a, variables.minor > 0 && a.name in variables.minimum"
        f" && a.version in variables.minimum[a.name] && {needs} > variables.minor)",
        f"a.name + ' ' + a.version + ' needs Kubernetes 1.' + string({needs}) + ' or newer'",
        "', the cluster is for ' + variables.kubernetes",
    )


def _downgrade() -> Check:
    place = "variables.versions[a.name].indexOf({}.version)"
    newer = f"{place.format('b')} > {place.format('a')}"
    return _none(
        "variables.pinned.filter(a, a.version in variables.versions[a.name]"
        f" && variables.there.exists(b, b.name == a.name && {newer}))",
        "a.name + ' ' + a.version + ' is older than ' + variables.there.filter(b, b.name == a.name)[0].version",
        "', which is installed; an addon can not be downgraded'",
    )


def _requires() -> Check:
    missing = "variables.requires[a].filter(r, !(r in variables.wanted))"
    wrong = f"variables.wanted.filter(a, a in variables.requires && {missing}.size() > 0)"
    return _none(
        wrong, f"a + ' requires ' + {missing}.join(', ')", "'; add what is missing, or disable what requires it'"
    )


def _required() -> Check:
    return _none("variables.off.filter(a, a in variables.required)", "a", "' can not be disabled'")


def _config() -> Check:
    return _none(
        f"variables.addons.filter(a, has(a.config) && !a.config.matches({text(json_object(NESTED))}))",
        "a.name",
        '\': config is not a JSON object (InvalidParameter.Format), such as {"CpuRequest":"800m"}\'',
    )


_BLANK = r"[ \t\r\n]*"
_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_SCALAR = rf"{_STRING}|{_NUMBER}|true|false|null"


def json_object(nested: int) -> str:
    """A regular expression of RE2 for JSON objects that hold objects and lists so many levels deep."""
    return rf"^{_BLANK}{_object(nested)}{_BLANK}$"


def _value(nested: int) -> str:
    if nested == 0:
        return f"(?:{_SCALAR})"
    return f"(?:{_SCALAR}|{_object(nested - 1)}|{_listed('[', _value(nested - 1), ']')})"


def _object(nested: int) -> str:
    return _listed("{", f"{_STRING}{_BLANK}:{_BLANK}{_value(nested)}", "}")


def _listed(begin: str, item: str, end: str) -> str:
    items = rf"(?:{item}{_BLANK},{_BLANK})*{item}{_BLANK}"
    return rf"\{begin}{_BLANK}(?:{items})?\{end}"
