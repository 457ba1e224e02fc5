#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pd below a service manager that answers late, or never: who doesn't depend on the answer doesn't
notice, and nothing is granted that wouldn't outlive p2pd."""

import os
import signal
import socket
import tempfile
import time
from pathlib import Path

import daemon_case
import p2pd_wire as wire

SHUTDOWN = 10
# p2pd gives up on an answer then.
PATIENCE = 4.0


class Manager:
    """Its socket; it takes and answers nothing by itself."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.setblocking(False)
        self.said: list[str] = []
        self.kept: list[str] = []
        self.barriers: list[int] = []

    def take(self) -> None:
        """What was said to it until now."""
        while True:
            try:
                data, fds, _flags, _ = socket.recv_fds(self.sock, 4096, 4)
            except BlockingIOError:
                return
            lines = data.decode().split("\n")
            self.said.append(lines[0])
            if lines[0] == "FDSTORE=1":
                assert "FDPOLL=0" in lines and len(fds) == 1
                self.kept += [line[7:] for line in lines if line.startswith("FDNAME=")]
                os.close(fds[0])
            else:
                assert len(fds) == (lines == ["BARRIER=1"]), lines
                self.barriers += fds

    def answer(self, most: int = 1000) -> None:
        """What it has been asked, in that order."""
        self.take()
        for barrier in self.barriers[:most]:
            os.close(barrier)
        del self.barriers[:most]

    def close(self) -> None:
        """It is gone, as often as it is said."""
        if self.sock.fileno() >= 0:
            self.answer()
        self.sock.close()


class ManagerCase(daemon_case.DaemonCase):
    """p2pd has asked it, and has no answer yet."""

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix="p2pd-manager-")
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "notify")
        self.manager = Manager(path)
        self.addCleanup(self.manager.close)
        self.OPTIONS = {"keeper": False, "environment": {"NOTIFY_SOCKET": str(path)}}
        super().setUp()
        # The pipes of its questions close with the answers.
        self.before -= 3

    def ask(self, client: wire.Client, opcode: int = wire.ACQUIRE) -> None:
        """A request whose answer isn't read here."""
        body = wire.S_ACQUIRE.pack(b"*", b"", b"", wire.EXCLUSIVE, wire.READ, 0, 0, 4096, 0, 0, 0,
                                   0, 0)
        client.serial += 1
        client.send_raw(wire.packet(opcode, body if opcode == wire.ACQUIRE else b"",
                                    client.serial))

    def waits(self, client: wire.Client, seconds: float = 0.3) -> None:
        """No answer in that time."""
        client.sock.settimeout(seconds)
        with self.assertRaises(TimeoutError):
            client.receive()
        client.sock.settimeout(client.timeout)

    def answered(self, client: wire.Client, opcode: int = wire.ACQUIRE) -> bytes:
        """With success; its body."""
        got, serial, error, body, fd = client.receive()
        self.assertEqual((got, error), (opcode | wire.REPLY, 0), wire.text(body[:240]))
        self.assertTrue(serial)
        if fd >= 0:
            os.close(fd)
        return body

    def serves(self) -> None:
        """All that doesn't depend on the manager, at once."""
        begin = time.monotonic()
        client = self.daemon.client()
        client.call(wire.STATUS)
        self.assertEqual(len(client.list(wire.PROVIDERS)), 1)
        self.assertEqual(client.leases(), [])
        client.close()
        self.assertLess(time.monotonic() - begin, 1.0)


