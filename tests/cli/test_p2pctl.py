#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pctl against a real p2pd with an emulated device.

    tests/cli/test_p2pctl.py BUILD [UNITTEST OPTION...]

Each case checks what is printed, for people and as JSON, and the exit code that the manual page
promises. `bind` and `unbind` work on a sysfs made of files.
"""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tarfile
import time
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))
import p2pd_run  # noqa: E402

BUILD = Path(".")
PROVIDER = p2pd_run.PROVIDER
OK, FAILED, USAGE, UNREACHABLE, DENIED, NOT_FOUND, NOT_POSSIBLE, TIMEOUT, PARTIAL = range(9)


class Case(unittest.TestCase):
    """A daemon for each case; most need little more than one call."""

    def setUp(self) -> None:
        self.daemon = p2pd_run.Daemon(BUILD)
        self.env = dict(os.environ, P2PDMA_SOCKET=self.daemon.path)
        self.env.pop("NO_COLOR", None)

    def tearDown(self) -> None:
        self.daemon.stop()

    def command(self, *arguments: str) -> list[str]:
        return [str(BUILD / "cli/p2pctl_test"), *arguments]

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
        end = time.monotonic() + 20
        while not self.json("leases", "leases"):
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(holder.poll())
            time.sleep(0.02)
        return holder

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


class Looking(Case):
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


class Holding(Case):
    def test_command_has_the_lease(self) -> None:
        script = ("import os; fd = int(os.environ['P2PDMA_FD']);"
                  "print(os.fstat(fd).st_size, os.environ['P2PDMA_LEASE_SIZE'],"
                  "repr(os.environ['P2PDMA_EXPORTER']), os.environ['P2PDMA_LEASE_PROVIDER'], os.environ['P2PDMA_LEASE_LABEL'],"
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
        self.daemon = p2pd_run.Daemon(BUILD, "[rule nobody]\nallow = no\n")
        os.chmod(self.daemon.root, 0o755)
        self.env = dict(os.environ, P2PDMA_SOCKET=self.daemon.path)

    def tearDown(self) -> None:
        self.daemon.stop()

    def run_it(self, code: int, *arguments: str) -> str:
        program = str(BUILD / "cli/p2pctl_test")
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


class Taking(Case):
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
        example = BUILD / "tests/cli/lease_test"
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


class Binding(unittest.TestCase):
    """A sysfs of files, with a kernel behind it (fake_sysfs.c)."""

    FUNCTION = "0000:01:00.0"

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        self.scratch = TemporaryDirectory(prefix="p2pctl-")
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
        done = subprocess.run([str(BUILD / "cli/p2pctl_test"), *arguments], env=self.env,
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
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BUILD = Path(sys.argv.pop(1))
    unittest.main(verbosity=2)
