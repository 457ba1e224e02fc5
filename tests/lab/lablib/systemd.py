# SPDX-License-Identifier: MIT
"""A userland with systemd as the first process, udev and the journal.

trixie's packages, of which only what such a machine needs to come up is taken: a few
units and rules, the programs that scenarios call, all libraries. busybox supplies the rest.
systemd starts one service of ours, which runs the scenario; this tree is
installed as `cmake --install` does it, with its units, rules, users and all.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from . import programs
from .apt import Archive, Package
from .base import LAB, cache_dir, digest, made, run, tree_digest
from .cpio import Cpio
from .kernel import unpack_deb

ROOTS = ("systemd", "udev")
# In the dependencies, but of no use in the guest; a test needs none of their files.
LEFT_OUT = ("debconf", "openssl-provider-legacy", "libaudit-common", "gcc-14-base")
UNITS = ("basic.target", "sockets.target", "sysinit.target", "timers.target", "paths.target",
         "slices.target", "local-fs.target", "local-fs-pre.target", "swap.target",
         "shutdown.target", "umount.target", "final.target", "modprobe@.service",
         "systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket",
         "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
         "systemd-sysusers.service",
         "systemd-tmpfiles-setup.service")
PROGRAMS = ("usr/bin/systemctl", "usr/bin/journalctl", "usr/bin/systemd-analyze",
            "usr/bin/systemd-run", "usr/bin/systemd-sysusers", "usr/bin/systemd-tmpfiles",
            "usr/bin/udevadm", "usr/lib/systemd/systemd", "usr/lib/systemd/systemd-executor",
            "usr/lib/systemd/systemd-journald", "usr/lib/systemd/systemd-udevd",
            "usr/lib/systemd/systemd-shutdown")
FILES = ("usr/lib/udev/rules.d/50-udev-default.rules", "usr/lib/udev/rules.d/60-infiniband.rules",
         "usr/lib/udev/rules.d/99-systemd.rules", "usr/lib/sysusers.d/basic.conf",
         "usr/lib/sysusers.d/debian-udev.conf", "usr/lib/sysusers.d/systemd-journal.conf")
LIBRARIES = f"usr/{programs.LIBRARY_DIR}"
# Of the installed tree nobody reads these in the guest.
UNREAD = re.compile(r"/(include|man|doc|pkgconfig|cmake)(/|$)|\.a$")
OWN = LAB / "guest/systemd"


def packages(archive: Archive) -> list[Package]:
    """What this userland is made of."""
    return archive.closure(ROOTS, LEFT_OUT)


def _add_units(cpio: Cpio, tree: Path) -> None:
    """UNITS, and of what wants each other among them."""
    folder = "usr/lib/systemd/system"
    for unit in UNITS:
        cpio.copy(tree / folder / unit, f"{folder}/{unit}")
        for wants in sorted(tree.glob(f"{folder}/*.wants/{unit}")):
            cpio.copy(wants, f"{folder}/{wants.parent.name}/{unit}")


def _add_libraries(cpio: Cpio, tree: Path) -> list[str]:
    names = []
    for top in (LIBRARIES, "lib64", "usr/lib64"):
        for path in sorted((tree / top).rglob("*.so*")):
            name = str(path.relative_to(tree))
            if re.search(r"/(gconv|audit|engines-3|ossl-modules|security)/", name):
                continue
            cpio.copy(path, name)
            names.append(path.name)
    return names


def layer(archive: Archive) -> Path:
    """systemd, udev and their libraries; the libraries' names lie beside it."""
    wanted = packages(archive)
    key = tree_digest([OWN, Path(__file__)], [f"{p.name} {p.version}" for p in wanted])

    def make(work: Path) -> None:
        tree = work / "tree"
        for package in wanted:
            unpack_deb(archive.deb(package), tree)
        cpio = Cpio(is_merged=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            cpio.symlink(name, f"usr/{name.replace('sbin', 'bin')}")
        cpio.symlink("usr/sbin", "bin")
        cpio.directory("var/log")
        cpio.symlink("var/run", "../run")
        _add_units(cpio, tree)
        libraries = _add_libraries(cpio, tree)
        for name in (*PROGRAMS, *FILES):
            cpio.copy(tree / name, name)
        for path in sorted(OWN.rglob("*")):
            if path.is_file():
                cpio.copy(path, str(path.relative_to(OWN)))
        # A machine that has come up before: nothing is asked, nothing generated.
        cpio.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        cpio.symlink("init", "usr/lib/systemd/systemd")
        (work / "systemd.cpio").write_bytes(cpio.data())
        (work / "libraries").write_text("\n".join(libraries), encoding="utf-8")
        run(["rm", "-rf", tree])
    return made(cache_dir() / "images" / f"systemd-{key}", make) / "systemd.cpio"


def libraries_of(userland: Path) -> set[str]:
    """The names of the shared libraries in a layer() of this module."""
    return set((userland.parent / "libraries").read_text(encoding="utf-8").split())


def _installed(build: Path, work: Path) -> Path:
    root = work / "root"
    run(["cmake", "--install", build], env=dict(os.environ, DESTDIR=str(root)),
        what="installing this tree")
    return root


def installed_layer(build: Path, userland: Path) -> Path:
    """This tree as it is installed, and the libraries that the userland lacks; by content."""
    work = cache_dir() / "build" / f"{build.name}.root"
    run(["rm", "-rf", work])
    root = _installed(build, work)
    files = [p for p in sorted(root.rglob("*"))
             if (p.is_symlink() or p.is_file()) and not UNREAD.search(str(p.relative_to(root)))]
    found = [p for p in files if programs.is_elf(p)]
    there = libraries_of(userland) | {p.name for p in files}
    own = sorted({p.parent for p in found if ".so" in p.name})
    extra = {name: path for name, path in programs.library_closure(found, own).items()
             if name not in there}
    key = digest([str(userland), *(f"{p.relative_to(root)}" for p in files),
                  *(p.read_bytes() for p in files), *sorted(map(str, extra.values()))])

    def make(stage: Path) -> None:
        cpio = Cpio(is_merged=True)
        for path in files:
            cpio.copy(path, str(path.relative_to(root)))
        for name, path in sorted(extra.items()):
            cpio.file(f"{LIBRARIES}/{name}", path.resolve().read_bytes(), 0o755)
        (stage / "installed.cpio").write_bytes(cpio.data())
    return made(cache_dir() / "images" / f"installed-{key}", make) / "installed.cpio"
