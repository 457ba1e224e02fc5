# SPDX-License-Identifier: MIT
"""Machines made of files: a sysfs with PCI trees for p2pctl, its tests and the benchmarks.

    tests/cli/machine.py NAME DIRECTORY     makes the machine NAME in DIRECTORY/sys

    server      two sockets, four switches, two GPUs and two NICs below each
    blocked     the same with ACS on one switch, and host bridges that the kernel doesn't know
    isolated    the same with ACS on every switch
    thousand    a thousand functions below 25 switches
"""

import os
import sys
from pathlib import Path

ROOT_PORT, UPSTREAM, DOWNSTREAM = 4, 5, 6
SPEEDS = ("", "2.5", "5.0", "8.0", "16.0", "32.0", "64.0")


class Machine:
    """Its sysfs grows function by function."""

    def __init__(self, where: Path, cpu: tuple[str, int] = ("GenuineIntel", 6)) -> None:
        self.sys = where / "sys"
        self.devices = self.sys / "bus/pci/devices"
        self.devices.mkdir(parents=True)
        self.places: dict[str, str] = {}
        (where / "root/proc").mkdir(parents=True, exist_ok=True)
        self.boot(where, "root=/dev/vda1 quiet")
        (self.sys / "cpuinfo").write_text(
            f"processor\t: 0\nvendor_id\t: {cpu[0]}\ncpu family\t: {cpu[1]}\n")

    @staticmethod
    def boot(where: Path, command_line: str) -> None:
        """With what the kernel was started."""
        (where / "root/proc/cmdline").write_text(command_line + "\n")

    def host(self, name: str, vendor: int = 0x8086, device: int = 0x09a2, node: int = 0) -> None:
        """A root bus, with its first function."""
        self.places[name] = f"devices/{name}"
        self.function(f"{name[3:]}:00.0", name, ids=(vendor, device), is_pcie=False, bar_bytes=0,
                      node=node)

    def function(self, address: str, above: str, kind: int = 0, *, acs: int | None = None,
                 link: tuple[int, int] = (5, 16), limit: tuple[int, int] = (5, 16),
                 ids: tuple[int, int] = (0x1af4, 0x1110), klass: int = 0x030200, driver: str = "",
                 node: int = 0, bar_bytes: int = 16 << 30, rdma: str = "",
                 is_pcie: bool = True, is_hidden: bool = False) -> None:
        """@acs: the control register, None for no capability; @is_hidden: as users see it."""
        is_port = kind != 0
        space = bytearray(4096)

        def put(at: int, size: int, value: int) -> None:
            space[at:at + size] = value.to_bytes(size, "little")
        put(0, 2, ids[0])
        put(2, 2, ids[1])
        put(8, 4, (0x060400 if is_port else klass if is_pcie else 0x060000) << 8)
        if is_pcie:
            put(6, 2, 0x10)
            put(0x34, 1, 0x60)
            put(0x60, 4, 0x10 | 2 << 16 | kind << 20)
            put(0x6c, 4, limit[0] | limit[1] << 4)
            put(0x72, 2, link[0] | link[1] << 4)
        put(0x100, 4, 0x00010001 | (0x14800000 if acs is not None else 0))
        if acs is not None:
            put(0x148, 4, 0x0001000d)
            put(0x14c, 2, 0x001f)
            put(0x14e, 2, acs)
        self.places[address] = f"{self.places[above]}/{address}"
        path = self.sys / self.places[address]
        path.mkdir(parents=True)
        (path / "config").write_bytes(bytes(space[:64] if is_hidden else space))
        none = "0x0000000000000000 " * 2 + "0x0000000000000000\n"
        bar = "0x0000010000000000 0x%016x 0x000000000014220c\n" % ((1 << 40) + bar_bytes - 1)
        (path / "resource").write_text(
            none * 2 + (none if is_port or not bar_bytes else bar) + none * 3)
        for name, text in (("vendor", f"0x{ids[0]:04x}"), ("device", f"0x{ids[1]:04x}"),
                           ("numa_node", f"{node}")):
            (path / name).write_text(text + "\n")
        (self.devices / address).symlink_to(f"../../../{self.places[address]}")
        if driver:
            (path / "driver").symlink_to(f"../../../../bus/pci/drivers/{driver}")
        if rdma:
            (path / "infiniband" / rdma).mkdir(parents=True)
            (self.sys / "class/infiniband").mkdir(parents=True, exist_ok=True)
            (self.sys / "class/infiniband" / rdma).symlink_to(
                f"../../{self.places[address]}/infiniband/{rdma}")

    def add_bar(self, address: str, bar: int, size_bytes: int) -> None:
        path = self.sys / self.places[address] / "resource"
        lines = path.read_text().splitlines(keepends=True)
        start = (1 << 41) + (bar << 32)
        lines[bar] = f"0x{start:016x} 0x{start + size_bytes - 1:016x} 0x000000000014220c\n"
        path.write_text("".join(lines))

    def add_drm(self, address: str, *names: str) -> None:
        for name in names:
            (self.sys / self.places[address] / "drm" / name).mkdir(parents=True)
            (self.sys / "class/drm").mkdir(parents=True, exist_ok=True)
            (self.sys / "class/drm" / name).symlink_to(f"../../{self.places[address]}/drm/{name}")

    def add_rxe(self, name: str, interface: str, address: str = "") -> None:
        """Soft-RoCE on a network interface, which is on a function or on none."""
        above = self.places.get(address, "devices/virtual")
        (self.sys / above / "net" / interface).mkdir(parents=True)
        (self.sys / "class/net").mkdir(parents=True, exist_ok=True)
        (self.sys / "class/net" / interface).symlink_to(f"../../{above}/net/{interface}")
        device = self.sys / "devices/virtual/infiniband" / name
        device.mkdir(parents=True)
        (device / "parent").write_text(f"{interface}\n")
        (self.sys / "class/infiniband").mkdir(parents=True, exist_ok=True)
        (self.sys / "class/infiniband" / name).symlink_to(
            f"../../devices/virtual/infiniband/{name}")

    def switch(self, bus: int, node: int, nics: int, acs: int = 0,
               host: tuple[int, int] = (0x8086, 0x09a2)) -> None:
        """A host bridge, a root port, a switch, two GPUs and two NICs; @nics: mlx5_N from."""
        self.host(f"pci0000:{bus:02x}", *host, node)
        self.function(f"0000:{bus:02x}:01.0", f"pci0000:{bus:02x}", ROOT_PORT, acs=0, node=node)
        up = f"0000:{bus + 1:02x}:00.0"
        self.function(up, f"0000:{bus:02x}:01.0", UPSTREAM, node=node)
        for i in range(4):
            down = f"0000:{bus + 2:02x}:{i:02x}.0"
            self.function(down, up, DOWNSTREAM, acs=acs, node=node)
            leaf = f"0000:{bus + 3 + i:02x}:00.0"
            if i < 2:
                self.function(leaf, down, driver="nvidia", ids=(0x10de, 0x2330), node=node)
            else:
                self.function(leaf, down, driver="mlx5_core", ids=(0x15b3, 0x1021), node=node,
                              klass=0x020700, bar_bytes=32 << 20, rdma=f"mlx5_{nics + i - 2}",
                              link=(5, 16) if nics + i != 5 else (4, 8))


