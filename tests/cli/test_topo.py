#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pctl topo, check and best on machines made of files (machine.py).

What they print is compared with what the machine was made to be: matrices in full, pictures by
what stands in them.
"""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cli_case
import machine
from cli_case import DENIED, FAILED, NOT_FOUND, NOT_POSSIBLE, OK, USAGE
from topo_case import GPUS, NICS, SVG, Case


class Server(Case):
    def test_matrix(self) -> None:
        for row, cells in enumerate(self.matrix().values()):
            self.assertEqual(cells, ["SW 4" if row // 2 == nic // 2 else "HH 8"
                                     for nic in range(8)])
        text = self.run_it(OK, "topo").stdout
        self.assertRegex(text, r"SW +straight .*BUS_ADDR")
        self.assertRegex(text, r"HH +through two host bridges")
        self.assertNotRegex(text, r"NO +not supported")
        self.assertNotIn("PROVIDER", self.run_it(OK, "--no-headings", "topo").stdout)

    def test_json(self) -> None:
        found = self.json("topo", OK, "topo")
        nodes = {node["name"]: node for node in found["nodes"]}
        # Four times a host bridge, a root port, a switch of five ports, four functions.
        self.assertEqual(len(nodes), 4 * 11)
        self.assertEqual(nodes["0000:46:00.0"]["device"], "mlx5_3")
        self.assertEqual(nodes["0000:46:00.0"]["parent"], "0000:42:03.0")
        self.assertEqual(nodes["0000:46:00.0"]["link_width"], 8)
        self.assertEqual(nodes["0000:46:00.0"]["max_link_width"], 16)
        self.assertEqual(nodes["pci0000:80"]["numa_node"], 1)
        self.assertEqual(nodes["0000:19:00.0"]["bar_bytes"], 16 << 30)
        self.assertEqual(len(found["paths"]), 64)
        for path in found["paths"]:
            is_near = GPUS.index(path["provider"]) // 2 == NICS.index(path["importer"]) // 2
            self.assertEqual(path["map_type"], "BUS_ADDR" if is_near else "THRU_HOST_BRIDGE")
            self.assertEqual(path["distance"], 4 if is_near else 8)
            self.assertEqual(path["possible"], 1)

    def test_all_takes_every_function(self) -> None:
        found = self.json("topo", OK, "topo", "--all")
        # 16 functions and four that are the root buses' first, which have no BAR.
        self.assertEqual(len(found["paths"]), 16 * 20)
        own = [path for path in found["paths"]
               if path["provider"] == GPUS[0] and path["function"] == GPUS[0][:-2]]
        self.assertEqual(own[0]["distance"], 0)

    def test_check(self) -> None:
        text = self.run_it(OK, "check", GPUS[0], "mlx5_1").stdout
        self.assertIn("yes, BUS_ADDR, distance 4", text)
        self.assertIn("below switch port 0000:17:00.0", text)
        self.assertIn("63.0 GB/s, PCIe 5.0 x16", text)
        self.assertNotIn("change", text)
        # The function alone: its largest BAR.
        path = self.json("paths", OK, "check", GPUS[0][:-2], "mlx5_3")["paths"][0]
        self.assertEqual((path["provider"], path["works"]), (GPUS[0], "yes"))
        self.assertEqual(path["narrowest"], "0000:46:00.0")
        self.assertEqual(path["bytes_per_second"] // 10**6, 15753)

    def test_check_what_isnt(self) -> None:
        self.run_it(USAGE, "check", GPUS[0])
        self.run_it(USAGE, "check", GPUS[0], "mlx5_0", "mlx5_1")
        self.run_it(NOT_FOUND, "check", "0000:77:00.0/2", "mlx5_0")
        self.run_it(NOT_FOUND, "check", "0000:16:01.0", "mlx5_0")
        done = self.run_it(NOT_FOUND, "check", GPUS[0], "mlx5_9")
        self.assertIn("try: `p2pctl topo --all`", done.stderr)
        self.run_it(FAILED, "check", "what?", "mlx5_0")
        self.run_it(FAILED, "check", GPUS[0], "../etc")

    def test_best_of_a_provider(self) -> None:
        paths = self.json("paths", OK, "best", GPUS[2])["paths"]
        # Below one switch the wider link first; then the rest, those of the same node first.
        self.assertEqual([path["importer"] for path in paths],
                         ["mlx5_2", "mlx5_3", "mlx5_0", "mlx5_1", *NICS[4:]])
        self.assertEqual({path["provider"] for path in paths}, {GPUS[2]})

    def test_best_of_an_importer(self) -> None:
        paths = self.json("paths", OK, "best", "mlx5_5")["paths"]
        self.assertEqual([path["provider"] for path in paths],
                         [*GPUS[4:6], *GPUS[6:], *GPUS[:4]])
        by_function = self.json("paths", OK, "best", "0000:86:00.0")["paths"]
        self.assertEqual([path["provider"] for path in by_function],
                         [path["provider"] for path in paths])

    def test_best_what_isnt(self) -> None:
        self.run_it(USAGE, "best")
        for name, cause in (("mlx5_9", 'no importer "mlx5_9"'), ("0000:77:00.0", "0000:77:00.0"),
                            (f"{GPUS[0][:-2]}/4", "no memory BAR 4"),
                            (f"{GPUS[0][:-2]}/vram", "0000:19:00.0")):
            self.assertIn(cause, self.run_it(NOT_FOUND, "best", name).stderr)
        self.run_it(FAILED, "best", "../etc/2")

    def test_usage(self) -> None:
        self.run_it(USAGE, "topo", "more")
        self.run_it(USAGE, "topo", "--dot", "--svg")
        self.run_it(USAGE, "--json", "topo", "--svg")
        self.run_it(USAGE, "topo", "--unknown")

    def test_dot(self) -> None:
        text = self.run_it(OK, "topo", "--dot").stdout
        self.assertEqual(text.count("subgraph"), 4)
        self.assertIn('"0000:42:03.0" -> "0000:46:00.0" [dir=none, label="4.0 x8"', text)
        self.assertNotIn("dashed", text)
        self.assertEqual(text.count("{"), text.count("}"))


class Blocked(Case):
    MACHINE = "blocked"

    def test_matrix(self) -> None:
        rows = list(self.matrix().values())
        no = ["NO"] * 2
        self.assertEqual(rows[0], ["SW 4"] * 2 + no + ["HH 8"] * 2 + no)
        self.assertEqual(rows[2], no * 4)
        self.assertEqual(rows[4], ["HH 8"] * 2 + no + ["SW 4"] * 2 + no)
        self.assertEqual(rows[7], no * 3 + ["SW 4"] * 2)
        self.assertRegex(self.run_it(OK, "topo").stdout, r"NO +not supported")

    def test_check_says_what_to_change(self) -> None:
        text = self.run_it(NOT_POSSIBLE, "check", GPUS[2], "mlx5_2").stdout
        self.assertIn("no, NOT_SUPPORTED", text)
        self.assertIn('"pci=disable_acs_redir=0000:42:00.0;0000:42:02.0"', text)
        self.assertIn("0000:42:00.0  downstream-port, PCIe 5.0 x16, ACS redirects", text)
        path = self.json("paths", NOT_POSSIBLE, "check", GPUS[0], "mlx5_2")["paths"][0]
        self.assertEqual((path["works"], path["distance"]), ("no", -1))
        self.assertIn("pci0000:40 (8086:3420)", path["why"])
        self.assertIn("one PCIe switch", path["advice"])

    def test_check_keeps_what_the_kernel_was_booted_with(self) -> None:
        place = Path(self.folder.name)
        self.addCleanup(machine.Machine.boot, place, "quiet")
        machine.Machine.boot(place, "pci=disable_acs_redir=pci:8086:1234 quiet "
                             "pci=realloc,disable_acs_redir=0000:17:00.0;42:02.0,noaer")
        path = self.json("paths", NOT_POSSIBLE, "check", GPUS[2], "mlx5_2")["paths"][0]
        self.assertIn('"pci=disable_acs_redir=0000:42:00.0;0000:42:02.0;0000:17:00.0" ',
                      path["advice"])
        self.assertIn("in place of the one that is there", path["advice"])

    def test_best_where_nothing_works(self) -> None:
        self.run_it(NOT_POSSIBLE, "best", GPUS[2])
        paths = self.json("paths", OK, "best", GPUS[0])["paths"]
        self.assertEqual([path["works"] for path in paths], ["yes"] * 4 + ["no"] * 4)

    # All of the switch in one parameter, and the two host bridges with one remedy.
    PARAMETER = f'"pci=disable_acs_redir={";".join(f"0000:42:0{port}.0" for port in range(4))}"'
    PAIRS = "0000:43:00.0/2 and 0000:44:00.0/2 to mlx5_2 and mlx5_3"

    def test_each_remedy_is_told_once(self) -> None:
        lines = self.run_it(OK, "topo").stdout.split("What is in the way")[1].splitlines()[1:]
        self.assertEqual([re.match(r" *(NO|change:)", line)[1] for line in lines],
                         ["NO", "NO", "change:", "NO", "change:"])
        for line, host, nic in zip(lines, ("40", "c0"), ("2", "6")):
            self.assertIn(f"20 pairs, such as {GPUS[0]} to mlx5_{nic}: no port is above both", line)
            self.assertIn(f"pci0000:{host} (8086:3420)", line)
        self.assertIn("one PCIe switch", lines[2])
        self.assertIn(f"{self.PAIRS}: ACS at 0000:42:00.0, ", lines[3])
        self.assertIn(self.PARAMETER, lines[4])
        self.assertNotIn("in the way", self.text("server"))

    def test_json_has_each_pair_with_its_place(self) -> None:
        paths = [path for path in self.json("topo", OK, "topo")["paths"]
                 if path["map_type"] == "NOT_SUPPORTED"]
        self.assertEqual(len(paths), 44)
        count = {place: sum(path["place"] == place for path in paths)
                 for place in ("0000:41:00.0", "pci0000:40", "pci0000:c0")}
        self.assertEqual(count, {"0000:41:00.0": 4, "pci0000:40": 20, "pci0000:c0": 20})

    def test_dot_has_a_note_where_it_is(self) -> None:
        text = self.run_it(OK, "topo", "--dot").stdout
        self.assertEqual(len(re.findall(r"shape=note", text)), 3)
        edges = re.findall(r'"note \d" -> "([^"]*)" \[color="#d6336c"', text)
        self.assertEqual(edges, ["pci0000:40", "pci0000:c0", "0000:41:00.0"])
        note = re.search(r'"note 3" .* label="(.*)"\]', text)[1]
        lines = note.replace('\\"', '"').split("\\l")
        self.assertLessEqual(max(map(len, lines)), 64)
        self.assertIn(self.PARAMETER, "".join(lines))
        self.assertEqual(lines[0], f"NO: {self.PAIRS}")

    def test_svg_is_a_picture_of_it(self) -> None:
        root = ElementTree.fromstring(self.run_it(OK, "topo", "--svg").stdout)
        texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
        for name in (*NICS, "pci0000:c0", "0000:42:03.0"):
            self.assertIn(name, " ".join(texts))
        # In the matrix, in the legend, and at three reasons.
        self.assertEqual(texts.count("NO"), 44 + 1 + 3)
        self.assertEqual(texts.count("SW 4"), 12)
        self.assertEqual(sum(text.endswith(", ACS") for text in texts), 4)
        self.assertIn("4.0 x8", texts)
        self.assertIn(self.PAIRS, texts)
        self.assertEqual(sum(text.startswith("20 pairs, such as") for text in texts), 2)
        self.assertEqual(sum(text.startswith("Change: ") for text in texts), 2)
        self.assertIn(self.PARAMETER, " ".join(texts))
        self.assert_readable(root)

    def test_svg_is_the_one_of_the_documentation(self) -> None:
        shown = Path(__file__).resolve().parents[2] / "docs/topo.svg"
        licence, picture = shown.read_text(encoding="utf-8").split("\n", 1)
        self.assertIn("SPDX", licence)
        self.assertEqual(self.run_it(OK, "topo", "--svg").stdout, picture)

    def test_svg_in_the_documentation_is_of_today(self) -> None:
        """tests/cli/machine.py blocked DIRECTORY; P2PCTL_SYSFS=DIRECTORY/sys p2pctl_test topo --svg."""
        kept = (Path(__file__).resolve().parents[2] / "docs/topo.svg").read_text(encoding="utf-8")
        self.assertEqual(kept.split("\n", 1)[1], self.run_it(OK, "topo", "--svg").stdout)

    def test_svg_of_every_function(self) -> None:
        self.assert_readable(ElementTree.fromstring(self.run_it(OK, "topo", "--all", "--svg").stdout))


class Detours(Case):
    """What works, but not the straight way, is said as well, behind what doesn't."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = cli_case.scratch()
        made = machine.Machine(Path(cls.folder.name))
        made.switch(0x16, 0, 0, acs=0x1d)
        made.switch(0x40, 0, 2, acs=0x1d, host=(0x8086, 0x3420))

    def test_order(self) -> None:
        text = self.run_it(OK, "topo").stdout
        lines = text.split("What is in the way")[1].splitlines()[1:]
        self.assertEqual([line.split()[0] for line in lines],
                         ["NO", "change:", "NO", "change:", "ACS", "change:"])
        self.assertIn("0000:19:00.0/2 and 0000:1a:00.0/2 to mlx5_0 and mlx5_1", lines[4])
        self.assertIn("for the direct way boot with", lines[5])
        # Of two parameters the kernel takes the last: that of the detour has the other in it.
        blocked, detour = (re.search('redir=([^"]*)"', text).group(1).split(";")
                           for text in (next(line for line in lines if "boot with" in line), lines[5]))
        self.assertEqual(blocked, [f"0000:42:0{port}.0" for port in range(4)])
        self.assertEqual(detour, [f"0000:18:0{port}.0" for port in range(4)] + blocked)


