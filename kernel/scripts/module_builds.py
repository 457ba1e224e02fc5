# SPDX-License-Identifier: MIT
"""Compiles the modules for every kernel that they are meant for.

For each series that the archive has headers of, as DKMS would do it. For the
older ones, which the archive doesn't have any more, against the newest headers
with what has changed since put back: that shows whether the fallbacks in
compat.h are chosen and compile, which is all that can go wrong there.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import series
from series_check import Report, run
from lablib import kernel
from lablib.apt import Archive

# What differs from the newest headers: (file, pattern, replacement).
BEFORE_7_1 = (
    ("dma-buf.h", r"\bdma_buf_invalidate_mappings\b", "dma_buf_move_notify"),
    ("dma-buf.h", r"\binvalidate_mappings\b", "move_notify"),
    ("dma-buf.h", r"^bool dma_buf_attach_revocable\(.*\n", ""),
)
BEFORE_7_0 = (
    *BEFORE_7_1,
    ("dma-buf.h", r"^(struct dma_buf_export_info \{)",
     r"struct dma_buf_phys_vec {\n\tphys_addr_t paddr;\n\tsize_t len;\n};\n\n\1"),
    ("dma-buf-mapping.h", r"\bstruct phys_vec\b", "struct dma_buf_phys_vec"),
    ("slab.h", r"^(#endif\s*/\* _LINUX_SLAB_H \*/)",
     r"#undef kzalloc_obj\n#undef kvzalloc_obj\n\1"),
)
LIKE = {"7.0": BEFORE_7_1, "6.19": BEFORE_7_0}
# The modules that take part, and the symbols that the newest kernel can't give an old module.
MODULES = ("p2pdma_export", "edu")
GONE_SYMBOLS = {"dma_buf_move_notify"}
UNDEFINED = re.compile(r'"(\w+)" \[\S+\] undefined!')


def _rewrite(path: Path, text: str) -> None:
    """Replace a file that may be a hard link to one that must not change."""
    path.unlink()
    path.write_text(text, encoding="utf-8")


def _age(kbuild: Path, where: Path, rules: tuple[tuple[str, str, str], ...]) -> Path:
    """A copy of the header tree with @rules applied."""
    root = kbuild.parents[2]
    shutil.copytree(root, where, symlinks=True, copy_function=os.link)
    for makefile in where.glob("usr/src/*/Makefile"):
        text = makefile.read_text(encoding="utf-8")
        _rewrite(makefile, text.replace(str(root), str(where)))
    headers = next(where.glob("usr/src/*-common/include/linux"))
    for name, pattern, replacement in rules:
        text = (headers / name).read_text(encoding="utf-8")
        text, count = re.subn(pattern, replacement, text, flags=re.M)
        if not count:
            raise series.SeriesError(f"{name} has no {pattern}: adapt module_builds.py")
        _rewrite(headers / name, text)
    return where / kbuild.relative_to(root)


def copy_sources(where: Path) -> None:
    """What the modules are made of, in the tree's own layout."""
    for part in ("kernel/include", "include/uapi", *(f"kernel/{m}" for m in MODULES)):
        shutil.copytree(series.REPO / part, where / part,
                        ignore=shutil.ignore_patterns("*.o", "*.ko", ".*.cmd", "*.mod*"))


def _compile(kbuild: Path, source: Path) -> str:
    """What is wrong, or nothing."""
    status, text = run(["make", "-C", kbuild, f"M={source}", "CC=gcc", "HOSTCC=gcc",
                        f"-j{min(os.cpu_count() or 1, 4)}", "KBUILD_MODPOST_WARN=1", "modules"])
    if status or re.search(r"\.[ch]:\d+:.*warning:", text):
        return text[-6000:]
    unknown = set(UNDEFINED.findall(text)) - GONE_SYMBOLS
    return f"undefined: {', '.join(sorted(unknown))}" if unknown else ""


def side_by_side(report: Report, builds: list[Callable[[], Iterator[tuple[str, str]]]]) -> None:
    """Does @builds, one on each processor; their cases (name, problem) come in their order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for cases in pool.map(lambda build: list(build()), builds):
            for name, problem in cases:
                report.case(name, problem)


def _build_old(kbuild: Path, name: str) -> Iterator[tuple[str, str]]:
    """Against headers made to look like those of @name."""
    with tempfile.TemporaryDirectory(prefix="p2pdma-old-", dir=kbuild.parents[3]) as scratch:
        aged = _age(kbuild, Path(scratch) / "kbuild", LIKE[name])
        copy_sources(Path(scratch))
        for module in MODULES:
            yield (f"{module} compiles against headers like those of {name}",
                   _compile(aged, Path(scratch) / "kernel" / module))


def _build_dkms(kbuild: Path, name: str) -> Iterator[tuple[str, str]]:
    """The DKMS package for a kernel."""
    status, text = run([series.REPO / "kernel/dkms/install", "--check", kbuild])
    yield name, text if status else ""


def build_all(report: Report, archive: Archive, kbuild: Path) -> None:
    """For older kernels, and as DKMS does for the newest one of each series in the archive."""
    builds = [partial(_build_old, kbuild, name) for name in LIKE]
    seen: set[tuple[int, ...]] = set()
    for candidate in kernel.candidates(archive):
        if candidate.version[:2] in seen:
            continue
        seen.add(candidate.version[:2])
        name = f"the DKMS package builds for {candidate.name}"
        if not shutil.which("dkms"):
            report.skip(name, "no dkms")
            continue
        builds.append(partial(_build_dkms, candidate.kbuild(archive), name))
    side_by_side(report, builds)
