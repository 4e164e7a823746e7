"""Certificates of a control plane in a cluster: kept in one Secret, read by Pods from files. Pure.

The Secret holds everything, also the keys of the authorities; each Pod mounts the few files that its programs name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ackbox.runtime.certificates import Clock, KeyFiles, KeyPair, Request, fits, issue, new_authority

MOUNT = Path("/etc/ackbox")
"""Where the files are in every Pod."""

_MOUNTED = re.compile(rf"{re.escape(str(MOUNT))}/([-._a-z0-9]+)")


@dataclass(frozen=True)
class HeldFiles(KeyFiles):
    """Files that are there in Pods only; what is in them is held here."""

    pair: KeyPair = field(repr=False)

    def read(self) -> KeyPair:
        """Both texts."""
        return self.pair


class Keyring:
    """The files of one control plane. What the Secret kept stays as long as it fits."""

    def __init__(self, kept: Mapping[str, str], clock: Clock) -> None:
        self.clock = clock
        self._kept = kept
        self.files: dict[str, str] = {}
        """What the Secret must hold, by file name."""

    def write(self, name: str, text: str) -> Path:
        """Put a text into a file; where Pods find it."""
        self.files[name] = text
        return MOUNT / name

    def keep(self, name: str, text: str) -> Path:
        """Put a text into a file that has none yet; one that was kept stays."""
        return self.write(name, self._kept.get(name) or text)

    def kept(self, name: str) -> KeyPair | None:
        """A certificate with its key, as the Secret has them."""
        texts = [self._kept.get(file) for file in _file_names(name)]
        return KeyPair(texts[0], texts[1]) if texts[0] and texts[1] else None

    def store(self, name: str, pair: KeyPair) -> HeldFiles:
        """Put a certificate with its key into files."""
        certificate, key = _file_names(name)
        return HeldFiles(self.write(certificate, pair.certificate), self.write(key, pair.key), pair)


class HeldAuthority:
    """An issuer whose files are in a keyring."""

    def __init__(self, keyring: Keyring, name: str = "", pair: KeyPair | None = None) -> None:
        """Open the authority `name`, which signs with `pair`; without one, with what was kept, or anew."""
        self._keyring = keyring
        self._prefix = f"{name}-" if name else ""
        own = f"{self._prefix}ca"
        made = pair or keyring.kept(own) or new_authority(f"ackbox {name}", keyring.clock())
        self.files: KeyFiles = keyring.store(own, made)
        self.pair = made

    @property
    def certificate(self) -> Path:
        """Where Pods find the authority's own certificate."""
        return self.files.certificate

    def obtain(self, file_name: str, request: Request) -> KeyFiles:
        """The certificate kept under a name, issued now if there is none that fits."""
        name, now = f"{self._prefix}{file_name}", self._keyring.clock()
        pair = self._keyring.kept(name)
        if pair is None or not fits(pair, self.pair, request, now):
            pair = issue(self.pair, request, now)
        return self._keyring.store(name, pair)


def needed(texts: Iterable[str], files: Mapping[str, str]) -> tuple[str, ...]:
    """The files that some texts name, and those that these name in turn, sorted."""
    found: set[str] = set()
    waiting = list(texts)
    while waiting:
        names = {name for name in _MOUNTED.findall(waiting.pop()) if name in files} - found
        found |= names
        waiting += [files[name] for name in names]
    return tuple(sorted(found))


def _file_names(name: str) -> tuple[str, str]:
    return f"{name}.crt", f"{name}.key"
