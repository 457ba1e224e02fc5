# SPDX-License-Identifier: MIT
"""Builds the patch series in the distribution's kernel tree.

A tiny configuration with PCI, P2PDMA and DMABUFs, compiled after each patch that
changes code: drivers/dma-buf and drivers/pci, with W=1, as a module and built
in. A compiler's warning about a file of ours is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import series
from series_check import Report, run
from lablib import kernel
from lablib.apt import Archive
from lablib.base import cache_dir

OPTIONS = ("64BIT", "MODULES", "SMP", "PRINTK", "MULTIUSER", "EVENTFD", "SYSFS", "PCI", "ACPI",
           "PCI_MSI", "MEMORY_HOTPLUG", "MEMORY_HOTREMOVE", "SPARSEMEM_VMEMMAP", "ZONE_DEVICE",
           "PCI_P2PDMA", "SYNC_FILE", "IOMMU_SUPPORT", "INTEL_IOMMU", "PM_SLEEP",
           "SUSPEND", "CPU_SUP_INTEL")
# Three quarters of the source that no part of this build reads.
UNREAD = (*(f"drivers/{name}/*.[ch]" for name in
            ("clk", "comedi", "crypto", "gpu", "iio", "infiniband", "media", "mtd", "net", "phy",
             "pinctrl", "scsi", "soc", "staging", "target", "usb")),
          *(f"arch/{name}/*.{suffix}" for suffix in ("[chS]", "dts*") for name in
            ("alpha", "arc", "arm", "arm64", "csky", "hexagon", "loongarch", "m68k", "microblaze",
             "mips", "nios2", "openrisc", "parisc", "powerpc", "riscv", "s390", "sh", "sparc",
             "xtensa")),
          "Documentation/devicetree", "sound/*.[ch]", "tools/testing/selftests/bpf",
          "tools/perf")
WARNING = re.compile(r"^\S*(p2pdma_export|dma-buf-mapping)\S*:\d+:.*(warning|error):", re.M)


def _copy_source(given: Path | None, where: Path) -> None:
    """The kernel source, to be patched. Of a given one, hard links: git replaces files."""
    shutil.rmtree(where, ignore_errors=True)
    where.parent.mkdir(parents=True, exist_ok=True)
    if not given:
        archive = Archive()
        kernel.choose(archive)[0].unpack_source(archive, where, UNREAD)
        return
    status, text = run(["cp", "-al", given, where])
    if status:
        raise series.SeriesError(f"copying the kernel source: {text}")


def _make(tree: Path, out: Path, *words: str) -> tuple[int, str]:
    jobs = min(os.cpu_count() or 1, 4)
    return run(["make", "-C", tree, f"O={out}", f"-j{jobs}", "-s", "CC=gcc", "HOSTCC=gcc", *words])


def _configure(tree: Path, out: Path, choice: str) -> str:
    """@choice: m, y, or n before the tree knows the core. What went wrong, or nothing."""
    option = "P2PDMA_EXPORT"
    out.mkdir(parents=True, exist_ok=True)
    words = [word for name in OPTIONS for word in ("-e", name)]
    if choice != "n":
        if not (tree / "drivers/pci/p2pdma_export/driver.c").exists():
            # Nothing selects the core yet. COMPILE_TEST makes warnings of others errors.
            option = "P2PDMA_EXPORT_CORE"
            words += ["-e", "COMPILE_TEST", "-d", "WERROR"]
        words += ["-m" if choice == "m" else "-e", option]
    for step in (lambda: _make(tree, out, "tinyconfig"),
                 lambda: run([tree / "scripts/config", "--file", str(out / ".config"), *words]),
                 lambda: _make(tree, out, "olddefconfig")):
        status, text = step()
        if status:
            return text or "it failed without a word"
    config = (out / ".config").read_text(encoding="utf-8")
    wanted = ["CONFIG_PCI_P2PDMA=y", "CONFIG_DMA_SHARED_BUFFER=y", "CONFIG_INTEL_IOMMU=y"]
    if choice != "n":
        wanted += [f"CONFIG_P2PDMA_EXPORT_CORE={choice}", f"CONFIG_{option}={choice}"]
    return "\n".join(f"no {line}" for line in wanted if f"{line}\n" not in config)


def _compile(report: Report, tree: Path, out: Path, name: str) -> None:
    start = time.monotonic()
    status, text = _make(tree, out, "W=1", "prepare", "drivers/dma-buf/", "drivers/pci/")
    bad = status != 0 or WARNING.search(text)
    took = time.monotonic() - start
    report.case(f"{name} ({took:.0f} s)", (text or "make failed") if bad else "")


def _selftest(report: Report, tree: Path, out: Path) -> None:
    where = "tools/testing/selftests/drivers/pci/p2pdma_export"
    status, text = _make(tree, out, "headers")
    if not status:
        status, text = run(["gcc", "-O2", "-Wall", "-Werror", f"-isystem{out}/usr/include",
                            str(tree / where / "p2pdma_export_test.c"), "-o",
                            str(out / "p2pdma_export_test")])
    report.case("the selftest compiles", text or "make failed" if status else "")


def build(report: Report, given: Path | None) -> None:
    """Apply and compile, patch by patch."""
    for tool in ("make", "gcc", "flex", "bison", "bc"):
        if not shutil.which(tool):
            report.skip("the series builds", f"no {tool}")
            return
    work = cache_dir().parent / "series"
    tree = work / "tree"
    _copy_source(given, tree)
    for number, patch in enumerate(sorted(series.PATCHES.glob("000[1-9]-*.patch")), 1):
        status, text = run(["git", "apply", "--whitespace=nowarn", str(patch)], tree)
        if status:
            report.case(f"patch {number} applies to the whole tree", text)
            return
        changed = patch.read_text(encoding="utf-8")
        if "+++ b/drivers/" not in changed:
            continue
        for choice in ("m", "y") if "+++ b/drivers/pci" in changed else ("n",):
            out = work / f"out-{choice}"
            name = f"patch {number} builds" + ("" if choice == "n" else f", as {choice}")
            problem = _configure(tree, out, choice)
            if problem:
                report.case(name, problem)
            else:
                _compile(report, tree, out, name)
    _selftest(report, tree, work / "out-m")
    shutil.rmtree(tree, ignore_errors=True)

