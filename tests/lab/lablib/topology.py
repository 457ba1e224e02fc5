# SPDX-License-Identifier: MIT
"""The machine a scenario runs on: topologies/NAME.toml and what it becomes.

A topology is a list of QEMU devices (`pcie-root-port,id=rp0,...`) and of
memory files ("BAR files") that stand behind device BARs, so that the host
can look at the bytes a device memory holds. The ids "exporter" and "nic"
are what most scenarios ask for.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .base import LAB, LabError

IOMMU_KINDS = ("off", "on", "pt")
CPUS = ("EPYC", "Skylake-Client")


@dataclass
class Topology:
    """A named machine."""

    name: str
    title: str
    devices: list[str]
    memory_mib: dict[str, int] = field(default_factory=dict)
    machine: list[str] = field(default_factory=list)


def names() -> list[str]:
    """All topologies in the tree."""
    return sorted(p.stem for p in (LAB / "topologies").glob("*.toml"))


def load(name: str) -> Topology:
    """Read one topology."""
    path = LAB / "topologies" / f"{name}.toml"
    if not path.exists():
        raise LabError(f"there is no topology {name}; there are: {', '.join(names())}")
    with open(path, "rb") as handle:
        data = tomllib.load(handle)
    unknown = data.keys() - {"title", "devices", "memory_mib", "machine"}
    if unknown:
        raise LabError(f"{path.name}: unknown keys {', '.join(sorted(unknown))}")
    return Topology(name, data["title"], data["devices"], data.get("memory_mib", {}),
                    data.get("machine", []))


@dataclass
class Wire:
    """The network of two guests, as the guest @peer sees it; its sockets lie in @place."""

    place: Path
    peer: int

    def netdev(self, name: str) -> str:
        """QEMU's end of the network @name. A datagram is a frame; who isn't there gets none."""
        here, there = (self.place / f"{name}.{peer}" for peer in (self.peer, 1 - self.peer))
        return (f"dgram,id={name},local.type=unix,local.path={here},"
                f"remote.type=unix,remote.path={there}")


def qemu_arguments(topology: Topology, files: Path, iommu: str, extra: list[str],
                   wire: Wire | None = None) -> list[str]:
    """QEMU's arguments for @topology; @files is where the BAR files lie."""
    args: list[str] = list(topology.machine)
    if iommu != "off":
        args += ["-device", "intel-iommu,intremap=on,aw-bits=48"]
    for name, mib in topology.memory_mib.items():
        args += ["-object", f"memory-backend-file,id={name},share=on,size={mib}M,"
                            f"mem-path={files / name}"]
    # A network that leads nowhere: soft-RoCE only talks to itself here. (A hub without a second
    # port would do, but QEMU never takes a packet for it, and the card's queue stands still.)
    nets = sorted({part.removeprefix("netdev=") for device in [*topology.devices, *extra]
                   for part in device.split(",") if part.startswith("netdev=")})
    for net in nets:
        args += ["-netdev",
                 wire.netdev(net) if wire else f"user,id={net},restrict=on,ipv6=off"]
    for number, device in enumerate([*topology.devices, *extra]):
        if device.startswith("virtio-net-pci"):
            device += ",disable-legacy=on"
            if wire:
                device += f",mac=52:54:00:12:{wire.peer:02x}:{number:02x}"
            if iommu != "off":
                device += ",iommu_platform=on"
        args += ["-device", device]
    return args


def kernel_arguments(iommu: str) -> list[str]:
    """What the guest's command line says about the IOMMU."""
    return {"off": ["intel_iommu=off"], "on": ["intel_iommu=on"],
            "pt": ["intel_iommu=on", "iommu=pt"]}[iommu]
