#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pctl doctor on machines made of files (machine.py), and its reports.

What each check says is tests/unit/test_doctor*.c's; here is what becomes of it: tables, JSON, exit codes,
colours, and a report that is whole, private, and without secrets.
"""

import json
import os
import pty
import re
import socket
import stat
import subprocess
import tarfile
import time
import unittest
from pathlib import Path

import cli_case
import machine
from cli_case import FAILED, NOT_POSSIBLE, OK, PARTIAL, USAGE

ORDER = ["problem", "warning", "unknown", "ok"]
PARTS = ["README.txt", "doctor.json", "topo.json", "system.txt", "modules.txt", "pci.txt",
         "sysfs.txt", "limits.txt", "p2pd.txt"]
STATUS = """Name:\tp2pctl
Uid:\t0\t0\t0\t0
Gid:\t0\t0\t0\t0
Groups:\t0
CapEff:\t000001ffffffffff
"""


class Case(unittest.TestCase):
    MACHINE = "server"

    def setUp(self) -> None:
        self.folder = cli_case.scratch()
        self.addCleanup(self.folder.cleanup)
        self.place = Path(self.folder.name)
        machine.MACHINES[self.MACHINE](self.place)
        self.put("proc/self/status", STATUS)
        self.put("proc/self/limits", "Max open files            1024      1024     files\n")
        self.put("proc/self/uid_map", "0 0 4294967295\n")
        self.put("proc/sys/kernel/osrelease", "7.3.4-test\n")
        self.put("proc/sys/vm/max_map_count", "65530\n")
        self.put("proc/cmdline", "root=UUID=1-2 rd.luks.key=hunter2 iommu=pt "
                 "pci=disable_acs_redir=0000:17:00.0 quiet\n")

    def put(self, path: str, text: str) -> None:
        file = self.place / "root" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def env(self, **more: str) -> dict[str, str]:
        return dict(os.environ, P2PCTL_SYSFS=f"{self.place}/sys", P2PDMA_SOCKET="/nonexistent",
                    P2PCTL_TEST_ROOT=f"{self.place}/root", **more)

    def run_it(self, code: int, *arguments: str) -> subprocess.CompletedProcess:
        done = subprocess.run([cli_case.program(), *arguments], env=self.env(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        return done

    def findings(self, code: int, *arguments: str) -> list[dict]:
        found = json.loads(self.run_it(code, "--json", "doctor", *arguments).stdout)
        self.assertEqual((found["schema"], found["version"]), ("p2pctl.doctor", 1))
        return found["findings"]

    def make_healthy(self) -> None:
        """No RDMA device, whose node a folder can't have; the module is there."""
        for name in (self.place / "sys/class/infiniband").iterdir():
            name.unlink()
        (self.place / "sys/class/p2pdma_export").mkdir()
        (self.place / "sys/module/p2pdma_export").mkdir(parents=True)