class Isolated(Case):
    MACHINE = "isolated"

    def test_one_parameter_for_all_switches(self) -> None:
        ports = [f"0000:{bus}:0{port}.0" for bus in ("18", "42", "82", "c2") for port in range(4)]
        text = self.run_it(OK, "topo").stdout
        self.assertEqual(re.findall('redir=([^"]*)"', text), [";".join(ports)])
        self.assertEqual(len(re.findall("NO .*: ACS at", text)), 4)
        svg = ElementTree.fromstring(self.run_it(OK, "topo", "--svg").stdout)
        words = " ".join("".join(element.itertext()) for element in svg.iter(f"{SVG}text"))
        self.assertEqual(words.count("disable_acs_redir="), 1)


class Hidden(Case):
    """What users see, who may not read capabilities."""

    CPU = ("GenuineIntel", 6)
    CODE, CELL, WORKS = DENIED, "? 4", "unknown"

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = cli_case.scratch()
        made = machine.Machine(Path(cls.folder.name), cls.CPU)
        made.host("pci0000:00", 0x8086, 0x29c0)
        made.function("0000:00:01.0", "pci0000:00", machine.ROOT_PORT, is_hidden=True)
        made.function("0000:01:00.0", "0000:00:01.0", machine.UPSTREAM, is_hidden=True)
        for number in range(2):
            made.function(f"0000:02:0{number}.0", "0000:01:00.0", machine.DOWNSTREAM, acs=0x1d,
                          is_hidden=True)
            made.function(f"0000:0{number + 3}:00.0", f"0000:02:0{number}.0", is_hidden=True,
                          rdma="mlx5_0" if number else "", klass=0x020700 if number else 0x030200)

    def test_topo(self) -> None:
        text = self.run_it(OK, "topo").stdout
        self.assertRegex(text, rf"0000:03:00.0/2 {re.escape(self.CELL)} ")
        self.assertIn("root only", text)
        self.assertIn("root only", self.run_it(OK, "topo", "--svg").stdout)
        nodes = self.json("topo", OK, "topo")["nodes"]
        self.assertEqual({node["acs"] for node in nodes if node["parent"]}, {"unknown"})

    def test_check(self) -> None:
        path = self.json("paths", self.CODE, "check", "0000:03:00.0", "mlx5_0")["paths"][0]
        self.assertEqual((path["works"], path["map_type"]), (self.WORKS, "UNKNOWN"))
        self.assertIn("0000:02:01.0", path["why"])
        self.assertIn("as root", path["advice"])
        self.assertIn("ACS unknown", self.run_it(self.CODE, "check", "0000:03:00.0", "mlx5_0").stdout)


class HiddenZen(Hidden):
    """There it works either way."""

    CPU = ("AuthenticAMD", 25)
    CODE, CELL, WORKS = OK, "?+ 4", "yes"


class Nothing(Case):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = cli_case.scratch()
        machine.Machine(Path(cls.folder.name)).host("pci0000:00")

    def test_topo_says_what_is_missing(self) -> None:
        for form in ((), ("--svg",), ("--dot",)):
            self.assertIn("no provider", self.run_it(OK, "topo", *form).stderr)
        self.assertEqual(self.json("topo", OK, "topo")["paths"], [])
        ElementTree.fromstring(self.run_it(OK, "topo", "--svg").stdout)


if __name__ == "__main__":
    cli_case.main()
