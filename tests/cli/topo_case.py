# SPDX-License-Identifier: MIT
"""What tests of topo, check and best share: how they are run on a machine made of files, and how a
picture is looked at."""

import json
import os
import re
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cli_case
import machine
from cli_case import OK

NICS = [f"mlx5_{number}" for number in range(8)]
GPUS = [f"0000:{bus:02x}:00.0/2" for bus in (0x19, 0x1a, 0x43, 0x44, 0x83, 0x84, 0xc3, 0xc4)]
SVG = "{http://www.w3.org/2000/svg}"


class Case(unittest.TestCase):
    MACHINE = "server"

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = cli_case.scratch()
        machine.MACHINES[cls.MACHINE](Path(cls.folder.name))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def run_it(self, code: int, *arguments: str) -> subprocess.CompletedProcess:
        env = dict(os.environ, P2PCTL_SYSFS=f"{self.folder.name}/sys",
                   P2PCTL_TEST_ROOT=f"{self.folder.name}/root", P2PDMA_SOCKET="/nonexistent")
        done = subprocess.run([cli_case.program(), *arguments], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              encoding="utf-8", errors="surrogateescape", check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        return done

    def json(self, schema: str, code: int, *arguments: str) -> dict:
        found = json.loads(self.run_it(code, "--json", *arguments).stdout)
        self.assertEqual((found["schema"], found["version"]), (f"p2pctl.{schema}", 1))
        return found

    def matrix(self) -> dict[str, list[str]]:
        """Row by row: the cells of the importers."""
        lines = self.run_it(OK, "topo").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["PROVIDER", *NICS, "NODE", "DRIVER"])
        rows = {}
        for line in lines[1:9]:
            name, rest = line.split(None, 1)
            rows[name] = re.findall(r"(NO|[A-Z?+]+ \d+)", rest)
        self.assertEqual(list(rows), GPUS)
        return rows

    def text(self, name: str) -> str:
        """The matrix of another machine."""
        with cli_case.scratch() as folder:
            machine.MACHINES[name](Path(folder))
            env = dict(os.environ, P2PCTL_SYSFS=f"{folder}/sys", P2PDMA_SOCKET="/nonexistent")
            return subprocess.run([cli_case.program(), "topo"], env=env, check=True,
                                  stdout=subprocess.PIPE, encoding="utf-8", timeout=60).stdout

    def assert_readable(self, root: ElementTree.Element) -> None:
        """Nothing lies outside the picture, and no text on another one."""
        height, width = float(root.get("height")), float(root.get("width"))
        boxes = []
        for text in root.iter(f"{SVG}text"):
            words = "".join(text.itertext())
            x, y = float(text.get("x")), float(text.get("y"))
            classes = (text.get("class") or "").split()
            # As wide as a character is at least.
            length = len(words) * (4.6 if "small" in classes or "rate" in classes else 5.6)
            if text.get("transform"):
                # Headings go up to the right.
                self.assertGreater(y - length * 0.77, 0, words)
                self.assertLess(x + length * 0.65, width, words)
                continue
            if "cell" in classes:
                x -= length / 2
            self.assertGreaterEqual(x, 0, words)
            self.assertLess(x + length, width, words)
            self.assertLess(y, height, words)
            boxes.append((x, y - 8, x + length, y, words))
        for element in root.iter(f"{SVG}rect"):
            if element.get("x"):
                self.assertLess(float(element.get("x")) + float(element.get("width")), width)
                self.assertLess(float(element.get("y")) + float(element.get("height")), height)
        for one in boxes:
            for other in boxes:
                if one is not other and one[0] < other[2] and other[0] < one[2]:
                    self.assertFalse(one[1] < other[3] and other[1] < one[3], (one, other))
