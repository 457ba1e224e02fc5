#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Paths from providers to importers: what they cost everybody."""

import errno
import tempfile
from pathlib import Path

import daemon_case
import fake_machine
from fake_machine import Function

BAR = 1 << 20
IMPORTER = "0000:20:00.0"
ROUND = 200


class Paths(daemon_case.DaemonCase):
    """Functions of VFIO, whose paths p2pd computes by what sysfs says."""

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix="p2pd-nodes-")
        self.addCleanup(folder.cleanup)
        self.machine = fake_machine.Machine(Path(folder.name), fake_machine.KERNEL)
        self.addCleanup(self.machine.end)
        for bus in range(1, 9):
            self.machine.plug(Function(f"0000:0{bus}:00.0", "vfio-pci", {0: BAR, 2: BAR}),
                              is_told=False)
        self.machine.plug(Function(IMPORTER, "mlx5_core", {0: BAR}), is_told=False)
        self.OPTIONS = {"program": "p2pd-discovery",
                        "environment": {"P2PD_FAKE_NODES": folder.name}}
        super().setUp()

    def spent_ns(self) -> int:
        """Processor time of p2pd."""
        with open(f"/proc/{self.first_pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])

    def cost_ns(self, importer: str) -> int:
        """Of so many requests for more than there is; the least, since others use the processor, too."""
        client, costs = self.client(), []
        for _ in range(4):
            before = self.spent_ns()
            for _ in range(ROUND):
                self.refused(errno.EOPNOTSUPP, client.acquire, 64 << 20, importer=importer)
            costs.append(self.spent_ns() - before)
        client.close()
        return min(costs)

    def test_cost(self) -> None:
        """Of each of 16 providers, with each request: it was 36 times as much."""
        plain, with_paths = self.cost_ns(""), self.cost_ns(IMPORTER)
        self.assertLess(with_paths, 5 * plain, (plain, with_paths))


if __name__ == "__main__":
    fake_machine.enter()
    daemon_case.main()
