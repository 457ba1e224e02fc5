#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pctl list --direct on a machine made of files, with a GPU (fake_drm.c).
"""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path
from typing import Optional

import cli_case
import machine

GPU, OTHER = "0000:01:00.0", "0000:02:00.0"


class Vram(unittest.TestCase):
    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        self.folder = cli_case.scratch()
        made = machine.Machine(Path(self.folder.name))
        made.host("pci0000:00")
        for number, address in ((1, GPU), (2, OTHER)):
            made.function(f"0000:00:0{number}.0", "pci0000:00", machine.ROOT_PORT)
            made.function(address, f"0000:00:0{number}.0", driver="nouveau")
        self.node(GPU, 191)

    def tearDown(self) -> None:
        self.folder.cleanup()

    def node(self, address: str, number: int) -> None:
        place = Path(self.folder.name, "sys/bus/pci/devices", address)
        (place / f"drm/renderD{number}").mkdir(parents=True)

    def list(self, *arguments: str, vram: Optional[int] = None) -> str:
        env = dict(os.environ, P2PCTL_SYSFS=f"{self.folder.name}/sys", P2PDMA_SOCKET="/nonexistent")
        if vram is not None:
            env["P2PCTL_TEST_VRAM"] = str(vram)
        done = subprocess.run([cli_case.program(), "list", "--direct", *arguments],
                              env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding="utf-8", timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        return done.stdout

    def sizes(self, vram: Optional[int] = None) -> dict[str, Optional[int]]:
        rows = json.loads(self.list("--json", vram=vram))["direct"]
        return {row["name"].split("@")[0]: row["size_bytes"] for row in rows}

    def test_the_driver_is_asked(self) -> None:
        self.assertEqual(self.sizes(24 << 30), {f"{GPU}/2": 16 << 30, f"{GPU}/vram": 24 << 30,
                                                f"{OTHER}/2": 16 << 30})
        self.assertRegex(self.list(vram=24 << 30), rf"{re.escape(GPU)}/vram@\d+ +24 GiB ")

    def test_what_isnt_told_is_unknown(self) -> None:
        # No such node; and a driver that has nothing to tell.
        for vram in (None, 0):
            self.assertIsNone(self.sizes(vram)[f"{GPU}/vram"])
            self.assertEqual(self.sizes(vram)[f"{GPU}/2"], 16 << 30)
            for option in ("--bytes", "--no-headings"):
                self.assertRegex(self.list(option, vram=vram),
                                 rf"{re.escape(GPU)}/vram@\d+ +unknown ")

    def test_one_that_cant_be_asked_hides_no_other(self) -> None:
        self.node(OTHER, 190)
        sizes = self.sizes(1 << 30)
        self.assertEqual((sizes[f"{GPU}/vram"], sizes[f"{OTHER}/vram"]), (1 << 30, None))


if __name__ == "__main__":
    cli_case.main()
