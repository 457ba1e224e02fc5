#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pctl bind and unbind on a sysfs made of files, with a kernel behind it (fake_sysfs.c)."""

import json
import os
import subprocess
import unittest
from pathlib import Path
from typing import Optional

import cli_case
from cli_case import NOT_FOUND, NOT_POSSIBLE, OK, USAGE


class Binding(unittest.TestCase):
    FUNCTION = "0000:01:00.0"

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        self.scratch = cli_case.scratch()
        self.bus = Path(self.scratch.name) / "bus/pci"
        self.device = self.bus / "devices" / self.FUNCTION
        self.device.mkdir(parents=True)
        for driver in ("nvme", "vfio-pci", "p2pdma_export"):
            (self.bus / "drivers" / driver).mkdir(parents=True)
            for name in ("bind", "unbind"):
                (self.bus / "drivers" / driver / name).write_text("")
        (self.bus / "drivers_probe").write_text("")
        (self.device / "driver_override").write_text("(null)\n")
        self.env = dict(os.environ, P2PCTL_SYSFS=self.scratch.name, P2PCTL_TEST_DEFAULT="nvme")

    def tearDown(self) -> None:
        self.scratch.cleanup()

    def bind(self, driver: str) -> None:
        (self.device / "driver").symlink_to(f"../../drivers/{driver}")

    def assert_is(self, driver: Optional[str], override: str) -> None:
        link = self.device / "driver"
        self.assertEqual(link.readlink().name if link.is_symlink() else None, driver)
        self.assertEqual((self.device / "driver_override").read_text().strip(), override)

    def run_it(self, code: int, *arguments: str) -> str:
        done = subprocess.run([cli_case.program(), *arguments], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def test_bind(self) -> None:
        self.assertIn("p2pdma_export", self.run_it(OK, "bind", self.FUNCTION))
        self.assert_is("p2pdma_export", "p2pdma_export")
        # To another driver, and what is so already.
        self.run_it(OK, "bind", self.FUNCTION, "vfio-pci")
        self.run_it(OK, "bind", self.FUNCTION, "vfio-pci")
        self.assert_is("vfio-pci", "vfio-pci")
        found = json.loads(self.run_it(OK, "-J", "bind", self.FUNCTION))
        self.assertEqual(found["binding"][0], {"function": self.FUNCTION, "driver_before": "vfio-pci",
                                               "driver": "p2pdma_export"})

    def test_bind_what_isnt(self) -> None:
        self.run_it(USAGE, "bind", "../../etc")
        self.run_it(USAGE, "bind", self.FUNCTION, "a/driver")
        self.run_it(USAGE, "bind")
        self.run_it(NOT_FOUND, "bind", "0000:09:00.0")
        self.assertIn("modprobe", self.run_it(NOT_FOUND, "bind", self.FUNCTION, "nothing"))
        self.assert_is(None, "(null)")

    def test_in_use_is_refused(self) -> None:
        self.bind("nvme")
        self.assertIn("in use by nvme", self.run_it(NOT_POSSIBLE, "bind", self.FUNCTION))
        self.assertIn("in use by nvme", self.run_it(NOT_POSSIBLE, "unbind", self.FUNCTION))
        self.assert_is("nvme", "(null)")
        self.run_it(OK, "bind", "--force", self.FUNCTION)
        self.assert_is("p2pdma_export", "p2pdma_export")

    def test_bind_undoes_what_failed(self) -> None:
        self.env["P2PCTL_TEST_REFUSES"] = "p2pdma_export"
        said = self.run_it(NOT_POSSIBLE, "bind", self.FUNCTION)
        self.assertIn(f"p2pdma_export didn't take {self.FUNCTION}", said)
        self.assertIn("is as it was", self.run_it(NOT_POSSIBLE, "bind", self.FUNCTION))
        self.assert_is(None, "")
        self.bind("nvme")
        (self.device / "driver_override").write_text("nvme\n")
        self.assertIn("is as it was",
                      self.run_it(NOT_POSSIBLE, "bind", "--force", self.FUNCTION))
        self.assert_is("nvme", "nvme")

    def test_bind_without_override_changes_nothing(self) -> None:
        self.bind("vfio-pci")
        (self.device / "driver_override").unlink()
        self.run_it(NOT_FOUND, "bind", self.FUNCTION)
        self.assertEqual((self.device / "driver").readlink().name, "vfio-pci")

    def test_unbind(self) -> None:
        self.bind("vfio-pci")
        (self.device / "driver_override").write_text("vfio-pci\n")
        self.run_it(OK, "unbind", self.FUNCTION)
        self.assert_is("nvme", "")
        (self.device / "driver").unlink()
        self.bind("p2pdma_export")
        self.run_it(OK, "unbind", "--no-probe", self.FUNCTION)
        self.assert_is(None, "")
        # Nothing is bound: the kernel's choice is all there is to it.
        self.run_it(OK, "unbind", self.FUNCTION)
        self.assert_is("nvme", "")


if __name__ == "__main__":
    cli_case.main()
