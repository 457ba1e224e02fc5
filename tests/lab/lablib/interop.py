# SPDX-License-Identifier: MIT
"""An image layer with what HPC programs move their data by: libfabric, UCX, perftest.

They are trixie's, below /interop of the guest, and so is what this tree has for
them: examples that CMake only builds where the libraries are there and new
enough, and tests/lab/guest/interop/*.c. These are compiled here against trixie's headers
and libraries, which are unpacked for it and not installed.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import chroot, librxe
from .apt import Archive, Package
from .base import LAB, REPO, LabError, cache_dir, digest, made, need, run, say, tree_digest
from .cpio import Cpio
from .kernel import unpack_deb
from .programs import GUEST_FLAGS, LIBRARY_DIR

ROOTS = ("libfabric1", "libucx0", "perftest", "libudev1")
# In the dependencies, but of no use in the guest: accounts, GPUs that it hasn't.
LEFT_OUT = ("adduser", "passwd", "pci.ids", "libamdhip64-5", "libhsa-runtime64-1", "libfuse3-4",
            "gcc-14-base")
HEADERS = ("libfabric1", "libfabric-dev", "libucx0", "libucx-dev")
WHERE = "interop"
# librxe comes from elsewhere, the other providers have no device here.
UNUSED = re.compile(r"/(doc|man|locale|lintian|bug|perl5|gcc|gconv|audit|libibverbs\.d)(/|$)"
                    r"|/libibverbs/|_rocm\.|_fuse\.|\.a$|/usr/bin/(?!ib_write_bw$)|/sbin/")
GUEST = LAB / "guest/interop"
EXAMPLES = REPO / "examples"
OWN_EXAMPLES = {
    "libfabric_mr": ("libfabric_mr.c", "common/fabric_pair.c", "common/story.c"),
    "ucx_put": ("ucx_put.c", "common/ucx_pair.c", "common/story.c"),
}


def packages(archive: Archive) -> list[Package]:
    """What the layer is made of."""
    return archive.closure(ROOTS, LEFT_OUT)


def headers(archive: Archive) -> list[Package]:
    """What its programs are compiled against."""
    return [archive.package(name) for name in HEADERS]


def _programs(archive: Archive, library: Path) -> Path:
    """The folder with the layer's own programs; @library: this tree's libp2pdma.so."""
    used = headers(archive)
    sources = {**{program: [EXAMPLES / name for name in names]
                  for program, names in OWN_EXAMPLES.items()},
               **{p.stem: [p, LAB / "guest/common/labtest.c"]
                  for p in sorted(GUEST.glob("*.c"))}}

    def make(work: Path) -> None:
        say(f"building {', '.join(sources)} with trixie's libfabric and UCX")
        tree = work / "tree"
        for package in used:
            unpack_deb(archive.deb(package), tree)
        # What trixie's libraries want of a newer libc is there in the guest.
        libraries = tree / "usr" / LIBRARY_DIR
        for name, files in sources.items():
            run([need("gcc", "gcc"), *GUEST_FLAGS, f"-I{EXAMPLES}", f"-I{LAB / 'guest'}",
                 f"-I{REPO / 'include'}", "-isystem", tree / "usr/include", *files, library, f"-L{libraries}",
                 "-Wl,--as-needed,--allow-shlib-undefined", f"-Wl,-rpath-link,{libraries}",
                 "-lfabric", "-lucp", "-luct", "-lucs", "-o", work / name],
                what=f"building {name}")
        run(["rm", "-rf", tree])
    stamp = f"{library}:{library.stat().st_mtime_ns}"
    return made(cache_dir() / "guest" / tree_digest(
        [GUEST, LAB / "guest/common", EXAMPLES / "common", REPO / "include",
         *(EXAMPLES / names[0] for names in OWN_EXAMPLES.values())],
        [*(f"{p.name} {p.version}" for p in used), *GUEST_FLAGS, stamp]), make)


def layer(archive: Archive, provider: Path, build: Path | None) -> Path:
    """The layer's archive; @provider: the librxe it gets; @build: this tree's."""
    found = sorted(build.rglob("libp2pdma.so.0")) if build else []
    if not found:
        raise LabError(f"there is no libp2pdma.so.0 for the layer {WHERE}")
    library = found[0].resolve()
    own = sorted(_programs(archive, library).iterdir())

    def more(cpio: Cpio) -> None:
        for program in own:
            cpio.file(f"{WHERE}/usr/bin/{program.name}", program.read_bytes(), 0o755)
        cpio.file(f"{WHERE}/usr/{LIBRARY_DIR}/libp2pdma.so.0", library.read_bytes())
        librxe.add_provider(cpio, provider, WHERE + "/usr")
        # Debian's own, without the operation: what libfabric says then.
        stock = librxe.stock()
        cpio.file(f"{WHERE}/stock/{stock.name}", stock.read_bytes())
    key = digest([provider.read_bytes(), library.read_bytes(),
                  *(p.read_bytes() for p in own)])
    return chroot.layer(archive, WHERE, packages(archive), UNUSED, (key, more))