def server(where: Path) -> None:
    machine = Machine(where)
    for index, bus in enumerate((0x16, 0x40, 0x80, 0xc0)):
        machine.switch(bus, index // 2, index * 2)


def blocked(where: Path) -> None:
    machine = Machine(where)
    for index, bus in enumerate((0x16, 0x40, 0x80, 0xc0)):
        machine.switch(bus, index // 2, index * 2, acs=0x1d if index == 1 else 0,
                       host=(0x8086, 0x09a2) if index in (0, 2) else (0x8086, 0x3420))


def isolated(where: Path) -> None:
    machine = Machine(where)
    for index, bus in enumerate((0x16, 0x40, 0x80, 0xc0)):
        machine.switch(bus, index // 2, index * 2, acs=0x1d, host=(0x8086, 0x3420))


def thousand(where: Path) -> None:
    """25 domains, of 40 nodes each; sixteen RDMA devices in all."""
    machine = Machine(where)
    for index in range(25):
        domain = index + 1
        machine.host(f"pci{domain:04x}:00")
        machine.function(f"{domain:04x}:00:01.0", f"pci{domain:04x}:00", ROOT_PORT, acs=0)
        machine.function(f"{domain:04x}:01:00.0", f"{domain:04x}:00:01.0", UPSTREAM)
        for i in range(18):
            down = f"{domain:04x}:02:{i:02x}.0"
            machine.function(down, f"{domain:04x}:01:00.0", DOWNSTREAM, acs=0)
            nic = index * 18 + i if index < 16 and i == 17 else None
            machine.function(f"{domain:04x}:{3 + i:02x}:00.0", down, driver="nvidia",
                             klass=0x020700 if nic is not None else 0x030200,
                             rdma=f"mlx5_{index}" if nic is not None else "")


MACHINES = {"server": server, "blocked": blocked, "isolated": isolated, "thousand": thousand}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MACHINES:
        sys.exit(__doc__)
    os.makedirs(sys.argv[2], exist_ok=True)
    MACHINES[sys.argv[1]](Path(sys.argv[2]))
