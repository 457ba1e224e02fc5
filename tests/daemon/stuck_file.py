# SPDX-License-Identifier: MIT
"""A file whose owner never answers: a FUSE file system of one file, served just far enough that the
file can be opened. p2pd and its porters wait for ever when they close it or ask for its file system;
others don't, so that a test can end. What is in it never comes, to nobody."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import struct
import tempfile
import threading
import time

IN_HEADER = struct.Struct("<IIQQIIII")
INIT, GETATTR, OPEN, READ, FLUSH, STATFS = 26, 3, 14, 15, 25, 17


class StuckFile:
    """Raises OSError where FUSE can't be had."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        handle, self.path = tempfile.mkstemp(prefix="p2pd-stuck-")
        os.close(handle)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.device},rootmode=100644,user_id=0,group_id=0,allow_other"
        if libc.mount(b"stuck", self.path.encode(), b"fuse", 0, options.encode()):
            error = ctypes.get_errno()
            os.close(self.device)
            os.unlink(self.path)
            raise OSError(error, os.strerror(error))
        self.umount = lambda: libc.umount2(self.path.encode(), 3)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        """INIT, GETATTR and OPEN have answers, nothing else has."""
        while True:
            try:
                request = os.read(self.device, 1 << 20)
            except OSError:
                return
            _length, opcode, unique, _node, _uid, _gid, pid, _ = IN_HEADER.unpack_from(request)
            self.asked.append(opcode)
            if opcode == INIT:
                body = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, 0)
            elif opcode == GETATTR:
                body = struct.pack("<QIIQQQQQQIIIIIIIIII", 100, 0, 0, 1, 4096, 0, 0, 0, 0, 0, 0, 0,
                                   0o100666, 1, 0, 0, 0, 4096, 0)
            elif opcode == OPEN:
                body = struct.pack("<QII", 1, 0, 0)
            elif opcode == FLUSH and not self.is_victim(pid):
                body = b""
            else:
                continue
            os.write(self.device, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)

    @staticmethod
    def is_victim(pid: int) -> bool:
        """p2pd, whatever its name, or a porter of it?"""
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                return comm.read().startswith("p2pd")
        except OSError:
            return False

    def open(self) -> int:
        """A descriptor of it."""
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def hold_epoll(self) -> tuple[int, int]:
        """(an epoll descriptor, a process that reads its events into this file's memory for ever)."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        ready = os.eventfd(1)
        epoll = select.epoll()
        epoll.register(ready, select.EPOLLIN)
        child = os.fork()
        if child == 0:
            # Private and writable: it is read before it is written. The kernel has to know its size.
            fd = self.open()
            os.fstat(fd)
            place = libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE,
                              fd, ctypes.c_long(0))
            libc.epoll_wait(epoll.fileno(), ctypes.c_void_p(place), 1, 0)
            os._exit(0)
        os.close(ready)
        held = os.dup(epoll.fileno())
        epoll.close()
        end = time.monotonic() + 5
        while READ not in self.asked:
            if time.monotonic() > end:
                raise OSError(errno.ENODATA, "nobody asked for the page")
            time.sleep(0.01)
        return held, child

    def end(self) -> None:
        """Whoever waits gets an error."""
        self.umount()
        os.close(self.device)
        time.sleep(0.05)
        os.unlink(self.path)
