#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pd where too many descriptors are on their way in sockets: the kernel lets a process have as many
there as it may open, and counts them by user."""

import errno
import os
import re
import select
import signal
import socket
import threading
import time

import daemon_case
import p2pd_wire as wire


class InFlightCase(daemon_case.DaemonCase):
    """A p2pd with few descriptors, and as a user of its own."""

    POLICY = daemon_case.p2pd_run.DEFAULT_POLICY.replace("stall-time = 2s", "stall-time = 60s")
    # Nobody else's: what others of that user have in flight counts, too.
    USER = 20000 + os.getpid() % 40000
    OPTIONS = {"prefix": ("setpriv", f"--reuid={USER}", "--clear-groups", "prlimit",
                          "--nofile=40:40"),
               "owner": USER}

    def setUp(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root can start p2pd as somebody else")
        super().setUp()


class Unread(InFlightCase):
    """What waits for those who don't read."""

    def test_no_spinning(self) -> None:
        """Answers wait for those before them to be read, and cost nothing meanwhile."""
        lazy = [self.client() for _ in range(4)]
        for client in lazy:
            for serial in range(16):
                client.send_raw(wire.packet(wire.ACQUIRE, wire.ACQUIRE_A_PAGE, 100 + serial))
        time.sleep(0.3)
        before = daemon_case.cpu_seconds(self.daemon.pid())
        time.sleep(1)
        self.assertLess(daemon_case.cpu_seconds(self.daemon.pid()) - before, 0.3)
        granted = 0
        left = {client.sock: [client, 16] for client in lazy}
        while left:
            # Whoever is served first: one may wait for what is on its way to the others.
            ready = select.select(list(left), [], [], 20)[0]
            self.assertTrue(ready)
            for sock in ready:
                answer = left[sock][0].receive()
                if answer[4] >= 0:
                    os.close(answer[4])
                    granted += 1
                left[sock][1] -= 1
                if not left[sock][1]:
                    del left[sock]
        self.assertGreater(granted, 40)
        for client in lazy:
            client.close()
        self.until(lambda: self.status()[1] == 0)
        self.still_serves()
        self.is_clean()


class DroppedInFlight(InFlightCase):
    """What a peer hasn't read stays on its way when p2pd closes the connection, and counts as before."""

    def test_others_get_theirs(self) -> None:
        """A user who has p2pd close one connection after the other has no more on the way than any."""
        self.daemon.config.write_text(self.POLICY.replace(
            "[daemon]", "[daemon]\nmax-unread-fds = 16\nmax-connections = 4"), encoding="utf-8")
        os.kill(self.daemon.pid(), signal.SIGHUP)
        self.until(lambda: "policy loaded" in self.daemon.text())

        def run() -> None:
            kept = []
            for _ in range(12):
                try:
                    client = self.daemon.client(3)
                    for serial in range(8):
                        client.send_raw(wire.packet(wire.STATS, bytes(8), 100 + serial))
                    client.send_raw(b"no message")
                except (EOFError, OSError):
                    pass
                kept.append(client)
                time.sleep(0.05)
            os.write(ready_write, b"x")
            os.read(over_read, 1)
        ready_read, ready_write = os.pipe()
        over_read, over_write = os.pipe()
        self.daemon.root.chmod(0o755)
        child = self.fork(run, 12345)
        os.read(ready_read, 1)
        self.still_serves()
        self.assertLess(len(self.daemon.fds()), self.before + 6)
        os.write(over_write, b"x")
        self.ends(child)
        for fd in (ready_read, ready_write, over_read, over_write):
            os.close(fd)
        self.is_clean()

        def again() -> None:
            client = self.daemon.client(3)
            for _ in range(20):
                os.close(client.call(wire.STATS, bytes(8))[1])
        self.as_user(12345, again)


