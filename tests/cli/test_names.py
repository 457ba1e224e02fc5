#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names in p2pctl topo, check and best: long ones, those that are no text, several of one function."""

import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cli_case
import machine
from cli_case import NOT_POSSIBLE, OK
from topo_case import Case


class Long(Case):
    """Names as long as they may be, many of them, and a switch with many ports."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = cli_case.scratch()
        made = machine.Machine(Path(cls.folder.name))
        made.host("pci10000:e0", 0x8086, 0x3420, -1)
        made.function("10000:e0:01.0", "pci10000:e0", machine.ROOT_PORT)
        made.function("10000:e1:00.0", "10000:e0:01.0", machine.UPSTREAM)
        for port in range(20):
            down = f"10000:e2:{port:02x}.0"
            made.function(down, "10000:e1:00.0", machine.DOWNSTREAM, acs=0x1d)
            made.function(f"10000:{0xe3 + port:02x}:00.0", down, driver="a_driver_with_a_long_name",
                          rdma=f"rocep{port:02}_{'n' * 40}" if port % 2 else "",
                          klass=0x020700 if port % 2 else 0x030200)

    def test_svg(self) -> None:
        text = self.run_it(OK, "topo", "--svg").stdout
        self.assert_readable(ElementTree.fromstring(text))
        self.assertIn("\u2026", text)

    def test_names_are_counted(self) -> None:
        text = self.run_it(OK, "topo").stdout
        self.assertRegex(text, r"10000:e3:00.0/2, .*, 10000:e9:00.0/2 and 6 more to rocep01_n*, .* and 6 more: ")
        self.assertIn("10000:e2:0f.0 and others redirects", text)
        self.assertNotIn("node -1", self.run_it(OK, "topo", "--dot").stdout)


class Names(Case):
    """Text from devices can't break out of a picture, or of JSON."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = cli_case.scratch()
        made = machine.Machine(Path(cls.folder.name))
        made.host("pci0000:00")
        for number, name in ((1, '<a>&"b\\'), (2, "mlx5_0")):
            port = f"0000:00:0{number}.0"
            made.function(port, "pci0000:00", machine.ROOT_PORT)
            made.function(f"0000:0{number}:00.0", port, driver=name, rdma=name)
        # Bytes that are no text, and some that are.
        made.function("0000:00:03.0", "pci0000:00", machine.ROOT_PORT)
        made.function("0000:03:00.0", "0000:00:03.0", driver=os.fsdecode(b"a\xffb\xe2\x82c\xc3\xa9"))

    def run_it(self, code: int, *arguments: str) -> subprocess.CompletedProcess:
        done = super().run_it(code, *arguments)
        self.assertNotIn("\udcff", done.stdout)
        return done

    def test_svg(self) -> None:
        text = self.run_it(OK, "topo", "--all", "--svg").stdout
        ElementTree.fromstring(text)
        self.assertNotIn("<a>", text)
        self.assertIn("a\ufffdb\ufffd\ufffdc\u00e9", text)

    def test_dot(self) -> None:
        for line in self.run_it(OK, "topo", "--all", "--dot").stdout.splitlines():
            bare = line.replace("\\\\", "").replace('\\"', "")
            self.assertEqual(bare.count('"') % 2, 0, line)
        self.assertIn("a\ufffdb\ufffd\ufffdc\u00e9", self.run_it(OK, "topo", "--all", "--dot").stdout)

    def test_json(self) -> None:
        nodes = self.json("topo", OK, "topo", "--all")["nodes"]
        drivers = [node["driver"] for node in nodes]
        self.assertIn('<a>&"b\\', drivers)
        self.assertIn("a\ufffdb\ufffd\ufffdc\u00e9", drivers)


