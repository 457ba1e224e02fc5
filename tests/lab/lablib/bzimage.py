# SPDX-License-Identifier: MIT
"""The kernel inside a bzImage, unpacked once here instead of in every guest.

A bzImage unpacks itself, which under software emulation takes a guest a
second. QEMU also starts a plain ELF kernel, if a note in it names the entry
for that (PVH). The setup header of the bzImage says where its payload lies
(Documentation/arch/x86/boot.rst of the kernel: payload_offset,
payload_length); what packed it is told by its first bytes.

Waking up resets the machine, and with it QEMU writes a plain kernel to memory
once more, over the one that slept: a guest that is to sleep needs the bzImage.
"""

from __future__ import annotations

import lzma
import struct
import subprocess
import zlib
from pathlib import Path

from .base import made, need

XEN_PHYS32_ENTRY = 18
PT_NOTE = 4


def bootable(vmlinuz: Path) -> Path:
    """What QEMU is given for @vmlinuz: the ELF kernel in it, or itself where that can't be."""
    def make(work: Path) -> None:
        elf = unpack(vmlinuz.read_bytes())
        if elf and has_pvh_entry(elf):
            (work / "vmlinux").write_bytes(elf)
    unpacked = made(vmlinuz.with_name("unpacked"), make) / "vmlinux"
    return unpacked if unpacked.exists() else vmlinuz


def unpack(image: bytes) -> bytes:
    """The payload of a bzImage; empty for what isn't one, or is packed in another way."""
    if image[0x202:0x206] != b"HdrS" or struct.unpack_from("<H", image, 0x206)[0] < 0x208:
        return b""
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    payload = image[begin:begin + length]
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(payload)
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        # The size of the unpacked kernel follows the frame.
        return subprocess.run([need("zstd", "zstd"), "-dcq"], input=payload[:-4], check=True,
                              stdout=subprocess.PIPE).stdout
    return b""


def has_pvh_entry(elf: bytes) -> bool:
    """Does a note name the 32-bit entry that QEMU starts an ELF kernel at?"""
    if elf[:5] != b"\x7fELF\x02":
        return False
    table, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for number in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, table + number * size)
        if kind == PT_NOTE and _has_note(elf[offset:offset + length]):
            return True
    return False


def _has_note(notes: bytes) -> bool:
    at = 0
    while at + 12 <= len(notes):
        name_size, value_size, kind = struct.unpack_from("<III", notes, at)
        if kind == XEN_PHYS32_ENTRY and notes[at + 12:at + 12 + name_size] == b"Xen\0":
            return True
        at += 12 + (name_size + 3 & ~3) + (value_size + 3 & ~3)
    return False
