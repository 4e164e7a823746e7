"""A whole home in a file, and a home made from it: elsewhere on this machine, or on another one.

What `ackbox up` makes by itself is left out: programs, configuration files, certificates' copies in kubeconfigs, logs.
Absolute paths are in none of the rest. Loopback addresses are: a restored home gets the range it had, if that is free;
else its addresses move into the range that it gets (`ackbox.runtime.moving`), all but those of etcds with several
members, which know each other by them.
"""

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from ackbox.runtime import archive, loopback, processes
from ackbox.runtime.errors import ArchiveProblem
from ackbox.runtime.files import locked_for_long, private_folder
from ackbox.runtime.home import Home, check_empty, load, write_state
from ackbox.runtime.management import ETCD, WORKLOAD_ETCD
from ackbox.runtime.progress import Progress

KIND = "snapshot"
CONTENTS = ("pki", ETCD, WORKLOAD_ETCD, "clusters")

OWN_ETCD = "etcd"
"""Folder of a cluster that has an etcd of its own."""


async def save(home: Home, target: Path, progress: Progress) -> None:
    """Write a home that is down into a file. It holds every key of the home: whoever has it may do everything there.

    Raises:
        ArchiveProblem: the home is up or was never, or the file can't be written.
    """
    async with locked_for_long(home.up_lock, lambda: progress.say("waiting for `ackbox up` of this home")):
        if processes.of_home(home):
            raise ArchiveProblem(
                f"the ackbox in {home.path} is up, and stores that are written to can't be copied: `ackbox down` first"
            )
        if not (home.path / ETCD).is_dir():
            raise ArchiveProblem(f"the ackbox in {home.path} was never up, so there is nothing to save")
        manifest = {
            "saved": datetime.now(UTC).isoformat(timespec="seconds"),
            "loopback": str(home.moved_from or home.loopback),
            "ownEtcd": sorted(path.parent.name for path in home.clusters.glob(f"*/{OWN_ETCD}")),
        }
        contents = [(home.path / name, name) for name in CONTENTS if (home.path / name).exists()]
        with progress.step(f"writing {target}"):
            archive.write(target, KIND, manifest, contents)


def restore(file: Path, path: Path, progress: Progress) -> Home:
    """Make a home from a file; `ackbox up` starts it. Nothing is left behind when it fails.

    Raises:
        ArchiveProblem: the file is damaged, of a newer ackbox, or can't be used in the range that is free.
        HomeProblem: something is in the folder already, or no loopback range is free.
    """
    before, own_etcd = archive.describe(file, KIND, _addresses)
    check_empty(path)
    unpacked = path.with_name(f".{path.name}.restoring")
    private_folder(path)
    try:
        network = loopback.claim(path, preferred=before)
        _check_range(file, own_etcd, before, network)
        with progress.step(f"reading {file}"):
            archive.unpack(file, unpacked, CONTENTS)
        write_state(path, network, before if network != before else None, at=unpacked)
        unpacked.replace(path)
    except BaseException:
        shutil.rmtree(unpacked, ignore_errors=True)
        with suppress(OSError):
            path.rmdir()  # its claim on the range ends with it
        raise
    return load(path)


def _addresses(manifest: dict[str, Any]) -> tuple[IPv4Network, list[str]]:
    """The range that the addresses inside are in, and the clusters whose addresses can't move."""
    network = IPv4Network(manifest["loopback"])
    if not loopback.is_range(network):
        raise ValueError(f"{network} is no loopback range of a home")
    return network, [str(cluster) for cluster in manifest["ownEtcd"]]


def _check_range(file: Path, own_etcd: list[str], before: IPv4Network, network: IPv4Network) -> None:
    if not own_etcd or network == before:
        return
    holder = loopback.holder(before)
    who = f"the home {holder}" if holder else "another program"
    raise ArchiveProblem(
        f"{file} holds clusters with an etcd of their own ({', '.join(own_etcd)}), whose members know each other by"
        f" addresses in {before}, and {who} uses that range here: end it (`ackbox clean`), or restore elsewhere"
    )
