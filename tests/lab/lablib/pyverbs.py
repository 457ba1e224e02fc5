# SPDX-License-Identifier: MIT
"""An image layer with Python and pyverbs, for the scenario that uses them.

trixie's packages, unpacked below /pyverbs of the guest and entered there by
chroot: a program that knows nothing of this project registers our DMABUFs.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import librxe
from .apt import Archive, Package
from .base import LAB, cache_dir, digest, made
from .cpio import Cpio
from .kernel import unpack_deb

ROOTS = ("python3-minimal", "python3-pyverbs", "libpython3-stdlib")
# In the dependencies, but of no use in the guest; a test needs none of their files.
LEFT_OUT = ("media-types", "netbase", "tzdata", "adduser", "rdma-core", "ibverbs-providers",
            "openssl", "readline-common", "libreadline8t64", "libdb5.3t64",
            "libgdbm6t64", "libsqlite3-0",
            "openssl-provider-legacy")
WHERE = "pyverbs"
SCRIPT = LAB / "guest/pyverbs_mr.py"
# What Python does without when it only runs one small program.
UNUSED = re.compile(r"/(test|idlelib|tkinter|lib2to3|ensurepip|pydoc_data|unittest|distutils"
                    r"|doc|man|locale|lintian|bug|perl5|gcc|gconv|__pycache__)(/|$)")


def packages(archive: Archive) -> list[Package]:
    """What the guest's Python is made of."""
    return archive.closure(ROOTS, LEFT_OUT)


def layer(archive: Archive, provider: Path) -> Path:
    """The layer's archive; @provider is the librxe it gets."""
    wanted = packages(archive)
    key = digest([*(f"{p.name} {p.version}" for p in wanted), provider.read_bytes(),
                  SCRIPT.read_bytes()])

    def make(work: Path) -> None:
        tree = work / "tree"
        for package in wanted:
            unpack_deb(archive.deb(package), tree)
        cpio = Cpio()
        for path in sorted(tree.rglob("*")):
            name = f"/{path.relative_to(tree)}"
            if path.is_dir() and not path.is_symlink() or UNUSED.search(name):
                continue
            # Debian's packages know only /usr; the rest are links that a real system makes.
            cpio.copy(path, WHERE + re.sub(r"^/(lib|lib64|bin|sbin)/", r"/usr/\1/", name))
        for name in ("bin", "sbin", "lib", "lib64"):
            cpio.symlink(f"{WHERE}/{name}", f"usr/{name}")
        for name in ("dev", "proc", "sys", "tmp"):
            cpio.directory(f"{WHERE}/{name}")
        cpio.file(f"{WHERE}/{SCRIPT.name}", SCRIPT.read_bytes())
        librxe.add_provider(cpio, provider, WHERE + "/usr")
        (work / "pyverbs.cpio").write_bytes(cpio.data())
    return made(cache_dir() / "images" / f"pyverbs-{key}", make) / "pyverbs.cpio"
