# SPDX-License-Identifier: MIT
"""A machine made of files, in namespaces of its own: PCI functions in a /sys of files, and uevents as the
kernel or udevd send them.

The kernel lets whoever administrates a network namespace send uevents into it, and marks them as its
own; udevd's are ordinary messages to a multicast group. So a test is the kernel to a p2pd that
was started in its namespaces."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

KOBJECT_UEVENT = 15
KERNEL, UDEV = 1, 2
INSIDE = "P2PD_TEST_INSIDE"

PAGE = os.sysconf("SC_PAGESIZE")
BACKENDS = {"p2pdma_export": 1, "vfio-pci": 2}
DRM, P2PMEM = 3, 4


def enter(has_users: bool = False) -> None:
    """
    Goes on in namespaces where this process is root; where there can't be any the test is skipped. With
    has_users who is root already can be others there, too.
    """
    if os.environ.get(INSIDE):
        return
    ways = [["unshare", "--user", "--map-root-user", "--net", "--mount"],
            ["unshare", "--net", "--mount"]]
    if has_users:
        ways.reverse()
    if shutil.which("unshare"):
        for way in ways:
            if subprocess.run([*way, "mount", "-t", "tmpfs", "none", "/sys"], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0:
                os.environ[INSIDE] = "yes"
                os.execvp(way[0], [*way, sys.executable, "-B", *sys.argv])
    print("skipped: no user, network and mount namespaces for this user")
    sys.exit(77)


def murmur(text: bytes) -> int:
    """MurmurHash2 of 32 bits with seed 0, as udevd writes it for the filter in the kernel."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = len(text)
    while len(text) >= 4:
        word = struct.unpack_from("<I", text)[0] * factor & mask
        word = (word ^ word >> 24) * factor & mask
        value = value * factor & mask ^ word
        text = text[4:]
    if text:
        value = (value ^ int.from_bytes(text, "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


class Uevents:
    """Sends them, as the kernel (to group 1) or as udevd (to group 2)."""

    def __init__(self, group: int) -> None:
        self.group = group
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, KOBJECT_UEVENT)
        self.sock.bind((0, 0))
        self.sock.setblocking(False)

    def packet(self, action: str, path: str, subsystem: str) -> bytes:
        """One event."""
        fields = {"ACTION": action, "DEVPATH": path, "SUBSYSTEM": subsystem}
        if self.group == KERNEL:
            body = b"".join(f"{key}={value}\0".encode() for key, value in fields.items())
            body = f"{action}@{path}\0".encode() + body
            # The kernel adds a number and sends it on to all who listen.
            return struct.pack("=IHHII", 16 + len(body), 16, 1, 0, 0) + body
        fields["SEQNUM"] = "1"
        fields["USEC_INITIALIZED"] = "1"
        body = b"".join(f"{key}={value}\0".encode() for key, value in fields.items())
        return struct.pack("=8s", b"libudev") + struct.pack(">I", 0xFEEDCAFE) + \
            struct.pack("=III", 40, 40, len(body)) + \
            struct.pack(">IIII", murmur(subsystem.encode()), 0, 0, 0) + body

    def send(self, packet: bytes) -> None:
        """It is there when this returns, or its receiver had no room."""
        try:
            self.sock.sendto(packet, (0, 0 if self.group == KERNEL else UDEV))
        except (BlockingIOError, ConnectionRefusedError):
            pass
        if self.group != KERNEL:
            return
        try:
            answer = self.sock.recv(4096)
        except BlockingIOError:
            return
        error = struct.unpack_from("=i", answer, 16)[0]
        assert error == 0, os.strerror(-error)

    def storm(self, packets: list[bytes], seconds: float) -> subprocess.Popen[bytes]:
        """Sends them as fast as it can, from another process."""
        code = ("import socket,sys,time\n"
                f"s=socket.socket({socket.AF_NETLINK:d},{socket.SOCK_RAW:d},{KOBJECT_UEVENT})\n"
                "s.bind((0,0))\n"
                f"packets={packets!r}\n"
                f"end=time.monotonic()+{seconds}\n"
                "n=0\n"
                "while time.monotonic()<end:\n"
                "    for p in packets:\n"
                "        try:\n"
                f"            s.sendto(p,(0,{0 if self.group == KERNEL else UDEV}))\n"
                "            n+=1\n"
                "        except OSError:\n"
                "            pass\n"
                "print(n)\n")
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)

    @staticmethod
    def drops(pid: int) -> int:
        """How many a process didn't get, as the kernel counts."""
        with open("/proc/net/netlink", encoding="ascii") as handle:
            rows = [line.split() for line in handle][1:]
        return sum(int(row[8]) for row in rows if int(row[1]) == KOBJECT_UEVENT
                   and int(row[2]) == pid)


@dataclass
class Function:
    """A PCI function."""

    address: str
    driver: str = ""
    bars: dict[int, int] = field(default_factory=dict)
    node: bool = True
    vram: Optional[int] = None
    p2pmem: int = 0
    pci_class: int = 0x050000

    @property
    def vfio_dev(self) -> str:
        """Its node where vfio-pci has it."""
        return f"vfio{int(self.address[5:7], 16)}"

    @property
    def path(self) -> str:
        """In uevents: behind a bridge."""
        return f"/devices/pci0000:00/0000:00:01.0/{self.address}"


