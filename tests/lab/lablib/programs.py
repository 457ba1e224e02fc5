# SPDX-License-Identifier: MIT
"""The programs that run in the guest: this tree's own, built here.

Four kinds: tests/lab/guest/*.c, one program a file, that drive the kernel's
ABI without the library; tests/lab/guest/library/*.c, which use it; what CMake
builds in examples/, tests/, cli/ and daemon/; and the selftest of the kernel series, with
the kernel's own harness. The shared libraries they need are taken from this
machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from .base import LAB, REPO, LabError, cache_dir, digest, lock, made, need, run, say, tree_digest
from .cpio import Cpio

LIBRARY_DIR = "lib/x86_64-linux-gnu"
# Stand-ins for GPU runtimes have a folder of their own: a guest has none otherwise.
STANDINS = "tests/runtime"
STANDIN_DIR = "lab/standins"
CMAKE_PLACES = ("examples", "cli", "daemon", "tests/integration", "tests/bench")
SELFTEST = REPO / "kernel/patches-src/selftest/p2pdma_export_test.c"
# The kernel's selftests, and what SELFTEST includes of them.
SELFTESTS_DIR = "tools/testing/selftests"
HARNESS = tuple(f"{SELFTESTS_DIR}/{name}" for name in ("kselftest.h", "kselftest_harness.h"))
# It is installed in guests with systemd as a package would.
PREFIX = "CMAKE_INSTALL_PREFIX:PATH=/usr\n"
GUEST_FLAGS = ["-O2", "-g", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
               "-pthread"]


def _compile(sources: list[Path], work: Path, libraries: list[str | Path]) -> None:
    """Compile programs of one file each, with guest/common linked to all."""
    guest = LAB / "guest"
    compiler = [need("gcc", "gcc"), *GUEST_FLAGS, f"-I{guest}", f"-I{REPO / 'include'}",
                f"-I{REPO / 'include/uapi'}"]
    shared = []
    for source in sorted((guest / "common").glob("*.c")):
        shared.append(work / f"{source.stem}.o")
        run([*compiler, "-c", source, "-o", shared[-1]], what=f"building {source.name}")
    for source in sources:
        run([*compiler, source, *shared, "-Wl,--as-needed", *libraries, "-o",
             work / source.stem], what=f"building {source.name}")
    for unwanted in shared:
        unwanted.unlink()


def guest_programs() -> Path:
    """Compile tests/lab/guest/*.c; the directory with the programs."""
    guest = LAB / "guest"
    sources = sorted(guest.glob("*.c"))

    def make(work: Path) -> None:
        say(f"building {len(sources)} guest programs")
        _compile(sources, work, ["-libverbs"])
    return made(cache_dir() / "guest" / tree_digest(
        [guest / "common", REPO / "include/uapi", *sorted(guest.glob("*.[ch]"))],
        GUEST_FLAGS), make)


def library_programs(build: Path) -> Path | None:
    """Compile tests/lab/guest/library/*.c against the libp2pdma of @build."""
    sources = sorted((LAB / "guest/library").glob("*.c"))
    libraries = sorted(build.rglob("libp2pdma.so"))
    if not sources or not libraries:
        return None
    library = libraries[0]

    def make(work: Path) -> None:
        _compile(sources, work, [library, "-libverbs", f"-Wl,-rpath,{library.parent}"])
    return made(cache_dir() / "guest" / tree_digest(
        [LAB / "guest/common", LAB / "guest/library", REPO / "include"],
        [*GUEST_FLAGS, str(library)]), make)


def kernel_selftest(source: Path) -> Path:
    """Compile the series' selftest; @source is a kernel's, with HARNESS."""
    def make(work: Path) -> None:
        stage = work / "stage" / SELFTESTS_DIR
        place = stage / "drivers/pci/p2pdma_export"
        place.mkdir(parents=True)
        for name in HARNESS:
            shutil.copy(source / name, stage)
        shutil.copy(SELFTEST, place)
        run([need("gcc", "gcc"), "-O2", "-Wall", "-Werror", "-D_GNU_SOURCE",
             f"-I{REPO / 'include/uapi'}", place / SELFTEST.name, "-o", work / SELFTEST.stem],
            what=f"building {SELFTEST.name}")
        shutil.rmtree(work / "stage")
    return made(cache_dir() / "guest" / tree_digest(
        [SELFTEST, REPO / "include/uapi", *(source / name for name in HARNESS)]), make)


def cmake_build() -> Path | None:
    """Bring the lab's own CMake build of this tree up to date; None before there is one."""
    if not (REPO / "CMakeLists.txt").exists():
        return None
    build = cache_dir() / "build" / digest([str(REPO)])
    with lock("cmake-build"):
        cache = build / "CMakeCache.txt"
        if not cache.exists() or PREFIX not in cache.read_text(encoding="utf-8"):
            say("configuring this tree for the guest")
            generator = ["-G", "Ninja"] if _has("ninja") else []
            run([need("cmake", "cmake"), "-S", REPO, "-B", build, *generator,
                 "-DCMAKE_BUILD_TYPE=RelWithDebInfo", f"-D{PREFIX.strip()}"],
                what="cmake")
        say("building this tree for the guest")
        run(["cmake", "--build", build, "-j", str(min(os.cpu_count() or 1, 4))],
            what="the build of this tree")
    return build


def _has(tool: str) -> bool:
    return subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True,
                          check=False).returncode == 0


def is_elf(path: Path) -> bool:
    """Is it a program or a shared library?"""
    if not path.is_file() or path.is_symlink():
        return False
    with open(path, "rb") as handle:
        return handle.read(4) == b"\x7fELF"


def _is_program(path: Path) -> bool:
    return is_elf(path) and os.access(path, os.X_OK) and ".so" not in path.name


def find_programs(build: Path | None, source: Path) -> list[Path]:
    """Every program for the guest; names must be unique. @source: a kernel's, with HARNESS."""
    found: dict[str, Path] = {}
    places = [guest_programs(), kernel_selftest(source)]
    if build:
        own = library_programs(build)
        places += [own] if own else []
        places += [build / place for place in CMAKE_PLACES]
    for place in places:
        for path in sorted(place.rglob("*")) if place.exists() else []:
            if "CMakeFiles" in path.parts or not _is_program(path):
                continue
            if path.name in found:
                raise LabError(f"two guest programs are called {path.name}")
            found[path.name] = path
    return list(found.values())


def library_closure(programs: list[Path], search: list[Path] | None = None) -> dict[str, Path]:
    """Each shared library that @programs load, by soname; @search: more folders with some."""
    found: dict[str, Path] = {}
    env = dict(os.environ, LD_LIBRARY_PATH=":".join(map(str, search))) if search else None
    for program in programs:
        done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False,
                              env=env)
        for line in done.stdout.splitlines():
            match = re.match(r"\s*(\S+) => (\S+) \(", line)
            if match:
                found[match[1]] = Path(match[2])
            elif "not found" in line:
                raise LabError(f"{program.name} needs a library that is missing: {line.strip()}")
            else:
                loader = re.match(r"\s*(/\S*/ld-linux\S+) \(", line)
                if loader:
                    found[Path(loader[1]).name] = Path(loader[1])
    return found


def add_programs(archive: Cpio, programs: list[Path], extra: list[Path],
                 there: set[str] | None = None) -> None:
    """Put @programs and all libraries they and @extra load into the image.

    @there: what its userland has already, newer than this machine's.
    """
    for program in programs:
        archive.file(f"usr/bin/{program.name}", program.read_bytes(), 0o755)
    for soname, path in sorted(library_closure([*programs, *extra]).items()):
        if soname not in (there or ()):
            folder = STANDIN_DIR if path.parent.match(STANDINS) else LIBRARY_DIR
            archive.file(f"{folder}/{soname}", path.resolve().read_bytes(), 0o755)
    if archive.is_merged:
        return
    archive.symlink("lib64/ld-linux-x86-64.so.2", f"../{LIBRARY_DIR}/ld-linux-x86-64.so.2")
    for name in ("usr/lib", "usr/lib64"):
        archive.symlink(name, f"../{name.removeprefix('usr/')}")
