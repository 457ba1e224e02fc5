# SPDX-License-Identifier: MIT
"""docs/matrix.md: what the matrix scenario has measured, as a table."""

from __future__ import annotations

import time

from .base import REPO, write_atomically
from .results import Result

FILE = REPO / "docs" / "matrix.md"
HEAD = """# Exporter x importer x topology x IOMMU

Made by `tests/lab/lab matrix`; don't edit. Linux {kernel}, {machine}, {date}.

Each row is a run of `tests/lab/scenarios/matrix.sh`: bytes go both ways and are compared,
then the memory is taken back. *works*: every byte was right, and after the revoke the
importer was refused. *EINVAL*: the kernel knows no path between the two functions, and
says so at registration. *maps*: the mapping, its address and its end are right, but the bytes
aren't compared, because QEMU's switches route nothing from peer to peer and its IOMMU translates
bus addresses, too. The map type is what the kernel decides for that pair of functions:
BUS_ADDR below a common switch, THRU_HOST_BRIDGE across the root complex, NOT_SUPPORTED where
the host bridge isn't known to forward peer-to-peer requests; *system* is ordinary memory.

Importers: *rxe*, soft-RoCE for the function of a virtio network card, with the CPU moving the
bytes; *edu*, QEMU's edu device with a DMA engine of its own. Revoke latencies are in microseconds:
for rxe of one 1 MiB memory region, min / median / max of 15, *idle* and with twelve 1 MiB RDMA
writes in flight; for edu of one mapping, once, *idle*. They are those of an emulated machine on a
busy host: use them to compare rows.
"""
COLUMNS = (("exporter", "exporter"), ("importer", "importer"), ("topology", "topology"),
           ("CPU", "cpu"), ("IOMMU", "iommu"), ("map type", "map"), ("result", "result"),
           ("revoke, idle", "idle"), ("revoke, traffic", "traffic"))


def write(found: list[Result], is_kvm: bool) -> int:
    """Write the table; how many rows it has."""
    rows = [row for result in found for row in result.rows]
    order = ["exporter", "importer", "topology", "cpu", "iommu"]
    rows.sort(key=lambda row: [row.get(key, "") for key in order])
    machine = "QEMU with KVM" if is_kvm else "QEMU software emulation"
    lines = [HEAD.format(kernel=found[0].kernel, machine=machine,
                         date=time.strftime("%Y-%m-%d", time.gmtime())),
             "| " + " | ".join(title for title, _ in COLUMNS) + " |",
             "|" + "---|" * len(COLUMNS)]
    for row in rows:
        cells = [row.get(key, "").replace("/", " / ") for _, key in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    write_atomically(FILE, "\n".join(lines) + "\n")
    return len(rows)