class Machine:
    """What is in its slots."""

    def __init__(self, folder: Path, group: int) -> None:
        self.nodes = folder
        self.functions: dict[str, Function] = {}
        self.uevents = Uevents(group)
        for place in ("/sys", "/run"):
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        os.makedirs("/sys/bus/pci/devices")
        if group == UDEV:
            os.makedirs("/run/udev")
            Path("/run/udev/control").touch()

    def end(self) -> None:
        """The real /sys and /run."""
        self.uevents.sock.close()
        for place in ("/sys", "/run"):
            subprocess.run(["umount", "-l", place], check=True)

    def plug(self, function: Function, is_told: bool = True) -> None:
        """It comes, with its driver."""
        new = Path("/sys/new")
        new.mkdir()
        files = {"vendor": "0x10ee", "device": "0x903f", "class": f"{function.pci_class:#08x}",
                 "numa_node": "-1"}
        for name, value in files.items():
            (new / name).write_text(value + "\n", encoding="ascii")
        lines = []
        for bar in range(6):
            size = function.bars.get(bar, 0)
            lines.append(f"{bar << 40:#018x} {(bar << 40) + size - 1:#018x} {0x200:#018x}" if size
                         else f"{0:#018x} {0:#018x} {0:#018x}")
        (new / "resource").write_text("\n".join(lines) + "\n", encoding="ascii")
        self.functions[function.address] = function
        self._bind(new, function)
        # A name that is there is whole, as in the kernel's.
        new.rename(self.folder(function))
        if is_told:
            self.tell(function, "add")
            self.tell(function, "bind")

    @staticmethod
    def folder(function: Function) -> Path:
        """In sysfs."""
        return Path("/sys/bus/pci/devices", function.address)

    def _bind(self, folder: Path, function: Function) -> None:
        if function.driver:
            (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{function.driver}")
        if function.vram is not None:
            (folder / "drm/renderD128").mkdir(parents=True)
            if function.vram:
                (folder / "mem_info_vram_total").write_text(f"{function.vram}\n", encoding="ascii")
        if function.p2pmem:
            self.add_p2pmem(folder, function.p2pmem)
        if function.driver == "p2pdma_export" and function.node:
            os.mkfifo(self.nodes / function.address)
        if function.driver == "vfio-pci":
            (folder / "vfio-dev" / function.vfio_dev).mkdir(parents=True)
            # What is configured of it: memory decode is off.
            (self.nodes / function.vfio_dev).write_bytes(bytes(256))

    @staticmethod
    def add_p2pmem(folder: Path, size: int) -> None:
        """As drivers do, some of them long after their probe."""
        (folder / "p2pmem").mkdir()
        (folder / "p2pmem/size").write_text(f"{size}\n", encoding="ascii")

    def _unbind(self, function: Function) -> None:
        folder = self.folder(function)
        for name in ("drm", "p2pmem", "vfio-dev"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("driver", "mem_info_vram_total"):
            (folder / name).unlink(missing_ok=True)
        for name in (function.address, function.vfio_dev):
            (self.nodes / name).unlink(missing_ok=True)

    def bind(self, address: str, is_told: bool = True, **changes: object) -> None:
        """Another driver."""
        function = self.functions[address]
        self._unbind(function)
        function.vram, function.p2pmem = None, 0
        for name, value in changes.items():
            setattr(function, name, value)
        self._bind(self.folder(function), function)
        if is_told:
            self.tell(function, "unbind")
            self.tell(function, "bind")

    def unplug(self, address: str, is_told: bool = True) -> None:
        """It goes."""
        function = self.functions.pop(address)
        old = Path("/sys/old")
        self.folder(function).rename(old)
        shutil.rmtree(old)
        for name in (function.address, function.vfio_dev):
            (self.nodes / name).unlink(missing_ok=True)
        if is_told:
            self.tell(function, "unbind")
            self.tell(function, "remove")

    def packet(self, function: Function, action: str, below: str = "",
               subsystem: str = "pci") -> bytes:
        """An event about it, or about a device below it."""
        return self.uevents.packet(action, function.path + below, subsystem)

    def tell(self, function: Function, action: str, below: str = "",
             subsystem: str = "pci") -> None:
        """Sends that."""
        self.uevents.send(self.packet(function, action, below, subsystem))

    def truth(self) -> dict[str, tuple[int, int, bool]]:
        """What a p2pd that has looked at everything lists: name: (backend, size, can be leased)."""
        found: dict[str, tuple[int, int, bool]] = {}
        for address, function in self.functions.items():
            generation = self.folder(function).stat().st_ino
            backend = BACKENDS.get(function.driver)
            if backend:
                for bar, size in function.bars.items():
                    if size % PAGE == 0:
                        found[f"{address}/{bar}@{generation}"] = (
                            backend, size, backend == 2 or function.node)
                continue
            if function.vram is not None:
                found[f"{address}/vram@{generation}"] = (DRM, function.vram, False)
            if function.p2pmem:
                found[f"{address}/p2pmem@{generation}"] = (P2PMEM, function.p2pmem, False)
        return found
