#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pd as a process: two at once, restarts in order and out of it, what its keeper does, clocks."""

import errno
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import daemon_case
import p2pd_run
import p2pd_wire as wire


class Service(daemon_case.DaemonCase):
    """Below its keeper."""

    # It begins once, with the first of many restarts.
    POLICY = p2pd_run.DEFAULT_POLICY.replace("reattach-time = 5s", "reattach-time = 60s")

    def keeper_fds(self) -> int:
        """How many descriptors the keeper has."""
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def test_two_at_once(self) -> None:
        """The second one says so and goes; the first one is as it was."""
        client = self.client()
        lease = client.acquire()
        before = dict(self.daemon.env)
        other = dict(before, P2PD_EMULATED=str(self.daemon.root / "other"))
        running = [subprocess.Popen(self.daemon.command[1:], env=other, stderr=subprocess.PIPE)
                   for _ in range(5)]
        for process in running:
            _, text = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 1)
            self.assertIn(b"another p2pd listens there", text)
        client.renew(lease, 0)
        client.release(lease)
        client.close()
        self.still_serves()

    def test_race_for_a_socket(self) -> None:
        """Five started at the same moment where a dead one left its socket: one wins."""
        path = str(self.daemon.root / "race.sock")
        for turn in range(5):
            running = []
            for i in range(5):
                env = dict(self.daemon.env, P2PD_EMULATED=str(self.daemon.root / f"r{turn}{i}"))
                running.append(subprocess.Popen(
                    [str(daemon_case.BUILD / "tests/daemon/p2pd-emulated"), "--config",
                     str(self.daemon.config), "--socket", path], env=env,
                    stderr=subprocess.DEVNULL))
            self.until(lambda r=running: sum(p.poll() is None for p in r) == 1)
            winner = next(p for p in running if p.poll() is None)
            self.until(lambda: os.path.exists(path))
            wire_client = self.until(lambda: self.try_connect(path))
            wire_client.close()
            winner.kill()
            winner.wait()

    @staticmethod
    def try_connect(path: str) -> wire.Client | None:
        """None while nobody listens."""
        try:
            return wire.Client(path).hello()
        except (ConnectionRefusedError, FileNotFoundError):
            return None

    def test_restarts_keep_what_is_kept(self) -> None:
        """Leases, states and descriptors are the same after 20 SIGKILLs."""
        client = self.client()
        held = [client.acquire(ttl_ms=600000) for _ in range(10)]
        client.revoke(wire.SCOPE_LEASE, held[0].id, deadline_ms=600000)
        client.drain("*", False)
        instance = client.instance
        client.close()
        self.daemon.kill()
        self.daemon.reconnect().close()
        time.sleep(0.3)
        fds, kept = len(self.daemon.fds()), self.keeper_fds()
        for _ in range(20):
            self.daemon.kill()
            client = self.daemon.reconnect()
            client.close()
        client = self.client()
        self.assertEqual(client.instance, instance)
        states = [client.attach(lease).state for lease in held]
        self.assertEqual(states, [wire.REVOKING] + [wire.ACTIVE] * 9)
        self.assertEqual(client.event(wire.EVENT_REVOKE_REQUESTED).lease_id, held[0].id)
        for lease in held:
            client.release(lease)
        client.close()
        self.until(lambda: len(self.daemon.fds()) == fds)
        self.assertEqual(self.keeper_fds(), kept)

    def test_drain_outlives_a_kill(self) -> None:
        """Also without any lease."""
        client = self.client()
        client.drain("0000:01:00.0/2", True)
        self.refused(errno.EBUSY, client.acquire)
        client.close()
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.refused(errno.EBUSY, client.acquire)
        client.drain("*", False)
        client.release(client.acquire())
        client.close()

    def test_terminated(self) -> None:
        """SIGTERM ends p2pd and its keeper, with 0, and takes its socket along."""
        self.client().acquire()
        os.kill(self.daemon.pid(), signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(10), 0)

    def test_function_goes(self) -> None:
        """Its leases end, with the reason."""
        client = self.client()
        lease = client.acquire()
        self.daemon.set_kernel(is_gone=1)
        event = client.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, 8))
        self.refused(errno.ENODEV, client.acquire)
        client.close()

    def test_failing_exports(self) -> None:
        """The kernel's errors are answers; the next one is granted."""
        client = self.client()
        for error in (errno.EMFILE, errno.ENOMEM, errno.ENODEV, errno.EBUSY):
            self.daemon.set_kernel(fail_export=1, fail_errno=-error)
            self.refused(error, client.acquire)
        client.release(client.acquire())
        client.close()
        self.is_clean()

    def test_stubborn_importer(self) -> None:
        """A slice that an importer still maps isn't given to anybody; when it is free, it is."""
        client = self.client()
        lease = client.acquire(p2pd_run.BAR)
        self.daemon.set_kernel(stubborn=1)
        self.assertEqual(client.revoke(), (1, 1))
        other = self.client()
        self.refused(errno.EBUSY, other.acquire)
        self.daemon.kill()
        other = self.daemon.reconnect()
        self.opened.append(other)
        self.refused(errno.EBUSY, other.acquire)
        self.daemon.set_kernel(stubborn=0)
        self.until(lambda: not other.leases())
        other.release(other.acquire())
        os.close(lease.fd)

    def test_no_other_clock(self) -> None:
        """What sets the clock sets nothing here: no time but CLOCK_MONOTONIC is asked for."""
        program = daemon_case.BUILD / "daemon/p2pd"
        if not program.exists() or not shutil.which("nm"):
            self.skipTest("no nm, or p2pd isn't built")
        symbols = subprocess.run(["nm", "-D", "--undefined-only", str(program)], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
        asked = set(re.findall(r"\b(time|gettimeofday|ftime|localtime\w*|gmtime\w*|timerfd_\w+)@",
                               symbols))
        self.assertEqual(asked, set())
        self.assertIn("clock_gettime", symbols)

    def test_clock_namespace(self) -> None:
        """p2pd with another CLOCK_REALTIME offset can't be had; a jump of its monotonic can: a
        deadline is a difference, so a p2pd that begins years later works the same."""
        probe = ["unshare", "-T", "--monotonic", "100000000", "true"]
        if not shutil.which("unshare") or subprocess.run(probe, stderr=subprocess.DEVNULL,
                                                         check=False).returncode:
            self.skipTest("no time namespace here")
        late = p2pd_run.Daemon(daemon_case.BUILD, self.POLICY, keeper=False,
                               prefix=("unshare", "-T", "--monotonic", "100000000"))
        client = late.client()
        lease = client.acquire(ttl_ms=300)
        self.assertGreater(lease.expires_ns, 100000000 * 10**9)
        self.assertEqual(client.event(wire.EVENT_REVOKED).reason, 3)
        client.close()
        self.assertEqual(late.stop(), 0)


class Keeper(daemon_case.DaemonCase):
    """What it does when p2pd doesn't."""

    def test_crashes_at_once(self) -> None:
        """A p2pd that crashes as soon as it starts is held back: no hot loop."""
        starts = self.daemon.root / "starts"
        script = self.daemon.root / "crash"
        keep = ("import socket,os,signal;s=socket.socket(1,2);"
                "s.connect(os.environ['NOTIFY_SOCKET']);"
                "socket.send_fds(s,[b'FDSTORE=1\\nFDNAME=x\\nFDPOLL=0'],[0]);"
                "os.kill(os.getpid(),signal.SIGABRT)")
        script.write_text(f"#!/bin/sh\necho >> {starts}\nexec python3 -S -c \"{keep}\"\n",
                          encoding="ascii")
        script.chmod(0o755)
        with subprocess.Popen([str(daemon_case.BUILD / "daemon/p2pd-keeper"), str(script)],
                              stderr=subprocess.DEVNULL) as keeper:
            time.sleep(2)
            keeper.terminate()
            keeper.wait(20)
        self.assertLess(len(starts.read_text(encoding="ascii").splitlines()), 12)

    def address(self) -> str:
        """Where p2pd sends to, for who may look into it."""
        with open(f"/proc/{self.daemon.pid()}/environ", "rb") as handle:
            name = dict(line.split(b"=", 1) for line in handle.read().split(b"\0")
                        if b"=" in line)[b"NOTIFY_SOCKET"].decode()
        return name.replace("/self/", f"/{self.daemon.pid()}/")

    def restarts(self, lease: wire.Lease) -> None:
        """p2pd is killed, and is there again with what it had."""
        self.daemon.kill()
        begin = time.monotonic()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertLess(time.monotonic() - begin, 5)
        client.attach(lease)
        client.release(lease)

    def test_strangers_find_no_way(self) -> None:
        """Whatever name the kernel tells, nothing is sent there: neither what would be stored nor what
        would have to be closed."""
        lease = self.client().acquire()
        address = self.address()

        folder = f"/proc/{self.daemon.process.pid}/fd"
        inodes = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as handle:
            lines = [line.split() for line in handle]
        names = [line[7] for line in lines if len(line) > 7 and f"socket:[{line[6]}]" in inodes
                 and line[7] != self.daemon.path]
        self.assertEqual(len(names), 1)
        names.append(address)

        def run() -> None:
            for name in [*names, *("\0" + name[1:] for name in names)]:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
                    try:
                        stranger.connect(name)
                    except OSError:
                        continue
                    os._exit(3)
        self.as_user(12345, run)
        self.restarts(lease)

    def test_who_has_its_address_is_not_heard(self) -> None:
        """Only p2pd can store or remove anything."""
        before = len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))
        lease = self.client().acquire()
        code = (f"import socket;s=socket.socket(1,2);s.connect({self.address()!r});"
                "[socket.send_fds(s,[b'FDSTORE=1\\nFDNAME=evil'],[0]) for _ in range(200)];"
                "s.send(b'FDSTOREREMOVE=1\\nFDNAME=journal')")
        subprocess.run(["python3", "-c", code], check=True)
        time.sleep(0.2)
        self.assertEqual(len(os.listdir(f"/proc/{self.daemon.process.pid}/fd")), before)
        self.restarts(lease)

    def test_keeper_dies(self) -> None:
        """Then nobody keeps anything, and p2pd goes on as long as it lives."""
        client = self.client()
        lease = client.acquire()
        pid = self.daemon.pid()
        os.kill(self.daemon.process.pid, signal.SIGKILL)
        self.daemon.process.wait()
        client.renew(lease, 0)
        client.release(lease)
        client.close()
        os.kill(pid, signal.SIGKILL)
        self.daemon.has_keeper = False
        self.daemon.process.returncode = 0


