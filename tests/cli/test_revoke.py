#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pctl's commands that take leases back, and those that watch, against a real p2pd."""

import json
import select
import subprocess
import time

import cli_case
from cli_case import NOT_FOUND, NOT_POSSIBLE, OK, PARTIAL, PROVIDER


class Taking(cli_case.BrokerCase):
    def test_revoke_tells_the_command(self) -> None:
        holder = self.hold_with_trap("TERM", 3)
        lease = self.json("leases", "leases")[0]["id"]
        self.run_it(OK, "revoke", "--wait", "--deadline", "10s", str(lease))
        said = self.finish(holder, 3)
        self.assertIn("wanted back (admin)", said)
        self.assertEqual(self.json("leases", "leases"), [])

    def test_revoke_doesnt_wait_for_the_stubborn(self) -> None:
        holder = self.hold("-l", "4k", "--revoke-signal", "none", "--", "cat",
                           stdin=subprocess.PIPE)
        self.run_it(OK, "revoke", "--wait", "--deadline", "200ms", "--all")
        self.assertIn("was revoked", self.finish(holder, 0))

    def test_example_lets_go(self) -> None:
        example = cli_case.BUILD / "tests/cli/lease_test"
        if not example.exists():
            self.skipTest("the examples aren't built")
        with subprocess.Popen([str(example), "65536"], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as holder:
            end = time.monotonic() + 20
            while not self.json("leases", "leases"):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.02)
            begin = time.monotonic()
            self.run_it(OK, "revoke", "--all", "--deadline", "60s", "--wait")
            self.assertLess(time.monotonic() - begin, 30)
            said = holder.communicate(timeout=30)[0]
        self.assertEqual(holder.returncode, 0, said)
        self.assertIn("event: revoke-requested, reason admin", said)
        self.assertIn("the lease has ended", said)

    def test_revoke_some(self) -> None:
        holder = self.hold("-l", "4k")
        lease = self.json("leases", "leases")[0]["id"]
        done = self.run_it(PARTIAL, "revoke", "--now", str(lease), "123456")
        self.assertIn("can't revoke 123456", done.stderr)
        self.assertIn("1 lease wanted back", done.stdout)
        self.finish(holder, NOT_POSSIBLE)
        self.run_it(NOT_FOUND, "revoke", "123456")

    def test_drain(self) -> None:
        holder = self.hold("-l", "4k", PROVIDER)
        self.assertEqual(self.json("drain", "drain", "--deadline", "100ms", PROVIDER),
                         [{"leases": 1, "busy": 0}])
        self.finish(holder, OK)
        self.assertEqual(self.json("providers", "list")[0]["state"], "draining")
        self.run_it(NOT_POSSIBLE, "acquire", "-l", "4k", PROVIDER, "--", "true")
        self.run_it(OK, "drain", "--undo", PROVIDER)
        self.run_it(OK, "acquire", "-l", "4k", PROVIDER, "--", "true")

    def test_monitor(self) -> None:
        with subprocess.Popen(self.command("--json", "monitor"), env=self.env,
                              stdout=subprocess.PIPE, text=True) as monitor:
            # It says nothing of when it has begun.
            while not select.select([monitor.stdout], [], [], 0.2)[0]:
                self.run_it(OK, "acquire", "-l", "4k", "--label", "seen", "--", "true")
            seen = [json.loads(monitor.stdout.readline())]
            if seen[0]["event"] != "lease-granted":
                seen.clear()
                self.run_it(OK, "acquire", "-l", "4k", "--label", "seen", "--", "true")
            while len(seen) < 2:
                seen.append(json.loads(monitor.stdout.readline()))
            monitor.terminate()
            monitor.wait(timeout=20)
        self.assertEqual([event["event"] for event in seen], ["lease-granted", "lease-ended"])
        self.assertEqual(seen[0]["schema"], "p2pctl.event")
        self.assertEqual(seen[0]["label"], "seen")
        self.assertEqual(seen[1]["lease"], seen[0]["lease"])

    def test_bench(self) -> None:
        steps = self.json("bench", "bench", "-n", "50")
        self.assertEqual([(step["step"], step["count"]) for step in steps],
                         [("acquire", 50), ("release", 50)])
        self.assertGreater(steps[0]["median_ns"], 0)


if __name__ == "__main__":
    cli_case.main()