class StartInFlight(InFlightCase):
    """Too many descriptors are in flight when p2pd has its journal kept."""

    def setUp(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root can start p2pd as somebody else")
        ready, read = os.pipe(), os.pipe()
        other = os.fork()
        if not other:
            os.setuid(self.USER)
            one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            socket.send_fds(one, [b"x"], [two.fileno()] * 60)
            os.write(ready[1], b"x")
            os.read(read[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        # What this asks for isn't there yet, either.
        threading.Timer(1, os.write, (read[1], b"x")).start()
        super().setUp()
        os.waitpid(other, 0)
        for fd in (*ready, *read):
            os.close(fd)

    def test_lease_outlives(self) -> None:
        """It is kept as soon as that is possible, and so is what is leased."""
        client = self.client()
        lease = client.acquire()
        self.assertNotIn("doesn't keep", self.daemon.text())
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertEqual(client.attach(lease).id, lease.id)
        client.release(lease)


class MetricsInFlight(InFlightCase):
    """Metrics are for anybody, and whoever doesn't read them keeps nobody from a lease."""

    OPTIONS = {"prefix": ("setpriv", f"--reuid={InFlightCase.USER}", "--clear-groups", "prlimit",
                          "--nofile=128:128"),
               "owner": InFlightCase.USER}

    def test_many_users(self) -> None:
        """Each within its limits, and together half of what may be in flight."""
        self.daemon.root.chmod(0o755)
        lazy = []
        for uid in range(100000, 100008):
            os.seteuid(uid)
            try:
                lazy += [self.client() for _ in range(4)]
            finally:
                os.seteuid(0)
        for client in lazy:
            for serial in range(16):
                client.send_raw(wire.packet(wire.STATS, bytes(8), 100 + serial))
        time.sleep(0.5)
        self.still_serves()
        os.close(self.client().call(wire.STATS, bytes(8))[1])
        granted = 0
        for client in lazy:
            for _ in range(16):
                _, _, error, _, fd = client.receive()
                self.assertIn(error, (0, -errno.EBUSY))
                granted += not error
                if fd >= 0:
                    os.close(fd)
        # More, if p2pd was too slow to come to all of them before the first were read.
        self.assertTrue(60 < granted < 128, granted)
        for client in self.opened:
            client.close()
        self.is_clean()

        def again() -> None:
            os.close(self.daemon.client(3).call(wire.STATS, bytes(8))[1])
        self.as_user(100000, again)


class QueuedMetrics(InFlightCase):
    """Metrics that wait behind other answers count as well, also once those have been read."""

    POLICY = InFlightCase.POLICY.replace("[daemon]", "[daemon]\nmax-unread-fds = 16")
    OPTIONS = MetricsInFlight.OPTIONS
    HALF = 64

    def ask(self, client: wire.Client, opcode: int, body: bytes, count: int) -> None:
        """So often, without reading."""
        for serial in range(count):
            client.send_raw(wire.packet(opcode, body, 100 + serial))

    def on_their_way(self) -> int:
        """Descriptors, without those that this asks with."""
        client = self.daemon.client()
        _, fd = client.call(wire.STATS, bytes(8))
        client.close()
        with os.fdopen(fd, encoding="ascii") as text:
            return int(re.search(r"^p2pd_descriptors_unread (\d+)$", text.read(), re.M)[1]) - 1

    def test_queue_is_behind(self) -> None:
        """A second connection of the user has p2pd look at what the first one has read."""
        self.daemon.root.chmod(0o755)
        for uid in range(100000, 100006):
            with daemon_case.user(uid):
                lazy, other = self.client(), self.client()
            before = self.on_their_way()
            self.ask(lazy, wire.STATS, bytes(8), 1)
            # More than the socket takes.
            self.ask(lazy, wire.STATUS, b"", 600)
            self.ask(lazy, wire.STATS, bytes(8), 15)
            # Among those before may be one that an earlier question hadn't given back yet.
            self.until(lambda n=before: self.on_their_way() >= min(n + 15, self.HALF))
            os.kill(self.daemon.pid(), signal.SIGSTOP)
            # This comes first, and with it the look.
            self.ask(other, wire.STATS, bytes(8), 1)
            while select.select([lazy.sock], [], [], 0)[0]:
                fd = lazy.receive()[4]
                if fd >= 0:
                    os.close(fd)
            os.kill(self.daemon.pid(), signal.SIGCONT)
            self.assertTrue(select.select([other.sock], [], [], 20)[0])
            self.assertLessEqual(self.on_their_way(), self.HALF)
        for client in self.opened:
            client.close()
        self.is_clean()


if __name__ == "__main__":
    daemon_case.main()