class Late(ManagerCase):
    """It answers when the test says so."""

    def test_grant_waits(self) -> None:
        """Until the device and the journal are kept; answers keep the order of requests."""
        client = self.client()
        self.ask(client)
        self.ask(client, wire.STATUS)
        self.waits(client)
        self.serves()
        self.manager.take()
        self.assertEqual(sorted(self.manager.kept), ["dev-emulated", "journal", "listener"])
        for _ in range(2):
            self.waits(client)
            self.manager.answer(1)
        lease = wire.Lease.parse(self.answered(client))
        self.assertEqual(lease.state, wire.ACTIVE)
        self.answered(client, wire.STATUS)
        client.release(lease)
        self.manager.answer()
        client.close()
        self.is_clean()

    def test_drain_waits(self) -> None:
        """It outlives p2pd, too: it is answered when it does."""
        client, other = self.client(), self.client()
        client.serial += 1
        client.send_raw(wire.packet(wire.DRAIN, wire.S_DRAIN.pack(b"*", 1, 0, 0), client.serial))
        self.waits(client)
        self.serves()
        self.manager.answer(1)
        self.answered(client, wire.DRAIN)
        client.drain("*", False)
        self.manager.answer()
        other.release(other.acquire())

    def test_hangs_up_meanwhile(self) -> None:
        """It is let go of before the answer comes, and nothing is granted to it."""
        clients = [self.client() for _ in range(8)]
        for client in clients:
            self.ask(client)
        self.waits(clients[0])
        self.assertEqual(self.status(), (8, 0))
        for client in clients:
            client.close()
        self.until(lambda: self.status() == (0, 0))
        self.manager.answer()
        self.is_clean()
        self.assertNotIn("audit granted", self.daemon.text())

    def test_is_killed_meanwhile(self) -> None:
        """As if it had never asked."""
        def run() -> None:
            client = self.daemon.client()
            self.ask(client)
            signal.pause()

        children = [self.fork(run) for _ in range(4)]
        self.until(lambda: self.status() == (4, 0))
        # Asked, and not answered.
        time.sleep(0.2)
        for child in children:
            os.kill(child, signal.SIGKILL)
        self.until(lambda: self.status() == (0, 0))
        self.manager.answer()
        self.is_clean()
        self.assertNotIn("audit granted", self.daemon.text())

    def test_ends_meanwhile(self) -> None:
        """p2pd ends at once; who waited is hung up on."""
        client = self.client()
        self.ask(client)
        self.waits(client)
        begin = time.monotonic()
        self.daemon.process.terminate()
        self.hung_up(client)
        self.assertEqual(self.daemon.process.wait(10), 0)
        self.assertLess(time.monotonic() - begin, PATIENCE)
        self.manager.take()
        self.assertIn("STOPPING=1", self.manager.said)

    def test_policy_changes_meanwhile(self) -> None:
        """That of the moment of the grant decides."""
        client = self.client()
        self.ask(client)
        self.waits(client)
        self.daemon.config.write_text("[daemon]\n[rule nobody]\nallow = no\n", encoding="ascii")
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: "policy loaded, number 2" in self.daemon.text())
        self.manager.answer()
        opcode, _, error, _, _ = client.receive()
        self.assertEqual((opcode, error), (wire.ACQUIRE | wire.REPLY, -13))
        self.is_clean_of(client)

    def is_clean_of(self, client: wire.Client) -> None:
        """The same when it has gone."""
        client.close()
        self.is_clean()


class Never(ManagerCase):
    """It doesn't."""

    def test_nobody_else_waits(self) -> None:
        """Grants are late by its patience, and end with p2pd, which says so; all else is as ever."""
        begin = time.monotonic()
        client = self.client()
        self.ask(client)
        while time.monotonic() - begin < PATIENCE - 1.5:
            self.serves()
            time.sleep(0.05)
        lease = wire.Lease.parse(self.answered(client))
        self.assertGreater(time.monotonic() - begin, PATIENCE - 1.5)
        self.assertIn("doesn't keep the journal (ETIMEDOUT)", self.daemon.text())
        other = self.client()
        other.release(other.acquire())
        self.daemon.process.terminate()
        event = client.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, SHUTDOWN))
        self.assertEqual(self.daemon.process.wait(10), 0)

    def test_answers_after_all(self) -> None:
        """Then what was granted meanwhile is kept as well."""
        client = self.client()
        self.ask(client)
        self.answered(client)
        self.manager.answer()
        self.until(lambda: len(self.daemon.fds()) <= self.before + 3)
        self.daemon.process.terminate()
        self.hung_up(client)
        self.assertEqual(client.events, [])
        self.assertEqual(self.daemon.process.wait(10), 0)

    def test_takes_nothing(self) -> None:
        """What its socket has no room for goes out in order when it has; p2pd serves meanwhile."""
        room = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text("ascii"))
        rounds = room // 3 + 20
        for i in range(rounds):
            os.kill(self.first_pid, signal.SIGHUP)
            self.until(lambda n=i: f"policy loaded, number {n + 2}\n" in self.daemon.text())
        self.serves()
        client = self.client()
        self.ask(client)
        self.answered(client)
        self.until(lambda: not self.manager.answer() and
                   self.manager.said.count("READY=1") == rounds + 1)
        self.assertEqual(self.manager.said[:2], ["FDSTORE=1", "BARRIER=1"])
        rest = [line for line in self.manager.said if "=1" in line][-2 * rounds:]
        self.assertEqual(rest, ["RELOADING=1", "READY=1"] * rounds)
        self.assertNotIn("can't be told", self.daemon.text())
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: not self.manager.answer() and
                   self.manager.said.count("READY=1") == rounds + 2)

    def test_dies(self) -> None:
        """Nobody keeps anything then, and p2pd goes on."""
        client = self.client()
        self.ask(client)
        self.manager.sock.close()
        self.answered(client)
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: "policy loaded, number 2" in self.daemon.text())
        self.serves_leases()
        self.manager.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.sock.setblocking(False)

    def serves_leases(self) -> None:
        """It still does."""
        client = self.daemon.client()
        client.release(client.acquire())
        client.close()


if __name__ == "__main__":
    daemon_case.main()
