# SPDX-License-Identifier: MIT
"""Which kernel the lab boots, and the tree that modules for it are built in.

The newest cloud kernel of trixie-backports that also has headers and the
kernel source of the same version is taken; its generic flavour, of the same source with more
drivers, is for scenarios that say so. The header packages are meant to
be installed on trixie by root; here they are unpacked into the cache and
made to work where they lie: absolute paths rewritten, the compiler set to
this machine's, and where this machine's C library is too old for the build
tools, trixie's own is put beside them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .apt import Archive, Package
from .base import LAB, LabError, cache_dir, made, need, run, run_piped, say

NEWEST_WANTED = (7, 3, 0)
OLDEST_USABLE = (6, 19, 0)
FLAVOUR = "cloud-amd64"
GENERIC = "amd64"
# What trixie's kernel build tools are linked with.
KBUILD_LIBRARIES = ("libc6", "libelf1t64", "libssl3t64", "zlib1g", "libzstd1")
# Settings of Debian's gcc 14 and pahole that an older compiler can't follow; none changes the ABI.
DROPPED_CONFIG = re.compile(
    r"^CONFIG_(CC_HAS_MIN_FUNCTION_ALIGNMENT|DEBUG_INFO|DEBUG_INFO_BTF\w*|DEBUG_INFO_DWARF\w*)=")


@dataclass(frozen=True)
class Kernel:
    """One kernel of the archive, with all packages the lab needs of it."""

    release: str
    version: tuple[int, ...]
    packages: dict[str, Package]

    @property
    def name(self) -> str:
        """The upstream version, as people say it."""
        return ".".join(map(str, self.version))

    @property
    def root(self) -> Path:
        """Where this kernel lies in the cache."""
        return cache_dir() / "kernels" / f"{self.release}_{self.packages['binary'].version}"

    def image(self, archive: Archive) -> Path:
        """The directory with vmlinuz, modules and config, unpacked."""
        def unpack(work: Path) -> None:
            for part in ("base", "binary", "modules"):
                unpack_deb(archive.deb(self.packages[part]), work)
        return made(self.root / "image", unpack)

    def vmlinuz(self, archive: Archive) -> Path:
        """The kernel as it is in the package."""
        return self.modules(archive) / "vmlinuz"

    def modules(self, archive: Archive) -> Path:
        """The lib/modules/<release> directory."""
        return self.image(archive) / "usr/lib/modules" / self.release

    def kbuild(self, archive: Archive) -> Path:
        """The header tree: `make -C HERE M=... CC=gcc modules`."""
        def prepare(work: Path) -> None:
            say(f"preparing the header tree of {self.release}")
            for part in ("headers", "common", "kbuild"):
                unpack_deb(archive.deb(self.packages[part]), work)
            final = self.root / "kbuild"
            _relocate(work, final)
            _fit_tools(archive, work, final)
        root = made(self.root / "kbuild", prepare)
        return root / f"usr/src/linux-headers-{self.release}"

    def source(self, archive: Archive, members: Iterable[str], name: str) -> Path:
        """Part of the kernel's source, unpacked: @members, by their paths."""
        wanted = [f"{self._source_name}/{member}" for member in members]

        def unpack(work: Path) -> None:
            say(f"unpacking the kernel source ({name})")
            self._untar_source(archive, work, wanted)
        return made(self.root / f"source-{name}", unpack)

    def unpack_source(self, archive: Archive, work: Path, unwanted: Iterable[str]) -> None:
        """The whole source but @unwanted, into @work."""
        work.mkdir(parents=True, exist_ok=True)
        say("unpacking the kernel source (all of it)")
        self._untar_source(archive, work,
                           [f"--exclude={self._source_name}/{path}" for path in unwanted])

    @property
    def _source_name(self) -> str:
        return f"linux-source-{'.'.join(map(str, self.version[:2]))}"

    def _untar_source(self, archive: Archive, work: Path, arguments: list[str]) -> None:
        packed = work / ".source.tar.xz"
        with open(packed, "wb") as out:
            _extract_member(archive.deb(self.packages["source"]),
                            f"./usr/src/{self._source_name}.tar.xz", out)
        run_piped([need("xz", "xz-utils"), "-T0", "-dc", packed],
                  ["tar", "-x", "-C", work, "--strip-components=1", *arguments])
        packed.unlink()


def _extract_member(deb: Path, member: str, out: object) -> None:
    """Write one file out of a .deb to @out."""
    with subprocess.Popen([need("dpkg-deb", "dpkg"), "--fsys-tarfile", deb],
                          stdout=subprocess.PIPE) as tar:
        done = subprocess.run(["tar", "-xO", member], stdin=tar.stdout,
                              stdout=out, check=False)  # type: ignore[call-overload]
        assert tar.stdout is not None
        tar.stdout.close()
    if done.returncode:
        raise LabError(f"{deb.name} has no {member}")


def unpack_deb(deb: Path, where: Path) -> None:
    """Unpack a package without installing it."""
    run([need("dpkg-deb", "dpkg"), "-x", deb, where])