class Findings(Case):
    def test_json_has_all(self) -> None:
        findings = self.findings(NOT_POSSIBLE)
        self.assertEqual(sorted(findings[0]), ["check", "evidence", "reference", "remedy",
                                               "severity", "subject"])
        ranks = [ORDER.index(finding["severity"]) for finding in findings]
        self.assertEqual(ranks, sorted(ranks))
        nodes = [finding["subject"] for finding in findings if finding["check"] == "rdma.node"]
        self.assertEqual(nodes, [f"mlx5_{number}" for number in range(8)])
        paths = [finding for finding in findings if finding["check"] == "provider.path"]
        self.assertEqual(len(paths), 8)
        self.assertEqual(paths[0]["evidence"],
                         "reaches 2 importers straight and 6 through the host bridge")
        for finding in findings:
            self.assertRegex(finding["reference"], r"^[a-z0-9_]+\([1-8]\) [A-Z]")
            if finding["severity"] != "ok":
                self.assertTrue(finding["remedy"], finding)

    def test_table_shows_what_isnt_well(self) -> None:
        findings = self.findings(NOT_POSSIBLE)
        text = self.run_it(NOT_POSSIBLE, "doctor").stdout
        self.assertEqual(text.splitlines()[0].split(), ["SEVERITY", "CHECK", "SUBJECT", "FOUND"])
        bad = [finding for finding in findings if finding["severity"] != "ok"]
        rows = re.findall(r"(?m)^(problem|warning|unknown) +(\S+) +(\S+)", text)
        self.assertEqual(rows, [(finding["severity"], finding["check"], finding["subject"])
                                for finding in bad])
        # One remedy for all that need the same.
        self.assertIn("  rdma.node mlx5_0, mlx5_1, mlx5_2, mlx5_3 and 4 more "
                      "(libp2pdma(7) Permissions)\n    `modprobe ib_uverbs`\n", text)
        self.assertEqual(text.count("modprobe ib_uverbs"), 1)
        sums = re.search(r"(\d+) ok, (\d+) unknown, (\d+) warnings?, (\d+) problems?; --all", text)
        self.assertEqual(sum(map(int, sums.groups())), len(findings))
        self.assertEqual(int(sums.group(4)), 8)

    def test_all_shows_what_is_well(self) -> None:
        text = self.run_it(NOT_POSSIBLE, "doctor", "--all").stdout
        self.assertRegex(text, r"(?m)^ok +kernel.release +kernel +Linux 7.3.4-test")
        self.assertNotIn("; --all", text)
        quiet = self.run_it(NOT_POSSIBLE, "--no-headings", "doctor").stdout
        self.assertNotIn("SEVERITY", quiet)
        self.assertNotIn("What to do", quiet)
        self.assertIn("modprobe ib_uverbs", quiet)

    def test_exit_codes(self) -> None:
        self.make_healthy()
        self.findings(OK)
        self.assertIn("no RDMA device", self.run_it(OK, "doctor").stdout)
        # What can't be seen isn't well.
        self.put("proc/self/status", STATUS.replace("000001ffffffffff", "0000000000000000"))
        self.findings(PARTIAL)
        self.run_it(USAGE, "doctor", "now")
        self.run_it(USAGE, "doctor", "--bundle")
        self.run_it(USAGE, "doctor", "--what")

    def test_direct_leaves_p2pd_out(self) -> None:
        def about(findings: list[dict]) -> list[str]:
            return [f["severity"] for f in findings if f["check"].startswith("p2pd.")]
        self.assertEqual(about(self.findings(NOT_POSSIBLE)), ["warning"])
        self.assertEqual(about(self.findings(NOT_POSSIBLE, "--direct")), [])

    def coloured(self, **more: str) -> bool:
        main, side = pty.openpty()
        with os.fdopen(main, "rb", buffering=0) as out:
            env = {key: value for key, value in self.env(**more).items()
                   if key != "NO_COLOR" or key in more}
            process = subprocess.Popen([cli_case.program(), "doctor"],
                                       env=dict(env, TERM="xterm"), stdout=side)
            os.close(side)
            text = b""
            while True:
                try:
                    piece = out.read(4096)
                except OSError:
                    break
                if not piece:
                    break
                text += piece
            self.assertEqual(process.wait(60), NOT_POSSIBLE)
        self.assertIn(b"problem", text)
        return b"\x1b[" in text

    def test_colours_on_terminals_only(self) -> None:
        self.assertTrue(self.coloured())
        self.assertFalse(self.coloured(NO_COLOR="1"))
        self.assertNotIn("\x1b", self.run_it(NOT_POSSIBLE, "doctor").stdout)


class Blocked(Case):
    MACHINE = "blocked"

    def test_acs_names_ports_and_parameter(self) -> None:
        findings = self.findings(NOT_POSSIBLE)
        ports = {finding["subject"]: finding for finding in findings
                 if finding["check"] == "acs.port"}
        self.assertEqual(sorted(ports), [f"0000:42:0{number}.0" for number in range(4)])
        for port in ports.values():
            self.assertEqual(port["severity"], "problem")
            # One parameter for all of them, with what is there: one reboot is enough.
            self.assertIn(f'"pci=disable_acs_redir={";".join(sorted(ports))};0000:17:00.0"',
                          port["remedy"])
        text = self.run_it(NOT_POSSIBLE, "doctor").stdout
        self.assertEqual(text.count("pci=disable_acs_redir="), 1)
        blocked = {finding["subject"] for finding in findings
                   if finding["check"] == "provider.path" and finding["severity"] == "problem"}
        self.assertEqual(blocked, {"0000:43:00.0/2", "0000:44:00.0/2"})


class Isolated(Case):
    MACHINE = "isolated"

    def test_one_parameter_for_all_switches(self) -> None:
        """Of several the kernel takes the last alone."""
        ports = [finding for finding in self.findings(NOT_POSSIBLE)
                 if finding["check"] == "acs.port"]
        self.assertEqual(len(ports), 16)
        names = [port["subject"] for port in ports]
        parameters = {re.search('"pci=disable_acs_redir=([^"]*)"', port["remedy"]).group(1)
                      for port in ports}
        self.assertEqual(parameters, {";".join([*sorted(names), "0000:17:00.0"])})
        self.put("proc/cmdline", f"quiet pci=disable_acs_redir={parameters.pop()}")
        for finding in self.findings(NOT_POSSIBLE):
            if finding["check"] == "acs.port":
                self.assertNotIn("boot with", finding["remedy"])


