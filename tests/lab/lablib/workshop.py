# SPDX-License-Identifier: MIT
"""Brings together what a guest needs: kernel, modules, programs, image layers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from . import (bzimage, debugkernel, initrd, interop, kernel, librxe, modules, programs, pyverbs,
               systemd)
from .apt import Archive, Package
from .base import LabError, say
from .kernel import Kernel


@dataclass
class Prepared:
    """A kernel with this tree's modules built for it."""

    kernel: Kernel
    release: str
    label: str
    vmlinuz: Path
    unpacked: Path
    modules_dir: Path
    own: list[Path]
    is_debug: bool = False


class Workshop:
    """Makes each thing once, when it is first asked for."""

    def __init__(self, wanted: str = "", build_dir: Path | None = None) -> None:
        self._wanted = wanted
        self._build_dir = build_dir

    @functools.cached_property
    def archive(self) -> Archive:
        """The Debian archive."""
        return Archive()

    @functools.cached_property
    def kernels(self) -> list[Kernel]:
        """The kernels to try, best first."""
        return kernel.choose(self.archive, self._wanted)

    @functools.cached_property
    def prepared(self) -> Prepared:
        """The newest kernel of the archive that our modules build for."""
        first_error: LabError | None = None
        for candidate in self.kernels:
            try:
                own = self._build_modules(candidate)
            except modules.BuildError as error:
                if candidate.name in kernel.tested() or self._wanted:
                    raise
                say(f"{error}\nLinux {candidate.release} is new to this tree and the modules "
                    "do not fit it: taking the next older kernel of the archive")
                first_error = first_error or error
                continue
            if candidate.version < kernel.NEWEST_WANTED:
                say(f"note: Linux {candidate.name} is older than 7.3")
            vmlinuz = candidate.vmlinuz(self.archive)
            return Prepared(candidate, candidate.release, candidate.name, vmlinuz,
                            bzimage.bootable(vmlinuz),
                            candidate.modules(self.archive), own)
        raise first_error or LabError("the archive has no kernel to try")

    def _build_modules(self, candidate: Kernel) -> list[Path]:
        tree = modules.distribution_tree(candidate, self.archive)
        return modules.build_all(tree, self._source(candidate))

    def _source(self, candidate: Kernel) -> Path:
        """What is built of that kernel's source."""
        return candidate.source(self.archive, (modules.RXE_DIR, *programs.HARNESS), "lab")

    def all_packages(self) -> list[Package]:
        """Every binary package that any scenario needs."""
        names = ("busybox-static", *kernel.KBUILD_LIBRARIES)
        return [*self.kernels[0].packages.values(),
                *kernel.generic(self.archive, self.kernels[0]).packages.values(),
                *(self.archive.package(name) for name in names),
                *pyverbs.packages(self.archive), *systemd.packages(self.archive),
                *interop.packages(self.archive), *interop.headers(self.archive)]

    def kbuild(self) -> Path:
        """The header tree of the kernel that would be used (nothing of ours is built)."""
        return self.kernels[0].kbuild(self.archive)

    @functools.cached_property
    def build(self) -> Path | None:
        """The CMake build directory whose programs go into the guest."""
        return self._build_dir or programs.cmake_build()

    def programs(self) -> list[Path]:
        """Every program that is in the guest."""
        return programs.find_programs(self.build, self._source(self.kernels[0]))

    def extra_layer(self, name: str) -> Path:
        """An image layer that only some scenarios use."""
        if name == "pyverbs":
            return pyverbs.layer(self.archive, self.provider("rebuilt"))
        if name == "interop":
            return interop.layer(self.archive, self.provider("rebuilt"), self.build)
        raise LabError(f"there is no image layer {name}")

    def provider(self, kind: str) -> Path:
        """librxe, stock or rebuilt."""
        return librxe.stock() if kind == "stock" else librxe.rebuilt(self.archive)

    @functools.cache
    def layers(self, prepared_key: str, kind: str, userland: str = "busybox") -> list[Path]:
        """The cached image layers for one kernel, one librxe and one userland."""
        prepared = self.by_key(prepared_key)
        first = self._userland if userland == "systemd" else None
        found = [initrd.base_layer(self.archive, prepared.release, prepared.modules_dir,
                                   prepared.own, first),
                 initrd.programs_layer(self.programs(), self.provider(kind), first)]
        if first and self.build:
            found = [first, *found, systemd.installed_layer(self.build, first)]
        return found

    @functools.cached_property
    def _userland(self) -> Path:
        return systemd.layer(self.archive)

    def by_key(self, key: str) -> Prepared:
        """The prepared kernel called @key: distribution, generic or debug."""
        if key == "distribution":
            return self.prepared
        if key == "generic":
            return self.generic
        if key == "debug":
            return self.debug
        raise LabError(f"no kernel is called {key}")

    @functools.cached_property
    def generic(self) -> Prepared:
        """The generic flavour of the kernel that is used, with our modules."""
        cloud = self.prepared.kernel
        chosen = kernel.generic(self.archive, cloud)
        own = modules.build_all(modules.distribution_tree(chosen, self.archive),
                                self._source(cloud))
        vmlinuz = chosen.vmlinuz(self.archive)
        return Prepared(chosen, chosen.release, f"{chosen.name} generic", vmlinuz,
                        bzimage.bootable(vmlinuz), chosen.modules(self.archive), own)

    @functools.cached_property
    def debug(self) -> Prepared:
        """The debug kernel of the newest version, with our modules."""
        chosen = self.kernels[0]
        tree = debugkernel.tree(chosen, self.archive)
        where = debugkernel.modules_dir(chosen, self.archive)
        return Prepared(chosen, tree.release, f"{chosen.name} debug", where / "vmlinuz",
                        bzimage.bootable(where / "vmlinuz"), where,
                        modules.build_all(tree, self._source(chosen)), is_debug=True)
