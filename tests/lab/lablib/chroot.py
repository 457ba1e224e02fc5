# SPDX-License-Identifier: MIT
"""Image layers that hold programs of trixie below a folder of their own.

The guest enters such a folder by chroot: what runs there has trixie's libraries,
whatever this machine's release is, and knows nothing of the guest around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from .apt import Archive, Package
from .base import cache_dir, digest, made
from .cpio import Cpio
from .kernel import unpack_deb


def layer(archive: Archive, where: str, packages: Sequence[Package], unused: re.Pattern[str],
          more: tuple[str, Callable[[Cpio], None]]) -> Path:
    """The archive of /@where: @packages without the files that @unused finds, and @more.

    @more: what the rest depends on, and what puts it in.
    """
    key = digest([*(f"{p.name} {p.version}" for p in packages), unused.pattern, more[0]])

    def make(work: Path) -> None:
        tree = work / "tree"
        for package in packages:
            unpack_deb(archive.deb(package), tree)
        cpio = Cpio()
        for path in sorted(tree.rglob("*")):
            name = f"/{path.relative_to(tree)}"
            if path.is_dir() and not path.is_symlink() or unused.search(name):
                continue
            # Debian's packages know only /usr; the rest are links that a real system makes.
            cpio.copy(path, where + re.sub(r"^/(lib|lib64|bin|sbin)/", r"/usr/\1/", name))
        for name in ("bin", "sbin", "lib", "lib64"):
            cpio.symlink(f"{where}/{name}", f"usr/{name}")
        for name in ("dev", "proc", "sys", "tmp"):
            cpio.directory(f"{where}/{name}")
        more[1](cpio)
        (work / f"{where}.cpio").write_bytes(cpio.data())
    return made(cache_dir() / "images" / f"{where}-{key}", make) / f"{where}.cpio"
