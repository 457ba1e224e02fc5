# SPDX-License-Identifier: MIT
"""The userspace provider of soft-RoCE, in two forms.

stock: the one this machine's ibverbs-providers package installs; it has no
dmabuf registration, so `ibv_reg_dmabuf_mr` answers EOPNOTSUPP.
"""

from __future__ import annotations

from pathlib import Path

from .base import LabError
from .cpio import Cpio

PROVIDER_DIR = "lib/x86_64-linux-gnu/libibverbs"


def stock() -> Path:
    """This machine's librxe."""
    found = sorted(Path("/usr").glob(PROVIDER_DIR + "/librxe-rdmav*.so"))
    if not found:
        raise LabError("librxe is missing: install the package ibverbs-providers")
    return found[-1]


def add_provider(cpio: Cpio, provider: Path) -> None:
    """Put @provider where libibverbs looks for it."""
    cpio.file(f"{PROVIDER_DIR}/{provider.name}", provider.read_bytes())
    cpio.file("etc/libibverbs.d/rxe.driver", "driver rxe\n")
