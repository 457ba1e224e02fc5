#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pctl's commands that only look, its terminal, its usage, its completion, against a real p2pd."""

import json
import os
import pty
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import cli_case
from cli_case import (FAILED, NOT_FOUND, NOT_POSSIBLE, OK, PARTIAL, PROVIDER, TIMEOUT,
                      UNREACHABLE, USAGE)


class Looking(cli_case.BrokerCase):
    def test_status(self) -> None:
        status = self.json("status", "status")[0]
        self.assertEqual(status["pid"], self.daemon.pid())
        self.assertEqual(status["providers"], 1)
        self.assertIn("VERSION", self.run_it(OK, "status").stdout)
        self.daemon.config.write_text("nonsense = 1\n", encoding="utf-8")
        os.kill(self.daemon.pid(), signal.SIGHUP)
        end = time.monotonic() + 10
        while "refused 1 times" not in self.run_it(OK, "status").stderr:
            self.assertLess(time.monotonic(), end)
        self.assertEqual(self.json("status", "status")[0]["policy_refused"], 1)
        self.assertNotIn("VERSION", self.run_it(OK, "--no-headings", "status").stdout)

    def test_list(self) -> None:
        provider = self.json("providers", "list")[0]
        self.assertTrue(provider["name"].startswith(PROVIDER + "@"))
        self.assertEqual(provider["size_bytes"], 64 << 20)
        self.assertEqual(provider["state"], "ready")
        text = self.run_it(OK, "list", "*").stdout
        self.assertIn("64 MiB", text)
        self.assertIn(str(64 << 20), self.run_it(OK, "list", "-b").stdout)
        self.assertNotIn("\033", text)
        self.run_it(NOT_FOUND, "list", "0000:77:00.0")
        self.run_it(FAILED, "list", "no selector at all")

    def test_doctor_asks_p2pd(self) -> None:
        report = self.daemon.root / "report.tar"
        holder = self.hold("-l", "4k", "--label", "watched")
        # What is wrong with this machine isn't the subject.
        done = subprocess.run(self.command("--json", "doctor", "--bundle", str(report)),
                              env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60, check=False)
        self.assertIn(done.returncode, (OK, NOT_POSSIBLE, PARTIAL), done.stderr)
        findings = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
        for check, evidence in (("p2pd.socket", "answers: 1 providers, 1 leases"),
                                ("p2pd.version", "p2pd is"), ("p2pd.policy", "in its files"),
                                ("p2pd.provider", "1 providers to lease")):
            self.assertEqual(findings[check]["severity"], "ok")
            self.assertIn(evidence, findings[check]["evidence"])
        with tarfile.open(report) as tar:
            text = tar.extractfile("p2pctl-doctor/p2pd.txt").read().decode()
        self.assertIn("1 providers, 1 leases", text)
        # Its state, of which administrators are shown everything.
        state = json.loads(text.split("\n", 1)[1])
        self.assertEqual(state["schema"], "p2pd-dump")
        self.assertIn("watched", text)
        self.assertNotIn("token", text)
        holder.send_signal(signal.SIGTERM)
        self.finish(holder, OK)

    def test_list_direct_needs_no_daemon(self) -> None:
        self.env["P2PDMA_SOCKET"] = "/nonexistent"
        self.run_it(OK, "list", "--direct")

    def test_show_goes_on_after_a_bad_one(self) -> None:
        done = self.run_it(PARTIAL, "show", "0000:77:00.0", PROVIDER)
        self.assertIn(PROVIDER, done.stdout)
        self.assertIn("there is no provider 0000:77:00.0", done.stderr)
        self.run_it(NOT_FOUND, "show", "0000:77:00.0")
        found = json.loads(self.run_it(OK, "-J", "show", PROVIDER).stdout)
        self.assertEqual((found["schema"], found["leases"]), ("p2pctl.show", []))
        self.assertEqual(len(found["providers"]), 1)
        self.run_it(USAGE, "show")

    def test_stats(self) -> None:
        self.assertIn("p2pd_leases 0", self.run_it(OK, "stats").stdout)
        json.loads(self.run_it(OK, "stats", "--dump").stdout)

    def test_policy_test(self) -> None:
        answer = self.json("policy", "policy", "test", PROVIDER)[0]
        self.assertEqual((answer["answer"], answer["rule"]), ("granted", "everybody"))
        self.run_it(NOT_FOUND, "policy", "test", "0000:77:00.0/2")
        self.run_it(USAGE, "policy")

    def test_no_daemon(self) -> None:
        self.env["P2PDMA_SOCKET"] = str(self.daemon.root / "nothing")
        for command in (["status"], ["list"], ["leases"], ["acquire", "-l", "4k"], ["stats"],
                        ["monitor"], ["bench"], ["drain", "*"], ["revoke", "--all"]):
            done = self.run_it(UNREACHABLE, *command)
            self.assertIn("try: start it", done.stderr)
            self.assertEqual("list --direct" in done.stderr, command == ["list"])

    def test_silent_daemon(self) -> None:
        os.kill(self.daemon.pid(), signal.SIGSTOP)
        try:
            self.run_it(TIMEOUT, "--timeout", "300ms", "status")
        finally:
            os.kill(self.daemon.pid(), signal.SIGCONT)

    def test_usage(self) -> None:
        self.run_it(USAGE)
        self.run_it(USAGE, "nothing")
        self.run_it(USAGE, "status", "too", "many")
        self.run_it(USAGE, "status", "--wrong")
        self.run_it(USAGE, "--timeout", "soon", "status")
        self.run_it(USAGE, "acquire")
        self.run_it(USAGE, "acquire", "-l", "much")
        self.run_it(USAGE, "acquire", "--range", "1M")
        self.run_it(USAGE, "revoke")
        self.run_it(USAGE, "revoke", "--all", "7")
        self.run_it(USAGE, "revoke", "seven")
        self.run_it(USAGE, "drain")
        self.assertIn("acquire", self.run_it(OK, "--help").stdout)
        self.assertIn("p2pctl 0", self.run_it(OK, "--version").stdout)

    def on_terminal(self, *arguments: str) -> str:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.command()[0], self.command(*arguments), self.env)
        said = b""
        try:
            while chunk := os.read(terminal, 4096):
                said += chunk
        except OSError:
            pass
        os.close(terminal)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        return said.decode()

    def test_colour_only_on_a_terminal(self) -> None:
        self.env["TERM"] = "xterm"
        self.assertIn("\033[", self.on_terminal("list"))
        self.env["NO_COLOR"] = "1"
        self.assertNotIn("\033[", self.on_terminal("list"))

    def test_completion(self) -> None:
        completion = Path(__file__).resolve().parent.parent.parent / "cli/completion/p2pctl"
        script = (f'p2pctl() {{ {self.command()[0]} "$@"; }}\n. {completion}\n'
                  'COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n_p2pctl\nprintf "%s\\n" "${COMPREPLY[@]}"')

        def complete(*words: str) -> list[str]:
            done = subprocess.run(["bash", "-c", script, "bash", *words], env=self.env,
                                  stdout=subprocess.PIPE, text=True, timeout=60, check=True)
            return done.stdout.split()

        self.assertEqual(complete("p2pctl", "mon"), ["monitor"])
        self.assertEqual(complete("p2pctl", "--json", "revoke", "--pro"), ["--provider"])
        self.assertEqual(complete("p2pctl", "show", "0000:01"),
                         [self.json("providers", "list")[0]["name"]])
        self.assertEqual(complete("p2pctl", "acquire", "--revoke-signal", "U"), ["USR1", "USR2"])

    def test_full_disk(self) -> None:
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run(self.command("list"), env=self.env, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("can't write", done.stderr)


if __name__ == "__main__":
    cli_case.main()
