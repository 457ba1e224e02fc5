# SPDX-License-Identifier: MIT
"""docs/matrix.md: what the scenarios matrix and paths have measured, as two tables.

Each scenario's part is written anew when it has run, and else stays as it is.
"""

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


PATHS_HEAD = """# Every place with every other

Made by `tests/lab/lab matrix paths`; don't edit. Linux {kernel}, {machine}, {date}.

Each cell is what the kernel decided for a provider and an importer, by the module's PATH ioctl: the
map type and its distance. In every one of them p2pdma_path_query() had computed the same from
sysfs and configuration space, and a memory region was registered, or refused with EINVAL where the
kernel doesn't map. Then the ACS control of each port was turned round, one after the other, and each time
every pair was computed anew by a topology and compared with the ioctl; a region was registered, or
refused, where the map type was another one than in the cell: {turned} comparisons in all, these and
those of the cells (`tests/lab/guest/library/path_sweep.c`).

Every HOST is by the kernel's rule for AMD processors from Zen on, which EPYC is one of and the others aren't.
Its list of host bridges decides nothing here, since QEMU has none that is in it, nor does the list's
condition that both are below the same one: those two are proven by unit tests alone
(`tests/unit/test_path.c`), by a list that `scripts/refresh-host-bridges` makes from the kernel's source.

Places: *root*, integrated into the root complex; *port*, below a root port of its own; *functions*,
two functions of one device; *switch* and *nested*, below a switch and below another one below that;
*beside*, a function that shares its root port with a switch, and what is below that switch;
*bridge*, conventional PCI; *host2* and *host3*, below other host bridges, *host3* with a switch. A
provider and an importer of one name are next to each other. BUS: BUS_ADDR; HOST: THRU_HOST_BRIDGE;
no: NOT_SUPPORTED. With an IOMMU the kernel turns ACS on where a port has it.
"""
SHORT = {"BUS_ADDR": "BUS", "THRU_HOST_BRIDGE": "HOST", "NOT_SUPPORTED": "no"}


def _places(found: list[Result], machine: str) -> tuple[str, int]:
    """The part of the scenario paths, and how many cells it has."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    machines: list[str] = []
    for row in (row for result in found for row in result.rows if "from" in row):
        column = f"{row['cpu']}, {row['iommu']}"
        if column not in machines:
            machines.append(column)
        distance = "" if row["map"] == "NOT_SUPPORTED" else f" {row['distance']}"
        pair = cells.setdefault((row["from"], row["to"]), {})
        pair[column] = SHORT[row["map"]] + distance
    sweeps = sum(case.name.endswith("pairs agree") for result in found for case in result.cases)
    head = PATHS_HEAD.format(kernel=found[0].kernel, machine=machine, date=_today(),
                             turned=f"{sweeps * len(cells):,}")
    lines = [head, "| provider | importer | " + " | ".join(machines) + " |",
             "|" + "---|" * (2 + len(machines))]
    lines += [f"| {provider} | {importer} | " +
              " | ".join(pair.get(column, "") for column in machines) + " |"
              for (provider, importer), pair in cells.items()]
    return "\n".join(lines) + "\n", len(cells) * len(machines)


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _measured(found: list[Result], machine: str) -> tuple[str, int]:
    """The part of the scenario matrix, and how many rows it has."""
    rows = [row for result in found for row in result.rows if "exporter" in row]
    order = ["exporter", "importer", "topology", "cpu", "iommu"]
    rows.sort(key=lambda row: [row.get(key, "") for key in order])
    lines = [HEAD.format(kernel=found[0].kernel, machine=machine, date=_today()),
             "| " + " | ".join(title for title, _ in COLUMNS) + " |",
             "|" + "---|" * len(COLUMNS)]
    for row in rows:
        cells = [row.get(key, "").replace("/", " / ") for _, key in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n", len(rows)


def _parts() -> dict[str, str]:
    """What the file has now, by the first line of each part."""
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    return {"# " + part.split("\n", 1)[0]: "# " + part.rstrip("\n") + "\n"
            for part in ("\n" + text).split("\n# ")[1:]}


def write(found: list[Result], is_kvm: bool) -> int:
    """Write what was measured; how many rows or cells that is."""
    machine = "QEMU with KVM" if is_kvm else "QEMU software emulation"
    parts, total = _parts(), 0
    for title, key, make in ((HEAD, "exporter", _measured), (PATHS_HEAD, "from", _places)):
        mine = [result for result in found if any(key in row for row in result.rows)]
        if mine:
            text, count = make(mine, machine)
            parts[title.split("\n", 1)[0]] = text
            total += count
    heads = [title.split("\n", 1)[0] for title in (HEAD, PATHS_HEAD)]
    write_atomically(FILE, "\n".join(parts[head] for head in heads if head in parts))
    return total
