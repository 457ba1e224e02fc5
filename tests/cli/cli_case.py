# SPDX-License-Identifier: MIT
"""What the tests of p2pctl have in common: the build directory is their argument."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))
import p2pd_run  # noqa: E402

BUILD = Path(".")
PROVIDER = p2pd_run.PROVIDER
# The exit codes that the manual page promises.
OK, FAILED, USAGE, UNREACHABLE, DENIED, NOT_FOUND, NOT_POSSIBLE, TIMEOUT, PARTIAL = range(9)


def program() -> str:
    """p2pctl, with a sysfs of files and DMABUFs that are none."""
    return str(BUILD / "cli/p2pctl_test")


def scratch() -> TemporaryDirectory:
    """A folder for many small files: in memory, where there is room."""
    memory = "/dev/shm"
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= 512 << 20
    return TemporaryDirectory(prefix="p2pctl-", dir=memory if has_room else None)


class BrokerCase(unittest.TestCase):
    """A p2pd with an emulated device for each case; most need little more than one call."""

    def setUp(self) -> None:
        self.daemon = p2pd_run.Daemon(BUILD)
        self.env = dict(os.environ, P2PDMA_SOCKET=self.daemon.path)
        self.env.pop("NO_COLOR", None)

    def tearDown(self) -> None:
        self.daemon.stop()

    def command(self, *arguments: str) -> list[str]:
        return [program(), *arguments]

    def run_it(self, code: int, *arguments: str) -> subprocess.CompletedProcess:
        done = subprocess.run(self.command(*arguments), env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        return done

    def json(self, schema: str, *arguments: str) -> list[dict]:
        found = json.loads(self.run_it(OK, "--json", *arguments).stdout)
        self.assertEqual(found["schema"], f"p2pctl.{schema}")
        self.assertEqual(found["version"], 1)
        return found[schema]

    def hold(self, *arguments: str, **options) -> subprocess.Popen:
        holder = subprocess.Popen(self.command("acquire", *arguments), env=self.env,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  **options)
        self.addCleanup(self.end, holder)
        end = time.monotonic() + 20
        while not self.json("leases", "leases"):
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(holder.poll())
            time.sleep(0.02)
        return holder

    @staticmethod
    def end(holder: subprocess.Popen) -> None:
        """Of a test that failed; it passes the signal on to its command."""
        if holder.poll() is None:
            holder.terminate()
            holder.communicate(timeout=30)

    def hold_with_trap(self, signal_name: str, code: int) -> subprocess.Popen:
        """Its command waits for the signal, and ends with this code."""
        ready = self.daemon.root / "ready"
        ready.unlink(missing_ok=True)
        holder = self.hold("-l", "4k", "--", "sh", "-c",
                           f"trap 'exit {code}' {signal_name}; : >'{ready}'; "
                           "while :; do sleep 0.05; done")
        end = time.monotonic() + 20
        while not ready.exists():
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(holder.poll())
            time.sleep(0.02)
        return holder

    def finish(self, holder: subprocess.Popen, code: int) -> str:
        out, err = holder.communicate(timeout=30)
        self.assertEqual(holder.returncode, code, out + err)
        return out + err


def main() -> None:
    """TEST BUILD-DIRECTORY [unittest's options]."""
    global BUILD  # pylint: disable=global-statement
    if len(sys.argv) < 2:
        sys.exit("usage: TEST BUILD-DIRECTORY")
    BUILD = Path(sys.argv.pop(1)).resolve()
    unittest.main(module="__main__", verbosity=2)
