# SPDX-License-Identifier: MIT
"""A kernel that watches itself: KASAN, lockdep, kmemleak, DMA-API debugging and
fault injection, built from the same source as the distribution's.

It also has what that one lacks: IOMMUFD and vgem, and the fixes to dma-buf that our
patch series begins with, so that the lab shows what they mend. Built once and kept in
the cache, keyed by the kernel's version, by debug-kernel.config and by those fixes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .apt import Archive
from .base import LAB, REPO, LabError, cache_dir, digest, made, need, say
from .kernel import Kernel
from .modules import Tree, apply_patch

FRAGMENT = LAB / "debug-kernel.config"
LOCALVERSION = "-p2pdma-debug"
# Big parts of the source that no configuration of ours reaches.
UNUSED_SOURCE = ("Documentation/devicetree", "Documentation/translations",
                 "drivers/gpu/drm/amd/include", "tools/perf", "tools/testing/selftests")
PACKAGES = (("flex", "flex"), ("bison", "bison"), ("bc", "bc"), ("make", "make"), ("gcc", "gcc"))


def _make(work: Path, *arguments: str) -> list[str]:
    jobs = os.environ.get("P2PDMA_LAB_JOBS") or str(os.cpu_count() or 1)
    compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
    return ["make", "-C", str(work / "source"), f"O={work / 'build'}", f"CC={compiler}",
            f"LOCALVERSION={LOCALVERSION}", "KBUILD_BUILD_TIMESTAMP=", f"-j{jobs}", *arguments]


def _configure(work: Path) -> None:
    """allnoconfig with the fragment, and a check that every line of it took.

    The lines after "# Optional" are names of other versions and aren't checked.
    """
    (work / "build").mkdir()
    done = subprocess.run(_make(work, "allnoconfig"), capture_output=True, text=True,
                          check=False, env=dict(os.environ, KCONFIG_ALLCONFIG=str(FRAGMENT)))
    if done.returncode:
        raise LabError(f"the debug kernel can't be configured:\n{done.stdout}{done.stderr}")
    config = (work / "build/.config").read_text(encoding="utf-8").splitlines()
    missing = []
    demanded = FRAGMENT.read_text(encoding="utf-8").split("# Optional")[0]
    for line in demanded.splitlines():
        is_setting = re.match(r"CONFIG_\w+=", line)
        if is_setting and line not in config and line.replace("=m", "=y") not in config:
            missing.append(line)
    if missing:
        raise LabError("these settings of debug-kernel.config did not take (a dependency "
                       f"is missing): {', '.join(missing)}")


def _compile(work: Path) -> None:
    """Build, showing how many files are done and how long it has taken."""
    begin = time.monotonic()
    log = work / "build.log"
    with open(log, "w", encoding="utf-8") as out, \
            subprocess.Popen(_make(work, "bzImage", "modules"), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        assert process.stdout is not None
        count = 0
        for line in process.stdout:
            out.write(line)
            count += line.startswith("  CC ")
            if line.startswith("  CC ") and count % (50 if sys.stderr.isatty() else 500) == 0:
                minutes, seconds = divmod(int(time.monotonic() - begin), 60)
                say(f"  debug kernel: {count} files compiled, {minutes}:{seconds:02}")
    if process.returncode:
        errors = [line for line in log.read_text(encoding="utf-8").splitlines()
                  if "error" in line.lower() or line.startswith("make")]
        raise LabError("the debug kernel does not build:\n" + "\n".join(errors[:30]))


def _install(work: Path) -> None:
    """Keep what booting and module building need; drop the objects."""
    build = work / "build"
    release = (build / "include/config/kernel.release").read_text(encoding="utf-8").strip()
    target = work / "modules" / release
    target.mkdir(parents=True)
    (build / "modules.builtin").rename(target / "modules.builtin")
    shutil.copy2(build / "arch/x86/boot/bzImage", target / "vmlinuz")
    shutil.copy2(build / ".config", target / "config")
    for module in list(build.rglob("*.ko")):
        module.rename(target / module.name)
    _prune_source(work / "source")
    for path in build.rglob("*"):
        is_object = path.suffix in (".o", ".a") or path.name.startswith(("vmlinux", ".tmp_vmlinux"))
        is_tool = "scripts" in path.parts or "tools" in path.parts
        if path.is_file() and is_object and not is_tool:
            path.unlink()
    (work / "release").write_text(release, encoding="utf-8")


def _prune_source(source: Path) -> None:
    """Drop what only compiling the kernel itself needs; headers, scripts and makefiles stay."""
    for path in source.rglob("*"):
        top = path.relative_to(source).parts[0]
        if top in ("scripts", "tools", "include") or path.is_symlink() or not path.is_file():
            continue
        if path.suffix in (".c", ".S", ".rst", ".dts", ".dtsi", ".txt", ".yaml", ".json", ".svg"):
            path.unlink()


def _fixes() -> list[Path]:
    """The patches of the series that mend what is there."""
    return sorted((REPO / "kernel/patches").glob("*-dma-buf-*.patch"))


def root(kernel: Kernel) -> Path:
    """Where the debug kernel of this version, configuration and fixes lies."""
    key = digest([kernel.packages["source"].version, FRAGMENT.read_bytes(),
                  *(fix.read_bytes() for fix in _fixes())])
    return cache_dir() / "debug-kernels" / f"{kernel.name}-{key}"


def build(kernel: Kernel, archive: Archive) -> Path:
    """Build the debug kernel unless it is there; its directory."""
    for tool, package in PACKAGES:
        need(tool, package)

    def make(work: Path) -> None:
        say(f"building the debug kernel from Linux {kernel.name} (once; 10 min on 2 processors)")
        kernel.unpack_source(archive, work / "source", UNUSED_SOURCE)
        for fix in _fixes():
            apply_patch(fix, work / "source")
        _configure(work)
        _compile(work)
        _install(work)
        _fix_paths(work, root(kernel))
    return made(root(kernel), make)


def _fix_paths(work: Path, final: Path) -> None:
    """The build tree's Makefile names its source by an absolute path."""
    for path in (work / "build/Makefile", work / "build/source"):
        if path.is_symlink():
            path.unlink()
            path.symlink_to(final / "source")
        elif path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(str(work), str(final)), encoding="utf-8")


def tree(kernel: Kernel, archive: Archive) -> Tree:
    """What modules for the debug kernel are built against."""
    where = build(kernel, archive)
    release = (where / "release").read_text(encoding="utf-8")
    return Tree(release, where / "build", where.name)


def modules_dir(kernel: Kernel, archive: Archive) -> Path:
    """vmlinuz, config and the kernel's own modules."""
    where = build(kernel, archive)
    return where / "modules" / (where / "release").read_text(encoding="utf-8")