class OtherNames(Case):
    """Functions with several BARs, memory of their driver's, and several devices."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = cli_case.scratch()
        place = Path(cls.folder.name)
        made = machine.Machine(place)
        made.host("pci0000:00")
        for number in range(1, 5):
            made.function(f"0000:00:0{number}.0", "pci0000:00", machine.ROOT_PORT)
        made.function("0000:01:00.0", "0000:00:01.0", driver="amdgpu")
        made.function("0000:02:00.0", "0000:00:02.0", rdma="mlx5_0", klass=0x020000)
        made.function("0000:03:00.0", "0000:00:03.0", driver="p2pdma_export")
        made.function("0000:04:00.0", "0000:00:04.0", rdma="mlx5_1", klass=0x020000)
        made.add_bar("0000:01:00.0", 0, 1 << 20)
        made.add_bar("0000:03:00.0", 0, 1 << 20)
        made.add_drm("0000:01:00.0", "card1", "renderD128")
        gpu = made.sys / made.places["0000:01:00.0"]
        (gpu / "mem_info_vram_total").write_text(f"{16 << 30}\n")
        made.add_rxe("rxe0", "eth0", "0000:02:00.0")
        made.add_rxe("rxe1", "dummy0")

    def importers(self, name: str) -> list[str]:
        paths = self.json("paths", OK, "best", name)["paths"]
        self.assertEqual({path["works"] for path in paths}, {"yes"})
        return sorted(path["importer"] for path in paths)

    def providers(self, name: str) -> list[str]:
        paths = self.json("paths", OK, "best", name)["paths"]
        self.assertEqual({path["importer"] for path in paths}, {name})
        return sorted(path["provider"] for path in paths)

    def test_best_takes_what_check_takes(self) -> None:
        for name in ("0000:01:00.0/0", "0000:01:00.0/2", "0000:01:00.0/vram"):
            self.run_it(OK, "check", name, "mlx5_0")
            self.assertEqual(self.importers(name), ["mlx5_0", "mlx5_1"])
        for name in ("0000:03:00.0", "0000:03:00.0/0"):
            self.assertEqual(self.importers(name), ["card1", "mlx5_0", "mlx5_1"])

    def test_best_of_a_function_that_imports(self) -> None:
        self.assertEqual(self.providers("0000:01:00.0"), ["0000:03:00.0/2"])

    def test_best_knows_every_name(self) -> None:
        for name in ("mlx5_0", "rxe0", "0000:02:00.0", "mlx5_1"):
            self.run_it(OK, "check", "0000:01:00.0", name)
            self.assertEqual(self.providers(name), ["0000:01:00.0/2", "0000:03:00.0/2"])
        for name in ("card1", "renderD128"):
            self.assertEqual(self.providers(name), ["0000:03:00.0/2"])

    def test_no_function_is_no_path(self) -> None:
        text = self.run_it(NOT_POSSIBLE, "check", "0000:01:00.0/2", "rxe1").stdout
        self.assertIn("0000:01:00.0/2 to rxe1: no, NOT_SUPPORTED", text)
        self.assertIn("rxe1 is on no PCI function", text)
        self.assertIn("dmabuf_device", text)
        self.assertNotIn("kernel ", text)
        paths = self.json("paths", NOT_POSSIBLE, "best", "rxe1")["paths"]
        self.assertEqual([path["function"] for path in paths], [None, None])

    def test_topo_has_every_name(self) -> None:
        nodes = {node["name"]: node for node in self.json("topo", OK, "topo")["nodes"]}
        self.assertEqual(nodes["0000:02:00.0"]["device"], "mlx5_0")
        self.assertEqual(nodes["0000:02:00.0"]["devices"], "mlx5_0 rxe0")
        self.assertEqual(nodes["0000:01:00.0"]["devices"], "card1 renderD128")
        self.assertEqual(nodes["0000:04:00.0"]["devices"], "mlx5_1")
        self.assertIsNone(nodes["0000:03:00.0"]["devices"])
        text = self.run_it(OK, "topo").stdout
        self.assertIn("  mlx5_0 (0000:02:00.0): rxe0\n", text)
        self.assertNotIn("mlx5_1 (", text)

    def test_lent_function(self) -> None:
        lent = Path(self.folder.name) / "sys/module/rdma_rxe/parameters/dmabuf_device"
        lent.parent.mkdir(parents=True)
        lent.write_text("0000:04:00.0\n")
        self.addCleanup(lent.write_text, "\n")
        for name in ("rxe0", "rxe1"):
            path = self.json("paths", OK, "check", "0000:01:00.0/2", name)["paths"][0]
            self.assertEqual(path["function"], "0000:04:00.0")
        nodes = {node["name"]: node for node in self.json("topo", OK, "topo")["nodes"]}
        self.assertEqual(nodes["0000:02:00.0"]["devices"], "mlx5_0")
        self.assertEqual(nodes["0000:04:00.0"]["devices"], "mlx5_1 rxe0 rxe1")


if __name__ == "__main__":
    cli_case.main()
