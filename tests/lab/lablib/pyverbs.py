# SPDX-License-Identifier: MIT
"""An image layer with Python and pyverbs, for the scenario that uses them.

trixie's packages below /pyverbs of the guest: a program that knows nothing of this
project registers our DMABUFs.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import chroot, librxe
from .apt import Archive, Package
from .base import LAB, digest
from .cpio import Cpio

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
    def more(cpio: Cpio) -> None:
        cpio.file(f"{WHERE}/{SCRIPT.name}", SCRIPT.read_bytes())
        librxe.add_provider(cpio, provider, WHERE + "/usr")
    key = digest([provider.read_bytes(), SCRIPT.read_bytes()])
    return chroot.layer(archive, WHERE, packages(archive), UNUSED, (key, more))
