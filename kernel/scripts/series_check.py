# SPDX-License-Identifier: MIT
"""The checks of the patch series that take seconds: current, applies, clean."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import series

sys.path.insert(0, str(series.REPO / "tests" / "lab"))
# pylint: disable=wrong-import-position
from lablib import kernel  # noqa: E402
from lablib.apt import Archive  # noqa: E402
from lablib.base import LabError, digest  # noqa: E402

# What of the kernel source these checks read.
MEMBERS = ("MAINTAINERS", "drivers/pci/Kconfig", "drivers/pci/Makefile",
           "drivers/dma-buf/dma-buf-mapping.c", "Documentation/PCI/index.rst",
           "Documentation/userspace-api/ioctl/ioctl-number.rst",
           "tools/testing/selftests/Makefile", "scripts/checkpatch.pl", "scripts/spelling.txt",
           "scripts/const_structs.checkpatch", "scripts/kernel-doc",
           "tools/lib/python", "tools/docs")
CHECKPATCH = ("--strict", "--no-tree", "--quiet", "--terse", "--show-types",
              "--max-line-length=100",
              # MAINTAINERS is checked for good below; the commit that a Fixes tag names
              # can't be looked up in a source package.
              "--ignore=FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID")


class Report:
    """Counts and prints."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def case(self, name: str, problem: str = "") -> bool:
        """One test; it failed where there is a @problem."""
        if problem:
            self.failed += 1
            print(f"not ok {name}")
            for line in problem.rstrip().splitlines()[:60]:
                print(f"    {line}")
        else:
            self.passed += 1
            print(f"ok {name}")
        sys.stdout.flush()
        return not problem

    def skip(self, name: str, why: str) -> None:
        """One test that can't run here."""
        self.skipped += 1
        print(f"# skip {name}: {why}")

    def finish(self) -> int:
        """The last line, and the exit status."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


def run(command: list[str | Path], where: Path | None = None) -> tuple[int, str]:
    """Exit status and all output. git looks for its repository in @where and not above."""
    env = dict(os.environ, LC_ALL="C")
    if where:
        env["GIT_CEILING_DIRECTORIES"] = str(where.parent)
    done = subprocess.run(command, cwd=where, text=True, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=env)
    return done.returncode, done.stdout


def kernel_source(given: Path | None, members: tuple[str, ...]) -> Path:
    """A kernel source with (at least) @members."""
    if given:
        return given
    archive = Archive()
    chosen = kernel.choose(archive)[0]
    return chosen.source(archive, members, "series-" + digest(members)[:12])


def check_current(report: Report) -> list[Path]:
    """kernel/patches is what the sources give."""
    author = series.author_of_patches()
    if not author:
        report.case("the series is there", "kernel/patches is empty: run kernel/scripts/make-series")
        return []
    wanted = series.make_files(author)
    found = {path.name: path.read_text(encoding="utf-8")
             for path in series.PATCHES.glob("*.patch")}
    stale = [name for name in sorted(wanted.keys() | found.keys())
             if wanted.get(name) != found.get(name)]
    report.case("the series is what the sources give",
                "".join(f"{name}\n" for name in stale)
                + "run kernel/scripts/make-series" if stale else "")
    return sorted(series.PATCHES / name for name in found if not name.startswith("0000"))


def _copy_base(patches: list[Path], source: Path, where: Path) -> None:
    """The files that the patches change, and git over them."""
    names = set()
    for patch in patches:
        names.update(re.findall(r"^--- a/(\S+)$", patch.read_text(encoding="utf-8"), re.M))
    for name in names:
        if (source / name).exists():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, where / name)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
        status, text = run(git(*command), where)
        if status:
            raise series.SeriesError(f"git {command[0]}: {text}")


def git(*words: str) -> list[str | Path]:
    """A git command that doesn't depend on the user's settings."""
    return ["git", "-c", "user.name=check", "-c", "user.email=check@localhost",
            "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null", *words]


def check_applies(report: Report, patches: list[Path], source: Path, where: Path) -> bool:
    """git am takes each patch."""
    _copy_base(patches, source, where)
    for number, patch in enumerate(patches, 1):
        status, text = run(git("am", "-q", str(patch)), where)
        if not report.case(f"patch {number} applies", text if status else ""):
            return False
    return True


def check_style(report: Report, patches: list[Path], source: Path) -> None:
    """checkpatch --strict has nothing to say."""
    if not shutil.which("perl"):
        report.skip("checkpatch", "no perl")
        return
    for number, patch in enumerate(patches, 1):
        status, text = run(["perl", source / "scripts/checkpatch.pl", *CHECKPATCH, patch])
        text = "\n".join(line for line in text.splitlines()
                         if line.strip() and not line.startswith("total: 0 errors, 0 warnings, 0 "))
        report.case(f"patch {number} is checkpatch clean",
                    text or (f"exit status {status}" if status else ""))


def check_maintained(report: Report, where: Path) -> None:
    """Every new file has a maintainer, which checkpatch can only guess."""
    text = (where / "MAINTAINERS").read_text(encoding="utf-8")
    section = re.search(r"^PCI PEER-TO-PEER DMA EXPORT.*?(?=\n\n)", text, re.M | re.S)
    patterns = re.findall(r"^F:\t(\S+)$", section[0], re.M) if section else []
    _, listing = run(git("diff", "--name-only", "--diff-filter=A", ":/base", "HEAD"), where)
    orphans = [name for name in listing.split()
               if not any(name.startswith(p) if p.endswith("/") else fnmatch.fnmatch(name, p)
                          for p in patterns)]
    report.case("every new file is in MAINTAINERS", "\n".join(orphans))


def check_kernel_doc(report: Report, source: Path, where: Path) -> None:
    """The comments that become documentation can be read as such."""
    tool = source / "scripts/kernel-doc"
    if not tool.exists():
        report.skip("kernel-doc", "this kernel source has no scripts/kernel-doc")
        return
    files = sorted(where.glob("drivers/pci/p2pdma_export/*.[ch]"))
    files += [where / "include/linux/p2pdma_export.h", where / "include/uapi/linux/p2pdma_export.h"]
    status, text = run([tool, "-none", "-Wall", *files])
    report.case("kernel-doc understands every comment",
                text or f"exit status {status}" if status or text.strip() else "")


def check(report: Report, given: Path | None) -> None:
    """All of them."""
    patches = check_current(report)
    if not patches:
        return
    source = kernel_source(given, MEMBERS)
    check_style(report, patches, source)
    with tempfile.TemporaryDirectory(prefix="p2pdma-series-") as scratch:
        where = Path(scratch)
        if check_applies(report, patches, source, where):
            check_maintained(report, where)
            check_kernel_doc(report, source, where)
