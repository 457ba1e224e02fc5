# SPDX-License-Identifier: MIT
"""What a kernel module says about itself, and the index files modprobe reads.

A small depmod: names, dependencies and aliases out of each module's .modinfo
section, so that the machine needs no kmod and the image only holds the
modules that are wanted and what they depend on.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .base import LabError


def module_name(path: Path) -> str:
    """The name the kernel knows a module file by."""
    return path.name.split(".ko")[0].replace("-", "_")


def module_bytes(path: Path) -> bytes:
    """A module file's contents, decompressed."""
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.suffix == ".xz" else raw


def _section(elf: bytes, wanted: str) -> bytes:
    """One section of a 64-bit little-endian ELF file."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise LabError("a kernel module is no 64-bit ELF file")
    offset, = struct.unpack_from("<Q", elf, 0x28)
    entsize, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, offset + i * entsize) for i in range(count)]
    strings = headers[names][4]
    for name, _, _, _, start, size in headers:
        begin = strings + name
        if elf[begin:elf.index(b"\0", begin)].decode() == wanted:
            return elf[start:start + size]
    return b""


@dataclass
class Module:
    """One module, its bytes, and what .modinfo says."""

    name: str
    data: bytes
    depends: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)


def read_module(path: Path) -> Module:
    """Read a .ko or .ko.xz file."""
    module = Module(module_name(path), module_bytes(path))
    for item in _section(module.data, ".modinfo").split(b"\0"):
        key, _, value = item.decode(errors="replace").partition("=")
        if key == "depends" and value:
            module.depends += [d.replace("-", "_") for d in value.split(",")]
        elif key == "softdep" and value.startswith("pre:"):
            module.depends += [d.replace("-", "_") for d in value[4:].split("post:")[0].split()]
        elif key == "alias":
            module.aliases.append(value)
    return module


class ModuleSet:
    """The modules of one image: some of the distribution's, and ours over them."""

    def __init__(self, distribution: Path, own: Iterable[Path]) -> None:
        self._files = {module_name(p): p for p in distribution.rglob("*.ko*")}
        self._files.update({module_name(p): p for p in own})
        self._builtin = {module_name(Path(line)) for line in
                         (distribution / "modules.builtin").read_text(encoding="utf-8").split()}
        self.chosen: dict[str, Module] = {}

    def add(self, name: str, optional: bool = False) -> None:
        """Choose @name and all that it depends on."""
        name = name.replace("-", "_")
        if name in self.chosen or name in self._builtin:
            return
        if name not in self._files:
            if optional:
                return
            raise LabError(f"this kernel has no module {name}")
        module = read_module(self._files[name])
        self.chosen[name] = module
        for other in list(module.depends):
            self.add(other, optional=True)
        module.depends = [d for d in module.depends if d in self.chosen]

    def _ordered(self, name: str) -> list[str]:
        """Everything @name needs, nearest first, as modules.dep has it."""
        found: list[str] = []
        for other in self.chosen[name].depends:
            for one in [other, *self._ordered(other)]:
                if one in found:
                    found.remove(one)
                found.append(one)
        return found

    def index_files(self) -> dict[str, str]:
        """modules.dep, modules.alias and an empty modules.symbols."""
        dep = "".join(f"kernel/{n}.ko:{''.join(f' kernel/{d}.ko' for d in self._ordered(n))}\n"
                      for n in sorted(self.chosen))
        alias = "".join(f"alias {a} {m.name}\n" for m in self.chosen.values() for a in m.aliases)
        return {"modules.dep": dep, "modules.alias": alias, "modules.symbols": "",
                "modules.builtin": ""}
