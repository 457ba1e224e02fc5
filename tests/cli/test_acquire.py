#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pctl acquire against a real p2pd: a lease while a command runs, and who gets none."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

import cli_case
from cli_case import DENIED, NOT_FOUND, NOT_POSSIBLE, OK, PROVIDER


class Holding(cli_case.BrokerCase):
    def test_command_has_the_lease(self) -> None:
        script = ("import os; fd = int(os.environ['P2PDMA_FD']);"
                  "print(os.fstat(fd).st_size, os.environ['P2PDMA_LEASE_SIZE'],"
                  "repr(os.environ['P2PDMA_EXPORTER']), os.environ['P2PDMA_LEASE_PROVIDER'],"
                  "os.environ['P2PDMA_LEASE_LABEL'],"
                  "len(os.listdir('/proc/self/fd')))")
        done = self.run_it(OK, "acquire", "-l", "1M", "--label", "a test", PROVIDER, "--",
                           sys.executable, "-c", script)
        size, told, exporter, provider, *label, nr_fds = done.stdout.split()
        # The fake machine's DMABUFs are memfds, which have none.
        self.assertEqual(exporter, "''")
        self.assertEqual((size, told), (str(1 << 20), str(1 << 20)))
        self.assertTrue(provider.startswith(PROVIDER))
        self.assertEqual(label, ["a", "test"])
        # Standard ones, the lease, and the one that lists.
        self.assertEqual(nr_fds, "5")
        self.assertEqual(self.json("leases", "leases"), [])

    def test_exit_code_is_the_commands(self) -> None:
        self.run_it(42, "acquire", "-l", "4k", "--", "sh", "-c", "exit 42")
        self.run_it(128 + 9, "acquire", "-l", "4k", "--", "sh", "-c", "kill -9 $$")
        self.run_it(127, "acquire", "-l", "4k", "--", "/nonexistent/program")
        self.run_it(126, "acquire", "-l", "4k", "--", "/etc/passwd")

    def test_refused(self) -> None:
        done = self.run_it(NOT_POSSIBLE, "acquire", "-l", "1T", PROVIDER, "--", "true")
        self.assertIn("try:", done.stderr)
        self.run_it(NOT_FOUND, "acquire", "-l", "4k", "0000:77:00.0", "--", "true")
        self.run_it(NOT_FOUND, "acquire", "published:nothing", "--", "true")
        holder = self.hold("-l", "64M", "--", "sleep", "60")
        self.run_it(NOT_POSSIBLE, "acquire", "-l", "4k", "--", "true")
        holder.terminate()
        self.finish(holder, 128 + signal.SIGTERM)

    def test_without_command_until_a_signal(self) -> None:
        holder = self.hold("-l", "2M", "--label", "by hand")
        lease = self.json("leases", "leases")[0]
        self.assertEqual((lease["label"], lease["size_bytes"]), ("by hand", 2 << 20))
        self.assertIn("by hand", self.run_it(OK, "show", PROVIDER).stdout)
        holder.send_signal(signal.SIGINT)
        self.assertIn("by hand", self.finish(holder, OK))
        self.assertEqual(self.json("leases", "leases"), [])

    def test_signals_are_passed_on(self) -> None:
        holder = self.hold_with_trap("USR1", 33)
        holder.send_signal(signal.SIGUSR1)
        self.finish(holder, 33)

    def test_ranges(self) -> None:
        holder = self.hold("--range", "1M:64k", "--range", "4M:4k", PROVIDER)
        lease = self.json("leases", "leases")[0]
        self.assertEqual((lease["ranges"], lease["size_bytes"], lease["offset_bytes"]),
                         (2, 69632, 1 << 20))
        holder.terminate()
        self.finish(holder, OK)

    def test_restart_of_p2pd_is_not_noticed(self) -> None:
        holder = self.hold("-l", "4k", "--", "cat", stdin=subprocess.PIPE)
        before = self.json("leases", "leases")[0]["id"]
        self.daemon.kill()
        time.sleep(0.5)
        self.daemon.reconnect().close()
        time.sleep(0.5)
        lease = self.json("leases", "leases")[0]
        self.assertEqual((lease["id"], lease["state"]), (before, "active"))
        self.assertNotIn("revoked", self.finish(holder, OK))

    def test_kills_of_p2pd_are_not_noticed(self) -> None:
        bench = subprocess.Popen(self.command("bench", "--json", "-n", "3000"), env=self.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        nr_kills = 0
        while bench.poll() is None and nr_kills < 12:
            time.sleep(0.05)
            self.daemon.kill()
            nr_kills += 1
            self.daemon.reconnect().close()
        out, err = bench.communicate(timeout=60)
        self.assertEqual(bench.returncode, OK, err)
        self.assertEqual(json.loads(out)["bench"][0]["count"], 3000)
        self.assertGreater(nr_kills, 2)
        # Grants whose reply was lost go back when nobody takes them up.
        end = time.monotonic() + 20
        while self.json("leases", "leases"):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)


class Denied(unittest.TestCase):
    """Somebody without rights. Only root can try that: others are skipped."""

    NOBODY = 65534

    def setUp(self) -> None:
        if os.geteuid():
            self.skipTest("needs root to be somebody else")
        self.daemon = cli_case.p2pd_run.Daemon(cli_case.BUILD, "[rule nobody]\nallow = no\n")
        os.chmod(self.daemon.root, 0o755)
        self.env = dict(os.environ, P2PDMA_SOCKET=self.daemon.path)

    def tearDown(self) -> None:
        self.daemon.stop()

    def run_it(self, code: int, *arguments: str) -> str:
        program = cli_case.program()
        try:
            done = subprocess.run([program, *arguments], env=self.env, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
                                  user=self.NOBODY, group=self.NOBODY)
        except PermissionError:
            self.skipTest("others may not run the build")
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def test_denied(self) -> None:
        said = self.run_it(DENIED, "acquire", "-l", "4k", PROVIDER, "--", "true")
        self.assertIn("nobody", said)
        self.assertIn("try: `p2pctl policy test", said)
        self.run_it(DENIED, "policy", "test", PROVIDER)
        self.run_it(DENIED, "revoke", "--all")
        self.run_it(DENIED, "drain", "*")

    def test_socket_forbidden(self) -> None:
        os.chmod(self.daemon.path, 0o600)
        self.assertIn("may not be opened", self.run_it(DENIED, "status"))


if __name__ == "__main__":
    cli_case.main()
