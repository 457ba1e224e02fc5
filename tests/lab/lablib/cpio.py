# SPDX-License-Identifier: MIT
"""Writes the "newc" archives that the kernel unpacks as its first root.

Archives may follow each other in one initrd; later entries replace earlier
ones, which is how a scenario's own files come on top of a cached base.
They stay uncompressed: under software emulation copying is cheaper than
unpacking.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


MERGED = ("bin", "sbin", "lib", "lib64")


class Cpio:
    """An archive in the making; parent directories come by themselves.

    @is_merged: for a root whose /bin, /sbin, /lib and /lib64 are links to those in /usr.
    What is put there goes below /usr, because a directory would replace the link.
    """

    def __init__(self, is_merged: bool = False) -> None:
        self.is_merged = is_merged
        self._chunks: list[bytes] = []
        self._seen: set[str] = set()
        self._inode = 1

    def _entry(self, name: str, mode: int, data: bytes = b"",
               rdev: tuple[int, int] = (0, 0)) -> None:
        raw = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields)
        self._inode += 1
        self._chunks.append(_padded(head + raw))
        if data:
            self._chunks.append(_padded(data))

    def _placed(self, name: str) -> str:
        name = name.strip("/")
        if self.is_merged and name.split("/")[0] in MERGED and "/" in name:
            name = f"usr/{name}"
        # Here /usr/sbin is a link, too, as on systems to come.
        return name.replace("usr/sbin/", "usr/bin/", 1) if self.is_merged else name

    def directory(self, name: str) -> None:
        """Add a directory and those above it."""
        name = self._placed(name)
        if not name or name in self._seen:
            return
        self.directory(os.path.dirname(name))
        self._seen.add(name)
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes | str, mode: int = 0o644) -> None:
        """Add a regular file."""
        name = self._placed(name)
        self.directory(os.path.dirname(name))
        raw = data.encode() if isinstance(data, str) else data
        self._entry(name, stat.S_IFREG | mode, raw)

    def symlink(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        name = self._placed(name)
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def node(self, name: str, major: int, minor: int) -> None:
        """Add a character device."""
        name = name.strip("/")
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def copy(self, path: Path, name: str) -> None:
        """Add a file or symbolic link of this machine as @name."""
        if path.is_symlink():
            self.symlink(name, os.readlink(path))
        else:
            self.file(name, path.read_bytes(), path.stat().st_mode & 0o777)

    def data(self) -> bytes:
        """The finished archive."""
        trailer = _padded(b"070701" + b"".join(
            b"%08X" % f for f in (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0)) + b"TRAILER!!!\0")
        whole = b"".join(self._chunks) + trailer
        return whole + b"\0" * (-len(whole) % 512)


def _padded(raw: bytes) -> bytes:
    return raw + b"\0" * (-len(raw) % 4)
