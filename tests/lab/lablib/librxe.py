# SPDX-License-Identifier: MIT
"""The userspace provider of soft-RoCE, in two forms.

stock: the one this machine's ibverbs-providers package installs. It has no
dmabuf registration, so `ibv_reg_dmabuf_mr` answers EOPNOTSUPP, and our library
calls the kernel's uverbs method itself.

rebuilt: from trixie's rdma-core source with librxe-reg-dmabuf.patch, which
adds the missing operation. Unmodified programs register DMABUFs with it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .apt import Archive
from .base import LAB, LabError, cache_dir, digest, made, need, run, say
from .cpio import Cpio
from .modules import apply_patch

PROVIDER_DIR = "lib/x86_64-linux-gnu/libibverbs"
PATCH = LAB / "librxe-reg-dmabuf.patch"


def stock() -> Path:
    """This machine's librxe."""
    found = sorted(Path("/usr").glob(PROVIDER_DIR + "/librxe-rdmav*.so"))
    if not found:
        raise LabError("librxe is missing: install the package ibverbs-providers")
    return found[-1]


def source(archive: Archive) -> Path:
    """The verified tarball of trixie's rdma-core."""
    version = archive.package("rdma-core").version
    return archive.source_file("rdma-core", version, r"\.orig\.tar\.")


def rebuilt(archive: Archive) -> Path:
    """librxe with reg_dmabuf_mr, under the file name this machine's libibverbs looks for."""
    version = archive.package("rdma-core").version
    # Its suffix names the private ABI of libibverbs; the same in both versions or it can't load.
    name = stock().name
    target = name.removeprefix("lib").removesuffix(".so")

    def make(work: Path) -> None:
        say(f"building librxe from rdma-core {version}")
        tree = work / "source"
        tree.mkdir()
        run(["tar", "-xf", source(archive), "-C", tree, "--strip-components=1"])
        apply_patch(PATCH, tree)
        build = work / "build"
        run([need("cmake", "cmake"), "-S", tree, "-B", build, "-DNO_PYVERBS=1",
             "-DNO_MAN_PAGES=1", "-DENABLE_RESOLVE_NEIGH=0",
             "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_INSTALL_PREFIX=/usr",
             "-DCMAKE_INSTALL_LIBDIR=lib/x86_64-linux-gnu", "-DCMAKE_INSTALL_SYSCONFDIR=/etc",
             "-Wno-dev"], what="configuring rdma-core")
        run(["cmake", "--build", build, "--target", target,
             "-j", str(min(os.cpu_count() or 1, 4))], what="building librxe")
        found = sorted(p for p in build.rglob("librxe-rdmav*.so") if p.is_file())
        if not found:
            raise LabError("the build of rdma-core gives no librxe-rdmav*.so")
        shutil.copy2(found[0].resolve(), work / name)
        shutil.rmtree(build)
        shutil.rmtree(tree)
    key = digest([version, name, PATCH.read_bytes()])
    return made(cache_dir() / "librxe" / key, make) / name


def add_provider(cpio: Cpio, provider: Path, prefix: str = "") -> None:
    """Put @provider where libibverbs looks for it, below @prefix."""
    cpio.file(f"{prefix}/{PROVIDER_DIR}/{provider.name}", provider.read_bytes())
    root = prefix.removesuffix("/usr")
    cpio.file(f"{root}/etc/libibverbs.d/rxe.driver", "driver rxe\n")