class Bundle(Case):
    def test_report_is_whole_and_private(self) -> None:
        path = self.place / "report.tar"
        done = self.run_it(NOT_POSSIBLE, "doctor", "--bundle", str(path))
        self.assertIn(str(path), done.stderr)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        with tarfile.open(path) as tar:
            members = {Path(member.name).name: member for member in tar.getmembers()}
            self.assertEqual(list(members), PARTS)
            text = {name: tar.extractfile(member).read().decode("ascii")
                    for name, member in members.items()}
            for member in members.values():
                self.assertTrue(member.isfile() and member.name.startswith("p2pctl-doctor/"))
        found = json.loads(text["doctor.json"])
        self.assertEqual(found["schema"], "p2pctl.doctor")
        self.assertEqual(found["findings"], self.findings(NOT_POSSIBLE))
        topo = json.loads(text["topo.json"])
        self.assertEqual((topo["schema"], len(topo["paths"])), ("p2pctl.topo", 64))
        self.assertIn("        0000:46:00.0 function 15b3:1021 class 020700 driver mlx5_core "
                      "device mlx5_3 BAR 2 32 MiB link 4.0 x8", text["pci.txt"])
        self.assertIn("CapEff", text["limits.txt"])
        self.assertIn("bus/pci/devices/0000:19:00.0/resource\n", text["sysfs.txt"])
        for part in PARTS:
            self.assertTrue(part == "README.txt" or part in text["README.txt"])

    def test_report_has_no_secrets(self) -> None:
        path = self.place / "report.tar"
        self.run_it(NOT_POSSIBLE, "doctor", "--bundle", str(path))
        whole = path.read_bytes()
        self.assertNotIn(b"hunter2", whole)
        self.assertNotIn(b"UUID", whole)
        self.assertIn(b"iommu=pt pci=disable_acs_redir=0000:17:00.0 (and 3 parameters", whole)
        self.assertNotIn(os.uname().nodename.encode() + b" ", whole)

    def test_report_overwrites_nothing(self) -> None:
        there = self.place / "there"
        there.write_text("mine")
        done = self.run_it(FAILED, "doctor", "--bundle", str(there))
        self.assertIn("try: another name", done.stderr)
        self.assertEqual(there.read_text(), "mine")
        link = self.place / "link"
        link.symlink_to(self.place / "elsewhere")
        self.run_it(FAILED, "doctor", "--bundle", str(link))
        self.assertFalse((self.place / "elsewhere").exists())
        self.run_it(FAILED, "doctor", "--bundle", str(self.place / "nowhere/report.tar"))

    def test_report_that_isnt_whole_is_removed(self) -> None:
        path = self.place / "report.tar"
        done = subprocess.run(
            ["sh", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "sh",
             cli_case.program(), "doctor", "--bundle", str(path)],
            env=self.env(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            timeout=60, check=False)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("File too large", done.stderr)
        self.assertFalse(path.exists())

    def test_folder_is_exchanged(self) -> None:
        """Who owns the folder can fill the disk, and put a link in its place: nothing else is removed."""
        folder, moved, other = (self.place / name for name in ("reports", "moved", "other"))
        for each in (folder, other):
            each.mkdir()
        (other / "report.tar").write_text("somebody's")
        silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(silent.close)
        silent.bind(str(self.place / "p2pd.sock"))
        silent.listen(8)
        process = subprocess.Popen(
            ["sh", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "sh", cli_case.program(),
             "--timeout", "500ms", "doctor", "--bundle", str(folder / "report.tar")],
            env=self.env() | {"P2PDMA_SOCKET": str(self.place / "p2pd.sock")},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        # It is written while p2pd isn't heard of.
        while not (folder / "report.tar").exists() and process.poll() is None:
            time.sleep(0.001)
        folder.rename(moved)
        folder.symlink_to(other)
        self.assertIn("File too large", process.communicate(timeout=60)[1])
        self.assertEqual(process.returncode, FAILED)
        self.assertEqual((other / "report.tar").read_text(), "somebody's")
        self.assertEqual(list(moved.iterdir()), [])


if __name__ == "__main__":
    cli_case.main()
