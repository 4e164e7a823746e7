"""What is set up inside the namespaces before any program starts. Harmless when it is there already."""

import errno
from ipaddress import IPv4Address
from pathlib import Path

from node.harness import namespaces
from node.harness.layout import ADDRESS, NETWORK, NODE, SERVICE_CIDR, Layout, run

LINK = "node0"
"""Carries the node's addresses. A bridge without ports: some kernels have no dummy links."""

OWN_FOLDERS = ("/run", "/var/lib/cni", "/var/lib/kubelet")
"""Where programs write whatever they are told; each node has its own, in memory."""

CONTROLLERS = Path("/sys/fs/cgroup")


def set_up(layout: Layout) -> None:
    """Mount, link and route."""
    _mount()
    _link()
    add_machine(layout, NODE, ADDRESS)


def add_machine(layout: Layout, name: str, address: IPv4Address) -> None:
    """What a machine finds when it starts: its address and the parent of its pods' control groups."""
    if f" {address}/" not in run("ip", "-brief", "address", "show", LINK):
        run("ip", "address", "add", f"{address}/{NETWORK.prefixlen}", "dev", LINK)
    for folder in _control_groups(layout):
        for group in (folder, folder / name):
            _make_group(group)


def _mount() -> None:
    for folder in OWN_FOLDERS:
        if f" {folder} tmpfs " not in Path("/proc/mounts").read_text():
            Path(folder).mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", folder)


def _link() -> None:
    if LINK in run("ip", "-brief", "link"):
        return
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", LINK, "type", "bridge")
    run("ip", "link", "set", LINK, "up")
    # kube-proxy turns these addresses into those of pods, after the kernel has found a way to them.
    run("ip", "route", "add", str(SERVICE_CIDR), "dev", LINK)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _make_group(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        # Version 1 gives a new group no processor; in version 2 a group has its parent's unless told.
        if not _version_2() and (folder / name).is_file():
            (folder / name).write_text((folder.parent / name).read_text())


def _version_2() -> bool:
    return (CONTROLLERS / "cgroup.controllers").is_file()


def _control_groups(layout: Layout) -> list[Path]:
    """The parent of the control groups of everything on the node: one folder, or with version 1 one a controller."""
    if _version_2():
        return [CONTROLLERS / layout.cgroup]
    hierarchies = [
        path for path in CONTROLLERS.iterdir() if (path / "cgroup.procs").is_file() and not path.is_symlink()
    ]
    return [path / layout.cgroup for path in hierarchies if path.name != "unified"]


def remove_control_groups(layout: Layout) -> None:
    """Remove what the pods left, deepest first. The processes in them have been killed and may not have ended yet."""
    for folder in _control_groups(layout):
        groups = sorted(folder.rglob("*/"), key=lambda path: len(path.parts), reverse=True)
        for group in (*groups, folder):
            namespaces.wait(lambda group=group: _removed(group), f"processes of the node don't leave {group}")


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True
