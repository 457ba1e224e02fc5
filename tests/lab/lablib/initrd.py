# SPDX-License-Identifier: MIT
"""The guest's root file system: layers that follow each other in one initrd.

systemd: where a scenario wants it, see systemd.py;
base: busybox, /init, the scenario verbs and the kernel modules;
programs: this tree's programs, their libraries and the verbs providers;
scenario: the scenario itself, made anew for each run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from . import librxe, programs, systemd
from .apt import Archive
from .base import LAB, cache_dir, digest, made, tree_digest, write_atomically
from .cpio import Cpio
from .kernel import unpack_deb
from .modinfo import ModuleSet

KEEP_UNUSED_S = 3 * 24 * 3600
# Modules of the distribution that scenarios use, with all they depend on.
WANTED = ("virtio_net", "virtio_console", "virtio_pci", "ib_uverbs", "rdma_ucm", "udp_tunnel",
          "ip6_udp_tunnel", "rdma_rxe", "vfio_pci", "vfio_iommu_type1", "vfio", "nvme", "udmabuf",
          "dummy", "bridge", "bonding", "p2pdma_export_core", "p2pdma_export", "p2pdma_edu")
OPTIONAL = ("vgem", "virtio_gpu", "iommufd", "virtio_blk", "pci_stub", "crc32c_cryptoapi",
            "crc32c_generic", "crc32_generic", "crc32_cryptoapi", "uio_pci_generic")


def busybox(archive: Archive) -> Path:
    """trixie's static busybox."""
    package = archive.package("busybox-static")

    def make(work: Path) -> None:
        unpack_deb(archive.deb(package), work)
    root = made(cache_dir() / "busybox" / package.version.replace(":", "_"), make)
    return next(p for p in (root / "usr/bin/busybox", root / "bin/busybox") if p.exists())


def base_layer(archive: Archive, release: str, modules_dir: Path, own: list[Path],
               userland: Path | None = None) -> Path:
    """busybox, /init (unless there is a @userland) and modules; cached."""
    shell = busybox(archive)
    guest = [LAB / "guest" / name for name in ("init", "run", "verbs.sh", "tap.awk")]
    key = tree_digest([*guest, *own], [release, str(modules_dir), str(shell),
                                       "merged" if userland else "", "stock", *WANTED, *OPTIONAL])

    def make(work: Path) -> None:
        cpio = Cpio(is_merged=bool(userland))
        for name in ("dev", "proc", "sys", "tmp", "run", "root", "etc", "lab"):
            cpio.directory(name)
        cpio.node("dev/console", 5, 1)
        cpio.file("bin/busybox", shell.read_bytes(), 0o755)
        applets = subprocess.run([shell, "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                cpio.symlink(f"bin/{applet}", "busybox")
        if not userland:
            cpio.symlink("sbin", "bin")
            cpio.file("init", (LAB / "guest/init").read_bytes(), 0o755)
        cpio.file("lab/run", (LAB / "guest/run").read_bytes(), 0o755)
        for name in ("verbs.sh", "tap.awk"):
            cpio.file(f"lab/{name}", (LAB / "guest" / name).read_bytes())
        cpio.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:::/bin/sh\n")
        cpio.file("etc/group", "root:x:0:\nnogroup:x:65534:\n")
        modules = ModuleSet(modules_dir, own)
        for name in WANTED + OPTIONAL:
            modules.add(name, optional=True)
        where = f"lib/modules/{release}"
        for name, module in modules.chosen.items():
            cpio.file(f"{where}/kernel/{name}.ko", module.data)
        for name, text in modules.index_files().items():
            cpio.file(f"{where}/{name}", text)
        # soft-RoCE as the distribution has it, in those of its kernels that have it: for insmod.
        stock = ModuleSet(modules_dir, [])
        stock.add("rdma_rxe", optional=True)
        if "rdma_rxe" in stock.chosen:
            cpio.file("lab/rdma_rxe.ko", stock.chosen["rdma_rxe"].data)
        (work / "base.cpio").write_bytes(cpio.data())
    return made(cache_dir() / "images" / f"base-{key}", make) / "base.cpio"


def programs_layer(found: list[Path], provider: Path, userland: Path | None = None) -> Path:
    """The programs @found, their libraries and librxe; cached by content."""
    there = systemd.libraries_of(userland) if userland else None
    # These live for as long as the process and are opened by name only.
    providers = [provider]
    libraries = programs.library_closure([*found, *providers])
    stats = [f"{p}:{p.stat().st_size}:{p.stat().st_mtime_ns}"
             for p in [*found, *providers, *libraries.values()]]
    name = cache_dir() / "images" / f"programs-{digest([*stats, str(userland)])}"

    def make(work: Path) -> None:
        cpio = Cpio(is_merged=bool(userland))
        programs.add_programs(cpio, found, providers, there)
        librxe.add_provider(cpio, provider)
        (work / "programs.cpio").write_bytes(cpio.data())
    return made(name, make) / "programs.cpio"


def prune() -> None:
    """Forget layers that nobody has used for some days."""
    for layer in (cache_dir() / "images").glob("*-*"):
        if time.time() - layer.stat().st_mtime > KEEP_UNUSED_S:
            shutil.rmtree(layer, ignore_errors=True)


def scenario_layer(files: dict[str, str]) -> bytes:
    """The files of one scenario, as a small archive."""
    cpio = Cpio()
    for name, text in files.items():
        cpio.file(name, text)
    return cpio.data()


def assemble(target: Path, layers: list[Path], last: bytes) -> Path:
    """One initrd from the layers, at @target."""
    for layer in layers:
        os.utime(layer.parent)
    write_atomically(target, b"".join(layer.read_bytes() for layer in layers) + last)
    os.chmod(target, 0o644)
    return target
