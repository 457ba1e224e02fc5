# SPDX-License-Identifier: MIT
"""The kernel modules of this tree, built for the lab's kernel.

A module is a directory with a Kbuild or Makefile that builds with
`make -C KBUILD M=DIR modules`. It is built on a copy in the cache, keyed by
the kernel and by every source it may include, so that the tree stays clean.
rxe is the kernel's own driver with kernel/rxe/*.patch applied.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .apt import Archive
from .base import REPO, LabError, cache_dir, digest, made, need, say, tree_digest
from .kernel import Kernel

RXE_DIR = "drivers/infiniband/sw/rxe"
# Directories of this tree that hold modules, and where each one's sources may come from.
OWN_MODULES = {
    "kernel/p2pdma_export": ("kernel/p2pdma_export", "kernel/include", "include/uapi"),
    "kernel/edu": ("kernel/edu", "kernel/include", "include/uapi"),
}
COMPILER_WARNING = re.compile(r"\.[ch]:\d+:.*warning:")
LEFTOVERS = shutil.ignore_patterns("*.o", "*.ko", "*.mod", "*.mod.c", ".*.cmd", ".tmp*",
                                   "Module.symvers", "modules.order")


class BuildError(LabError):
    """A module did not compile; the text is the compiler's."""


@dataclass(frozen=True)
class Tree:
    """What modules are built against: a release name, a header tree, a key."""

    release: str
    kbuild: Path
    key: str


def distribution_tree(kernel: Kernel, archive: Archive) -> Tree:
    """The header tree of a kernel of the archive."""
    return Tree(kernel.release, kernel.kbuild(archive),
                f"{kernel.release}_{kernel.packages['binary'].version}")


def _make(tree: Tree, directory: Path, what: str, settings: list[str]) -> None:
    command = [need("make", "make"), "-C", str(tree.kbuild), f"M={directory}", "CC=gcc",
               "HOSTCC=gcc", f"-j{min(os.cpu_count() or 1, 4)}", *settings, "modules"]
    need("gcc", "gcc")
    done = subprocess.run(command, text=True, capture_output=True, check=False,
                          env=dict(os.environ, LC_ALL="C", MAKEFLAGS=""))
    noise = ("make", "  CC ", "  LD ", "  MODPOST")
    if done.returncode:
        shown = "\n".join(line for line in (done.stdout + done.stderr).splitlines()
                          if not line.startswith(noise))
        raise BuildError(f"{what} does not build for Linux {tree.release}:\n{shown}")
    for line in done.stderr.splitlines():
        if COMPILER_WARNING.search(line):
            say(line)


def _collect(directory: Path, work: Path, what: str) -> None:
    modules = sorted(directory.glob("*.ko"))
    if not modules:
        raise BuildError(f"{what} builds, but gives no module")
    for module in modules:
        shutil.copy2(module, work / module.name)


def build_own(tree: Tree, name: str) -> Path:
    """Build one module directory of this tree; a directory with the .ko files."""
    sources = [REPO / part for part in OWN_MODULES[name] if (REPO / part).exists()]
    key = tree_digest(sources, [tree.key, name])

    def make(work: Path) -> None:
        say(f"building {name} for Linux {tree.release}")
        stage = work / "stage"
        for part in sources:
            shutil.copytree(part, stage / part.relative_to(REPO), ignore=LEFTOVERS)
        _make(tree, stage / name, name, [])
        _collect(stage / name, work, name)
        shutil.rmtree(stage)
    return made(cache_dir() / "modules" / f"{Path(name).name}-{key}", make)


def rxe_patches() -> list[Path]:
    """The patches that give soft-RoCE its dma-buf import, in order."""
    return sorted((REPO / "kernel/rxe").glob("*.patch"))


def build_rxe(tree: Tree, source: Path) -> Path:
    """Build the kernel's rxe with our patches; @source holds its directory."""
    patches = rxe_patches()
    key = digest([tree.key, "rxe", *(p.read_bytes() for p in patches)])

    def make(work: Path) -> None:
        say(f"building rdma_rxe for Linux {tree.release}"
            + ("" if patches else " (without dma-buf import: no kernel/rxe/*.patch)"))
        stage = work / "stage"
        shutil.copytree(source / RXE_DIR, stage / RXE_DIR)
        for patch in patches:
            apply_patch(patch, stage)
        _make(tree, stage / RXE_DIR, "rdma_rxe", ["CONFIG_RDMA_RXE=m"])
        _collect(stage / RXE_DIR, work, "rdma_rxe")
        shutil.rmtree(stage)
    return made(cache_dir() / "modules" / f"rxe-{key}", make)


def apply_patch(patch: Path, tree: Path) -> None:
    """Apply a patch without fuzz; a BuildError says where it does not fit."""
    with open(patch, "rb") as handle:
        done = subprocess.run([need("patch", "patch"), "-p1", "--fuzz=0", "--no-backup-if-mismatch",
                               "-d", str(tree)], stdin=handle, capture_output=True, text=True,
                              check=False)
    if done.returncode:
        raise BuildError(f"{patch.name} does not apply:\n{done.stdout}{done.stderr}")


def build_all(tree: Tree, rxe_source: Path) -> list[Path]:
    """Build every module; the .ko files."""
    directories = [build_own(tree, name) for name in OWN_MODULES
                   if any((REPO / name / f).exists() for f in ("Kbuild", "Makefile"))]
    directories.append(build_rxe(tree, rxe_source))
    return [ko for directory in directories for ko in sorted(directory.glob("*.ko"))]