def _relocate(work: Path, final: Path) -> None:
    """Make the header packages work below @final instead of below /."""
    for makefile in work.glob("usr/src/*/Makefile"):
        text = makefile.read_text(encoding="utf-8")
        text = re.sub(r"(?<![\w.)])/usr/(src|lib)/(linux-)", rf"{final}/usr/\1/\2", text)
        makefile.write_text(text, encoding="utf-8")
    for variables in work.glob("usr/src/*/.kernelvariables"):
        lines = [line for line in variables.read_text(encoding="utf-8").splitlines()
                 if not re.match(r"\s*(override\s+)?(CC|CROSS_COMPILE)\s*[:?]?=", line)]
        variables.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for conf in work.glob("usr/src/*/include/config/auto.conf"):
        lines = [line for line in conf.read_text(encoding="utf-8").splitlines()
                 if not DROPPED_CONFIG.match(line)]
        conf.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as handle:
        return handle.read(4) == b"\x7fELF"


def _fit_tools(archive: Archive, work: Path, final: Path) -> None:
    """Give the build tools trixie's libraries where this machine's are too old."""
    tools = [p for p in work.glob("usr/lib/linux-kbuild-*/**/*") if _is_elf(p)]
    if all(_libraries_found(tool) for tool in tools):
        return
    patchelf = need("patchelf", "patchelf")
    libraries = work / "libs"
    for name in KBUILD_LIBRARIES:
        unpack_deb(archive.deb(archive.package(name)), libraries)
    found = [p for p in libraries.glob("usr/lib/**/*") if p.name.startswith("ld-linux-x86-64")]
    if not found:
        raise LabError("trixie's libc6 package has no ld-linux-x86-64.so.2")
    loader = final / found[0].relative_to(work)
    for tool in tools:
        has_interpreter = subprocess.run([patchelf, "--print-interpreter", tool],
                                         capture_output=True, check=False).returncode == 0
        if not has_interpreter:
            continue
        run([patchelf, "--set-interpreter", loader, "--force-rpath",
             "--set-rpath", loader.parent, tool])


def _libraries_found(tool: Path) -> bool:
    done = subprocess.run(["ldd", tool], capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    return "not found" not in text


def _version_of(name: str) -> tuple[int, ...]:
    match = re.match(r"linux-binary-(\d+(?:\.\d+)+)\+", name)
    return tuple(map(int, match[1].split("."))) if match else ()


def candidates(archive: Archive) -> list[Kernel]:
    """Every kernel the lab could use, newest first."""
    names = [n for n in archive.names("linux-binary-")
             if n.endswith("-" + FLAVOUR) and "unsigned" not in n
             and _version_of(n) >= OLDEST_USABLE]
    names.sort(key=_version_of, reverse=True)
    parts = {name: _part_names(name) for name in names}
    archive.load(part for wanted in parts.values() for part in wanted.values())
    return [kernel for name in names if (kernel := _whole(archive, name, parts[name]))]


def _whole(archive: Archive, binary: str, parts: dict[str, str]) -> Kernel | None:
    """The kernel of this package, if the archive has all of it in one version."""
    version = archive.versions(binary)[0].version
    packages = {}
    for part, package in parts.items():
        same = [p for p in archive.versions(package) if p.version == version]
        if same:
            packages[part] = same[0]
    if len(packages) != len(parts):
        return None
    return Kernel(binary.removeprefix("linux-binary-"), _version_of(binary), packages)


def generic(archive: Archive, kernel: Kernel) -> Kernel:
    """The same kernel with all drivers of the distribution: GPUs, for instance."""
    release = kernel.release.removesuffix("-" + FLAVOUR) + "-" + GENERIC
    binary = f"linux-binary-{release}"
    found = None
    if binary in archive.names("linux-binary-"):
        parts = _part_names(binary, GENERIC)
        archive.load(parts.values())
        found = _whole(archive, binary, parts)
    if not found:
        raise LabError(f"{archive.site} has no {binary} with headers")
    return found


def _part_names(binary: str, flavour: str = FLAVOUR) -> dict[str, str]:
    """The packages of one kernel, by what they are to the lab."""
    release = binary.removeprefix("linux-binary-")
    abi = release.removesuffix("-" + flavour)
    series = ".".join(map(str, _version_of(binary)[:2]))
    return {
        "binary": binary,
        "base": f"linux-base-{release}",
        "modules": f"linux-modules-{release}",
        "headers": f"linux-headers-{release}",
        "common": f"linux-headers-{abi}-common",
        "kbuild": f"linux-kbuild-{abi}",
        "source": f"linux-source-{series}",
    }


def choose(archive: Archive, wanted: str = "") -> list[Kernel]:
    """The kernels to try, best first; @wanted ("7.2.12") leaves only that one."""
    found = candidates(archive)
    if wanted:
        found = [k for k in found if k.name == wanted or k.release == wanted]
        if not found:
            raise LabError(f"{archive.site} has no kernel {wanted} with headers and source; "
                           "`lab versions` lists those it has")
    if not found:
        raise LabError(f"{archive.site} has no kernel >= "
                       f"{'.'.join(map(str, OLDEST_USABLE))} with headers and source")
    return found


def tested() -> list[str]:
    """The kernel versions on which every scenario has passed, as kept in the tree."""
    lines = (LAB / "tested-kernels").read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