class Alone(daemon_case.DaemonCase):
    """Without anybody who keeps descriptors."""

    OPTIONS = {"keeper": False}

    def test_ends_leases(self) -> None:
        """They are told, with the reason."""
        client = self.client()
        lease = client.acquire()
        self.daemon.process.terminate()
        event = client.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, 10))
        self.assertEqual(self.daemon.process.wait(10), 0)
        self.assertFalse(os.path.exists(self.daemon.path))


class NoSecondChance(daemon_case.DaemonCase):
    """reattach-time = 0: a lost connection ends its leases at once, also when p2pd ends."""

    POLICY = p2pd_run.DEFAULT_POLICY.replace("reattach-time = 5s", "reattach-time = 0")

    def test_ends_with_monitors(self) -> None:
        """Their leases and those who watch go in any order."""
        clients = []
        for i in range(20):
            client = self.client()
            client.call(wire.MONITOR, struct.pack("<II", i % 2, 0))
            client.acquire()
            clients.append(client)
        os.kill(self.first_pid, signal.SIGSTOP)
        for client in clients[::3]:
            client.close()
        os.kill(self.first_pid, signal.SIGTERM)
        os.kill(self.first_pid, signal.SIGCONT)
        self.assertEqual(self.daemon.process.wait(10), 0)


class Damaged(daemon_case.DaemonCase):
    """A journal that somebody wrote to: all leases end, and p2pd goes on with a new one."""

    def test_overwritten(self) -> None:
        """Reported, and everything taken back."""
        client = self.client()
        leases = [client.acquire() for _ in range(5)]
        instance = client.instance
        for entry in os.scandir(f"/proc/{self.daemon.pid()}/fd"):
            if "p2pd-journal" in os.readlink(entry.path):
                with open(entry.path, "r+b", buffering=0) as journal:
                    journal.seek(4096 + 100)
                    journal.write(b"\xff" * 8)
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertNotEqual(client.instance, instance)
        for lease in leases:
            with self.assertRaises(wire.Refused):
                client.attach(lease)
        self.assertEqual(self.daemon.exports(), [])
        self.assertIn("the journal is damaged", self.daemon.text())
        lease = client.acquire()
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        client.attach(lease)
        client.release(lease)


if __name__ == "__main__":
    daemon_case.main()
