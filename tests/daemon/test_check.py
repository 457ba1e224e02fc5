#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`p2pd --check`: what is wrong with the configuration, and who would get what by which rule of it.

The machine is made of files (fake_machine.py), and so is its user database."""

import errno
import itertools
import json
import os
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Optional

import daemon_case
import fake_machine
import p2pd_run
import p2pd_wire as wire
from fake_machine import Function

OK, FAULTS, USAGE, DENIED, NOT_FOUND = 0, 1, 2, 4, 5
EXPORTER, VFIO, GPU, NVME = (f"0000:{bus}:00.0" for bus in ("01", "02", "43", "42"))

POLICY = """
[daemon]
reattach-time = 5s

[rule no-writing]
user = 1002
access = write
allow = no

[rule gpu]
group = video
provider = backend:drm, published:cam*
allow = yes
max-ttl = 1h

[rule nobody-pins]
provider = 0000:02:00.0/4
mode = shared
allow = yes

[rule small]
user = alice, 1002
provider = class:05
max-lease-bytes = 64K
allow = yes

[rule job]
unit = batch.service
allow = yes
unrevocable = yes
"""

PASSWD = "root:x:0:0::/:/bin/sh\nalice:x:1001:1001::/:/bin/sh\nbob:x:1002:1002::/:/bin/sh\n"
GROUP = "root:x:0:\nalice:x:1001:\nbob:x:1002:\nvideo:x:44:bob,carol\nusers:x:100:bob\n"


class Check(unittest.TestCase):
    """One machine, and p2pd's configuration."""

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix="p2pd-check-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.machine = fake_machine.Machine(self.folder, fake_machine.KERNEL)
        self.addCleanup(self.machine.end)
        for function in (Function(EXPORTER, "p2pdma_export", {2: 1 << 20}),
                         Function(VFIO, "vfio-pci", {0: 1 << 20, 4: 8192}),
                         Function("0000:03:00.0", "e1000e", {0: 1 << 20}),
                         Function(GPU, "amdgpu", {0: 16 << 30}, vram=64 << 30,
                                  pci_class=0x030200),
                         Function(NVME, "nvme", {0: 16384}, p2pmem=64 << 20)):
            self.machine.plug(function, is_told=False)
        for name, text in (("passwd", PASSWD), ("group", GROUP)):
            (self.folder / name).write_text(text, encoding="ascii")
            subprocess.run(["mount", "--bind", str(self.folder / name), f"/etc/{name}"], check=True)
            self.addCleanup(subprocess.run, ["umount", f"/etc/{name}"], check=True)
        self.config = self.folder / "p2pd.conf"
        self.config.write_text(POLICY, encoding="ascii")

    def check(self, code: int, *arguments: str) -> dict[str, str]:
        """What it prints, by line."""
        done = subprocess.run([str(daemon_case.BUILD / "daemon/p2pd"), "--config", str(self.config),
                               "--check", *arguments], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        self.error = done.stderr
        self.assertEqual(bool(done.stdout), code in (OK, DENIED))
        return dict(line.split(": ", 1) for line in done.stdout.splitlines())

    def at(self, text: str) -> str:
        """file:line."""
        lines = POLICY[:POLICY.index(text)].count("\n") + 1
        return f"{self.config}:{lines}"

    def test_faults(self) -> None:
        """All of them, each with its line."""
        self.assertEqual(self.check(OK), {str(self.config): "no faults"})
        self.config.write_text("[daemon]\nnonsense = 1\n[rule x]\nallow = perhaps\n",
                               encoding="ascii")
        self.check(FAULTS)
        self.assertIn(f"{self.config}:2: ", self.error)
        self.assertIn(f"{self.config}:4: ", self.error)
        self.check(FAULTS, "--uid", "0", "--provider", EXPORTER)

    def test_the_rule_that_decides(self) -> None:
        """Its name and its line; the default, where none does."""
        answer = self.check(OK, "--uid", "alice", "--provider", EXPORTER)
        generation = self.machine.folder(self.machine.functions[EXPORTER]).stat().st_ino
        source = self.at("[rule small]")
        self.assertEqual(answer, {
            "answer": "granted", "uid": "1001", "provider": f"{EXPORTER}/2@{generation}",
            "rule": "small", "source": source, "because": f"rule small ({source}) allows it"})
        answer = self.check(DENIED, "--uid", "1001", "--provider", EXPORTER, "--length", "128K")
        self.assertEqual((answer["answer"], answer["rule"]), ("denied (EDQUOT)", "small"))
        answer = self.check(DENIED, "--uid", "bob", "--provider", EXPORTER)
        self.assertEqual((answer["answer"], answer["source"]),
                         ("denied (EACCES)", self.at("[rule no-writing]")))
        answer = self.check(OK, "--uid", "bob", "--provider", EXPORTER, "--read-only")
        self.assertEqual(answer["rule"], "small")
        answer = self.check(DENIED, "--uid", "4711", "--provider", EXPORTER)
        self.assertEqual((answer["rule"], "source" in answer), ("default", False))
        self.assertEqual(self.check(OK, "--uid", "root", "--provider", NVME)["rule"], "default")

    def test_groups_are_those_of_the_user(self) -> None:
        """As a connection would have them, or those that are asked about."""
        ask = ("--provider", GPU, "--read-only")
        self.assertEqual(self.check(OK, "--uid", "bob", *ask)["rule"], "gpu")
        self.assertEqual(self.check(OK, "--uid", "1002", *ask)["rule"], "gpu")
        self.check(DENIED, "--uid", "alice", *ask)
        self.check(OK, "--uid", "alice", "--gid", "video", *ask)
        self.check(OK, "--uid", "4711", "--gid", "44", *ask)
        self.check(DENIED, "--uid", "bob", "--gid", "100", *ask)

    def test_what_is_published(self) -> None:
        """Any name may be asked about: only a p2pd that runs knows which there are."""
        answer = self.check(OK, "--uid", "bob", "--provider", "published:cam7", "--read-only")
        self.assertEqual((answer["provider"], answer["rule"]), ("published:cam7", "gpu"))
        self.check(DENIED, "--uid", "bob", "--provider", "published:mic", "--read-only")
        self.check(NOT_FOUND, "--uid", "bob", "--provider", "published:cam*")

    def test_who_publishes(self) -> None:
        """By the rules about that; the name is nobody's yet."""
        self.config.write_text(POLICY + "[rule cameras]\ngroup = video\npublish = cam*\n"
                               "allow = yes\n", encoding="ascii")
        answer = self.check(OK, "--uid", "bob", "--publish", "cam7")
        self.assertEqual((answer["provider"], answer["rule"]), ("published:cam7", "cameras"))
        self.assertIn("allows to publish", answer["because"])
        self.check(DENIED, "--uid", "alice", "--publish", "cam7")
        self.assertEqual(self.check(DENIED, "--uid", "bob", "--publish", "mic")["rule"], "default")
        self.check(OK, "--uid", "alice", "--gid", "video", "--publish", "cam7")
        self.check(OK, "--uid", "root", "--publish", "mic")
        for wrong in ("a/b", "", "cam*", "a" * 64):
            self.check(USAGE, "--uid", "bob", "--publish", wrong)
        self.check(USAGE, "--publish", "cam7")

    def ctl(self, path: str, code: int, *arguments: str) -> dict[str, str]:
        """What `p2pctl policy test` says."""
        done = subprocess.run([str(daemon_case.BUILD / "cli/p2pctl"), "--json", "policy", "test",
                               *arguments], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True,
                              env=dict(os.environ, P2PDMA_SOCKET=path))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        answer: dict[str, str] = json.loads(done.stdout)["policy"][0]
        return answer

    def test_p2pctl_says_the_same(self) -> None:
        """Of users with all their groups."""
        publish = "[rule cameras]\ngroup = video\npublish = cam*\nallow = yes\n"
        daemon = p2pd_run.Daemon(daemon_case.BUILD, POLICY + publish, program="p2pd-discovery",
                                 environment={"P2PD_FAKE_NODES": str(self.folder)})
        self.config = daemon.config
        answers = set()
        for user, what in itertools.product(("alice", "bob", "1002", "4711", "root"),
                                            (("--provider", GPU, "--read-only"),
                                             ("--provider", EXPORTER, "--shared"),
                                             ("--publish", "cam7"), ("--publish", "mic"))):
            with self.subTest(user=user, what=what):
                # Of root p2pd knows more than the user database.
                answer = subprocess.run(
                    [str(daemon_case.BUILD / "daemon/p2pd"), "--config", str(self.config),
                     "--check", "--uid", user, *what], check=False, stdout=subprocess.PIPE)
                found = self.ctl(daemon.path, answer.returncode, "--uid", user, *what)
                text = answer.stdout.decode()
                self.assertIn(f"\nrule: {found['rule']}\n", text)
                self.assertIn(f"because: {found['because']}\n", text)
                answers.add((found["answer"], found["rule"]))
        self.assertEqual({rule for _, rule in answers}, {"gpu", "small", "no-writing", "cameras",
                                                         "default"})
        # With one group only, as `p2pd --check`.
        self.ctl(daemon.path, DENIED, "--uid", "bob", "--gid", "100", "--provider", GPU,
                 "--read-only")
        self.assertEqual(daemon.stop(), 0)

    def test_what_there_is_not(self) -> None:
        """Said, with a code of its own."""
        for what in ("0000:03:00.0", "0000:09:00.0", f"{EXPORTER}/0", f"{EXPORTER}/2@1",
                     f"{NVME}/vram", "class:0c", "backend:published"):
            self.check(NOT_FOUND, "--uid", "0", "--provider", what)
            self.assertIn(f'no provider matches "{what}"', self.error)
        self.check(NOT_FOUND, "--uid", "mallory", "--provider", EXPORTER)
        self.assertIn("there is no user mallory", self.error)
        self.check(NOT_FOUND, "--uid", "0", "--gid", "wheel", "--provider", EXPORTER)
        self.assertIn("there is no group wheel", self.error)

    def groups_are_told(self, client: wire.Client) -> None:
        """In any order, behind the body and whatever it may grow by; else they are no groups."""
        base = wire.S_POLICY.pack(GPU.encode(), b"", 4711, 100, 1, 1, 0, 0, 65536, 0)

        def answer(body: bytes) -> int:
            raw, _ = client.call(wire.POLICY_TEST, body)
            return int(wire.S_POLICY_REPLY.unpack(raw)[0])

        def told(*groups: int, at: int = 240, count: Optional[int] = None) -> bytes:
            head = base + struct.pack("<II", len(groups) if count is None else count, at)
            return head + bytes(max(at - 240, 0)) + struct.pack(f"<{len(groups)}I", *groups)
        self.assertEqual(answer(base), -errno.EACCES)
        self.assertEqual(answer(base + bytes(8)), -errno.EACCES)
        self.assertEqual(answer(told(44)), 0)
        self.assertEqual(answer(told(99, 98, 44, 97, 1)), 0)
        self.assertEqual(answer(told(99, 98, 43, 97, 45)), -errno.EACCES)
        self.assertEqual(answer(told(44, at=264)), 0)
        self.assertEqual(answer(told(*range(100000, 101983), 44)), 0)
        for wrong, error in ((told(44, at=244), errno.EINVAL), (told(44, at=232), errno.EINVAL),
                             (told(44, count=2), errno.EINVAL), (told(44, at=0), errno.EINVAL),
                             (told(44, count=0), errno.EINVAL),
                             (told(44, count=0xffffffff), errno.EINVAL),
                             (told(44) + b"\0\0\0\0", errno.EINVAL),
                             (told(44, at=264)[:250] + b"\1" + told(44, at=264)[251:],
                              errno.E2BIG),
                             (base[:212] + b"\0\0\0\1" + base[216:], errno.EINVAL)):
            with self.assertRaises(wire.Refused) as caught:
                answer(wrong)
            self.assertEqual(caught.exception.error, error, caught.exception.cause)

    def test_usage(self) -> None:
        """A question is whole and makes sense."""
        for wrong in (("--uid", "0"), ("--provider", EXPORTER), ("--shared",),
                      ("--uid", "0", "--provider", "junk"), ("--uid", "0", "--provider", ""),
                      ("--uid", "0", "--provider", EXPORTER, "--length", "many"),
                      ("--uid", "0", "--provider", EXPORTER, "--ttl", "5"),
                      ("--uid", "0", "--provider", EXPORTER, "--unit", "u" * 96),
                      ("--uid", "0", "--provider", EXPORTER, "more")):
            self.check(USAGE, *wrong)
            self.assertIn("usage: ", self.error)
        done = subprocess.run([str(daemon_case.BUILD / "daemon/p2pd"), "--uid", "0", "--provider",
                               EXPORTER], check=False, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, USAGE)

    def test_a_running_p2pd_says_the_same(self) -> None:
        """POLICY_TEST about everything here, of others than the one who asks."""
        daemon = p2pd_run.Daemon(daemon_case.BUILD, POLICY, program="p2pd-discovery",
                                 environment={"P2PD_FAKE_NODES": str(self.folder)})
        self.config = daemon.config
        client = daemon.client()
        units = ("", "/system.slice/batch.service")
        granted = set()
        for uid, gid, what, mode, access, unit in itertools.product(
                (1001, 1002, 4711), (44, 100), (EXPORTER, VFIO, f"{VFIO}/4", GPU, "10ee:*",
                                                   "backend:p2pmem"), (1, 2), (1, 3), units):
            raw, _ = client.call(wire.POLICY_TEST, wire.S_POLICY.pack(
                what.encode(), unit.encode(), uid, gid, mode, access, 0, 0, 65536, 60000))
            error, _, rule, source, because = wire.S_POLICY_REPLY.unpack(raw)
            arguments = ["--uid", str(uid), "--gid", str(gid), "--provider", what, "--length", "64K",
                         "--ttl", "1min", *(["--shared"] if mode == 2 else []),
                         *(["--read-only"] if access == 1 else []),
                         *(["--unit", unit] if unit else [])]
            answer = self.check(DENIED if error else OK, *arguments)
            self.assertEqual(answer["answer"],
                             f"denied ({errno.errorcode[-error]})" if error else "granted")
            self.assertEqual((answer["rule"], answer.get("source", ""), answer["because"]),
                             (wire.text(rule) or "default", wire.text(source), wire.text(because)))
            granted.add((answer["answer"], answer["rule"]))
        self.groups_are_told(client)
        # Each rule has decided something.
        self.assertEqual({rule for _, rule in granted},
                         {"no-writing", "gpu", "nobody-pins", "small", "job", "default"})
        client.close()
        self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    fake_machine.enter()
    daemon_case.main()
